"""Which fixed point noise leads to from which: a graph."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.spatial.distance import pdist

from fisherjax._errors import check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Scalar
from fisherjax.numerics import full_precision

from ._fixed_points import FixedPoints
from ._step import StepFunction, apply, as_inputs, as_states, check_step, prepared

if TYPE_CHECKING:
    import networkx as nx


@full_precision
def transition_graph(
    step: StepFunction,
    points: FixedPoints | Any,
    inputs: object = None,
    *,
    key: Key,
    noise_std: Scalar,
    num_trials: int = 200,
    noise_steps: int = 1,
    relax_steps: int = 1000,
    distance: Scalar | None = None,
) -> "nx.DiGraph":
    """Probabilities that noise takes the state from one fixed point of a map to another.

    From every point, `num_trials` trajectories take `noise_steps` steps x ← F(x, u) + σ ξ and then relax without
    noise for `relax_steps`. Each is counted for the point that it ends next to; what ends near none goes to the node
    "elsewhere".

    Parameters
    ----------
    step
        F(x, u), or F(x), or a network: the next state.
    points
        `FixedPoints`, or states (K, N).
    inputs
        Input that is held, (I,) or (K, I); that of the `FixedPoints` by default.
    key
        JAX random key.
    noise_std
        σ per step.
    num_trials, noise_steps, relax_steps
        Trajectories per point, steps with noise, steps without.
    distance
        Farthest that a state may be from a point to count for it; by default a tenth of the smallest distance between
        two points.

    Returns
    -------
    ``networkx.DiGraph`` with nodes 0…K−1 (attributes ``state``, and ``stable``, ``kind`` where known) and perhaps
    "elsewhere"; edges carry ``probability`` and its ``standard_error`` √(p(1−p)/n).

    Raises
    ------
    ValueError
        If shapes do not match or a number is out of range.
    TypeError
        If `key` is not a JAX key.
    """
    import networkx as nx  # noqa: PLC0415

    known = points if isinstance(points, FixedPoints) else None
    require(
        known is None or known.convention == "discrete",
        "transition_graph iterates a map: for a velocity give one step of an integrator, and fixed points of that",
    )
    states = as_states("points", known.points if known is not None else points)
    given = as_inputs(known.inputs if known is not None and inputs is None else inputs, len(states), states.dtype)
    check_scalar("noise_std", noise_std, minimum=0.0)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
    noise_steps = check_integer("noise_steps", noise_steps, minimum=1)
    relax_steps = check_integer("relax_steps", relax_steps, minimum=0)
    step = prepared(step)
    check_step(step, states, given)
    reach = _reach(np.asarray(states)) if distance is None else float(distance)
    scale = jnp.asarray(noise_std, states.dtype)
    target, near = _relax(
        step, states, given, check_key("key", key), scale, num_trials, noise_steps, jnp.asarray(relax_steps)
    )
    arrived = np.where(np.asarray(near) <= reach, np.asarray(target), len(states))
    graph = nx.DiGraph()
    for index, state in enumerate(np.asarray(states)):
        facts = {} if known is None else {"stable": bool(known.is_stable[index]), "kind": known.kind[index]}
        graph.add_node(index, state=state, **facts)
    for source, row in enumerate(arrived):
        for end, count in zip(*np.unique(row, return_counts=True), strict=True):
            share = float(count) / num_trials
            name = "elsewhere" if end == len(states) else int(end)
            error = float(np.sqrt(share * (1 - share) / num_trials))
            graph.add_edge(source, name, probability=share, standard_error=error)
    return graph


@eqx.filter_jit
def _relax(
    step: StepFunction,
    points: Array,
    inputs: Array | None,
    key: Key,
    noise_std: Array,
    num_trials: int,
    noise_steps: int,
    relax_steps: Array,
) -> tuple[Array, Array]:
    """Nearest point of every trajectory in the end (K, trials), and how far it is."""
    states = jnp.repeat(points[:, None], num_trials, axis=1)
    over_trials = jax.vmap(lambda x, u: apply(step, x, u), in_axes=(0, None))
    move = jax.vmap(over_trials, in_axes=(0, None if inputs is None else 0))

    def kick(states: Array, step_key: Key) -> tuple[Array, None]:
        return move(states, inputs) + noise_std * jax.random.normal(step_key, states.shape, states.dtype), None

    states = jax.lax.scan(kick, states, jax.random.split(key, noise_steps))[0]
    states = jax.lax.fori_loop(0, relax_steps, lambda _, x: move(x, inputs), states)
    squares = jnp.sum(states**2, axis=-1)[..., None] + jnp.sum(points**2, axis=-1) - 2 * states @ points.T
    distances = jnp.sqrt(jnp.maximum(squares, 0))
    return jnp.argmin(distances, axis=-1), jnp.min(distances, axis=-1)


def _reach(points: np.ndarray) -> float:
    if len(points) < 2:
        return float(np.inf)
    return float(pdist(points).min()) / 10
