"""Gaussian moments of any function of a user, also with kinks or steep places, integrated piece by piece.

Between its breaks the function is smooth. Every piece next to a break is integrated by Gauss–Legendre nodes that are
graded towards it, and what lies in the kink itself is added: where φ′ jumps by J at c, φ″ contains J δ(x − c), and its
mean over N(m, v) contains J p(c). So with the jumps J_j of φ^(j),

    E[φ^(k)] = ∫ φ^(k) p dx + Σ_c Σ_{j<k} J_j(c) ∂_m^{k−1−j} p(c; m, v).

Derivatives in the variances follow by Price's theorem, as for `SmoothFunction`, from moments of higher derivatives.
"""

import functools
import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from fisherjax._errors import check_callable

from ._nonlinearity import Moments, Nonlinearity, TwoPointMoments
from ._regularity import NODES, REACH, derivative, graded_rule, is_odd
from ._smooth import Split, split_equal, split_pair

_OUTER = 64  # nodes on either side of a break over what a pair shares

_TWO_POINT = ((0, 0), (1, 1), (2, 0), (2, 2), (1, 3))

Breaks = tuple[tuple[float, float], ...]
Orders = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


class PiecewiseSmooth(Nonlinearity):
    """A user's function φ, which may have kinks and steep places.

    `as_nonlinearity` finds where they are and makes this object. Moments have a relative error of 1e-10 (in float32 of
    1e-5) up to variances of `reach`.

    Parameters
    ----------
    function
        Elementwise, continuous, differentiable by JAX between its kinks.
    breaks
        Where the pieces meet, in order: place, and the width within which φ varies beside it.
    kinks
        Those places at which a derivative of φ jumps.
    reach
        Up to which variance the moments hold.
    """

    function: Callable[[jax.Array], jax.Array] = eqx.field(static=True)
    breaks: Breaks = eqx.field(static=True, default=((0.0, 1.0),))
    kinks: tuple[float, ...] = eqx.field(static=True, default=())
    reach: float = eqx.field(static=True, default=1e4)

    def __check_init__(self) -> None:
        check_callable("nonlinearity", self.function)

    def __call__(self, x: Moments) -> Moments:
        return self.function(x)

    @property
    def largest_variance(self) -> float:
        return self.reach

    @property
    def odd(self) -> bool:
        return is_odd(self.function)

    def points(self, mean: Moments, variance: Moments) -> tuple[Moments, Moments]:
        deviation = _deviation(variance)
        nodes, weights = jax.lax.stop_gradient(_rule(self, mean, deviation))
        z = (nodes - jax.lax.stop_gradient(mean)[..., None]) / jax.lax.stop_gradient(deviation)[..., None]
        return mean[..., None] + deviation[..., None] * z, weights / jnp.sum(weights, axis=-1, keepdims=True)

    def half_points(self, variance: Moments, width: Moments) -> tuple[Moments, Moments]:
        variance, width = jax.lax.stop_gradient((variance, width))
        deviation = jnp.maximum(jnp.sqrt(variance), 1e-3)
        places, widths = np.array(sorted({(0.0, 1.0), *(pair for pair in self.breaks if pair[0] >= 0)})).T
        blurred = jnp.sqrt(jnp.asarray(widths, width.dtype) ** 2 + width[..., None] ** 2 - 1) / deviation[..., None]
        zero = jnp.zeros_like(deviation)
        places = jnp.asarray(places, width.dtype) / deviation[..., None]
        nodes, weights = graded_rule(jnp, places, blurred, zero, zero + REACH, NODES)
        return nodes, 2 * weights * norm.pdf(nodes)

    def mean(self, variance: Moments) -> Moments:
        return _derivative_means(self, (0,), jnp.zeros_like(variance), _deviation(variance))[0]

    def mean_slope(self, variance: Moments) -> Moments:
        return _derivative_means(self, (1,), jnp.zeros_like(variance), _deviation(variance))[0]

    def second_moment(self, variance: Moments) -> Moments:
        return _one_point(self, (0, 0), variance)

    def slope_second_moment(self, variance: Moments) -> Moments:
        return _one_point(self, (1, 1), variance)

    def slope_square(self, mean: Moments, variance: Moments) -> Moments:
        mean, variance = jnp.broadcast_arrays(mean, variance)
        return _expectations(self, ((1, 1),), mean, _deviation(variance))[0]

    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        return _pair(self, ((0, 0),), *jnp.broadcast_arrays(variance_a, variance_b, covariance))[0]

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        return _spread(self, *jnp.broadcast_arrays(variance, noise_variance))

    def two_point(self, variance: Moments, noise_variance: Moments) -> TwoPointMoments:
        variance, noise_variance = jnp.broadcast_arrays(variance, noise_variance)
        return TwoPointMoments(*_equal_pair(self, _TWO_POINT, variance, noise_variance))

    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        mean, variance = jnp.broadcast_arrays(mean, variance)
        # a rule as narrow as rounding makes its places has weights of chance
        least = float(jnp.finfo(mean.dtype).eps) ** (1 / 3) * jnp.maximum(jnp.abs(mean), 1)
        deviation = jnp.maximum(_deviation(variance), jax.lax.stop_gradient(least))
        return tuple(_derivative_means(self, range(order + 1), mean, deviation))

    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        return _central_moment(self, 2, *jnp.broadcast_arrays(mean, variance))

    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        return _central_moment(self, 3, *jnp.broadcast_arrays(mean, variance))

    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        return _central_moment(self, 4, *jnp.broadcast_arrays(mean, variance))


