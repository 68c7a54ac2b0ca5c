"""States to start a search for fixed points from."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_key, check_scalar, check_share, require
from fisherjax._linalg import standard_normal
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.networks import Network
from fisherjax.networks._weights import resolved

from ._step import input_axes

_ROUNDING = 8  # times ε and the size of the states
_TRIALS, _STEPS = 32, 100  # of trajectories around rest


@full_precision
def sample_states(
    network: Network,
    inputs: ArrayLike | None,
    num_states: int,
    *,
    key: Key,
    noise_std: Scalar = 0.1,
    mixed: Scalar = 0.5,
) -> Float[Array, "num_states S"]:
    """Candidates for `find_fixed_points`: states that a network visits, and states between two of them.

    Attractors lie where trajectories rest, saddles between them: a share of the candidates are random points on the
    line between two visited states. All get Gaussian noise.

    Parameters
    ----------
    network
        Any `Network`.
    inputs
        Inputs of the trials that it runs through without noise, (T, batch, *input_shape), for instance
        ``task.batch(key, 64).inputs``. None for 32 trajectories of 100 steps around rest, without input and under the
        network's own noise: they start at the resting state plus a standard normal number for every entry.
    num_states
        How many to draw.
    key
        JAX random key.
    noise_std
        Standard deviation of the noise, in units of the r.m.s. distance of visited states from their mean, per unit;
        in units of their r.m.s. size where they do not vary beyond rounding, and of one where that is zero too.
    mixed
        Share of candidates between two visited states, in [0, 1].

    Raises
    ------
    ValueError
        If a number is out of range, the inputs have another shape than those of the network, or it takes none.
    TypeError
        If `network` is none, or `key` is not a JAX key.
    """
    check_instance("network", network, Network, "such as networks.RNN")
    num_states = check_integer("num_states", num_states, minimum=1)
    check_scalar("noise_std", noise_std, minimum=0.0)
    check_share("mixed", mixed)
    first_key, second_key, weight_key, noise_key = jax.random.split(check_key("key", key), 4)
    visited = _around_rest(network, first_key) if inputs is None else _driven(network, inputs)
    keys = first_key, second_key, weight_key, noise_key
    return _between_visited(visited, keys, num_states, round(float(mixed) * num_states), noise_std)


@functools.partial(jax.jit, static_argnames="num_states")
def _between_visited(
    visited: Float[Array, "visits S"], keys: tuple[Key, ...], num_states: int, num_mixed: int | Array, noise_std: Scalar
) -> Float[Array, "num_states S"]:
    """Visited states, the first of them on the way to others, and noise of their spread."""
    first_key, second_key, weight_key, noise_key = keys
    first = visited[jax.random.randint(first_key, (num_states,), 0, len(visited))]
    second = visited[jax.random.randint(second_key, (num_states,), 0, len(visited))]
    between = (jnp.arange(num_states) < num_mixed).astype(visited.dtype)
    weight = jax.random.uniform(weight_key, (num_states,), visited.dtype) * between
    states = first + weight[:, None] * (second - first)
    spread = jnp.sqrt(jnp.mean((visited - visited.mean(axis=0)) ** 2))
    size = jnp.sqrt(jnp.mean(visited**2))
    # a network at rest gives equal states: its spread would make all candidates one
    unit = jnp.where(spread > _ROUNDING * jnp.finfo(spread.dtype).eps * size, spread, jnp.where(size > 0, size, 1))
    scale = jnp.asarray(noise_std, visited.dtype) * unit
    return states + scale * jax.random.normal(noise_key, states.shape, states.dtype)


def _driven(network: Network, inputs: ArrayLike) -> Float[Array, "visits S"]:
    """States of noiseless trials from rest."""
    axes = input_axes(network)
    driven = as_real("inputs", inputs, f"... {axes}", dtype=network.dtype)
    rank = len(axes.split())
    shape = driven.shape[driven.ndim - rank :]
    require(
        driven.ndim > rank and driven.size > 0,
        f"inputs must have shape (T, batch, {', '.join(map(str, shape))}) with at least one step, got {driven.shape}",
    )
    driven = driven.reshape(len(driven), -1, *shape)
    start = jnp.broadcast_to(network.resting_state, (driven.shape[1], network.state_size))
    return _visited(network, start, driven, None)


def _around_rest(network: Network, key: Key) -> Float[Array, "visits S"]:
    """States of noisy trials without input from around rest."""
    start_key, noise_key = jax.random.split(key)
    around = standard_normal(start_key, (_TRIALS, network.state_size), network.dtype)
    return _visited(network, network.resting_state + around, None, jax.random.split(noise_key, _STEPS))


@eqx.filter_jit
def _visited(network: Network, start: Float[Array, "batch S"], inputs: Array | None, keys: Any) -> Array:
    ready: Network = resolved(network)

    def move(states: Array, now: tuple[Array | None, Any]) -> tuple[Array, Array]:
        given, key = now
        noise = None if key is None else standard_normal(key, states.shape, states.dtype)
        states = ready.step(states, given, noise)
        return states, states

    return jax.lax.scan(move, start, (inputs, keys))[1].reshape(-1, network.state_size)
