"""Singular values of products of Jacobians of random networks, by free probability: after T steps, and per step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix
from fisherjax.connectivity._sampling import check_ensemble
from fisherjax.networks._protocol import Protocol
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, check_smooth

from ._drive import Drive, Entering
from ._fields import fields_over_time
from ._recursion import followed
from ._resting import StationaryState
from ._stationary import require_convergence, stationary_state

_LEVELS, _FARTHEST = 320, 12.0  # logits of the shares with which the search of a spectrum begins, to ±
_TURNS = 40  # from the negative axis, where all is real, to the positive one
_SHORT = 1e-4  # of the width, that the last turn stays off that axis
_NARROW = 1e-12  # relative variance of s² below which all are alike
_LAST = 6  # steps of Newton's method at the end of the way, on which every turn takes one
_HALVINGS = 80


class _Factors(NamedTuple):
    """D² = φ′² at points of the field at every step: logarithms, and weights."""

    log_square: Float[Array, "n points"]
    weights: Float[Array, "n points"]


@full_precision
def gradient_spectrum(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_values: int = 100,
    ensemble: str = "gaussian",
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    protocol: Protocol = "pulse",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
) -> Float[np.ndarray, " K"]:
    r"""Logarithms of the singular values of ∂x(T)/∂x(1) in a large random network of one population.

    With one matrix of weights at all steps D(T − 1) … W D(2) W D(1) is a product of free factors (W is invariant under
    rotations from the left and the right, and what it turns D into at one step is free of the next), so that their
    S-transforms multiply,

    .. math::
        χ(z) = \frac{z}{1 + z} \prod_t S_{D(t)^2}(z)\, S_W(z), \quad
        S_W = \frac{1}{g^2 (1 + z)} \text{ or } \frac{1}{g^2}, \quad χ(z) = e^{−ℓ}

    for Gaussian or orthogonal weights; −Im z/π is the density of ℓ = ln s². Its mean square s² is `gradient_gain`.

    Parameters
    ----------
    gain_matrix, stimulus, noise_std, num_steps, nonlinearity
        As in `propagate`; one population, φ without kinks, T at least 3.
    input_pattern, protocol, bias, bias_std, input_pattern_std
        As in `propagate`.
    num_values
        K: the k-th value, of the largest first, is that above which a share (k − ½)/K of them lies.
    ensemble
        ``"gaussian"`` or ``"orthogonal"`` weights.

    Raises
    ------
    ValueError, TypeError
        As `propagate`; for several populations, a nonlinearity with kinks, or numbers that are traced.

    References
    ----------
    Pennington, Schoenholz & Ganguli (2017), Resurrecting the sigmoid in deep learning through dynamical isometry.
    """
    phi = _checked(gain_matrix, ensemble, nonlinearity)
    count = check_integer("num_values", num_values, minimum=1)
    entering = Entering(protocol, input_pattern, bias, bias_std, input_pattern_std)
    drive, sigma, num_steps = followed(gain_matrix, stimulus, noise_std, num_steps, entering)
    require(num_steps >= 3, f"num_steps must be at least 3: a product of two Jacobians or more, got {num_steps}")
    factors = _factors_over_time(gain_matrix, phi, drive, sigma, num_steps)
    require(not is_traced(factors), "gradient_spectrum needs known numbers: it cannot be traced or differentiated")
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # noqa: FBT003
        factors = _Factors(*(jnp.asarray(np.asarray(part, np.float64)) for part in factors))
        logs = _quantiles(factors, (np.arange(count) + 0.5) / count, orthogonal=ensemble == "orthogonal")
    gain = float(gain_matrix.gains[0, 0])
    return logs + ((num_steps - 1) * np.log(gain) if gain > 0 else -np.inf)


def _quantiles(factors: _Factors, shares: np.ndarray, *, orthogonal: bool) -> Float[np.ndarray, " K"]:
    """Logarithms of the values s of the product, for g = 1, above which these shares of all lie."""
    squares = jnp.exp(factors.log_square)
    means = jnp.sum(factors.weights * squares, axis=-1)
    # relative variances of free factors add up
    spread = jnp.sum(jnp.sum(factors.weights * squares**2, axis=-1) / means**2 - 1)
    spread = float(spread) + (0 if orthogonal else len(means))
    if spread < _NARROW:
        return np.full(len(shares), float(jnp.sum(jnp.log(means)) / 2))
    width = jnp.asarray(min(1.0, spread**0.5))
    levels, density = (np.asarray(part) for part in _density(factors, width, orthogonal=orthogonal))
    above = np.concatenate([[0], np.cumsum(-np.diff(levels) * (density[1:] + density[:-1]) / 2)])
    return np.interp(shares, above / above[-1], levels) / 2


@full_precision
def lyapunov_spectrum(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    num_exponents: int = 100,
    ensemble: str = "gaussian",
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    start: ArrayLike | StationaryState | None = None,
) -> Float[Array, " K"]:
    r"""All Lyapunov exponents, per step, of a large random network of one population in its stationary state.

    The long-time limit of `gradient_spectrum`: with ψ(w) = −⟨1/(1 + 1/(|w| φ′²))⟩, w < 0, the exponent below which a
    share u of the spectrum lies is

    .. math::
        λ(u) = \ln g − \tfrac12 \ln\frac{|w| u}{1 − u} \; [+ \tfrac12 \ln u \text{ for Gaussian weights}], \quad
        ψ(w) = u − 1

    N → ∞ comes before T → ∞. The largest is `lyapunov_exponent`; for φ = identity and Gaussian weights e^{2λ} = g² u.

    Parameters
    ----------
    gain_matrix, noise_std, nonlinearity, bias, bias_std, start
        As in `lyapunov_exponent`; one population, φ without kinks.
    num_exponents
        K: the k-th exponent is that above which a share (k − ½)/K of them lies.
    ensemble
        ``"gaussian"`` or ``"orthogonal"`` weights.

    Raises
    ------
    ValueError
        If there is no stationary state, are several populations, or φ has a kink.

    References
    ----------
    Newman (1986), The distribution of Lyapunov exponents: exact results for random matrices, Commun. Math. Phys. 103,
    121–126, for products without φ.
    """
    phi = _checked(gain_matrix, ensemble, nonlinearity)
    count = check_integer("num_exponents", num_exponents, minimum=1)
    state = stationary_state(
        gain_matrix, noise_std=noise_std, nonlinearity=phi, bias=bias, bias_std=bias_std, start=start
    )
    require_convergence(state, "the Lyapunov spectrum")
    return _exponents(gain_matrix, phi, state, count, ensemble == "orthogonal")


@jax.jit(static_argnums=(1, 3, 4))
def _exponents(
    gain_matrix: GainMatrix,
    phi: Nonlinearity,
    state: StationaryState,
    count: int,
    orthogonal: bool,  # noqa: FBT001
) -> Float[Array, " K"]:
    shares = 1 - (jnp.arange(count, dtype=state.mean.dtype) + 0.5) / count
    logit = jnp.log(shares / (1 - shares))
    # ln 1/S of D², and of W
    logs = -_opposite(_factors(phi, state.mean, state.variance - state.mean**2), logit)[0] - logit
    logs = logs if orthogonal else logs + jnp.log(shares)
    return jnp.log(gain_matrix.gains[0, 0]) + logs / 2


def _checked(gain_matrix: GainMatrix, ensemble: str, nonlinearity: NonlinearityLike) -> Nonlinearity:
    """φ, if spectra are known for it, the ensemble and the structure."""
    phi = as_nonlinearity(nonlinearity)
    count = check_gain_matrix(gain_matrix, means=True).num_populations
    require(count == 1, f"the spectrum is known for one population, got {count}; its mean square is gradient_gain")
    check_ensemble(ensemble, gain_matrix)
    check_smooth("the spectrum", phi)
    return phi


@jax.jit(static_argnums=(0,))
def _factors(phi: Nonlinearity, mean: Float[Array, " n"], variance: Float[Array, " n"]) -> _Factors:
    points, weights = phi.points(mean, variance)
    slope = jax.jvp(phi, (points,), (jnp.ones_like(points),))[1]
    square = jnp.maximum(slope**2, jnp.finfo(points.dtype).tiny)
    return _Factors(jnp.log(square), jnp.broadcast_to(weights, points.shape))


@jax.jit(static_argnums=(1, 4))
def _factors_over_time(
    gain_matrix: GainMatrix, phi: Nonlinearity, drive: Drive, noise_std: Array, num_steps: int
) -> _Factors:
    """Of x(1) … x(T − 1)."""
    fields = fields_over_time(gain_matrix, phi, drive, noise_std, num_steps)
    variance = fields.overlap + fields.noise_variance
    return _factors(phi, fields.mean[:-1, 0], variance[:-1, 0])


def _explained(factors: _Factors, place: Array) -> tuple[Array, Array]:
    """⟨1/(1 + e^(−a)/φ′²)⟩ and its slope in a (n, levels)."""
    argument = place[..., None] + factors.log_square[:, None]
    reach = jnp.clip(argument.real, -_CLIPPED, _CLIPPED)
    argument = reach if argument.dtype == reach.dtype else reach + 1j * argument.imag
    share = 1 / (1 + jnp.exp(-argument))
    weights = factors.weights[:, None]
    return jnp.sum(weights * share, axis=-1), jnp.sum(weights * share * (1 - share), axis=-1)


_CLIPPED = 80.0  # beyond, a sigmoid is 0 or 1


def _opposite(factors: _Factors, logit: Float[Array, " levels"]) -> Float[Array, "n levels"]:
    """Places a with ⟨1/(1 + e^(−a)/φ′²)⟩ = 1/(1 + e^logit): ln |w| on the negative axis, by halving."""
    # between where all D² were the largest and the smallest
    low = -logit - jnp.max(factors.log_square, axis=-1, keepdims=True)
    high = -logit - jnp.min(factors.log_square, axis=-1, keepdims=True)
    wanted = jax.nn.sigmoid(-logit)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        less = _explained(factors, middle)[0] < wanted
        return jnp.where(less, middle, low), jnp.where(less, high, middle)

    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))
    return (low + high) / 2


@jax.jit(static_argnames=("orthogonal",))
def _density(
    factors: _Factors, width: Array, *, orthogonal: bool
) -> tuple[Float[Array, " levels"], Float[Array, " levels"]]:
    """ℓ = ln s² for g = 1, largest first, densest within the `width` of its law, and its density there.

    On the negative axis all is real and monotone; from there −ℓ + iφ turns, φ = 0 … π, followed by Newton's method in
    the logit of the share, q = ln((1 + z)/(−z)), and in a(t) = ln(−w(t)), ψ_t(w(t)) = z.
    """
    count, per_weight = len(factors.weights), 0.0 if orthogonal else 1.0
    reach = jnp.arcsinh(_FARTHEST / width)
    logit = width * jnp.sinh(reach * jnp.linspace(1, -1, _LEVELS))
    places = _opposite(factors, logit)

    def entering(logit: Array, places: Array) -> Array:
        weight = count * per_weight * jnp.log1p(jnp.exp(-logit))
        return jnp.sum(places, axis=0) + (count - 1) * logit + weight

    level = -entering(logit, places)

    def improve(point: tuple[Array, Array], turned: Array) -> tuple[Array, Array]:
        logit, places = point
        share = 1 / (1 + jnp.exp(logit))
        value, slope = _explained(factors, places)
        missed, off = value - share, entering(logit, places) + level - 1j * turned
        moved = share * (1 - share)
        along = (count - 1) - count * per_weight * share - moved * jnp.sum(1 / slope, axis=0)
        change = (jnp.sum(missed / slope, axis=0) - off) / along
        return logit + change, places - (missed + moved * change) / slope

    def turn(point: tuple[Array, Array], turned: Array) -> tuple[tuple[Array, Array], None]:
        return improve(point, turned), None

    # the closer to the axis, the smaller the steps
    turns = jnp.pi * (1 - (_SHORT * width / jnp.pi) ** jnp.linspace(0, 1, _TURNS + 1)[1:])
    point, _ = jax.lax.scan(turn, (logit.astype(complex), places.astype(complex)), turns)
    logit, _ = jax.lax.fori_loop(0, _LAST, lambda _, here: improve(here, turns[-1]), point)
    return level, jnp.abs((1 / (1 + jnp.exp(logit))).imag) / jnp.pi
