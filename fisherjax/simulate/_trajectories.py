"""Many noisy trajectories of one network at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_flag, check_integer, check_key, is_traced
from fisherjax._types import Key, Stimulus
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, on_devices, spread, standard_normal

from ._draw import check_network
from ._memory import check_allocation, row_shards

States = Float[Array, "trials N"]


def trajectories(
    network: RateNetwork,
    *,
    stimulus: Stimulus = 0.0,
    num_steps: int,
    num_trials: int,
    key: Key,
    initial_pattern: object = None,
    observed: bool = True,
    precision: str = "float32",
    devices: Devices = None,
) -> Float[Array, "T *patterns trials N"]:
    """Simulate `num_trials` noisy trajectories after a stimulus pulse or from initial patterns.

    Parameters
    ----------
    network
        The network, N units.
    stimulus
        θ, scalar or (K,): x(0) = w θ. Ignored where `initial_pattern` is given.
    num_steps
        Number of steps T.
    num_trials
        Trials, with independent noise. From one initial state trial i is the same in runs of more trials.
    key
        JAX random key.
    initial_pattern
        x(0) itself, one per unit (N,), or several (S, N), which adds an axis S before the trials.
    observed
        Whether to add the network's observation noise to what is returned.
    precision
        Of the matrix products: ``"float32"`` (that of the weights, in full), ``"tensorfloat32"`` where the device has
        it, or ``"bfloat16"`` (operands rounded to 8 bits, sums in float32).
    devices
        Divide the trials among devices: a number, ``"all"``, or what `numerics.device_mesh` takes. Weights that do
        not fit one are divided by rows as well.

    Returns
    -------
    States x(1)…x(T): (T, trials, N), or (T, S, trials, N) for several initial patterns.

    Raises
    ------
    ValueError
        If a shape is wrong, or the result would not fit into memory (functions that stream need not hold it); if
        there are fewer devices.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
    check_network(network)
    check_flag("observed", observed)
    check_choice("precision", precision, ("float32", "tensorfloat32", "bfloat16"))
    start = _initial_states(network, stimulus, initial_pattern)
    shape = (*start.shape[:-1], num_trials, network.num_units)
    check_allocation("trajectories", (num_steps, *shape), network.weights.dtype)
    observation = network.observation_noise_std
    adds_noise = observed and (is_traced(observation) or float(observation) > 0)
    with on_devices(devices, num_row_shards=row_shards(network.weights.nbytes, devices)):
        states = jnp.broadcast_to(start[..., None, :], shape)
        return _simulate(network, states, key, num_steps, adds_noise, precision)


def noisy_step(
    network: RateNetwork, state: Float[Array, "*trials N"], key: Key, *, precision: str = "float32"
) -> Float[Array, "*trials N"]:
    """One step of the dynamics with fresh process noise: x ← J φ(x) + b + σ ξ."""
    noise = standard_normal(key, state.shape, state.dtype)
    return network.mean_step(state, precision=precision) + network.noise_std * noise


def observe(network: RateNetwork, state: Float[Array, "*trials N"], key: Key) -> Float[Array, "*trials N"]:
    """The state with observation noise added."""
    return state + network.observation_noise_std * standard_normal(key, state.shape, state.dtype)


def _initial_states(network: RateNetwork, stimulus: object, initial_pattern: object) -> Array:
    if initial_pattern is None:
        return network.initial_state(stimulus)  # pyright: ignore[reportArgumentType]
    units = network.num_units
    return as_real("initial_pattern", initial_pattern, f"{units}", f"patterns {units}", dtype=network.weights.dtype)


@jax.jit(static_argnums=(3, 4, 5))
def _simulate(
    network: RateNetwork,
    start: Array,
    key: Key,
    num_steps: int,
    observed: bool,  # noqa: FBT001
    precision: str,
) -> Array:
    process_key, observation_key = jax.random.split(key)
    network = eqx.tree_at(lambda tree: tree.weights, network, spread(network.weights, "rows"))
    layout = (*(None,) * (start.ndim - 2), "batch")

    def step(state: Array, index: Array) -> tuple[Array, Array]:
        state = noisy_step(network, state, jax.random.fold_in(process_key, index), precision=precision)
        state = spread(state, *layout)
        seen = observe(network, state, jax.random.fold_in(observation_key, index)) if observed else state
        return state, seen

    states = jax.lax.scan(step, spread(start, *layout), jnp.arange(num_steps))[1]
    return spread(states, None, *layout)
