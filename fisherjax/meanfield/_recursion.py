"""Large-N theory of a stimulus pulse: variance, noise variance and sensitivity of every population in time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_not_negative, is_traced, require, warn
from fisherjax._runtime import full_precision
from fisherjax._theory import as_structure
from fisherjax._types import ArrayLike, Record, Scalar, Stimulus
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._resolution import Order, along_state, both_ways, known, rounding_errors


class Trajectory(Record):
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


@full_precision
def propagate(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
) -> Trajectory:
    r"""Follow a stimulus pulse through the large-N theory, with every correction of finite stimulus.

    Two replicas of a network share their weights and have independent noise. With
    κ = E[φ′(a)φ′(b)], G_pq = g_pq² f_q and u′ = ∂u/∂θ,

    .. math::
        Δ_p^+ &= σ² + Σ_q G_{pq} E[φ²] \\
        V_p^+ &= σ² + Σ_q G_{pq} (E[φ²] − E[φ(a)φ(b)]) \\
        Δ'^+_p &= Σ_q G_{pq} (E[φ'^2] + E[φφ'']) Δ'_q \\
        V'^+_p &= Σ_q G_{pq} (κ_q V'_q + ∂_Δ (E[φ²] − E[φφ])|_V Δ'_q), \quad C' = Δ' − V' \\
        D_p^+ &= Σ_q G_{pq} \{κ_q (D_q − R_q) + (κ_q + 2 C_q κ'_q) R_q + ¼ E[φ''φ''] V'^2_q + ½ κ'_q C'_q V'_q\}

    with R = C′²/4C and κ′ = ∂κ/∂Δ at fixed V. This is D⁺ = Σ G {κ D + ¼ E[φ″φ″] (C′² + Δ′²) + ½ E[φ′φ‴] C′Δ′} without
    the differences of large numbers in it where variances are large. What rounding can have done to D is followed too:
    where it may be more than a hundredth, or a variance is beyond the range of the moments, D is NaN from then on.

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

    Warns
    -----
    RuntimeWarning
        Where D ends: the time, the population and the reason. In double precision tanh and the other mixtures of error
        functions hold up to variances of 10¹⁵⁰, functions of a user up to 10⁴ at most.

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
    check_not_negative(noise_std=noise_std)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    theta, pattern = input_parameters(gain_matrix, stimulus, input_pattern)
    sigma = as_structure(gain_matrix, noise_std).noise_std[0]
    return told_trajectory(_propagate(gain_matrix, phi, theta, pattern, sigma, num_steps), phi)


def order_parameters(
    gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise_std: Array, num_steps: int
) -> tuple[Order, Float[Array, "T P P"]]:
    """All that the recursion carries at times 1…T, and the bare diffusion operators."""
    noise = noise_std**2

    def step(state: Order, _: None) -> tuple[Order, tuple[Order, Array]]:
        following, carried = _step(gain_matrix, phi, state, noise)
        return following, (state, carried)

    return jax.lax.scan(step, first_step(gain_matrix, phi, theta, pattern, noise), length=num_steps)[1]


def as_trajectory(states: Order, diffusion: Float[Array, "T P P"], phi: Nonlinearity) -> Trajectory:
    """The public record of it, in which D ends where it is not known."""
    resolved = known(states, phi)
    return Trajectory(
        times=jnp.arange(1, len(diffusion) + 1, dtype=states.variance.dtype),
        variance=states.variance,
        noise_variance=states.noise_variance,
        variance_slope=states.variance_slope,
        overlap_slope=states.overlap_slope,
        sensitivity=jnp.where(resolved[:, None, None, None], states.sensitivity, jnp.nan),
        diffusion=diffusion,
    )


@jax.jit(static_argnums=(1, 5))
def _propagate(
    gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise_std: Array, num_steps: int
) -> Trajectory:
    return as_trajectory(*order_parameters(gain_matrix, phi, theta, pattern, noise_std, num_steps), phi)


def told_trajectory(order: Trajectory, phi: Nonlinearity) -> Trajectory:
    """The trajectory, after a warning that says from where on D is not known, and why."""
    if is_traced(order.sensitivity) or not bool(jnp.any(jnp.isnan(order.sensitivity))):
        return order
    step = int(jnp.argmax(jnp.isnan(order.sensitivity).reshape(len(order.times), -1).any(axis=1)))
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


def input_parameters(
    gain_matrix: GainMatrix, stimulus: ArrayLike, input_pattern: ArrayLike | None
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


def first_step(gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise: Array) -> Order:
    total_gain = gain_matrix.variance_gain
    drive = pattern @ theta
    response, slope = jax.jvp(phi, (drive,), (jnp.ones_like(drive),))
    sensitivity = slope[:, None] * pattern
    overlap = total_gain @ response**2
    overlap_slope = 2 * total_gain @ (response[:, None] * sensitivity)
    outer = sensitivity[:, :, None] * sensitivity[:, None, :]
    active = (overlap > 0)[:, None]
    share = jnp.where(active, overlap_slope / jnp.where(active, 2 * overlap[:, None], 1), 0)
    # derivatives less what of them lies along the state
    beside = sensitivity[None] - response[None, :, None] * share[:, None]
    return Order(
        variance=overlap + noise,
        noise_variance=jnp.broadcast_to(noise, overlap.shape),
        variance_slope=overlap_slope,
        noise_slope=jnp.zeros_like(overlap_slope),
        overlap=overlap,
        overlap_slope=overlap_slope,
        sensitivity=jnp.einsum("pq,qab->pab", total_gain, outer),
        across=jnp.einsum("pq,pqa,pqb->pab", total_gain, beside, beside),
        noise_slope_error=jnp.zeros_like(overlap_slope),
        overlap_slope_error=jnp.zeros_like(overlap_slope),
        sensitivity_error=jnp.zeros((len(overlap), *outer.shape[1:]), outer.dtype),
        # where one population is driven it is zero but for rounding
        across_error=(4 * jnp.finfo(outer.dtype).eps) ** 2 * jnp.einsum("pq,qab->pab", total_gain, jnp.abs(outer)),
    )


def _step(gain_matrix: GainMatrix, phi: Nonlinearity, state: Order, noise: Array) -> tuple[Order, Array]:
    total_gain = gain_matrix.variance_gain
    variance, noise_variance = state.variance, state.noise_variance
    moments, drift = phi.two_point(variance, noise_variance), phi.drift(variance, noise_variance)
    kappa, by_slope, by_noise = moments.slope_overlap, state.variance_slope, state.noise_slope
    by_overlap = state.overlap_slope
    along = along_state(by_overlap, state.overlap)
    source = (
        kappa[:, None, None] * state.across
        + drift.aligned[:, None, None] * along
        + moments.curvature_overlap[:, None, None] / 4 * by_noise[:, :, None] * by_noise[:, None, :]
        + drift.slope_overlap[:, None, None] / 4 * both_ways(by_overlap, by_noise)
    )
    next_variance = noise + total_gain @ phi.second_moment(variance)
    next_noise_variance = noise + total_gain @ phi.spread(variance, noise_variance)
    slope_sources = phi.second_moment_slope(variance)[:, None] * by_slope
    noise_slope_sources = kappa[:, None] * by_noise + drift.spread[:, None] * by_slope
    next_slope, next_noise_slope = total_gain @ slope_sources, total_gain @ noise_slope_sources
    sensitivity = jnp.einsum("pq,qab->pab", total_gain, source)
    small, value, mixed = _small_overlap(phi, state)
    overlaps = jnp.where(small, value, phi.second_moment(variance) - phi.spread(variance, noise_variance))
    overlap_slopes = jnp.where(
        small[:, None], kappa[:, None] * by_overlap + mixed[:, None] * by_slope, slope_sources - noise_slope_sources
    )
    next_small = next_noise_variance > next_variance / 2
    next_overlap = jnp.where(next_small, total_gain @ overlaps, next_variance - next_noise_variance)
    next_overlap_slope = jnp.where(next_small[:, None], total_gain @ overlap_slopes, next_slope - next_noise_slope)
    following = Order(
        variance=next_variance,
        noise_variance=next_noise_variance,
        variance_slope=next_slope,
        noise_slope=next_noise_slope,
        overlap=next_overlap,
        overlap_slope=next_overlap_slope,
        sensitivity=sensitivity,
        across=sensitivity - along_state(next_overlap_slope, next_overlap),
        **rounding_errors(total_gain, phi, state, moments, drift, mixed, next_small),
    )
    return following, bare_operator(gain_matrix, kappa, noise_variance, following.noise_variance)


def _small_overlap(phi: Nonlinearity, state: Order) -> tuple[Bool[Array, " P"], Array, Array]:
    """Where C is less than half of Δ, and there E φ(a)φ(b) and E φ″(a)φ(b), to the relative precision of C."""
    small = state.noise_variance > state.variance / 2
    overlap = jnp.where(small, state.overlap, state.variance / 4)
    value, half = jax.jvp(
        lambda first: phi.overlap(first, state.variance, overlap), (state.variance,), (jnp.ones_like(state.variance),)
    )
    return small, value, 2 * half


def bare_operator(gain_matrix: GainMatrix, kappa: Array, noise_variance: Array, next_noise_variance: Array) -> Array:
    """A_pq = f_p g_pq² κ_q V_q / V_p⁺, with the convention 0/0 = 0 for a silent, noiseless network."""
    f, gains = gain_matrix.fractions, gain_matrix.gains
    silent = next_noise_variance == 0
    inverse = jnp.where(silent, 0, 1 / jnp.where(silent, 1, next_noise_variance))
    return f[:, None] * gains**2 * (kappa * noise_variance) * inverse[:, None]