def _deviation(variance: Moments) -> Moments:
    """√variance, kept from zero, where there is no density and no derivative."""
    return jnp.sqrt(jnp.maximum(variance, jnp.finfo(variance.dtype).eps ** 2))


def _seen_from(breaks: Moments, widths: Moments, mean: Moments, deviation: Moments) -> Moments:
    """Widths of the grading: what varies beside a break, the density at most; wider where the break is far out."""
    far = (jnp.abs(breaks - mean) - 5 * deviation) / 2
    return jnp.maximum(jnp.minimum(widths, deviation), far)


def _rule(phi: PiecewiseSmooth, mean: Moments, deviation: Moments) -> tuple[Moments, Moments]:
    """Nodes (…, n) and weights of E over N(mean, deviation²)."""
    breaks, widths = jnp.asarray(np.array(phi.breaks).T, mean.dtype)
    widths = _seen_from(breaks, widths, mean[..., None], deviation[..., None])
    nodes, weights = graded_rule(jnp, breaks, widths, mean - REACH * deviation, mean + REACH * deviation, NODES)
    standard = (nodes - mean[..., None]) / deviation[..., None]
    return nodes, weights * norm.pdf(standard) / deviation[..., None]


def _derivative_means(phi: PiecewiseSmooth, orders: Sequence[int], mean: Moments, deviation: Moments) -> list[Moments]:
    """E[φ^(order)(x)] for x ~ N(mean, deviation²), the kinks' shares included."""
    smooth = _expectations(phi, tuple((order,) for order in orders), mean, deviation)
    kinks = [_in_kinks(phi, (0,), order, mean, deviation) for order in orders]
    return [part + kink for part, kink in zip(smooth, kinks, strict=True)]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _expectations(
    phi: PiecewiseSmooth, products: tuple[Orders, ...], mean: Moments, deviation: Moments
) -> tuple[Moments, ...]:
    """∫ Π φ^(order)(x) p(x) dx for several products of derivatives, without what lies in the kinks."""
    nodes, weights = _rule(phi, mean, deviation)
    return tuple(jnp.sum(weights * _product(phi.function, orders)(nodes), axis=-1) for orders in products)


@_expectations.defjvp
def _expectations_jvp(phi, products, primals, tangents):
    mean, deviation = primals
    once, twice = ([_raised(orders, times) for orders in products] for times in (1, 2))
    needed = tuple(dict.fromkeys(product for terms in (*once, *twice) for product in terms))
    values = dict(zip(needed, _expectations(phi, needed, mean, deviation), strict=True))

    def derivative_of(orders: Orders, terms: dict[Orders, int]) -> Moments:
        times = sum(next(iter(terms))) - sum(orders)
        smooth = sum(count * values[product] for product, count in terms.items())
        return smooth + _in_kinks(phi, orders, times, mean, deviation)

    changes = tuple(
        derivative_of(orders, by_mean) * tangents[0] + deviation * derivative_of(orders, by_variance) * tangents[1]
        for orders, by_mean, by_variance in zip(products, once, twice, strict=True)
    )
    return _expectations(phi, products, mean, deviation), changes


def _raised(orders: Orders, times: int) -> dict[Orders, int]:
    """The products that make up the derivative, once or twice, of Π φ^(order), with their counts."""
    terms = {orders: 1}
    for _ in range(times):
        following: dict[Orders, int] = {}
        for product, count in terms.items():
            for place in range(len(product)):
                raised = tuple(sorted(order + (index == place) for index, order in enumerate(product)))
                following[raised] = following.get(raised, 0) + count
        terms = following
    return terms


