"""Which fixed point noise leads to from which: a graph."""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fisherjax._errors import check_confidence, check_integer, check_key, check_optional, check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.networks import Network

from ._fixed_points import FixedPoints
from ._jacobian import jacobians
from ._modes import effective_marginal, sorted_eigenvalues, stability_of
from ._shares import share_error, share_interval
from ._step import Setting, StepLike, System, map_of, setting_of

if TYPE_CHECKING:
    import networkx as nx

_WATCHED = 32  # steps at the end during which a trial must be about to arrive
_FAR = 1e-3  # of the scale of states and noise: a point that one step moves farther is no fixed point


@full_precision
def transition_graph(
    step: StepLike,
    points: FixedPoints | Any,
    inputs: ArrayLike | None = None,
    *,
    key: Key,
    noise_std: Scalar | None = None,
    num_trials: int = 200,
    noise_steps: int = 1,
    relax_steps: int = 1000,
    distance: Scalar | None = None,
    confidence: float = 0.95,
    dt: Scalar | None = None,
) -> "nx.DiGraph":
    """Probabilities that noise takes the state from one fixed point to another.

    From every point, `num_trials` trajectories take `noise_steps` steps x ← F(x, u) + σ ξ and then relax without
    noise for `relax_steps`. A trial counts for the nearest point p (at the same input) that has no growing mode if it
    is where the point's own linearization carries it in: ‖F(x) − p − J (x − p)‖ ≤ ½ (1 − ρ) ‖x − p‖ in each of the
    last steps, J the Jacobian at p and ρ < 1 its spectral radius, or if it is there but for rounding. This asks no
    other point how far is near. All other trials go to the node "elsewhere": those that diverge, rest at a point that
    is not listed or not stable, or still move, on a cycle or for want of `relax_steps`.

    Parameters
    ----------
    step
        A `Network`, whose step is iterated (that of a `FlowNetwork` too); a function F(x, u) or F(x); or a
        `networks.Flow`, by Runge–Kutta steps of length `dt`. Of a flow, kinds are those of its equilibria.
    points
        `FixedPoints`, or states (K, N) that are fixed points, or a tree of arrays with the leading axis K.
    inputs
        Input that is held, (I,) or the `input_shape` of a network, or one per point with the leading axis K; that of
        the `FixedPoints` by default.
    key
        JAX random key.
    noise_std
        σ that each step adds to the state; by default a network's own noise, which its step takes in its own way.
    num_trials, noise_steps, relax_steps
        Trajectories per point, steps with noise, steps without.
    distance
        Count a trial instead for the nearest point without growing modes that is at most so far away in the end.
    confidence
        Coverage of the intervals.
    dt
        Length of a step along a `Flow`.

    Returns
    -------
    ``networkx.DiGraph`` with nodes 0…K−1 (attributes ``state``, ``stable``, ``kind``) and perhaps "elsewhere". Edges
    carry ``count``, ``probability``, its ``standard_error`` and Wilson's interval ``low`` … ``high``, none of which is
    degenerate where all trials end alike; those to "elsewhere" also how many of them ``diverged``, ``rested`` and
    ``moved``.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of range, or a state is no fixed point.
    TypeError
        If `key` is not a JAX key, or `step` does not map a state to a state of its float type.
    """
    import networkx as nx  # noqa: PLC0415

    known = points if isinstance(points, FixedPoints) else None
    given_inputs = known.inputs if known is not None and inputs is None else inputs
    setting = setting_of("points", step, points if known is None else known.states, given_inputs)
    require(
        known is None or known.is_flow == setting.system.is_flow,
        "points are those of a flow, and transition_graph iterates a map of this step: give networks.Flow(velocity), "
        "or fixed points of the map",
    )
    key = check_key("key", key)
    check_optional(check_scalar, "noise_std", noise_std, minimum=0.0)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
    noise_steps = check_integer("noise_steps", noise_steps, minimum=1)
    relax_steps = check_integer("relax_steps", relax_steps, minimum=0)
    confidence = check_confidence(confidence)
    check_optional(check_scalar, "distance", distance, minimum=0.0)
    check_optional(check_scalar, "dt", dt, minimum=0.0, strict=True)
    scale, states, given = _noise_scale(step, noise_std), setting.states, setting.inputs
    moving = map_of(step, setting.unflatten, dt, "transition_graph")
    targets = _targets(setting, moving, scale, certified=known is not None and inputs is None)
    ends = _relax(
        moving, states, given, key, jnp.asarray(scale, states.dtype), targets.points, targets.margin, targets.open,
        None if distance is None else jnp.asarray(distance, states.dtype), num_trials, noise_steps,
        jnp.asarray(relax_steps), own_noise=noise_std is None,
    )  # fmt: skip
    nearest, arrived, diverged, rested = (np.asarray(part) for part in ends)
    graph = nx.DiGraph()
    for index, state in enumerate(np.asarray(states)):
        graph.add_node(index, state=state, stable=bool(targets.stable[index]), kind=targets.kind[index])
    for source in range(len(states)):
        counts = np.bincount(nearest[source][arrived[source]], minlength=len(states))
        for target in np.flatnonzero(counts):
            graph.add_edge(source, int(target), **_facts(int(counts[target]), num_trials, confidence))
        if counts.sum() < num_trials:
            away = ~arrived[source]
            fled, still = int(np.sum(away & diverged[source])), int(np.sum(away & rested[source]))
            why = {"diverged": fled, "rested": still, "moved": int(away.sum()) - fled - still}
            graph.add_edge(source, "elsewhere", **_facts(int(away.sum()), num_trials, confidence), **why)
    return graph


