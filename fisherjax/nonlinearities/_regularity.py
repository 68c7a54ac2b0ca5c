"""Whether a function given for a nonlinearity is one, and where it is not smooth: by looking at it and its derivatives.

An interval counts as resolved where the change of φ, φ′ and φ″ across it is the integral of the next derivative, by a
Gauss rule that is exact for smooth functions. What is not resolved is halved until it is, or until only a point is
left: a kink. So a steep smooth function costs halvings, and only a jump is called a jump.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.interpreters.partial_eval import DynamicJaxprTracer

from fisherjax._errors import require

REACH = 9.0  # standard deviations; the tail beyond holds 1e-19 of the mass
NODES = 48  # on either side of a break

_FARTHEST = 1024.0  # a little beyond nine deviations of a variance of 10⁴
_NODES = 16
_TOLERANCE = 1e-9
_MOST_INTERVALS, _MOST_KINKS = 600, 12
_NARROWEST = 1e-7
_BATCH = 4096
_LARGEST = 1e4  # variance
_STEEP = 0.75  # width of an interval that the rules of SmoothFunction resolve
_WAY_OUT = "give a name, a function written with jax.numpy, or a Nonlinearity such as ThresholdLinear(0.5)"


class Regularity(NamedTuple):
    """Breaks of a function (place, width within which it varies), those that are kinks, and how far moments hold."""

    breaks: tuple[tuple[float, float], ...]
    kinks: tuple[float, ...]
    largest_variance: float

    @property
    def smooth(self) -> bool:
        """Whether it has neither kinks nor steep places."""
        return not self.kinks and all(width >= _STEEP for _, width in self.breaks)


@functools.cache
def derivative(function: Callable[[jax.Array], jax.Array], order: int) -> Callable[[jax.Array], jax.Array]:
    """The derivative of the given order of an elementwise function, itself elementwise."""
    if order == 0:
        return function
    lower = derivative(function, order - 1)
    return lambda x: jax.jvp(lower, (x,), (jnp.ones_like(x),))[1]


@functools.lru_cache(maxsize=256)
def is_odd(function: Callable[[jax.Array], Any]) -> bool:
    """Whether φ(−x) = −φ(x), as far as a thousand points tell; False of a function that holds traced values."""
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):  # noqa: FBT003
        points = np.geomspace(1e-6, 30.0, 1000)
        sides = [function(jnp.asarray(sign * points)) for sign in (1.0, -1.0)]
        if any(isinstance(side, Tracer) for side in sides):
            return False
        right, left = (np.asarray(side, np.float64) for side in sides)
    return bool(np.all(np.abs(right + left) <= 1e-9 * (np.abs(right) + np.abs(left))))


def regularity(function: Callable[[jax.Array], Any]) -> Regularity | None:
    """What there is to know of a function before its moments are taken; None if it holds traced values.

    Raises
    ------
    TypeError
        If it cannot be called with an array, or returns something else than real numbers, one for each.
    ValueError
        If it is not a number somewhere, grows too fast, jumps, or has more kinks than can be integrated.
    """
    try:
        return _regularity(function)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        raise TypeError(f"nonlinearity must be a hashable function, got a {type(function).__name__}") from error


@functools.lru_cache(maxsize=256)
def _regularity(function: Callable[[jax.Array], Any]) -> Regularity | None:
    with jax.ensure_compile_time_eval(), jax.enable_x64(True), warnings.catch_warnings():  # noqa: FBT003
        warnings.simplefilter("ignore")
        evaluate = _evaluator(function)
        if evaluate is None:
            return None
        _check_growth(evaluate)
        search = _Search(evaluate, _finite_range(evaluate))
        kinks = search.kinks(search.intervals(np.zeros(0)))
        intervals = search.intervals(kinks)
        breaks = _breaks(intervals, kinks)
        largest = _largest_variance(evaluate, breaks)
        if largest < _LARGEST:
            # graded towards where it changes most, a function that does so far from the origin may be resolved
            middles = intervals.mean(axis=1)
            steepest = float(middles[np.argmax(np.abs(evaluate(middles)[1]) * (np.abs(middles) < 20))])
            moved = tuple(sorted({*breaks, (steepest, 1.0)}))
            breaks, largest = max(
                (breaks, largest), (moved, _largest_variance(evaluate, moved)), key=lambda choice: choice[1]
            )
    require(
        bool(largest >= 1), f"nonlinearity varies too quickly for its Gaussian moments to be integrated; {_WAY_OUT}"
    )
    return Regularity(breaks, tuple(float(kink) for kink in kinks), largest)


def _evaluator(function: Callable[[jax.Array], Any]) -> Callable[[np.ndarray], np.ndarray] | None:
    """φ … φ‴ at points, (4, n), after checking that the function is one of single numbers."""
    points = np.array([-2.3, -0.7, 0.4, 1.1, 3.2])
    try:
        values = function(jnp.asarray(points))
        alone = [function(jnp.asarray(point)) for point in points[:2]]
    except Exception as error:
        raise TypeError(
            f"nonlinearity could not be called with a JAX array ({type(error).__name__}); {_WAY_OUT}"
        ) from error
    traced = [value for value in (values, *alone) if isinstance(value, Tracer)]
    if traced:
        # within jit it may hold traced values, of which nothing can be looked at; derivatives do not reach into it
        if all(isinstance(value, DynamicJaxprTracer) for value in traced):
            return None
        raise TypeError(
            "nonlinearity must not hold what is differentiated or mapped over: its moments are no functions of that; "
            "differentiate in the gains, which a factor in its argument multiplies"
        )
    if isinstance(values, np.ndarray):
        raise TypeError(f"nonlinearity must be written with jax.numpy, but it returns a NumPy array; {_WAY_OUT}")
    for value, shape in ((values, points.shape), (alone[0], ())):
        if not (isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)):
            kind = str(value.dtype) if isinstance(value, jax.Array | np.ndarray) else type(value).__name__
            raise TypeError(f"nonlinearity must return real numbers, got {kind} for an array of floats; {_WAY_OUT}")
        if value.shape != shape:
            raise TypeError(
                f"nonlinearity must return one number for each of its argument, got shape {value.shape} for {shape}"
            )
    if not np.allclose(np.asarray(values)[:2], np.asarray(alone), rtol=1e-6, equal_nan=True):
        raise TypeError("nonlinearity must act on each number by itself, but its values depend on the other entries")

    @jax.jit
    def batch(x: jax.Array) -> jax.Array:
        return jnp.stack([derivative(function, order)(x).astype(jnp.float64) for order in range(4)])

    def evaluate(x: np.ndarray) -> np.ndarray:
        parts = []
        for begin in range(0, max(len(x), 1), _BATCH):
            part = x[begin : begin + _BATCH]
            # of one length, so that one program serves all
            padded = np.concatenate([part, np.zeros(_BATCH - len(part))])
            parts.append(np.asarray(batch(jnp.asarray(padded)))[:, : len(part)])
        return np.concatenate(parts, axis=1)

    try:
        evaluate(points)
    except Exception as error:
        raise TypeError(
            f"nonlinearity must be differentiable by JAX three times ({type(error).__name__}); {_WAY_OUT}"
        ) from error
    return evaluate


def _check_growth(evaluate: Callable[[np.ndarray], np.ndarray]) -> None:
    """Refuse what is not a number near the origin, and what grows so fast that it has no Gaussian moments."""
    near = np.linspace(-20, 20, 401)
    values = evaluate(near)[0]
    undefined = near[np.isnan(values)]
    if undefined.size:
        raise ValueError(f"nonlinearity is not a number at {undefined[np.argmin(np.abs(undefined))]:g}; {_WAY_OUT}")
    for sign in (-1.0, 1.0):
        ten, twenty = np.abs(evaluate(sign * np.array([10.0, 20.0]))[0])
        rates = [np.log(max(value, 1.0)) / x**2 for value, x in ((ten, 10.0), (twenty, 20.0))]
        fast = not np.isfinite(twenty) or (rates[1] > 1e-3 and rates[1] > 0.9 * rates[0])
        require(
            not fast,
            f"nonlinearity grows too fast towards {'+' if sign > 0 else '−'}∞ for its Gaussian moments to exist",
        )


def _finite_range(evaluate: Callable[[np.ndarray], np.ndarray]) -> float:
    """How far out the function and its derivatives are numbers; beyond, variances that reach there have no moments."""
    places = np.concatenate([-np.geomspace(0.01, _FARTHEST, 400)[::-1], np.geomspace(0.01, _FARTHEST, 400)])
    values = evaluate(places)
    undefined = np.abs(places[np.isnan(values).any(axis=0) & np.isfinite(values[0])])
    wrong = undefined[undefined < 20]
    require(not wrong.size, f"nonlinearity has no derivative at {wrong.min() if wrong.size else 0:g}; {_WAY_OUT}")
    broken = np.abs(places[~np.isfinite(values).all(axis=0)])
    return float(2.0 ** np.floor(np.log2(broken.min()))) if broken.size else _FARTHEST


class _Search:
    """Halves intervals until a function is smooth on each; remembers how large it and its derivatives have been."""

    def __init__(self, evaluate: Callable[[np.ndarray], np.ndarray], far: float):
        self.evaluate, self.far = evaluate, far
        self.radii, self.sizes = np.zeros(0), np.zeros((4, 0))

    def intervals(self, kinks: np.ndarray) -> np.ndarray:
        """Intervals (n, 2) on which it is smooth, `kinks` among their ends."""
        scale = 2.0 ** np.arange(int(np.log2(self.far)) + 1)
        edges = np.unique(np.concatenate([-scale, [0.0], scale, kinks]))
        edges = edges[np.append(True, np.diff(edges) > 1e-9)]
        # a kink's place is known to rounding only
        gap = np.where(np.isclose(edges[:, None], kinks, rtol=0, atol=1e-9).any(axis=1), 1e-12 * (1 + np.abs(edges)), 0)
        waiting = np.stack([edges[:-1] + gap[:-1], edges[1:] - gap[1:]], axis=1)
        settled: list[np.ndarray] = []
        while len(waiting):
            good, width = self._resolved(waiting), waiting[:, 1] - waiting[:, 0]
            point = width <= 16 * np.finfo(float).eps * np.maximum(np.abs(waiting).max(axis=1), 1e-3)
            settled.extend(waiting[good & ~point])
            rest = waiting[~good & ~point]
            middle = rest.mean(axis=1)
            waiting = np.concatenate([np.stack([rest[:, 0], middle], axis=1), np.stack([middle, rest[:, 1]], axis=1)])
            require(
                len(waiting) + len(settled) <= _MOST_INTERVALS,
                "nonlinearity has too many kinks, varies too quickly, or its derivative by JAX is not that of its "
                f"values; {_WAY_OUT}",
            )
        return np.array(sorted(map(tuple, settled)))

    def kinks(self, intervals: np.ndarray) -> np.ndarray:
        """Where intervals meet and a derivative jumps; ValueError where the function itself does."""
        places, gaps = intervals[1:, 0], intervals[1:, 0] - intervals[:-1, 1]
        left, right = self.evaluate(_beside(intervals[:-1, 1], -1)), self.evaluate(_beside(places, 1))
        size = np.maximum(np.abs(left), np.abs(right))
        # across a gap that was left as a point the function changes by its slope
        allowed = 1e-7 * size[:3] + 1e-9 * self._size_within(np.abs(places))[:3] + size[1:] * (gaps + 1e-14)
        jumps = np.abs(right - left)[:3] > allowed
        if jumps[0].any():
            raise ValueError(
                f"nonlinearity jumps at {places[jumps[0]][0]:.6g}: its slope is infinite there, and so is what depends "
                "on it; use a steep smooth function, such as lambda x: jnp.tanh(20 * x)"
            )
        kinks = places[jumps.any(axis=0)]
        kinks = kinks[np.append(True, np.diff(kinks) > 1e-9)] if len(kinks) else kinks
        require(
            len(kinks) <= _MOST_KINKS,
            f"nonlinearity has {len(kinks)} kinks, and at most {_MOST_KINKS} can be integrated; {_WAY_OUT}",
        )
        return np.round(kinks, 12)

    def _resolved(self, intervals: np.ndarray) -> np.ndarray:
        """Whether φ, φ′ and φ″ change across an interval by the integral of their derivatives."""
        low, high = intervals[:, 0], intervals[:, 1]
        unit, weight = _gauss_legendre(_NODES)
        half = (high - low) / 2
        nodes = (low + high)[:, None] / 2 + half[:, None] * unit
        inside = self.evaluate(nodes.ravel()).reshape(4, *nodes.shape)
        ends = self.evaluate(np.concatenate([_beside(low, 1), _beside(high, -1)])).reshape(4, 2, -1)
        size = np.abs(inside).max(axis=2)
        order = np.argsort(np.append(self.radii, np.abs(intervals).max(axis=1)))
        self.radii = np.append(self.radii, np.abs(intervals).max(axis=1))[order]
        self.sizes = np.append(self.sizes, size, axis=1)[:, order]
        change, integral = ends[:3, 1] - ends[:3, 0], half * (inside[1:] @ weight)
        # a derivative is rounded relative to its size where it is largest, however flat it is here
        rounding = 1e-12 * self._size_within(np.abs(intervals).max(axis=1))
        allowed = _TOLERANCE * size[:3] + rounding[:3] + half * rounding[1:]
        return (np.abs(change - integral) <= allowed).all(axis=0)

    def _size_within(self, radii: np.ndarray) -> np.ndarray:
        """Largest size of φ … φ‴ seen up to a little beyond a distance from the origin."""
        largest = np.maximum.accumulate(self.sizes, axis=1)
        return largest[:, np.searchsorted(self.radii, 1.5 * radii + 1, side="right") - 1]


def _beside(places: np.ndarray, side: int) -> np.ndarray:
    return places + side * np.maximum(4 * np.finfo(float).eps * np.abs(places), 1e-30)


def _breaks(intervals: np.ndarray, kinks: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Kinks, and the middles of groups of narrow intervals, each with the width within which the function varies."""
    widths = intervals[:, 1] - intervals[:, 0]
    narrowest = int(np.argmin(widths))
    require(
        bool(widths[narrowest] > _NARROWEST),
        f"nonlinearity has an infinite derivative at {intervals[narrowest, 0]:.6g}, or is too steep there; {_WAY_OUT}",
    )
    breaks = []
    for kink in kinks:
        beside = np.abs(intervals - kink).min(axis=1) <= 1e-9 * max(1.0, abs(kink))
        breaks.append((float(kink), _rounded(min(1.0, float(widths[beside].min())))))
    narrow = np.flatnonzero(widths < _STEEP)
    for group in np.split(narrow, np.flatnonzero(np.diff(narrow) > 1) + 1) if len(narrow) else []:
        low, high = intervals[group[0], 0], intervals[group[-1], 1]
        if not ((kinks >= low - 1e-6) & (kinks <= high + 1e-6)).any():
            finest = group[widths[group] == widths[group].min()]
            middle = (intervals[finest[0], 0] + intervals[finest[-1], 1]) / 2
            breaks.append((float(middle), _rounded(float(widths[finest[0]]))))
    if not breaks or min(abs(place) for place, _ in breaks) > 1:
        breaks.append((0.0, 1.0))
    return tuple(sorted(breaks))