def _in_kinks(phi: PiecewiseSmooth, orders: Orders, times: int, mean: Moments, deviation: Moments) -> Moments:
    """What the kinks contribute to E[f^(times)], f = Π φ^(order): Σ_j J_j ∂_m^(times − 1 − j) p(c)."""
    total = jnp.zeros_like(mean)
    for index, kink in enumerate(phi.kinks):
        place = (jnp.asarray(kink, mean.dtype) - mean) / deviation
        density = norm.pdf(place) / deviation
        # ∂_m^n p = He_n(place) / deviation^n · p
        hermite, before = jnp.ones_like(place), jnp.zeros_like(place)
        terms = []
        for n in range(times):
            terms.append(hermite * density)
            hermite, before = (place * hermite - n * before / deviation) / deviation, hermite
        for j in range(times):
            total += _jumps(phi.function, phi.kinks, orders, j, mean.dtype)[index] * terms[times - 1 - j]
    return total


@functools.lru_cache(maxsize=4096)
def _jumps(
    function: Callable, kinks: tuple[float, ...], orders: tuple[int, ...], times: int, dtype: np.dtype
) -> tuple[float, ...]:
    """By how much the derivative of Π φ^(order) jumps at every kink."""
    places = np.asarray(kinks)
    beside = 8 * float(jnp.finfo(dtype).eps) * np.maximum(np.abs(places), 1e-8)
    with jax.ensure_compile_time_eval():
        sides = jnp.asarray(np.stack([places - beside, places + beside]), dtype)
        values = np.asarray(derivative(_product(function, orders), times)(sides), np.float64)
    scale = np.maximum(np.abs(values).max(axis=0), 1.0)
    size = values[1] - values[0]
    # a derivative that is continuous there differs by rounding
    return tuple(float(x) for x in np.where(np.abs(size) > 1e3 * float(jnp.finfo(dtype).eps) * scale, size, 0))


@functools.lru_cache(maxsize=1024)
def _product(function: Callable, orders: tuple[int, ...]) -> Callable[[jax.Array], jax.Array]:
    if len(orders) == 1:
        return derivative(function, orders[0])
    return lambda x: math.prod(derivative(function, order)(x) for order in orders)  # pyright: ignore[reportReturnType]


def _one_point(phi: PiecewiseSmooth, orders: Orders, variance: Moments) -> Moments:
    """E[Π φ^(order)(x)] over x ~ N(0, variance), where no factor lies in a kink."""
    return _expectations(phi, (orders,), jnp.zeros_like(variance), _deviation(variance))[0]


def _central_moment(phi: PiecewiseSmooth, power: int, mean: Moments, variance: Moments) -> Moments:
    """E[(φ(x) − Eφ)^power] for x ~ N(mean, variance); differentiable through the nodes of the smooth pieces."""
    nodes, weights = _rule(phi, mean, _deviation(variance))
    weights = weights / jnp.sum(weights, axis=-1, keepdims=True)
    values = phi.function(nodes)
    centered = values - jnp.sum(weights * values, axis=-1, keepdims=True)
    return jnp.where(variance > 0, jnp.sum(weights * centered**power, axis=-1), 0)


def _shared_means(phi: PiecewiseSmooth, pairs: Pairs, split: Split) -> tuple[Moments, ...]:
    """E_z[E[φ^(i)(a) | z] E[φ^(j)(b) | z]] for several (i, j), over the part z ~ N(0, 1) that a and b share."""
    z, weights = _outer(phi, split)
    sides = []
    for place, common, private in (
        (0, split.common_a, split.private_a),
        (1, split.sign * split.common_b, split.private_b),
    ):
        orders = sorted({pair[place] for pair in pairs})
        own = jnp.broadcast_to(private[..., None], z.shape)
        sides.append(dict(zip(orders, _derivative_means(phi, orders, common[..., None] * z, own), strict=True)))
    return tuple(jnp.sum(weights * sides[0][i] * sides[1][j], axis=-1) for i, j in pairs)