def _noise_scale(step: StepLike, noise_std: Scalar | None) -> float:
    """σ, or the size of a network's own."""
    if noise_std is not None:
        return float(noise_std)
    if not isinstance(step, Network):
        raise ValueError("noise_std must be given unless step is a network, which has noise of its own")
    return float(jnp.sqrt(jnp.mean(jnp.square(step.noise_std))))


def _facts(count: int, trials: int, confidence: float) -> dict[str, int | float]:
    low, high = share_interval(count, trials, confidence)
    error = share_error(count, trials)
    return {"count": count, "probability": count / trials, "standard_error": error, "low": low, "high": high}


class _Targets(NamedTuple):
    """Where trials may end."""

    points: Float[Array, "K N"]  # improved by one step of Newton's method where that is safe
    margin: Float[Array, " K"]  # 1 − ρ, 0 at a marginal point
    open: Bool[Array, "K K"]  # from where (rows) which points can be an end
    stable: Bool[np.ndarray, " K"]
    kind: tuple[str, ...]


def _targets(setting: Setting, moving: System, noise_std: float, *, certified: bool) -> _Targets:
    _, states, inputs, _ = setting
    where, held = np.asarray(states), None if inputs is None else np.asarray(inputs)
    moved = np.asarray(_moved(moving, states, inputs))
    residuals = np.linalg.norm(moved - where, axis=1)
    if not certified:
        scale = np.maximum(np.linalg.norm(where, axis=1), noise_std * where.shape[1] ** 0.5)
        wrong = np.flatnonzero(~(residuals <= _FAR * scale))
        if wrong.size:
            raise ValueError(
                f"points must be fixed points, but one step moves number {wrong[0]} by {residuals[wrong[0]]:.3g}"
            )
    slopes = np.asarray(jacobians(moving, states, inputs))
    radii = np.abs(sorted_eigenvalues(slopes, is_flow=False)[:, 0])
    # of a map by the Jacobians of its step, of a flow by those of its velocity
    is_flow = setting.system.is_flow
    rates = np.asarray(jacobians(setting.system, states, inputs)) if is_flow else slopes
    values = sorted_eigenvalues(rates, is_flow=is_flow)
    stability = stability_of(values, effective_marginal(0.0, states.dtype), is_flow=is_flow)
    margin = np.where(stability.is_stable, np.maximum(1 - radii, 0), 0)
    better = where.copy()
    for index in np.flatnonzero(stability.is_stable):
        better[index] += np.linalg.solve(np.eye(where.shape[1]) - slopes[index], moved[index] - where[index])
    alike = np.ones((len(where),) * 2, bool)
    if held is not None:
        flat = held.reshape(len(held), -1)
        alike = (flat[:, None] == flat).all(axis=-1)
    return _Targets(
        jnp.asarray(better, states.dtype),
        jnp.asarray(margin, states.dtype),
        jnp.asarray(alike & (stability.num_unstable == 0)),
        stability.is_stable,
        stability.kind,
    )


