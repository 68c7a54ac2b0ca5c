"""A plane through state space: the velocity in it, nullclines, fixed points, trajectories."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real, check_finite, host_real
from fisherjax._errors import check_instance, check_integer, check_optional, check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.networks import Flow, Network

from ._components import PrincipalComponents
from ._fixed_points import FixedPoints, find_fixed_points
from ._step import Setting, StepLike, System, map_of, setting_of

_SPREADS = 3  # standard deviations of the components that the plane shows by default
_CANDIDATES = 15  # along each direction
_CROSSING = 50  # steps in which a flow of median speed crosses the plane
_INNER = 0.9  # of the plane, in which trajectories start
_AWAY = 2  # times as far from the middle as trajectories start: one that goes beyond is no longer followed


class PhasePlane(Record):
    """What happens in a plane x = origin + a d₁ + b d₂ of state space, in the coordinates (a, b).

    Parameters
    ----------
    first, second
        Coordinates of the grid (A,), (B,).
    velocity
        Along d₁ and d₂ at each point of the grid (A, B, 2): dx/dt of a flow, F(x) − x of a map.
    leaving
        Length of the part of the velocity that leaves the plane (A, B); 0 for a system in two dimensions.
    trajectories
        From points of the plane (T + 1, trials, 2); one that goes far stays where it was.
    points
        Fixed points within the limits (K, 2), by their projections.
    distances
        Of the fixed points from the plane (K,).
    num_unstable
        Growing modes of each (K,).
    kind
        "attractor", "marginal", "k-saddle" or "repeller", of each.
    origin, directions
        x₀ (N,) and d (2, N).
    is_flow
        Whether the system is a flow.
    """

    first: Float[np.ndarray, " A"]
    second: Float[np.ndarray, " B"]
    velocity: Float[np.ndarray, "A B 2"]
    leaving: Float[np.ndarray, "A B"]
    trajectories: Float[np.ndarray, "T trials 2"]
    points: Float[np.ndarray, "K 2"]
    distances: Float[np.ndarray, " K"]
    num_unstable: Int[np.ndarray, " K"]
    kind: tuple[str, ...]
    origin: Float[np.ndarray, " N"]
    directions: Float[np.ndarray, "2 N"]
    is_flow: bool

    @property
    def nullclines(self) -> tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M2 2"]]:
        """Where each component of the velocity vanishes: points on the lines of the grid, by linear interpolation."""
        return self._zeros(0), self._zeros(1)

    def project(self, states: ArrayLike) -> Float[np.ndarray, "*batch 2"]:
        """Coordinates in the plane of states (…, N)."""
        return (host_real("states", states, f"... {len(self.origin)}") - self.origin) @ np.linalg.pinv(self.directions)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{self.kind.count(kind)} × {kind}" for kind in dict.fromkeys(self.kind)) or "no fixed point"
        sides = [f"{side[0]:.3g} … {side[-1]:.3g}" for side in (self.first, self.second)]
        return f"PhasePlane({sides[0]} by {sides[1]}: {kinds})"

    def _zeros(self, component: int) -> Float[np.ndarray, "M 2"]:
        value = self.velocity[:, :, component]
        grid = np.stack(np.meshgrid(self.first, self.second, indexing="ij"), axis=-1)
        zeros = [grid[value == 0]]
        for axis in (0, 1):
            along, places = np.moveaxis(value, axis, 0), np.moveaxis(grid, axis, 0)
            rows = along[:-1] * along[1:] < 0
            share = along[:-1][rows] / (along[:-1][rows] - along[1:][rows])
            zeros.append(places[:-1][rows] + share[:, None] * (places[1:][rows] - places[:-1][rows]))
        return np.concatenate(zeros)


@full_precision
def phase_plane(
    step: StepLike,
    inputs: ArrayLike | None = None,
    *,
    limits: ArrayLike | None = None,
    plane: PrincipalComponents | tuple[ArrayLike, ArrayLike] | None = None,
    num_points: int = 41,
    num_trajectories: int = 16,
    num_steps: int = 200,
    dt: Scalar | None = None,
    fixed_points: FixedPoints | None = None,
) -> PhasePlane:
    """Look at a system in two dimensions, or at a plane through one in more.

    In more than two dimensions the velocity is projected onto the plane, and so are fixed points and trajectories,
    which do not stay in it: nullclines there are where the projected velocity vanishes, not where the system rests.

    Parameters
    ----------
    step
        A `Network`, a function F(x, u) or F(x), or a flow: a `networks.FlowNetwork` or a `networks.Flow`. Its states
        are arrays (N,).
    inputs
        Input that is held, (I,) or the `input_shape` of a network, or None.
    limits
        ((least, most), (least, most)) of the two coordinates; by default three standard deviations to each side of the
        mean, of principal components.
    plane
        The first two of `principal_components`, or x₀ (N,) and two directions (2, N); by default the two coordinates
        of a system that has no more.
    num_points
        Points of the grid along each direction.
    num_trajectories, num_steps
        Trajectories, rounded down to a square, from a grid in the plane, and steps of each.
    dt
        Length of a step along a `Flow`; by default a flow of median speed crosses the plane in fifty.
    fixed_points
        Those to show; by default what `find_fixed_points` finds from 225 points of the plane.

    Raises
    ------
    ValueError
        If the system has more than two dimensions and no plane is given, limits are missing or do not rise, a shape
        does not match, or the velocity is not finite on the grid.
    TypeError
        If `step` does not map a state to a state of its float type.
    """
    num_points = check_integer("num_points", num_points, minimum=2)
    num_trajectories = check_integer("num_trajectories", num_trajectories, minimum=0)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    check_optional(check_scalar, "dt", dt, minimum=0.0, strict=True)
    view = _view(step, plane, limits)
    setting = setting_of("states of the plane", step, view.states(view.grid(num_points)), inputs)
    velocity = np.asarray(_residuals(setting.system, setting.states, setting.inputs))
    check_finite("the velocity of step on the grid", velocity)
    within = velocity @ view.back
    leaving = np.linalg.norm(velocity - within @ view.directions, axis=1)
    if fixed_points is None:
        fixed_points = find_fixed_points(step, view.states(view.grid(_CANDIDATES)), inputs)
    check_instance("fixed_points", fixed_points, FixedPoints, "from dynamics.find_fixed_points")
    points = view.project(fixed_points.points)
    shown = np.all((points >= view.sides[:, 0]) & (points <= view.sides[:, 1]), axis=1)
    if dt is None and isinstance(step, Flow):
        dt = _usual_dt(within, view)
    moving = map_of(step, None, dt, "phase_plane")
    return PhasePlane(
        first=view.axis(0, num_points),
        second=view.axis(1, num_points),
        velocity=within.reshape(num_points, num_points, 2),
        leaving=leaving.reshape(num_points, num_points),
        trajectories=_trajectories(moving, setting, view, num_trajectories, num_steps),
        points=points[shown],
        distances=np.linalg.norm(fixed_points.points - view.origin - points @ view.directions, axis=1)[shown],
        num_unstable=fixed_points.num_unstable[shown],
        kind=tuple(np.asarray(fixed_points.kind, str)[shown].tolist()),
        origin=view.origin,
        directions=view.directions,
        is_flow=setting.system.is_flow,
    )


class _View(NamedTuple):
    """A plane, its limits, and the float type of its states."""

    origin: Float[np.ndarray, " N"]
    directions: Float[np.ndarray, "2 N"]
    sides: Float[np.ndarray, "2 2"]
    dtype: Any

    @property
    def back(self) -> Float[np.ndarray, "N 2"]:
        """From directions to coordinates."""
        return np.linalg.pinv(self.directions)

    def axis(self, number: int, count: int) -> Float[np.ndarray, " M"]:
        """Coordinates along one side."""
        return np.linspace(self.sides[number, 0], self.sides[number, 1], count)

    def grid(self, count: int) -> Float[np.ndarray, "M 2"]:
        """Coordinates of a grid, the second running fastest."""
        return np.stack(np.meshgrid(self.axis(0, count), self.axis(1, count), indexing="ij"), axis=-1).reshape(-1, 2)

    def states(self, places: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M N"]:
        return (self.origin + places @ self.directions).astype(self.dtype)

    def project(self, states: np.ndarray) -> np.ndarray:
        return (np.asarray(states) - self.origin) @ self.back


def _view(step: StepLike, plane: Any, limits: ArrayLike | None) -> _View:
    """The plane that is asked for."""
    sides = None
    if isinstance(plane, PrincipalComponents):
        require(len(plane.components) >= 2, "plane must hold at least two components, got 1")
        origin, directions = np.asarray(plane.mean), np.asarray(plane.components[:2])
        sides = _SPREADS * np.sqrt(np.asarray(plane.variances[:2], np.float64))[:, None] * np.array([-1.0, 1.0])
    elif plane is None:
        origin, directions = np.zeros(2), np.eye(2)
        size = step.state_size if isinstance(step, Network) else 2
        require(size == 2, f"plane must be given for a system in {size} dimensions, such as its principal components")
    else:
        pair = isinstance(plane, tuple | list) and len(plane) == 2
        require(pair, "plane must be PrincipalComponents or (x₀, directions)")
        origin = host_real("the origin of plane", plane[0], "N")
        directions = host_real("the directions of plane", plane[1], f"2 {len(origin)}")
        require(bool(np.linalg.matrix_rank(directions) == 2), "the directions of plane must not be parallel")
    if limits is not None:
        sides = host_real("limits", limits, "2 2").astype(np.float64)
    if sides is None:
        raise ValueError("limits must be given, ((least, most), (least, most)), unless plane is PrincipalComponents")
    require(bool(np.all(sides[:, 0] < sides[:, 1])), f"limits must rise, got {sides.tolist()}")
    dtype = step.dtype if isinstance(step, Network) else as_real("plane", origin).dtype
    return _View(origin.astype(np.float64), directions.astype(np.float64), sides, dtype)


def _usual_dt(velocity: Float[np.ndarray, "M 2"], view: _View) -> float:
    """A step in which a flow of median speed goes a share of the plane."""
    speed = float(np.median(np.linalg.norm(velocity, axis=1)))
    return float(np.ptp(view.sides, axis=1).min()) / (_CROSSING * speed) if speed > 0 else 1.0


def _trajectories(
    moving: System, setting: Setting, view: _View, count: int, num_steps: int
) -> Float[np.ndarray, "T trials 2"]:
    """Coordinates through time, from points on a grid within the limits."""
    if not count:
        return np.zeros((num_steps + 1, 0, 2))
    center = view.sides.mean(axis=1, keepdims=True)
    inner = view._replace(sides=center + _INNER * (view.sides - center))
    begun = jnp.asarray(view.states(inner.grid(math.isqrt(count))))
    held = None if setting.inputs is None else setting.inputs[0]
    middle = jnp.asarray(view.states(center.T)[0])
    farthest = _AWAY * float(jnp.max(jnp.linalg.norm(begun - middle, axis=1)))
    paths = _followed(moving, begun, held, middle, jnp.asarray(farthest, begun.dtype), num_steps)
    return view.project(np.asarray(paths))


@eqx.filter_jit
def _residuals(system: System, states: Array, inputs: Array | None) -> Array:
    return jax.vmap(system.residual, in_axes=(0, None if inputs is None else 0))(states, inputs)


@eqx.filter_jit
def _followed(
    moving: System, begun: Array, inputs: Array | None, middle: Array, farthest: Array, num_steps: int
) -> Float[Array, "T trials N"]:
    """States through time, from the first on; one that goes far from the middle stays."""

    def move(states: Array, _: None) -> tuple[Array, Array]:
        moved = jax.vmap(moving, in_axes=(0, None))(states, inputs)
        near = jnp.linalg.norm(states - middle, axis=1) <= farthest
        return jnp.where(near[:, None] & jnp.isfinite(moved), moved, states), states

    last, before = jax.lax.scan(move, begun, length=num_steps)
    return jnp.concatenate([before, last[None]])
