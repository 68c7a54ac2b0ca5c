"""States to start a search for fixed points from."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_key, check_scalar, check_share, require
from fisherjax._types import Key, Scalar
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.numerics import full_precision

_ROUNDING = 8  # times ε and the size of the states


@full_precision
def sample_states(
    network: RecurrentNetwork,
    inputs: Float[Array, "T batch I"],
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
        The network.
    inputs
        Inputs of the trials that it runs through (T, batch, I), for instance ``task.batch(key, 64).inputs``.
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
        If a number is out of range or the inputs have another width than the network.
    TypeError
        If `key` is not a JAX key.
    """
    check_instance("network", network, RecurrentNetwork, "such as networks.RNN")
    driven = as_real("inputs", inputs, f"... {network.num_inputs}")
    require(
        driven.ndim >= 2 and driven.size > 0,
        f"inputs must have shape (T, batch, {network.num_inputs}) with at least one step, got {driven.shape}",
    )
    num_states = check_integer("num_states", num_states, minimum=1)
    check_scalar("noise_std", noise_std, minimum=0.0)
    check_share("mixed", mixed)
    first_key, second_key, weight_key, noise_key = jax.random.split(check_key("key", key), 4)
    visited = run(network, driven)[0].reshape(-1, network.state_size)
    first = visited[jax.random.randint(first_key, (num_states,), 0, len(visited))]
    second = visited[jax.random.randint(second_key, (num_states,), 0, len(visited))]
    between = (jnp.arange(num_states) < round(float(mixed) * num_states)).astype(visited.dtype)
    weight = jax.random.uniform(weight_key, (num_states,), visited.dtype) * between
    states = first + weight[:, None] * (second - first)
    spread = jnp.sqrt(jnp.mean((visited - visited.mean(axis=0)) ** 2))
    size = jnp.sqrt(jnp.mean(visited**2))
    # a network at rest gives equal states: its spread would make all candidates one
    unit = jnp.where(spread > _ROUNDING * jnp.finfo(spread.dtype).eps * size, spread, jnp.where(size > 0, size, 1))
    scale = jnp.asarray(noise_std, visited.dtype) * unit
    return states + scale * jax.random.normal(noise_key, states.shape, states.dtype)
