"""What the theories of discrete and continuous time share: structures, fixed points, where growth vanishes, results."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_jax, as_real, check_finite
from fisherjax._errors import check_flag, check_scalar, is_traced, require, warn
from fisherjax._linalg import spectral_radius
from fisherjax._runtime import progress_bar
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity


class Structure(NamedTuple):
    """G, P × P, and the noise σ of every population."""

    total_gain: Float[Array, "P P"]
    noise_std: Float[Array, " P"]

    @property
    def intensity(self) -> Float[Array, " P"]:
        """s₂ = σ²."""
        return self.noise_std**2


def as_structure(gain: Scalar | GainMatrix, noise_std: Any, *, means: bool = False) -> Structure:
    """Total gains and noise of every population, checked; of a structure with means only where those are followed.

    Raises
    ------
    TypeError
        If `gain` is neither a real number nor a `GainMatrix`, or `noise_std` does not hold real numbers.
    ValueError
        If one of them is negative or not finite, or `noise_std` has neither one entry nor one per population.
    """
    if isinstance(gain, GainMatrix):
        total_gain = check_gain_matrix(gain, means=means).variance_gain
    else:
        check_scalar("gain", gain, minimum=0.0)
        total_gain = as_real("gain", gain, "").reshape(1, 1) ** 2
    check_finite("the square of gain", total_gain)
    populations = total_gain.shape[0]
    noise_std = as_real("noise_std", noise_std, "", str(populations), dtype=total_gain.dtype, minimum=0.0)
    check_finite("the square of noise_std", noise_std**2)
    return Structure(total_gain, jnp.broadcast_to(noise_std, (populations,)))


def structure_or_one(gain_matrix: Any, dtype: Any = None, *, means: bool = False) -> GainMatrix:
    """A user's structure, or one population of gain 1 where there is none; TypeError if it is something else."""
    return GainMatrix(jnp.ones((1, 1), dtype)) if gain_matrix is None else check_gain_matrix(gain_matrix, means=means)


_PICARD_STEPS = 60


def variance_from_above(total_gain: Array, noise: Array, phi: Nonlinearity) -> Array:
    """Δ, reached from above."""

    def variance_map(variance: Array, args: tuple[Array, Array]) -> Array:
        gain, sigma2 = args
        return sigma2 + gain @ phi.second_moment(variance)

    return fixed_point(variance_map, largest_variance(total_gain, noise, phi), (total_gain, noise))


def largest_variance(total_gain: Array, noise: Array, phi: Nonlinearity) -> Float[Array, " P"]:
    """A variance that bounds the stationary one for a saturating φ, and is large for the others."""
    big = jnp.full(total_gain.shape[:1], 1e4, total_gain.dtype)
    row_sum = jnp.max(jnp.sum(total_gain, axis=1))
    return noise + row_sum * jnp.max(phi.second_moment(big)) + jnp.zeros_like(big)


def fixed_point(
    function: Callable[[Array, Any], Array],
    start: Array,
    arguments: Any,
    *,
    share: float = 1.0,
    num_steps: int = _PICARD_STEPS,
) -> Array:
    """Fixed point near where iteration leads, whole steps or a share of each; its derivative is the implicit one."""
    frozen = jax.lax.stop_gradient(arguments)

    def step(_: Any, y: Array) -> Array:
        following = function(y, frozen)
        return following if share == 1 else y + share * (following - y)

    near = jax.lax.fori_loop(0, num_steps, step, jax.lax.stop_gradient(start))
    eps = float(jnp.finfo(start.dtype).eps)
    solver = optx.Newton(rtol=10 * eps, atol=10 * eps)
    return optx.fixed_point(function, solver, near, arguments, throw=False, max_steps=64).value


_MOST_POINTS = 4096  # of a diagram that an accelerator solves together
_FARTHEST = 20.0  # states among which the largest slope of φ is looked for


def warn_if_missing(gain: Array) -> Array:
    """The gain, after a warning if it is known (not traced) not to have been found."""
    if not is_traced(gain) and bool(jnp.isnan(gain)):
        warn(
            "there is no such gain, or none that could be resolved: the activity grows without bound first, the noise "
            "is too weak for this float type, or the gain lies beyond the range that is searched; the result is NaN"
        )
    return gain


