"""Large-N theory of a structure and what enters it: means, variances and sensitivity of every population in time."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_not_negative, is_traced, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar, Stimulus
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.networks._protocol import Protocol
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._drive import Drive, Entering, as_drive
from ._fields import Fields, fields_over_time


class Trajectory(Record):
    """Order parameters of the population theory at times 1…T, for K stimulus parameters.

    Δ is the second moment of a unit's state over units and noise, V the noise variance at fixed weights, Δ − V the mean
    square of what a unit's noise averages to.
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
    mean: Float[Array, "T P"]
    """μ, mean of the state over units and noise; 0 where nothing has a mean"""

    @property
    def overlap(self) -> Float[Array, "T P"]:
        """Δ − V, the overlap of two replicas with the same weights and independent noise."""
        return self.variance - self.noise_variance


@full_precision
def propagate(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    protocol: Protocol = "pulse",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
) -> Trajectory:
    r"""Follow a structure, and its sensitivity to a stimulus of any size, through the large-N theory.

    A unit of population p follows

    .. math::
        x_i(t+1) = Σ_j J_{ij} φ(x_j(t)) + b_p + β_p B_i + (w_p + ω_p W_i) u_t + σ ξ_i(t+1)

    with B and W frozen, N(0, 1). Over the units of a population the mean of the state over noise, m, is N(μ, C), and
    its derivative ∂m Gaussian with it; given m, x is N(m, V). With μ̂ = Eφ, a = Eφ′, b = Eφ″, υ = Var φ over that,
    their averages ⟨·⟩ over m, s = a ∂m + ½ b ∂V, d = ∂υ/∂m and v = ∂υ/∂V,

    .. math::
        μ^+ &= M f ⟨\hat μ⟩ + b + w u, \quad C^+ = G⟨\hat μ^2⟩ + β^2 + ω^2 u^2, \quad V^+ = σ² + G⟨υ⟩, \\
        ∂V^+ &= G(⟨d\,∂m⟩ + ⟨v⟩ ∂V), \quad D^+ = G⟨s s^T⟩ + ω^2 ∂u ∂u^T + ∂μ^+ ∂μ^{+T}

    exactly at large N, at equal times, for any φ and inputs of any size. D, the mean of ∂m ∂mᵀ, is not a number from
    where a variance is beyond the range of the moments.

    Parameters
    ----------
    gain_matrix
        Structure, P populations, with or without means.
    stimulus
        θ, a scalar, or a vector (K,) of several parameters.
    noise_std
        σ, standard deviation of the process noise, at least 0.
    num_steps
        Number of steps T; time 1 is the first noisy state.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w, (P,), or (P, I) for I inputs: what each population's units get of each input. Default: all of them drive
        population 0.
    protocol
        ``"pulse"``: the state before the first step is w θ, and nothing enters later. ``"sustained"``: u = θ at every
        step, from rest. A function θ ↦ u (T,) or (T, I): any stream of inputs, from rest; with ``lambda u: u`` every
        input is a parameter of its own.
    bias, bias_std
        b and β, a number or (P,): what is added at every step, and its spread over units, which is frozen.
    input_pattern_std
        ω, (P,) or (P, I): spread of w over units, frozen; of inputs that last.

    Returns
    -------
    Trajectory over times 1…T.

    Warns
    -----
    RuntimeWarning
        Where D ends: the time, the population and the reason. In double precision tanh and the other mixtures of error
        functions hold up to variances of 10¹⁵⁰, functions of a user up to 10⁴ at most.

    Raises
    ------
    ValueError
        For a negative `noise_std`, `num_steps` < 1, or a shape that does not fit.

    References
    ----------
    Qin & Sharpee (2025) for the operator; the rest is derived in the documentation, page "theory".
    """
    phi = as_nonlinearity(nonlinearity)
    entering = Entering(protocol, input_pattern, bias, bias_std, input_pattern_std)
    drive, sigma, num_steps = followed(gain_matrix, stimulus, noise_std, num_steps, entering)
    return told_trajectory(_propagate(gain_matrix, phi, drive, sigma, num_steps), phi)


