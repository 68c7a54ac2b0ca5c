"""Fisher information measured in simulated trajectories of given networks."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_counts, check_flag, check_key, require, warn
from fisherjax._runtime import PRECISIONS, Devices, Precision, full_precision
from fisherjax._types import ArrayLike, Key, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix, population_sizes
from fisherjax.meanfield._drive import input_parameters
from fisherjax.networks import Network
from fisherjax.networks._protocol import PartOfState, Protocol, Reading, check_reading
from fisherjax.nonlinearities._registry import NonlinearityLike
from fisherjax.simulate import draw_networks
from fisherjax.simulate._moments import SensitivityMoments, moments_of

from ._curve import FisherCurve, as_question, mean_curve, warn_if_not_finite
from ._gaussian import spans
from ._moments import PathMoments, path_value
from ._structured import as_shares

_BLOCKS = 10
_FORMS = ("independent", "linear")
_folded = jax.jit(jax.random.fold_in)  # op by op it takes longer than a small simulation's step


@full_precision
def simulated_curve(
    network: Network | Sequence[Network],
    *,
    stimulus: Stimulus,
    num_steps: int,
    num_trials: int,
    key: Key,
    form: str = "linear",
    protocol: Protocol = "pulse",
    read: Reading = "state",
    at: Sequence[int] | None = None,
    num_blocks: int = _BLOCKS,
    precision: Precision = "float32",
    progress: bool = False,
    devices: Devices = None,
) -> FisherCurve:
    """Measure Fisher information from simulated trials and their exact pathwise derivatives.

    With n trials, m the mean of the derivatives r′, S the sample covariance of what is read (ν = n − 1),
    D̂ that of the derivatives, and p how many numbers are read together,

        Î = (ν − p − 1)/ν · [mᵀ S⁻¹ m − tr(S⁻¹ D̂)/n],

    which is unbiased for Gaussian states; the independent form applies it to each number with p = 1. No
    estimate is clipped: one that is compatible with zero may be negative.

    Parameters
    ----------
    network
        Any `Network`, or several draws of one, which are averaged.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    num_steps
        Number of steps T.
    num_trials
        Trials per network.
    key
        JAX random key.
    form
        ``"linear"`` (noise correlations counted; needs more trials than numbers that are read) or ``"independent"``.
    protocol
        How the stimulus enters: ``"pulse"`` sets x(0), ``"sustained"`` is an input at every step, or a function
        θ ↦ inputs (T, I).
    read
        What is read: the ``"state"``, the ``"output"``, or a function of the state.
    at
        After which steps to read, counted from 1; all T by default.
    num_blocks
        Blocks of the jackknife that gives the standard error for one network. In the linear form the jackknife
        is conservative while trials are few per unit (about 40 % high at five trials per unit).
    precision
        Of the products of a step, as in `simulate.trajectories`; estimates are in full float32 whatever it is.
    progress
        Whether to show a bar on stderr.
    devices
        Divide the trials among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    FisherCurve with standard errors: over blocks of trials (jackknife) for one network, over networks for several. In
    a chaotic network derivatives at fixed noise grow without end, and the error with them: a warning says from where on
    it exceeds the value.

    Raises
    ------
    ValueError
        For too few trials, mismatched shapes, or noise that vanishes.
    TypeError
        If `network` is none, or `key` is not a JAX key.
    """
    key = check_key("key", key)
    check_flag("progress", progress)
    check_choice("precision", precision, PRECISIONS)
    drawn, theta, how = as_question(network, stimulus, num_steps, form, protocol, read, at, forms=_FORMS)
    alone = len(drawn) == 1
    num_trials, num_blocks = _check_trials(num_trials, num_blocks, form, sum(how.sizes), alone=alone)
    blocks = num_blocks if alone else 1  # several networks tell the error by themselves
    size, pairs = check_reading(drawn[0], read), []
    for index, draw in enumerate(drawn):
        moments = moments_of(
            draw, theta, _folded(key, index), protocol, read, how.num_steps, how.times, size, precision,
            num_trials=num_trials, num_blocks=blocks, full=form == "linear", progress=progress, devices=devices,
        )  # fmt: skip
        pairs.append(information_with_error(moments, how.sizes))
    values, errors = zip(*pairs, strict=True)
    curve = mean_curve(
        values, form, how.times, scalar=theta.ndim == 0, time_step=drawn[0].time_step, errors=errors if alone else None
    )
    curve = warn_if_not_finite(curve, "states or derivatives left the float range (unstable weights?)")
    _warn_of_errors(curve, num_blocks)
    return curve


def _check_trials(num_trials: int, num_blocks: int, form: str, units: int, *, alone: bool) -> tuple[int, int]:
    """Trials and blocks, if they are enough for the form; of several networks no block is ever left out."""
    check_choice("form", form, _FORMS)
    num_trials, num_blocks = check_counts(minimum=2, num_trials=num_trials, num_blocks=num_blocks)
    require(
        num_trials >= 2 * num_blocks or not alone,
        f"num_trials must be at least two per block, {2 * num_blocks} for num_blocks={num_blocks}; got {num_trials}",
    )
    kept = num_trials - (-(-num_trials // num_blocks) if alone else 0) - 1
    require(
        form == "independent" or kept > units + 1,
        f"the linear form inverts the covariance of the {units} numbers that are read and needs more trials than that: "
        f"num_trials={num_trials} leaves {kept} degrees of freedom; raise num_trials or use form='independent'",
    )
    left_out = " when a block is left out" if alone else ""
    require(kept > 2, f"num_trials={num_trials} leaves {kept} degrees of freedom{left_out}, too few")
    return num_trials, num_blocks


def _warn_of_errors(curve: FisherCurve, num_blocks: int) -> None:
    """Say where a value (of a matrix, on the diagonal) has no error, or one that exceeds it."""
    steps = curve.total.shape[0]
    value, error = (
        np.asarray(part).reshape(steps, -1)[:, :: 1 + (curve.total.shape[-1] if curve.total.ndim == 3 else 1)]
        for part in (curve.total, curve.standard_error)
    )
    unknown = (np.isfinite(value) & ~np.isfinite(error)).any(axis=1)
    if unknown.any():
        warn(
            f"the standard error is not finite from time {int(np.argmax(unknown)) + 1} on: without one of the "
            f"{num_blocks} blocks of trials a covariance is singular; raise num_trials"
        )
    worthless = (error > np.abs(value)).any(axis=1)
    if worthless.any():
        warn(
            f"the standard error exceeds the information itself, first at time {int(np.argmax(worthless)) + 1}: the "
            "values there say little (trajectories that diverge, or information that is nearly gone); raise "
            "num_trials, or use closure_curve"
        )


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
    ensemble: str = "gaussian",
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    protocol: Protocol = "pulse",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
    observed: ArrayLike | None = None,
    dtype: DTypeLike = jnp.float32,
    progress: bool = False,
    devices: Devices = None,
) -> FisherCurve:
    """Measure Fisher information in networks drawn from a structure: what `meanfield_curve` predicts.

    Parameters are those of `meanfield_curve`, `draw_networks` and `simulated_curve`, with

    Parameters
    ----------
    num_draws
        Networks drawn; with more than one, the standard error is over networks.
    observed
        o (P,), share of the units of each population that is read out, rounded to whole units, but at least one where
        it is above 0; all by default.
    dtype
        Float type of the simulation, float32 or float64.

    Raises
    ------
    ValueError, TypeError
        As `meanfield_curve` and `simulated_curve`.

    Examples
    --------
    >>> import jax
    >>> from fisherjax import connectivity, fisher
    >>> settings = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 2, "num_units": 100}
    >>> sizes = {"num_draws": 4, "num_trials": 50}
    >>> curve = fisher.ensemble_curve(connectivity.homogeneous(1.0), key=jax.random.key(0), **sizes, **settings)
    >>> print(curve.total.shape, curve.standard_error.shape)
    (2,) (2,)
    """
    check_gain_matrix(gain_matrix, means=True)
    num_steps, num_units = check_counts(num_steps=num_steps, num_units=num_units)
    sizes = population_sizes(gain_matrix, num_units)
    counts = sizes if observed is None else _counts(sizes, observed)
    num_trials, num_blocks = _check_trials(num_trials, _BLOCKS, form, sum(counts), alone=num_draws == 1)
    check_flag("progress", progress)
    # a function says itself how many inputs there are
    named = isinstance(protocol, str)
    theta, pattern = input_parameters(gain_matrix, stimulus, input_pattern if named else None)
    pattern = pattern[:, 0] if np.ndim(stimulus) == 0 else pattern
    weight_key, trial_key = jax.random.split(check_key("key", key))
    drawn = draw_networks(
        gain_matrix,
        num_units,
        num_draws=num_draws,
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        key=weight_key,
        input_pattern=pattern if named else input_pattern,
        bias=bias,
        bias_std=bias_std,
        input_pattern_std=input_pattern_std,
        nonlinearity=nonlinearity,
        ensemble=ensemble,
        dtype=dtype,
    )
    return simulated_curve(
        drawn,
        stimulus=theta if np.ndim(stimulus) else theta[0],  # pyright: ignore[reportArgumentType]
        num_steps=num_steps,
        num_trials=num_trials,
        key=trial_key,
        form=form,
        protocol=protocol,
        read="state" if observed is None else PartOfState(sizes, counts),
        num_blocks=num_blocks,
        progress=progress,
        devices=devices,
    )


def _counts(sizes: tuple[int, ...], observed: ArrayLike) -> tuple[int, ...]:
    """How many units of every population are read."""
    shares = np.asarray(as_shares(observed, len(sizes), dtype=jnp.result_type(float)))
    return tuple(max(int(share > 0), round(share * size)) for share, size in zip(shares.tolist(), sizes, strict=True))


@jax.jit(static_argnums=1)
def information_with_error(moments: SensitivityMoments, sizes: tuple[int, ...]) -> tuple[Array, Array | None]:
    """Estimate from all blocks, and its standard error from the estimates that leave one block out, if there are."""
    blocks = moments.count.shape[0]
    if blocks == 1:
        return _estimate(moments, sizes), None
    # in the linear form each estimate holds T covariance matrices of its own: one at a time
    at_once = 1 if moments.scatter.ndim == 4 else blocks
    left_out = 1 - jnp.eye(blocks, dtype=moments.count.dtype)
    parts = jax.lax.map(lambda keep: _estimate(moments.pooled(keep), sizes), left_out, batch_size=at_once)
    return _estimate(moments.pooled(), sizes), jnp.std(parts, axis=0) * (blocks - 1) ** 0.5


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
    groups = [(0, groups[-1][1]), *(groups if len(groups) > 1 else ())]
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
        if high > low
    ]
    if len(sizes) == 1:
        return jnp.stack(values * 2, axis=1)
    # of a population that is not read nothing is known
    told = iter(values[1:])
    nothing = jnp.zeros_like(values[0])
    return jnp.stack([values[0], *(next(told) if size else nothing for size in sizes)], axis=1)
