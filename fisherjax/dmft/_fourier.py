"""The coupled autocorrelations again, by plain iteration in Fourier space: an independent second solution."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_integer, check_positive, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._theory import Structure, as_structure
from fisherjax._types import Record, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._autocorrelation import autocorrelation
from ._profile import pair_moments

_DECAYED = 0.02  # of the variance, at the end of the grid


class PowerSpectrum(Record):
    """Power spectrum and autocorrelation on uniform grids.

    Parameters
    ----------
    frequencies
        ω ≥ 0 (F,), angular, in units of 1/τ.
    power
        S_p(ω) = ∫ (Δ_p(τ) − Δ_p(∞)) e^{−iωτ} dτ, (F, P).
    lags
        τ ≥ 0 (T,).
    values
        Δ_p(τ) (T, P).
    static_variance
        Δ_p(∞) (P,).
    change
        Largest relative change of the variances in the last iteration.
    converged
        Whether that is below the tolerance.
    """

    frequencies: Float[Array, " F"]
    power: Float[Array, "F P"]
    lags: Float[Array, " T"]
    values: Float[Array, "T P"]
    static_variance: Float[Array, " P"]
    change: Float[Array, ""]
    converged: Bool[Array, ""]


@full_precision
def power_spectrum(
    gain: Scalar | GainMatrix,
    *,
    noise_std: Scalar | Float[Array | np.ndarray, " P"] = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    max_lag: Scalar | None = None,
    num_lags: int = 2048,
    tolerance: float = 1e-8,
    max_iterations: int = 4000,
) -> PowerSpectrum:
    """Solve (1 + ω²) S_p(ω) = 2 s₂_p + Σ_q G_pq F[E φφ]_q(ω) by plain iteration between time and frequency.

    The grid of lags is uniform and periodic, the transform a discrete cosine transform; the error is of second
    order in the spacing, in which the noise's kink at τ = 0 is kept exactly. This is the relaxation that is
    usually coded; it converges ever more slowly towards the transition, and serves to check `autocorrelation`,
    which is faster and more accurate and gives the exponent too, and to look at spectra.

    Parameters
    ----------
    gain, noise_std, nonlinearity
        As in `autocorrelation`.
    max_lag
        Longest lag; by default 14 relaxation times, as `autocorrelation` knows them.
    num_lags
        Lags, 0 and `max_lag` included.
    tolerance
        Relative change of the variances at which the iteration ends.
    max_iterations
        Most iterations.

    Raises
    ------
    ValueError
        If an argument is out of range, or `max_lag` is too short for the correlation to decay.
    """
    phi = as_nonlinearity(nonlinearity)
    structure = as_structure(gain, noise_std)
    num_lags = check_integer("num_lags", num_lags, minimum=16)
    check_positive(tolerance=tolerance)
    max_iterations = check_integer("max_iterations", max_iterations, minimum=1)
    if max_lag is not None:
        check_positive(max_lag=max_lag)
    start = autocorrelation(gain, noise_std=noise_std, nonlinearity=phi)
    length = start.lags[-1] if max_lag is None else jnp.asarray(max_lag).astype(start.lags.dtype)
    shape = jnp.exp(-jnp.linspace(0, 1, num_lags) * length / start.relaxation_time)[:, None]
    static = jnp.atleast_1d(start.static_variance)
    guess = static + 0.9 * (jnp.atleast_1d(start.variance) - static) * shape
    spectrum = _iterate(phi, structure, length, guess, static, jnp.asarray(tolerance, guess.dtype), max_iterations)
    if not is_traced(spectrum):
        left = np.asarray(spectrum.values[-1] - spectrum.static_variance)
        gap = left / np.maximum(np.asarray(spectrum.values[0]), 1e-300)
        needed = 6 * float(start.relaxation_time)
        require(
            float(gap.max()) <= _DECAYED or float(length) >= needed,
            f"max_lag {float(length):g} is too short for the correlation to decay; it must be at least {needed:.3g}",
        )
    return spectrum


@jax.jit(static_argnums=(0, 6))
def _iterate(
    phi: Nonlinearity,
    structure: Structure,
    length: Array,
    guess: Float[Array, "T P"],
    static: Float[Array, " P"],
    tolerance: Array,
    max_iterations: int,
) -> PowerSpectrum:
    intervals = guess.shape[0] - 1
    spacing = length / intervals
    index = jnp.arange(intervals + 1, dtype=guess.dtype)
    lags, frequencies = spacing * index, jnp.pi / length * index
    response = 1 / (1 + frequencies**2)[:, None]
    # the noise alone: its transform falls off too slowly for a grid, its autocorrelation is known
    free = structure.intensity * (jnp.exp(-lags) + jnp.exp(lags - 2 * length))[:, None] / (1 - jnp.exp(-2 * length))

    def drive(values: Array, static: Array) -> tuple[Array, Array]:
        stacked = jnp.concatenate([values, static[None]])
        moments = pair_moments(phi, values[0], stacked).overlap @ structure.total_gain.T
        return moments[:-1], moments[-1]

    def step(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        index, values, static, _ = carry
        moments, limit = drive(values, static)
        moved = limit + free + _inverse_cosine(response * _cosine(moments - limit, spacing), spacing)
        moved = jnp.clip(moved, -moved[0], moved[0])
        change = jnp.max(jnp.abs(moved[0] - values[0])) / jnp.maximum(jnp.max(moved[0]), 1e-30)
        return index + 1, moved, limit, change

    def going(carry: tuple[Array, Array, Array, Array]) -> Array:
        return (carry[0] < max_iterations) & (carry[3] > tolerance)

    begun = (jnp.asarray(0, jnp.int32), guess, static, jnp.asarray(jnp.inf, guess.dtype))
    _, values, static, change = jax.lax.while_loop(going, step, begun)
    moments, limit = drive(values, static)
    power = response * (_cosine(moments - limit, spacing) + 2 * structure.intensity)
    return PowerSpectrum(frequencies, power, lags, values, static, change, change <= tolerance)


def _cosine(values: Array, spacing: Array) -> Array:
    """∫ f(τ) e^{−iωτ} dτ of an even function from its values at τ ≥ 0, by the trapezoid rule."""
    return jnp.fft.rfft(jnp.concatenate([values, values[-2:0:-1]]), axis=0).real * spacing


def _inverse_cosine(power: Array, spacing: Array) -> Array:
    count = 2 * (power.shape[0] - 1)
    return jnp.fft.irfft(power, n=count, axis=0)[: power.shape[0]] / spacing