def followed(
    gain_matrix: GainMatrix, stimulus: Stimulus, noise_std: Scalar, num_steps: int, entering: Entering
) -> tuple[Drive, Float[Array, ""], int]:
    """What enters a structure that is followed for so many steps, and its noise, checked as `propagate` says."""
    check_not_negative(noise_std=noise_std)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    check_gain_matrix(gain_matrix, means=True)
    drive = as_drive(gain_matrix, stimulus, num_steps, entering)
    return drive, as_real("noise_std", noise_std, "", dtype=gain_matrix.gains.dtype), num_steps


@jax.jit(static_argnums=(1, 4))
def _propagate(
    gain_matrix: GainMatrix, phi: Nonlinearity, drive: Drive, noise_std: Array, num_steps: int
) -> Trajectory:
    return trajectory_of(fields_over_time(gain_matrix, phi, drive, noise_std, num_steps), gain_matrix, phi)


def trajectory_of(fields: Fields, gain_matrix: GainMatrix, phi: Nonlinearity) -> Trajectory:
    """The public record of it, in which D ends where it is not known."""
    mean, slope = fields.mean, 2 * fields.mean[..., None] * fields.population_slope
    overlap_slope = slope + 2 * fields.half_overlap_slope
    variance = mean**2 + fields.overlap + fields.noise_variance
    known = jnp.isfinite(fields.sensitivity).all(axis=(-3, -2, -1))
    known &= ((variance <= phi.largest_variance) & jnp.isfinite(variance)).all(axis=-1)
    known &= jnp.concatenate([jnp.ones(1, bool), fields.resolved[:-1]])
    known = jnp.cumsum(~known) == 0
    noises = (fields.slope_overlap, fields.noise_variance, fields.next_noise_variance)
    return Trajectory(
        times=jnp.arange(1, len(mean) + 1, dtype=mean.dtype),
        variance=variance,
        noise_variance=fields.noise_variance,
        variance_slope=overlap_slope + jnp.swapaxes(fields.noise_slope, -1, -2),
        overlap_slope=overlap_slope,
        sensitivity=jnp.where(known[:, None, None, None], fields.sensitivity, jnp.nan),
        diffusion=jax.vmap(bare_operator, in_axes=(None, 0, 0, 0))(gain_matrix, *noises),
        mean=mean,
    )


def told_trajectory(order: Trajectory, phi: Nonlinearity) -> Trajectory:
    """The trajectory, after a warning that says from where on D is not known, and why."""
    if is_traced(order.sensitivity) or not np.isnan(np.asarray(order.sensitivity)).any():
        return order
    step = int(np.argmax(np.isnan(np.asarray(order.sensitivity)).reshape(len(order.times), -1).any(axis=1)))
    population = int(jnp.argmax(order.variance[step]))
    variance, dtype = float(order.variance[step, population]), order.variance.dtype
    reason = (
        f"the moments of this nonlinearity hold up to {phi.largest_variance:g}"
        if variance > phi.largest_variance
        else f"the numbers left the range or the precision of {dtype}"
    )
    warn(
        f"the sensitivity to the stimulus is not known from time {step + 1} on: in population {population} the "
        f"variance is {variance:.3g}, and {reason}; lower the gains or the stimulus, raise noise_std"
        f"{'' if dtype == jnp.float64 else ', or use float64'}"
    )
    return order


def bare_operator(gain_matrix: GainMatrix, kappa: Array, noise_variance: Array, next_noise_variance: Array) -> Array:
    """A_pq = f_p g_pq² κ_q V_q / V_p⁺, with the convention 0/0 = 0 for a silent, noiseless network."""
    f, gains = gain_matrix.fractions, gain_matrix.gains
    silent = next_noise_variance == 0
    inverse = jnp.where(silent, 0, 1 / jnp.where(silent, 1, next_noise_variance))
    return f[:, None] * gains**2 * (kappa * noise_variance) * inverse[:, None]