def unless_silent(phi: Nonlinearity, total_gain: Array, noise: Array, otherwise: Array) -> Float[Array, ""]:
    """`otherwise`; without noise and with φ(0) = 0 the gain at which silence, a state at all gains, loses stability."""
    zero = jnp.zeros((), total_gain.dtype)
    silent = 1 / (jnp.sqrt(spectral_radius(total_gain)) * jnp.abs(phi.mean_slope(zero)))
    return jnp.where(jnp.all(noise == 0) & (phi(zero) == 0), silent, otherwise)


def ordered_below(phi: Nonlinearity, radius: Array) -> Float[Array, ""]:
    """Logarithm of a factor on weights of this radius, below which nothing grows: radius · max |φ′| < 1 there."""
    slopes = jax.vmap(jax.grad(phi))(jnp.linspace(-_FARTHEST, _FARTHEST, 1601, dtype=radius.dtype))
    steepest = jnp.max(jnp.abs(slopes))
    return jax.lax.stop_gradient(-jnp.log(radius) - jnp.log(steepest) - 0.1)


def crossing(function: Callable, parameters: ArrayLike, lower: Array, upper: Array) -> Float[Array, ""]:
    """Exp of where a function of log gain rises through zero, halving the interval; NaN if it does not.

    The derivative in the parameters is that of the implicit function. The function, a whole stationary state, stands
    once in the loop: the first two turns look at the ends, and what compiles is one such state and not six.
    """
    eps = float(jnp.finfo(lower.dtype).eps)
    lower, upper = jax.lax.stop_gradient((lower, upper))

    def halved(residual: Callable, start: Array) -> tuple[Array, Array]:
        def unfinished(state: tuple[Array, ...]) -> Array:
            turn, low, high, rises, _, _ = state
            return (turn < 2) | (rises & (high - low > 10 * eps * (1 + jnp.abs(low))))

        def advance(state: tuple[Array, ...]) -> tuple[Array, ...]:
            turn, low, high, rises, _, _ = state
            point = jnp.where(turn == 0, lower, jnp.where(turn == 1, upper, (low + high) / 2))
            value = residual(point)
            low, high = jnp.where(value < 0, point, low), jnp.where(value < 0, high, point)
            rises &= (turn >= 2) | jnp.where(turn == 0, value < 0, value > 0)
            return turn + 1, low, high, rises, point, jnp.abs(value)

        begun = (jnp.zeros((), int), lower, upper, jnp.ones((), bool), start, jnp.full_like(start, jnp.inf))
        *_, rises, point, left = jax.lax.while_loop(unfinished, advance, begun)
        # the derivative of what comes beside a root has the type of a number
        return point, jnp.where(rises, left, jnp.inf)

    def tangent(linear: Callable, slope: Array) -> Array:
        return slope / linear(jnp.ones_like(slope))

    root, left = jax.lax.custom_root(
        lambda log_gain: function(log_gain, parameters), (lower + upper) / 2, halved, tangent, has_aux=True
    )
    # rounding keeps the function from vanishing to the last digit; a jump across zero is no crossing
    return jnp.where(left < eps**0.5, jnp.exp(root), jnp.nan)


REGIMES = ("silent", "fixed", "driven", "expanding", "chaotic", "unstable")
"""Regimes of a network: no activity; a heterogeneous fixed point; driven by noise and stable; driven, with a
Jacobian that expands at every moment and yet no chaos; chaotic; with means that leave this state, for another or into
an oscillation."""


class PhaseDiagram(Record):
    """Stationary states of a network over noise (rows) and gain (columns).

    Parameters
    ----------
    gains
        g (n,), or factors on the gains of a structure.
    noise_stds
        σ (m,), standard deviation of an unconnected unit.
    variance
        Δ(0) (m, n, P).
    lyapunov_exponent, local_growth, memory, relaxation_time
        As in `dmft.Autocorrelation`, (m, n); in discrete time per step, and growth and exponent agree. NaN where
        there is no stationary state.
    regime
        Place in `REGIMES` (m, n); −1 where there is no stationary state.
    """

    gains: Float[Array, " n"]
    noise_stds: Float[Array, " m"]
    variance: Float[Array, "m n P"]
    lyapunov_exponent: Float[Array, "m n"]
    local_growth: Float[Array, "m n"]
    memory: Float[Array, "m n"]
    relaxation_time: Float[Array, "m n"]
    regime: Int[Array, "m n"]


