"""Large-N theory of a stimulus pulse: variance, noise variance and sensitivity of every population in time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._theory import as_structure, check_gain_matrix
from fisherjax._types import Result, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import Nonlinearity, as_nonlinearity, full_precision


class Trajectory(Result):
    """Order parameters of the population theory at times 1…T, for K stimulus parameters.

    Δ is the second moment of a unit's state over units and noise, C its mean square after averaging
    over noise, V = Δ − C the noise variance at fixed weights.
    """

    times: Float[Array, " T"]
    variance: Float[Array, "T P"]
    """Δ"""
    noise_variance: Float[Array, "T P"]
    """V"""
    variance_slope: Float[Array, "T P K"]
    """∂Δ/∂θ"""
    overlap_slope: Float[Array, "T P K"]
    """∂C/∂θ"""
    sensitivity: Float[Array, "T P K K"]
    """D, mean over units of ∂⟨x⟩/∂θ_a · ∂⟨x⟩/∂θ_b"""
    diffusion: Float[Array, "T P P"]
    """A(t), the bare diffusion operator that carries F(t) to F(t + 1)"""

    @property
    def overlap(self) -> Float[Array, "T P"]:
        """C, the overlap of two replicas with the same weights and independent noise."""
        return self.variance - self.noise_variance


class _State(NamedTuple):
    variance: Array
    noise_variance: Array
    variance_slope: Array
    overlap_slope: Array
    sensitivity: Array


@full_precision
def propagate(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: object = "tanh",
    input_pattern: object = None,
) -> Trajectory:
    r"""Follow a stimulus pulse through the large-N theory, with every correction of finite stimulus.

    Two replicas of a network share their weights and have independent noise. With
    κ = E[φ′(a)φ′(b)], G_pq = g_pq² f_q and u′ = ∂u/∂θ,

    .. math::
        Δ_p^+ &= σ² + Σ_q G_{pq} E[φ²] \\
        V_p^+ &= σ² + Σ_q G_{pq} (E[φ²] − E[φ(a)φ(b)]) \\
        Δ'^+_p &= Σ_q G_{pq} (E[φ'^2] + E[φφ'']) Δ'_q \\
        C'^+_p &= Σ_q G_{pq} (κ_q C'_q + E[φ''(a)φ(b)] Δ'_q) \\
        D_p^+ &= Σ_q G_{pq} \{κ_q D_q + ¼ E[φ''φ''](C'^2_q + Δ'^2_q) + ½ E[φ'φ'''] C'_q Δ'_q\}

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    stimulus
        θ, a scalar, or a vector (K,) of several parameters.
    noise_std
        σ, standard deviation of the process noise, at least 0.
    num_steps
        Number of steps T; time 1 is the first noisy state, x(1) = J φ(θ w) + σ ξ.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w, (P,), or (P, K) for a vector stimulus: state of each population's units before the first
        step, per unit of stimulus. Default: the stimulus (each parameter alike) drives population 0.

    Returns
    -------
    Trajectory over times 1…T.

    Raises
    ------
    ValueError
        For a negative `noise_std`, `num_steps` < 1, or an `input_pattern` of the wrong shape.

    References
    ----------
    Qin & Sharpee (2025) for the operator; the corrections at finite stimulus are derived in the
    documentation, page "theory".
    """
    phi = as_nonlinearity(nonlinearity)
    check_scalar("noise_std", noise_std, minimum=0.0)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    theta, pattern = input_parameters(gain_matrix, stimulus, input_pattern)
    sigma = as_structure(gain_matrix, noise_std).noise_std[0]
    return _propagate(gain_matrix, phi, theta, pattern, sigma, num_steps)


@jax.jit(static_argnums=(1, 5))
def _propagate(
    gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise_std: Array, num_steps: int
) -> Trajectory:
    noise = noise_std**2
    start = _first_step(gain_matrix, phi, theta, pattern, noise)

    def step(state: _State, _: None) -> tuple[_State, tuple[_State, Array]]:
        following, carried = _step(gain_matrix, phi, state, noise)
        return following, (state, carried)

    _, (states, carried) = jax.lax.scan(step, start, length=num_steps)
    return Trajectory(jnp.arange(1, num_steps + 1, dtype=theta.dtype), *states, diffusion=carried)


def input_parameters(
    gain_matrix: GainMatrix, stimulus: object, input_pattern: object
) -> tuple[Float[Array, " K"], Float[Array, "P K"]]:
    """Stimulus as a vector (K,) and input pattern as a matrix (P, K), checked."""
    dtype, count = check_gain_matrix(gain_matrix).gains.dtype, gain_matrix.num_populations
    theta = as_real("stimulus", stimulus, "", "parameters", dtype=dtype).reshape(-1)
    require(theta.size > 0, "stimulus must hold at least one number")
    if input_pattern is None:
        return theta, jnp.zeros((count, theta.size), dtype).at[0].set(1)
    hint = f"one row for each of {count} populations, one column for each of {theta.size} parameters of the stimulus"
    shapes = (f"{count} {theta.size}", *((str(count),) if theta.size == 1 else ()))
    return theta, as_real("input_pattern", input_pattern, *shapes, dtype=dtype, hint=hint).reshape(count, theta.size)


def _first_step(gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise: Array) -> _State:
    total_gain = gain_matrix.variance_gain
    drive = pattern @ theta
    response, slope = jax.jvp(phi, (drive,), (jnp.ones_like(drive),))
    sensitivity = slope[:, None] * pattern
    overlap = total_gain @ response**2
    overlap_slope = 2 * total_gain @ (response[:, None] * sensitivity)
    outer = sensitivity[:, :, None] * sensitivity[:, None, :]
    return _State(
        variance=overlap + noise,
        noise_variance=jnp.broadcast_to(noise, overlap.shape),
        variance_slope=overlap_slope,
        overlap_slope=overlap_slope,
        sensitivity=jnp.einsum("pq,qab->pab", total_gain, outer),
    )


def _step(gain_matrix: GainMatrix, phi: Nonlinearity, state: _State, noise: Array) -> tuple[_State, Array]:
    total_gain = gain_matrix.variance_gain
    variance, noise_variance, variance_slope, overlap_slope, sensitivity = state
    moments = phi.two_point(variance, noise_variance)
    kappa = moments.slope_overlap
    symmetric = overlap_slope[:, :, None] * overlap_slope[:, None, :]
    symmetric += variance_slope[:, :, None] * variance_slope[:, None, :]
    cross = variance_slope[:, :, None] * overlap_slope[:, None, :]
    cross += overlap_slope[:, :, None] * variance_slope[:, None, :]
    source = (
        kappa[:, None, None] * sensitivity
        + moments.curvature_overlap[:, None, None] / 4 * symmetric
        + moments.slope_third[:, None, None] / 4 * cross
    )
    following = _State(
        variance=noise + total_gain @ phi.second_moment(variance),
        noise_variance=noise + total_gain @ phi.spread(variance, noise_variance),
        variance_slope=total_gain @ (phi.second_moment_slope(variance)[:, None] * variance_slope),
        overlap_slope=total_gain @ (kappa[:, None] * overlap_slope + moments.curvature_value[:, None] * variance_slope),
        sensitivity=jnp.einsum("pq,qab->pab", total_gain, source),
    )
    return following, bare_operator(gain_matrix, kappa, noise_variance, following.noise_variance)


def bare_operator(gain_matrix: GainMatrix, kappa: Array, noise_variance: Array, next_noise_variance: Array) -> Array:
    """A_pq = f_p g_pq² κ_q V_q / V_p⁺, with the convention 0/0 = 0 for a silent, noiseless network."""
    f, gains = gain_matrix.fractions, gain_matrix.gains
    silent = next_noise_variance == 0
    inverse = jnp.where(silent, 0, 1 / jnp.where(silent, 1, next_noise_variance))
    return f[:, None] * gains**2 * (kappa * noise_variance) * inverse[:, None]
