"""Fisher information measured in simulated trajectories of given networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_integer, check_key, require
from fisherjax._types import Key, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix, population_index, population_sizes, sample_weights
from fisherjax.meanfield import input_parameters
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, full_precision
from fisherjax.simulate import SensitivityMoments, sensitivity_moments

from ._curve import FisherCurve, as_draws, mean_curve, warn_if_not_finite
from ._gaussian import spans
from ._meanfield import check_noise
from ._pathwise import PathMoments, path_value


@full_precision
def simulated_curve(
    weights: object,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    input_vector: object,
    num_trials: int,
    key: Key,
    form: str = "linear",
    nonlinearity: object = "tanh",
    sustained_input: object = None,
    gain_matrix: GainMatrix | None = None,
    num_blocks: int = 10,
    progress: bool = False,
    devices: Devices = None,
) -> FisherCurve:
    """Measure Fisher information from simulated trials and their exact pathwise derivatives.

    With n trials, m the mean of the derivatives r′, S the sample covariance of the states (ν = n − 1),
    D̂ that of the derivatives, and p the number of units read out together,

        Î = (ν − p − 1)/ν · [mᵀ S⁻¹ m − tr(S⁻¹ D̂)/n],

    which is unbiased for Gaussian states; the independent form applies it to each unit with p = 1. No
    estimate is clipped: one that is compatible with zero may be negative.

    Parameters
    ----------
    weights
        J (N, N), or several draws (draws, N, N).
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    noise_std
        σ > 0.
    num_steps
        Number of steps T.
    input_vector
        w (N,), or (N, K) for a vector stimulus.
    num_trials
        Trials per weight draw.
    key
        JAX random key.
    form
        ``"linear"`` (noise correlations counted; needs more trials than units) or ``"independent"``.
    nonlinearity
        φ: a name, a function, or a `Nonlinearity`.
    sustained_input
        b (N,), added at every step.
    gain_matrix
        Structure the weights were drawn from, for information by population; one population if absent.
    num_blocks
        Blocks of the jackknife that gives the standard error for one draw. In the linear form the jackknife
        is conservative while trials are few per unit (about 40 % high at five trials per unit).
    progress
        Whether to show a bar on stderr.
    devices
        Divide the trials among devices: a number, ``"all"``, or what `numerics.device_mesh` takes.

    Returns
    -------
    FisherCurve with standard errors: over blocks of trials (jackknife) for one draw, over draws for several.

    Raises
    ------
    ValueError
        For too few trials, mismatched shapes, or noise that vanishes.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    check_choice("form", form, ("independent", "linear"))
    check_noise(noise_std, 0.0)
    num_blocks = check_integer("num_blocks", num_blocks, minimum=2)
    draws = as_draws(weights)
    units = draws.shape[-1]
    kept = num_trials - -(-num_trials // num_blocks) - 1
    require(
        form == "independent" or kept > units + 1,
        f"the linear form inverts an N × N covariance and needs more trials than units: num_trials={num_trials} "
        f"leaves {kept} degrees of freedom for N={units}; raise num_trials or use form='independent'",
    )
    sizes = (units,) if gain_matrix is None else population_sizes(gain_matrix, units)
    values, errors = [], []
    for index, draw in enumerate(draws):
        moments = sensitivity_moments(
            RateNetwork(
                draw,
                input_vector,
                noise_std=noise_std,
                sustained_input=sustained_input,
                nonlinearity=nonlinearity,
            ),
            stimulus=stimulus,
            num_steps=num_steps,
            num_trials=num_trials,
            key=jax.random.fold_in(key, index),
            covariance="full" if form == "linear" else "diagonal",
            num_blocks=num_blocks,
            progress=progress,
            devices=devices,
        )
        value, error = information_with_error(moments, sizes)
        values.append(value)
        errors.append(error)
    curve = mean_curve(jnp.stack(values), form, scalar=np.ndim(stimulus) == 0, errors=jnp.stack(errors))  # pyright: ignore[reportArgumentType]
    reason = "states or their derivatives left the float range (unstable weights?), or a covariance is singular"
    return warn_if_not_finite(curve, reason)


@full_precision
def ensemble_curve(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_units: int,
    num_trials: int,
    num_draws: int,
    key: Key,
    form: str = "independent",
    nonlinearity: object = "tanh",
    input_pattern: object = None,
    dtype: DTypeLike = jnp.float32,
    progress: bool = False,
    devices: Devices = None,
) -> FisherCurve:
    """Measure Fisher information in networks drawn from a structure: what `meanfield_curve` predicts.

    Parameters are those of `meanfield_curve` and `simulated_curve`, with

    Parameters
    ----------
    num_draws
        Networks drawn; with more than one, the standard error is over networks.
    dtype
        Float type of the simulation.

    Raises
    ------
    ValueError, TypeError
        As `meanfield_curve` and `simulated_curve`.
    """
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    weight_key, trial_key = jax.random.split(check_key("key", key))
    _, pattern = input_parameters(gain_matrix, stimulus, input_pattern)
    vector = pattern[population_index(gain_matrix, num_units)].astype(dtype)
    draws = [
        sample_weights(gain_matrix, num_units, key=draw_key, dtype=dtype)
        for draw_key in jax.random.split(weight_key, num_draws)
    ]
    return simulated_curve(
        jnp.stack(draws),
        stimulus=stimulus,
        noise_std=noise_std,
        num_steps=num_steps,
        input_vector=vector if np.ndim(stimulus) else vector[:, 0],  # pyright: ignore[reportArgumentType]
        num_trials=num_trials,
        key=trial_key,
        form=form,
        nonlinearity=nonlinearity,
        gain_matrix=gain_matrix,
        progress=progress,
        devices=devices,
    )


@jax.jit(static_argnums=1)
def information_with_error(moments: SensitivityMoments, sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Estimate from all blocks, and its standard error from the estimates that leave one block out."""
    blocks = moments.count.shape[0]
    # in the linear form each estimate holds T covariance matrices of its own: one at a time
    at_once = 1 if moments.scatter.ndim == 4 else blocks
    left_out = 1 - jnp.eye(blocks, dtype=moments.count.dtype)
    parts = jax.lax.map(lambda keep: _estimate(moments.pooled(keep), sizes), left_out, batch_size=at_once)
    return _estimate(moments.pooled(), sizes), jnp.std(parts, axis=0) * math.sqrt(blocks - 1)


def _estimate(moments: SensitivityMoments, sizes: tuple[int, ...]) -> Float[Array, "T groups K K"]:
    """Bias-corrected information of all units (first) and of each population, from one block's moments."""
    freedom = moments.count[0] - 1
    derivative, scatter, slope_scatter = moments.derivative[0], moments.scatter[0], moments.derivative_scatter[0]
    groups = spans(sizes)
    if scatter.ndim == 2:
        covariance, slope_covariance = scatter / freedom, slope_scatter / freedom
        per_unit = jnp.einsum("tki,tli->tkli", derivative, derivative) - slope_covariance / moments.count[0]
        per_unit *= (freedom - 2) / freedom / covariance[:, None, None]
        populations = [jnp.sum(per_unit[..., low:high], axis=-1) for low, high in groups]
        return jnp.stack([jnp.sum(per_unit, axis=-1), *populations], axis=1)
    groups = groups if len(groups) == 1 else [(0, groups[-1][1]), *groups]
    values = [
        path_value(
            PathMoments(
                moments.count[0],
                derivative[..., low:high],
                scatter[:, low:high, low:high],
                slope_scatter[..., low:high, low:high],
            )
        )[0]
        for low, high in groups
    ]
    return jnp.stack(values * 2 if len(sizes) == 1 else values, axis=1)
