"""Random networks from a structure."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from fisherjax._arrays import as_real, check_float_type
from fisherjax._errors import check_counts, check_instance, check_key, check_positive, require, told
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.connectivity import GainMatrix, population_index, sample_weights
from fisherjax.connectivity._gain_matrix import check_gain_matrix, population_sizes
from fisherjax.networks import FlowNetwork, Network, RateNetwork
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity

N = TypeVar("N", RateNetwork, FlowNetwork)


def draw_networks(
    gain_matrix: GainMatrix,
    num_units: int,
    *,
    num_draws: int,
    noise_std: Scalar,
    key: Key,
    input_pattern: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    kind: type[N] = RateNetwork,
    dt: Scalar = 0.1,
    dtype: DTypeLike = jnp.float32,
) -> tuple[N, ...]:
    """Networks with Gaussian weights of a structure, as all functions take that average over draws.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    num_units, num_draws
        N, and how many networks.
    noise_std, observation_noise_std
        σ and σ_obs.
    key
        JAX random key of the weights.
    input_pattern
        w, the same for all units of a population: (P,), or (P, K) for a vector stimulus; or for every unit, (N,) or
        (N, K). By default 1 on the first population and 0 on the others.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    kind
        `networks.RateNetwork` (a map), or `networks.FlowNetwork` (continuous time).
    dt
        Step of a `FlowNetwork`.
    dtype
        Float type of the weights.

    Raises
    ------
    ValueError
        If a number is out of range, or the pattern does not fit the structure.
    TypeError
        If `gain_matrix` or `kind` is none, or `key` is not a JAX key.
    """
    check_gain_matrix(gain_matrix)
    num_units, num_draws = check_counts(num_units=num_units, num_draws=num_draws)
    if kind not in {RateNetwork, FlowNetwork}:
        raise TypeError(f"kind must be networks.RateNetwork or networks.FlowNetwork, got {told(kind)}")
    check_positive(dt=dt)
    dtype, phi = check_float_type("dtype", dtype), as_nonlinearity(nonlinearity)
    vector = unit_pattern(gain_matrix, num_units, input_pattern).astype(dtype)
    sizes = population_sizes(gain_matrix, num_units)
    options: dict[str, Any] = {"dt": dt} if kind is FlowNetwork else {}
    return tuple(
        kind(
            sample_weights(gain_matrix, num_units, key=draw_key, dtype=dtype),
            vector,
            noise_std=noise_std,
            observation_noise_std=observation_noise_std,
            nonlinearity=phi,
            populations=sizes,
            **options,
        )
        for draw_key in jax.random.split(check_key("key", key), num_draws)
    )


def unit_pattern(gain_matrix: GainMatrix, num_units: int, pattern: ArrayLike | None) -> jax.Array:
    """The pattern of every unit (N, *K), from one per population or per unit; the default is population 0."""
    populations = gain_matrix.num_populations
    index = population_index(gain_matrix, num_units)
    if pattern is None:
        return jnp.asarray(index == 0, float)
    shapes = (f"{populations}", f"{populations} K", f"{num_units}", f"{num_units} K")
    values = as_real("input_pattern", pattern, *shapes, hint="one per population, or one per unit")
    require(values.size > 0, "input_pattern must hold at least one number")
    return values[index] if len(values) == populations else values


def check_network(network: Any) -> Network:
    """Return what is a `Network`; TypeError otherwise, with how to make one."""
    hint = "networks.RateNetwork(weights, input_vector, noise_std=…) makes one, networks.from_step one of any function"
    return check_instance("network", network, Network, hint)