class TwoTimeCorrelation(Record):
    """Covariance Δ(t, s) = ⟨x(t) x(s)⟩ over units, without and with noise, from an initial condition.

    Parameters
    ----------
    times
        t (T,), from 0, in steps or in units of the time constant.
    values
        Δ(t, s) (T, T), or (T, T, P) for a `GainMatrix`.
    """

    times: Float[Array, " T"]
    values: Float[Array, "T T *P"]

    @property
    def variance(self) -> Float[Array, "T *P"]:
        """Δ(t, t)."""
        return jnp.moveaxis(jnp.diagonal(self.values, axis1=0, axis2=1), -1, 0)


class Point(NamedTuple):
    """What a diagram keeps of one stationary state, in the order of its fields."""

    variance: Array
    lyapunov_exponent: Array
    local_growth: Array
    memory: Array
    relaxation_time: Array
    regime: Array
    converged: Array


def diagram(
    rows_of: Callable[[Array, Array], Point], gains: ArrayLike, noise_stds: ArrayLike, dtype: Any, *, progress: bool
) -> PhaseDiagram:
    """A phase diagram: `rows_of` (gains, several σ) solves as many rows."""
    check_flag("progress", progress)
    columns, rows = grid_of("gains", gains).astype(dtype), grid_of("noise_stds", noise_stds)
    points, at_once = [], rows_at_once(len(rows), len(columns))
    with progress_bar("phase diagram", len(rows), enabled=progress) as advance:
        for begin in range(0, len(rows), at_once):
            some = np.asarray(rows[begin : begin + at_once], dtype)
            count = len(some)
            # as many in every part, so that one program serves all
            found = jax.device_get(rows_of(columns, jnp.asarray(np.pad(some, (0, at_once - count), "edge"))))
            points.append(Point(*(part[:count] for part in found)))
            advance(count)
    return _diagram_of(jax.tree.map(lambda *parts: np.concatenate(parts), *points), columns, rows)


def rows_at_once(num_rows: int, num_columns: int) -> int:
    """How many rows of a diagram are solved together: one on a CPU, as even parts as can be on an accelerator."""
    if jax.default_backend() == "cpu":
        return 1
    return -(-num_rows // -(-num_rows * num_columns // _MOST_POINTS))


def _diagram_of(state: Point, gains: Array, noise_stds: Array) -> PhaseDiagram:
    """The diagram of its points (rows, columns), which are NumPy arrays."""
    missing = np.argwhere(~state.converged)
    if len(missing):
        row, column = missing[0]
        warn(
            f"no stationary state was found at {len(missing)} of {state.converged.size} points, the first at gain "
            f"{float(gains[column]):g} and noise_std {float(noise_stds[row]):g}: the activity grows without bound, or "
            "numbers left the range of the float type; these points are NaN, their regime is -1"
        )
    lasting = np.where(state.converged, state.relaxation_time, np.nan).astype(state.relaxation_time.dtype)
    found = (*state[:4], lasting, np.where(state.converged, state.regime, -1))
    return PhaseDiagram(gains, noise_stds, *map(as_jax, found))


def grid_of(name: str, values: Any) -> Float[Array, " n"]:
    """An axis of a diagram: at least one number, none negative.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    require(not is_traced(values), f"{name} must be known numbers, not traced")
    grid = as_real(name, values, "n", minimum=0.0)
    require(grid.size > 0, f"{name} must hold at least one number")
    return grid


def symmetric(rows: Float[Array, "T T P"]) -> Float[Array, "T T P"]:
    """The rows up to the diagonal, mirrored."""
    lower = jnp.tril(jnp.ones(rows.shape[:2], bool))[..., None]
    return jnp.where(lower, rows, jnp.swapaxes(rows, 0, 1))