@eqx.filter_jit
def _moved(system: System, states: Array, inputs: Array | None) -> Array:
    return jax.vmap(system, in_axes=(0, None if inputs is None else 0))(states, inputs)


@eqx.filter_jit
def _relax(
    system: System,
    starts: Array,
    inputs: Array | None,
    key: Key,
    noise_std: Array,
    points: Array,
    margin: Array,
    can_end: Array,
    distance: Array | None,
    num_trials: int,
    noise_steps: int,
    relax_steps: Array,
    *,
    own_noise: bool,
) -> tuple[Int[Array, "K trials"], Bool[Array, "K trials"], Bool[Array, "K trials"], Bool[Array, "K trials"]]:
    """Nearest point that every trajectory can end at, whether it does, whether it diverged, and whether it rests."""
    states = jnp.repeat(starts[:, None], num_trials, axis=1)
    by_point = None if inputs is None else 0
    move = jax.vmap(jax.vmap(system, in_axes=(0, None)), in_axes=(0, by_point))

    def kick(states: Array, step_key: Key) -> tuple[Array, None]:
        noise = jax.random.normal(step_key, states.shape, states.dtype)
        if own_noise:
            noisy = jax.vmap(jax.vmap(system.move, in_axes=(0, None, 0)), in_axes=(0, by_point, 0))
            return noisy(states, inputs, noise), None
        return move(states, inputs) + noise_std * noise, None

    states = jax.lax.scan(kick, states, jax.random.split(key, noise_steps))[0]
    states = jax.lax.fori_loop(0, relax_steps, lambda _, x: move(x, inputs), states)
    # differences, not scalar products: those lose half of the digits
    distances = jax.lax.map(lambda point: jnp.linalg.norm(states - point, axis=-1), points)
    distances = jnp.where(can_end.T[:, :, None], distances, jnp.inf)
    own = jnp.diagonal(distances, axis1=0, axis2=1).T
    eps, size = float(jnp.finfo(states.dtype).eps), states.shape[-1]
    nearest = jnp.argmin(distances, axis=0)
    # of points that are equal but for rounding, the one that the trial came from
    slack = 16 * (eps * size) ** 0.5 * jnp.linalg.norm(points, axis=1)[:, None]
    nearest = jnp.where(own <= jnp.min(distances, axis=0) + slack, jnp.arange(len(points))[:, None], nearest)
    possible = jnp.any(can_end, axis=1)[:, None]
    anchor, pull = points[nearest], margin[nearest]

    def slope(states: Array) -> Array:
        return jax.jvp(lambda x: move(x, inputs), (anchor,), (states - anchor,))[1]

    def close(states: Array) -> Array:
        away = jnp.linalg.norm(states - anchor, axis=-1)
        if distance is not None:
            return away <= distance
        rest = jnp.linalg.norm(move(states, inputs) - anchor - slope(states), axis=-1)
        length = jnp.maximum(jnp.linalg.norm(states, axis=-1), jnp.linalg.norm(anchor, axis=-1))
        rounding = 16 * eps * size**0.5 * length / jnp.maximum(pull, eps**0.5)
        return ((rest <= pull * away / 2) & (pull > 0) | (away <= rounding)) & jnp.isfinite(away)

    def watch(states: Array, _: None) -> tuple[Array, Array]:
        return move(states, inputs), close(states)

    watched = 1 if distance is not None else _WATCHED
    last, seen = jax.lax.scan(watch, states, length=watched)
    arrived = jnp.all(seen, axis=0) & possible
    scale = jnp.maximum(jnp.max(jnp.linalg.norm(starts, axis=1)), noise_std * size**0.5)
    length = jnp.linalg.norm(last, axis=-1)
    diverged = ~jnp.isfinite(length) | ((length > scale / eps**0.5) & (scale > 0))
    moved = jnp.linalg.norm(move(last, inputs) - last, axis=-1)
    return nearest, arrived, diverged, ~diverged & (moved <= eps**0.5 * jnp.maximum(length, scale))
