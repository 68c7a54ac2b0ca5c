"""Random networks from a structure."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
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
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    ensemble: str = "gaussian",
    kind: type[N] = RateNetwork,
    dt: Scalar = 0.1,
    dtype: DTypeLike = jnp.float32,
) -> tuple[N, ...]:
    """Networks with random weights of a structure, as all functions take that average over draws.

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
    bias
        b, added at every step: a number, one per population (P,) or per unit (N,).
    bias_std, input_pattern_std
        β and ω, a number or one per population (ω also (P, K)): how far bias and pattern differ from unit to unit,
        normally distributed and drawn once for each network.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    ensemble
        ``"gaussian"`` or ``"orthogonal"``, as in `connectivity.sample_weights`.
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
    check_gain_matrix(gain_matrix, means=True)
    num_units, num_draws = check_counts(num_units=num_units, num_draws=num_draws)
    if kind not in {RateNetwork, FlowNetwork}:
        raise TypeError(f"kind must be networks.RateNetwork or networks.FlowNetwork, got {told(kind)}")
    check_positive(dt=dt)
    dtype, phi = check_float_type("dtype", dtype), as_nonlinearity(nonlinearity)
    vector = unit_pattern(gain_matrix, num_units, input_pattern).astype(dtype)
    sizes = population_sizes(gain_matrix, num_units)
    options: dict[str, Any] = {"dt": dt} if kind is FlowNetwork else {}
    vectors, matrices = ("", f"{gain_matrix.num_populations}", f"{num_units}"), (f"{gain_matrix.num_populations} K",)
    level, bias_spread, pattern_spread = (
        None if value is None else _of_units(name, value, gain_matrix, num_units, *shapes, minimum=minimum)
        for name, value, shapes, minimum in (
            ("bias", bias, vectors, None),
            ("bias_std", bias_std, vectors, 0.0),
            ("input_pattern_std", input_pattern_std, vectors + matrices, 0.0),
        )
    )

    def own(key: Key, mean: jax.Array | None, spread: jax.Array | None) -> jax.Array | None:
        """What every unit has, about its mean."""
        if spread is None:
            return mean
        shape = np.broadcast_shapes(spread.shape, () if mean is None else mean.shape)
        drawn = spread * jax.random.normal(key, shape, spread.dtype)
        return drawn if mean is None else mean + drawn

    def draw(key: Key) -> N:
        bias_key, pattern_key = jax.random.split(jax.random.fold_in(key, 1))
        entering, lasting = own(pattern_key, vector, pattern_spread), own(bias_key, level, bias_spread)
        return kind(
            sample_weights(gain_matrix, num_units, key=key, ensemble=ensemble, dtype=dtype),
            entering.astype(dtype),  # pyright: ignore[reportOptionalMemberAccess]
            noise_std=noise_std,
            observation_noise_std=observation_noise_std,
            sustained_input=None if lasting is None else lasting.astype(dtype),
            nonlinearity=phi,
            populations=sizes,
            **options,
        )

    return tuple(draw(draw_key) for draw_key in jax.random.split(check_key("key", key), num_draws))


def _of_units(
    name: str, value: ArrayLike, gain_matrix: GainMatrix, num_units: int, *shapes: str, minimum: float | None = None
) -> jax.Array:
    """A number, or numbers of populations or units, for every unit (N,) or (N, K)."""
    given = as_real(name, value, *shapes, hint="one per population, or one per unit", minimum=minimum)
    if given.ndim == 0:
        return jnp.full(num_units, given)
    require(given.size > 0, f"{name} must hold at least one number")
    if len(given) != gain_matrix.num_populations:
        return given
    return jnp.take(given, population_index(gain_matrix, num_units), axis=0)


def unit_pattern(gain_matrix: GainMatrix, num_units: int, pattern: ArrayLike | None) -> jax.Array:
    """The pattern of every unit (N, *K), from one per population or per unit; the default is population 0."""
    if pattern is None:
        return jnp.asarray(population_index(gain_matrix, num_units) == 0, float)
    populations = gain_matrix.num_populations
    shapes = (f"{populations}", f"{populations} K", f"{num_units}", f"{num_units} K")
    return _of_units("input_pattern", pattern, gain_matrix, num_units, *shapes)


def check_network(network: Any) -> Network:
    """Return what is a `Network`; TypeError otherwise, with how to make one."""
    hint = "networks.RateNetwork(weights, input_vector, noise_std=…) makes one, networks.from_step one of any function"
    return check_instance("network", network, Network, hint)
