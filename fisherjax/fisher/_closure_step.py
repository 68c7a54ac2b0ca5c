"""One step of the moment closure, and the closure's own account of what it leaves out."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._linalg import directions_of, with_slopes
from fisherjax._runtime import AXES, spread
from fisherjax.networks import RNN, RateNetwork
from fisherjax.networks._protocol import Protocol, entered
from fisherjax.networks._vanilla import current_network
from fisherjax.nonlinearities import Nonlinearity

LIMIT = 0.1
"""Relative error of the information, by its own estimate and added up over steps, at which a closure ends."""

_OF_SINGLE_UNITS = 0.25  # share of what single units' cumulants change that is taken to be wrong


class State(NamedTuple):
    """Moments of the states of a network, cumulants of a single unit on the diagonals."""

    mean: Float[Array, " N"]
    covariance: Float[Array, "N N"]
    third: Float[Array, "N N"] | None = None  # κ(x_i, x_i, x_j)
    pair: Float[Array, "N N"] | None = None  # κ(x_i, x_i, x_j, x_j)


class Validity(NamedTuple):
    """How far a closure can be believed; no derivative is taken through it."""

    neglected: Float[Array, ""]  # relative effect on the information, added up over steps
    failed: Bool[Array, ""]  # once true, true for ever


class Units(NamedTuple):
    """What the closure needs to know of the values φ of single units."""

    response: Float[Array, " N"]  # E φ
    slopes: tuple[Float[Array, " N"], ...]  # E φ^(k), k = 1, 2, …
    variance: Float[Array, " N"]  # Var φ
    by_mean: Float[Array, " N"]  # ∂_m Var φ
    by_variance: Float[Array, " N"]  # ∂_v Var φ
    shift: Float[Array, " N"]  # the part of E φ that is due to the unit's own cumulants
    excess: Float[Array, " N"]  # that of Var φ


def closure_scan(
    network: RateNetwork | RNN,
    protocol: Protocol,
    theta: Array,
    num_steps: int,
    closure: tuple[int, bool],
    read_out: Callable[[State, State], Any],
) -> tuple[Any, Float[Array, " T"]]:
    """`read_out(state, slope)` at every step, NaN from the first failure on, and what was neglected until then.

    State is that of the current; `slope` is its derivative, one row per parameter. After a failure the last good state
    is carried on, so that gradients of earlier steps stay finite.
    """
    current = current_network(network)
    mehler_order, higher_cumulants = closure

    def start(theta: Array) -> tuple[State, Array | None]:
        before, inputs = entered(network, protocol, theta, num_steps)
        rates = network.rates(before) if isinstance(network, RNN) else network.nonlinearity(before)
        mean = current.received(rates, None if inputs is None else inputs[0])
        eye = jnp.eye(current.num_units, dtype=theta.dtype)
        pushes = None if inputs is None else (inputs @ current.input_vector.reshape(current.num_units, -1).T)[1:]
        cumulants = (0 * eye, 0 * eye) if higher_cumulants else ()
        return State(mean, current.noise_std**2 * eye, *cumulants), pushes

    def seen(carry: tuple[State, State, Validity]) -> tuple[Any, Array]:
        state, slope, validity = carry
        values = jax.tree.map(lambda part: jnp.where(validity.failed, jnp.nan, part), read_out(state, slope))
        return values, validity.neglected

    def advance(state: State, push: Array | None) -> tuple[State, Units]:
        moved, units = _step(current, mehler_order, state)
        return moved if push is None else moved._replace(mean=moved.mean + push), units

    @jax.checkpoint
    def step(carry: tuple[State, State, Validity], now: Any) -> tuple[tuple[State, State, Validity], Any]:
        state, slope, validity = carry
        push, push_slope = now
        (moved, units), (moved_slope, bend) = with_slopes(advance, (state, push), (slope, push_slope))
        new = (moved, moved_slope)
        validity = _judged(*jax.lax.stop_gradient((current, validity, state, (units, bend), new)))
        kept = jax.tree.map(lambda old, part: jnp.where(validity.failed, old, part), (state, slope), new)
        return (*kept, validity), seen(carry)

    (first, pushes), (slope, push_slopes) = with_slopes(start, (theta,), (directions_of(theta),))
    if push_slopes is not None:
        push_slopes = jnp.moveaxis(push_slopes, 1, 0)
    zero = jnp.zeros((), theta.dtype)
    validity = Validity(zero, ~(finite(first) & finite(slope)))
    begun = (first, slope, jax.lax.stop_gradient(validity))
    # the state after the last step is not read out, so it is not computed either
    carry, values = jax.lax.scan(step, begun, (pushes, push_slopes), length=num_steps - 1)
    return jax.tree.map(lambda rows, row: jnp.concatenate([rows, row[None]]), values, seen(carry))


def _step(network: RateNetwork, mehler_order: int, state: State) -> tuple[State, Units]:
    """The moments one step on, and what single units made of those before."""
    weights = spread(network.weights, AXES)
    units = single_units(network.nonlinearity, mehler_order, state)
    values = spread(_value_covariance(state, units, mehler_order), AXES)
    following = spread(weights @ values, AXES) @ weights.T
    noise = network.noise_std**2 * jnp.eye(network.num_units, dtype=state.mean.dtype)
    following = spread((following + following.T) / 2 + noise, AXES)
    mean = weights @ units.response + network.sustained_input
    if state.third is None or state.pair is None:
        return State(mean, following), units
    own = _own_cumulants(network.nonlinearity, state)
    joint = _value_cumulants(state.covariance, state.third, state.pair, units, own)
    triples, pairs = (spread(part, AXES) for part in joint)
    squares = weights**2
    third = spread(spread(squares @ triples, AXES) @ weights.T, AXES)
    pair = spread(spread(squares @ pairs, AXES) @ squares.T, AXES)
    # of one unit, any two of three senders may be the same, or two and two of four: three ways, one where all are
    skewness = 3 * jnp.diagonal(third) - 2 * weights**3 @ own[0]
    kurtosis = 3 * jnp.diagonal(pair) - 2 * squares**2 @ own[1]
    return State(mean, following, _with_diagonal(third, skewness), _with_diagonal(pair, kurtosis)), units


def value_moments(phi: Nonlinearity, mehler_order: int, state: State) -> tuple[Float[Array, " N"], Float[Array, "N N"]]:
    """Mean and covariance of φ(x)."""
    units = single_units(phi, mehler_order, state)
    return units.response, _value_covariance(state, units, mehler_order)


def single_units(phi: Nonlinearity, mehler_order: int, state: State) -> Units:
    r"""Moments of φ(x_i), by Edgeworth's series in the unit's own cumulants κ₃ and κ₄.

    With f = (φ − Eφ)², V the unit's variance and expectations over a Gaussian,

    .. math::
        δEφ &= \frac{κ_3}{6} Eφ^{(3)} + \frac{κ_4}{24} Eφ^{(4)}, \qquad
        δ\operatorname{Var}φ = \frac{κ_3}{6} Ef^{(3)} + \frac{κ_4}{24} Ef^{(4)}, \\
        δEφ^{(1)} &= \frac{κ_4}{6V} Eφ^{(3)}, \qquad
        δ∂_m\operatorname{Var}φ = \frac{κ_4}{6V} Ef^{(3)}.

    The last two are what other units see: κ(x_i, x_i, x_i, x_j) is taken as κ₄ Σ_ij / V, so that the first Hermite
    coefficient becomes the slope of a regression on x_i.
    """
    mean, variance, one = state.mean, jnp.diagonal(state.covariance), jnp.ones_like(state.mean)
    order = mehler_order if state.third is None else max(mehler_order, 4)
    response, *slopes = phi.derivative_means(mean, variance, order)
    if state.third is None or state.pair is None:
        return Units(response, tuple(slopes), phi.value_variance(mean, variance), 0 * one, 0 * one, 0 * one, 0 * one)

    def by_variance(mean: Array, variance: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda v: phi.value_variance(mean, v), (variance,), (one,))

    (value, first), derivative = jax.linearize(by_variance, mean, variance)
    (by_mean, mixed), (_, second) = derivative(one, 0 * one), derivative(0 * one, one)
    slope, curvature, third, fourth = slopes[:4]
    skewness, kurtosis = jnp.diagonal(state.third), jnp.diagonal(state.pair)
    # f holds Eφ fixed, whose square adds to the derivatives of Var φ
    bent = (mixed + slope * curvature) / 3
    shift = skewness / 6 * third + kurtosis / 24 * fourth
    excess = skewness * bent + kurtosis / 6 * (second + curvature**2 / 2)
    relative = kurtosis / jnp.where(variance > 0, variance, 1)
    slopes = (slope + relative / 6 * third, *slopes[1:])
    return Units(response + shift, slopes, value + excess, by_mean + relative * bent, first, shift, excess)


def _value_covariance(state: State, units: Units, mehler_order: int) -> Float[Array, "N N"]:
    """Covariance of φ between all units."""
    values = jnp.zeros_like(state.covariance)
    for order in range(mehler_order, 0, -1):
        slope = units.slopes[order - 1]
        values = state.covariance * (slope[:, None] * slope / math.factorial(order) + values)
    if state.third is not None and state.pair is not None:
        slope, half = units.slopes[0], units.slopes[1] / 2
        skew = half[:, None] * state.third * slope
        values += skew + skew.T + half[:, None] * state.pair * half
    return _with_diagonal(values, units.variance)


def _own_cumulants(phi: Nonlinearity, state: State) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """κ₃ and κ₄ of φ(x_i) for a Gaussian x_i."""
    mean, variance = state.mean, jnp.diagonal(state.covariance)
    fourth = phi.value_fourth_moment(mean, variance) - 3 * phi.value_variance(mean, variance) ** 2
    return phi.value_third_cumulant(mean, variance), fourth


def _value_cumulants(
    covariance: Float[Array, "N N"],
    third: Float[Array, "N N"],
    pair: Float[Array, "N N"],
    units: Units,
    own: tuple[Float[Array, " N"], Float[Array, " N"]],
) -> tuple[Float[Array, "N N"], Float[Array, "N N"]]:
    """κ(φ_a, φ_a, φ_c) and κ(φ_a, φ_a, φ_c, φ_c), to first order in the joint cumulants of a and c and in Σ_ac²."""
    slope, half = units.slopes[0], units.slopes[1] / 2
    by_mean, by_variance = units.by_mean[:, None], units.by_variance[:, None]
    # covariance of the squared deviations of a and c, of which a Gaussian has 2 Σ_ac²
    squares = pair + 2 * covariance**2
    triples = slope * (by_mean * covariance + by_variance * third) + half * (by_mean * third.T + by_variance * squares)
    skew = by_variance * third * units.by_mean
    pairs = by_mean * covariance * units.by_mean + skew + skew.T + by_variance * squares * units.by_variance
    pairs -= 2 * (slope[:, None] * covariance * slope) ** 2
    return _with_diagonal(triples, own[0]), _with_diagonal(pairs, own[1])


def _judged(
    network: RateNetwork, validity: Validity, state: State, single: tuple[Units, Units], new: tuple[State, State]
) -> Validity:
    r"""Whether a step can still be believed.

    Two things are left out. What single units' cumulants change is the first term of a series, and so is a measure of
    its others: with w = Σ⁻¹∂m of the next step and y = Jᵀw, in shares of the information,

    .. math:: s_1 = \frac1F \sum_i \left(y_i^2 |δ\operatorname{Var}φ_i| + 2 |y_i\,∂δEφ_i|\right).

    And third cumulants κ(x_i, x_i, x_j) from three different senders, which in leading order and in the noise are

    .. math:: s_2 = \frac1F \Bigl| \sum_{ic} b_i y_i h_{ic} b_c z_c \Bigr|, \qquad
        h_{ic} = \Bigl(\sum_a J_{ia} Eφ'_a Σ_{ac}\Bigr)^2 - \sum_a (J_{ia} Eφ'_a Σ_{ac})^2, \quad
        z = J^T (Eφ' y), \quad b = Eφ''.

    The error is estimated as s₁/4 + s₂, added up over steps: a share that was lost is lost to all later ones. It is an
    estimate of size, not of sign.
    """
    moments, change = new
    units, bend = single
    observed = network.observation_noise_std**2 * jnp.eye(network.num_units, dtype=moments.mean.dtype)
    lower = jnp.linalg.cholesky(moments.covariance + observed)
    decoder = jax.scipy.linalg.cho_solve((lower, True), change.mean.T)
    information = jnp.sum(decoder * change.mean.T, axis=0)
    back = network.weights.T @ decoder
    noise, signal = jnp.abs(units.excess) @ back**2, jnp.sum(jnp.abs(bend.shift.T * back), axis=0)
    changed = _OF_SINGLE_UNITS * (noise + 2 * signal) + jnp.abs(_of_three_senders(network, state, units, back))
    share = changed / jnp.where(information > 0, information, 1)
    added = jnp.max(jnp.nan_to_num(share, nan=0.0, posinf=jnp.inf))
    neglected = validity.neglected + jnp.where(validity.failed, 0, added)
    silent = (network.noise_std == 0) & (network.observation_noise_std == 0)
    broken = ~(finite(moments) & finite(change)) | ~(silent | finite(lower))
    return Validity(neglected, validity.failed | broken | (neglected > LIMIT))


def _of_three_senders(
    network: RateNetwork, state: State, units: Units, back: Float[Array, "N K"]
) -> Float[Array, " K"]:
    """What third cumulants of three different senders change of the noise along y, see `_judged`."""
    if state.third is None:
        return jnp.zeros_like(back[0])
    weights, slope, curvature = spread(network.weights, AXES), units.slopes[0], units.slopes[1]
    sent = spread(slope[:, None] * state.covariance, AXES)
    bent, through = curvature[:, None] * back, curvature[:, None] * (weights.T @ (slope[:, None] * back))
    same = (weights**2).T @ bent * (sent**2 @ through)
    return jnp.sum(bent * (spread(weights @ sent, AXES) ** 2 @ through), axis=0) - jnp.sum(same, axis=0)


def finite(parts: Any) -> Bool[Array, ""]:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(part)) for part in jax.tree.leaves(parts)]))


def _with_diagonal(matrix: Array, diagonal: Array) -> Array:
    return jnp.where(np.eye(len(matrix), dtype=bool), diagonal, matrix)
