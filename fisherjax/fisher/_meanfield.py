"""Fisher information predicted by the large-N theory."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_not_negative, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield import propagate
from fisherjax.meanfield._recursion import Trajectory
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._curve import FisherCurve, warn_if_not_finite


@full_precision
def meanfield_curve(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_units: int = 1,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
) -> FisherCurve:
    """Exact large-N Fisher information of every population, F_p(t) = N f_p D_p / (V_p + σ_obs²).

    Exact as N → ∞ in the independent-unit form. Noise correlations between units, of order N^(−1/2),
    lower the linear form by a factor of order one even in that limit.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    noise_std
        σ, process noise. May be 0 only with observation noise.
    num_steps
        Number of steps T.
    num_units
        N; information is proportional to it. With 1, information per unit.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w, (P,) or (P, K); population 0 by default.
    observation_noise_std
        σ_obs, noise added to what is read out.

    Returns
    -------
    FisherCurve in the independent form, differentiable in every array argument.

    Raises
    ------
    ValueError
        If both noise levels vanish, or an argument has the wrong shape or sign.
    """
    num_units = check_integer("num_units", num_units, minimum=1)
    check_noise(noise_std, observation_noise_std)
    order = propagate(
        gain_matrix,
        stimulus=stimulus,
        noise_std=noise_std,
        num_steps=num_steps,
        nonlinearity=nonlinearity,
        input_pattern=input_pattern,
    )
    noise = order.noise_variance + jnp.asarray(observation_noise_std, order.noise_variance.dtype) ** 2
    share = num_units * gain_matrix.fractions
    by_population = share[:, None, None] * order.sensitivity / noise[..., None, None]
    return _curve(order, by_population, stimulus)


@full_precision
def operator_curve(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_units: int = 1,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
) -> FisherCurve:
    """Fisher information carried by the bare diffusion operator, F(t+1) = A(t) F(t): an approximation.

    Exact as θ → 0. At finite stimulus it leaves out that the state and its derivative are correlated
    and overestimates, by tens of per cent to tenfold; `meanfield_curve` is exact. Parameters as there.

    References
    ----------
    Qin & Sharpee (2025), Fisher information diffusion in structured recurrent networks.
    """
    num_units = check_integer("num_units", num_units, minimum=1)
    check_noise(noise_std, 0.0)
    order = propagate(
        gain_matrix,
        stimulus=stimulus,
        noise_std=noise_std,
        num_steps=num_steps,
        nonlinearity=nonlinearity,
        input_pattern=input_pattern,
    )
    share = num_units * gain_matrix.fractions / order.noise_variance[0]
    return _curve(order, _diffused(order.diffusion, share[:, None, None] * order.sensitivity[0]), stimulus)


@jax.jit
def _diffused(operators: Float[Array, "T P P"], start: Float[Array, "P K K"]) -> Float[Array, "T P K K"]:
    def step(information: Array, operator: Array) -> tuple[Array, Array]:
        return jnp.einsum("pq,qab->pab", operator, information), information

    return jax.lax.scan(step, start, operators)[1]


def check_noise(noise_std: Scalar, observation_noise_std: Scalar) -> None:
    """Refuse noise levels for which the variance that information is measured in would vanish."""
    check_not_negative(noise_std=noise_std, observation_noise_std=observation_noise_std)
    require(
        is_traced((noise_std, observation_noise_std)) or float(noise_std) > 0 or float(observation_noise_std) > 0,
        "noise_std is 0, so the noise variance vanishes and Fisher information is infinite; "
        "set noise_std > 0, or observation_noise_std > 0 where it is offered",
    )


def _curve(order: Trajectory, by_population: Array, stimulus: ArrayLike) -> FisherCurve:
    # of the operator too: it goes on from variances that have left their range
    known = jnp.isfinite(order.sensitivity).reshape(len(order.times), -1).all(axis=1)
    by_population = jnp.where(known[:, None, None, None], by_population, jnp.nan)
    if np.ndim(stimulus) == 0:  # pyright: ignore[reportArgumentType]
        by_population = by_population[..., 0, 0]
    curve = FisherCurve(order.times, by_population, jnp.sum(by_population, axis=1))
    if not is_traced(curve.total) and np.isnan(np.asarray(order.sensitivity)).any():
        return curve  # `propagate` has told from where on, and is NaN from there
    return warn_if_not_finite(
        curve, "D/V left the float range; lower the gains, raise noise_std, or measure the stimulus in another unit"
    )