def _outer(phi: PiecewiseSmooth, split: Split) -> tuple[Moments, Moments]:
    """Nodes z and weights of E over N(0, 1), graded towards where either of the pair meets a break."""
    breaks, widths = jnp.asarray(np.array(phi.breaks).T, split.sign.dtype)
    places, grades = [], []
    for common, private in ((split.common_a, split.private_a), (split.sign * split.common_b, split.private_b)):
        scale = jnp.where(jnp.abs(common) > 0, common, 1)[..., None]
        inside = jnp.where(jnp.abs(common[..., None]) > 0, breaks / scale, jnp.sign(breaks) * jnp.inf)
        inside = jnp.where((breaks == 0) & ~jnp.isfinite(inside), 0, inside)
        places.append(jnp.clip(inside, -REACH - 1, REACH + 1))
        grades.append(jnp.minimum(jnp.minimum(widths, private[..., None]) / jnp.abs(scale), 1))
    place, grade = jnp.concatenate(places, axis=-1), jnp.concatenate(grades, axis=-1)
    order = jnp.argsort(place, axis=-1)
    place, grade = (jnp.take_along_axis(part, order, axis=-1) for part in (place, grade))
    one = jnp.ones_like(split.sign)
    widths = _seen_from(place, grade, jnp.zeros_like(place), jnp.ones_like(place))
    nodes, weights = graded_rule(jnp, place, widths, -REACH * one, REACH * one, _OUTER)
    return nodes, weights * norm.pdf(nodes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _pair(
    phi: PiecewiseSmooth, pairs: Pairs, variance_a: Moments, variance_b: Moments, covariance: Moments
) -> tuple[Moments, ...]:
    """E[φ^(i)(a) φ^(j)(b)] for a pair of any variances."""
    return _shared_means(phi, pairs, _kept(split_pair(variance_a, variance_b, covariance)))


@_pair.defjvp
def _pair_jvp(phi, pairs, primals, tangents):
    needed = tuple(dict.fromkeys(pair for i, j in pairs for pair in ((i + 2, j), (i, j + 2), (i + 1, j + 1))))
    values = dict(zip(needed, _pair(phi, needed, *primals), strict=True))
    changes = tuple(
        0.5 * values[i + 2, j] * tangents[0] + 0.5 * values[i, j + 2] * tangents[1] + values[i + 1, j + 1] * tangents[2]
        for i, j in pairs
    )
    return _pair(phi, pairs, *primals), changes


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _equal_pair(phi: PiecewiseSmooth, pairs: Pairs, variance: Moments, noise_variance: Moments) -> tuple[Moments, ...]:
    """E[φ^(i)(a) φ^(j)(b)] for variances Δ and covariance Δ − V, which does not round a small V away."""
    return _shared_means(phi, pairs, _kept(split_equal(variance, noise_variance)))


@_equal_pair.defjvp
def _equal_pair_jvp(phi, pairs, primals, tangents):
    needed = tuple(dict.fromkeys(pair for i, j in pairs for pair in ((i + 2, j), (i, j + 2), (i + 1, j + 1))))
    values = dict(zip(needed, _equal_pair(phi, needed, *primals), strict=True))
    changes = []
    for i, j in pairs:
        both = values[i + 1, j + 1]
        by_variance = 0.5 * values[i + 2, j] + both + 0.5 * values[i, j + 2]
        changes.append(by_variance * tangents[0] - both * tangents[1])
    return _equal_pair(phi, pairs, *primals), tuple(changes)


def _kept(split: Split) -> Split:
    """With private parts that nodes still resolve beside a kink: less of them than this changes nothing."""

    def resolved(private: Moments, common: Moments) -> Moments:
        return jnp.maximum(private, float(jnp.finfo(private.dtype).eps) ** 0.6 * jnp.maximum(common, 1))

    return split._replace(
        private_a=resolved(split.private_a, split.common_a), private_b=resolved(split.private_b, split.common_b)
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _spread(phi: PiecewiseSmooth, variance: Moments, noise_variance: Moments) -> Moments:
    """E[φ(x)²] − E[φ(a) φ(b)] at covariance Δ − V: the mean variance of φ given what the pair shares."""
    split = _kept(split_equal(variance, noise_variance))
    z, weights = _outer(phi, split)
    center, private = split.common_a[..., None] * z, jnp.broadcast_to(split.private_a[..., None], z.shape)
    mean = _derivative_means(phi, (0,), center, private)[0]
    mirrored = _derivative_means(phi, (0,), split.sign[..., None] * center, private)[0]
    inside = _central_moment(phi, 2, center, private**2)
    return jnp.where(noise_variance > 0, jnp.sum(weights * (inside + mean * (mean - mirrored)), axis=-1), 0)


@_spread.defjvp
def _spread_jvp(phi, primals, tangents):
    variance = primals[0]
    both, raised, also = _equal_pair(phi, ((1, 1), (2, 0), (0, 2)), *primals)
    whole = jax.jvp(phi.second_moment, (variance,), (jnp.ones_like(variance),))[1]
    shared = 0.5 * raised + both + 0.5 * also
    return _spread(phi, *primals), (whole - shared) * tangents[0] + both * tangents[1]