_gauss_legendre = functools.cache(np.polynomial.legendre.leggauss)


def _rounded(width: float) -> float:
    return float(f"{width:.2g}")


def _largest_variance(evaluate: Callable[[np.ndarray], np.ndarray], breaks: tuple[tuple[float, float], ...]) -> float:
    """Up to which variance, at most 10⁴, as many nodes as are used and twice as many agree; 0 if nowhere."""
    largest, (places, widths) = 0.0, np.array(breaks).T
    for variance in 10.0 ** np.arange(-2, np.log10(_LARGEST) + 0.1, 0.5):
        moments = []
        for count in (NODES, 2 * NODES):
            reach = np.array(REACH * variance**0.5)
            nodes, weights = graded_rule(np, places, widths, -reach, reach, count)
            weights = weights * np.exp(-(nodes**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
            moments.append(evaluate(nodes)[:2] ** 2 @ weights)
        if not (np.isfinite(moments).all() and np.allclose(*moments, rtol=1e-8, atol=0)):
            break
        largest = float(variance)
    return largest


def graded_rule(xp: Any, breaks: Any, widths: Any, low: Any, high: Any, count: int) -> tuple[Any, Any]:
    """Nodes and weights (…, 2K · count) of ∫ dx from `low` to `high` (…), graded towards breaks (…, K) in order.

    `xp` is NumPy or JAX, as are the arrays. `count` nodes lie on either side of every break.
    """
    dtype = low.dtype
    breaks, widths = (xp.broadcast_to(part, (*low.shape, part.shape[-1])) for part in (breaks, widths))
    low, high = low[..., None], high[..., None]
    middle = (breaks[..., 1:] + breaks[..., :-1]) / 2
    left = xp.concatenate([xp.full_like(low, -xp.inf), middle, breaks], axis=-1)
    right = xp.concatenate([breaks, middle, xp.full_like(low, xp.inf)], axis=-1)
    anchor = xp.concatenate([breaks, breaks], axis=-1)
    width = xp.concatenate([widths, widths], axis=-1)
    begin, end = (xp.arcsinh((xp.clip(edge, low, high) - anchor) / width) for edge in (left, right))
    unit, weight = _gauss_legendre(count)
    half = (end - begin)[..., None] / 2
    place = (end + begin)[..., None] / 2 + half * xp.asarray(unit, dtype)
    nodes = anchor[..., None] + width[..., None] * xp.sinh(place)
    weights = half * xp.asarray(weight, dtype) * width[..., None] * xp.cosh(place)
    shape = (*low.shape[:-1], -1)
    return nodes.reshape(shape), weights.reshape(shape)
