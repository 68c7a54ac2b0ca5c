"""Many noisy trajectories of one network at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_counts, check_flag, check_key, is_traced
from fisherjax._linalg import standard_normal
from fisherjax._runtime import Devices, Precision, on_devices, products_in, rounds_to_bfloat16, spread
from fisherjax._runtime._memory import check_allocation, row_shards
from fisherjax._types import ArrayLike, Key, Stimulus
from fisherjax.networks import FlowNetwork, Network, RateNetwork, RecurrentNetwork
from fisherjax.networks._protocol import Protocol, Reading, check_protocol, check_reading, entered, reading
from fisherjax.networks._weights import resolved

from ._draw import check_network

MOST_AT_ONCE = 8  # steps between which an accelerator is left alone


def trajectories(
    network: Network,
    *,
    stimulus: Stimulus = 0.0,
    num_steps: int,
    num_trials: int,
    key: Key,
    protocol: Protocol = "pulse",
    read: Reading = "state",
    initial_state: ArrayLike | None = None,
    observed: bool = True,
    precision: Precision = "float32",
    devices: Devices = None,
) -> Float[Array, "T *starts trials O"]:
    """Simulate `num_trials` noisy trajectories of a network, after a stimulus or from given states.

    Parameters
    ----------
    network
        Any `Network`.
    stimulus
        θ, scalar or (K,), as the network and the protocol take it.
    num_steps
        Number of steps T.
    num_trials
        Trials, with independent noise. From one initial state trial i is the same in runs of more trials.
    key
        JAX random key.
    protocol
        How the stimulus enters: ``"pulse"`` sets x(0); ``"sustained"`` is an input at every step; or a function
        θ ↦ inputs (T, I).
    read
        What is returned: the ``"state"``, the ``"output"``, or a function of the state.
    initial_state
        x(0) itself, (S,), or several (M, S), which adds an axis M before the trials; by default the protocol's.
    observed
        Whether to add the network's observation noise to what is returned.
    precision
        Of products and convolutions: ``"float32"``, in full on every device, ``"tensorfloat32"`` or
        ``"bfloat16"``, which accelerators do many times faster.
    devices
        Divide the trials among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes. Weights that do
        not fit one are divided by rows as well.

    Returns
    -------
    What is read at times 1…T: (T, trials, S) or (T, trials, O); (T, M, trials, …) for several initial states.

    Raises
    ------
    ValueError
        If a shape is wrong, `precision` is misspelt, or the result would not fit into memory (functions that stream
        need not hold it); if there are fewer devices.
    TypeError
        If `network` is none, or `key` is not a JAX key.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from fisherjax import networks, simulate
    >>> network = networks.RateNetwork(jnp.eye(3), jnp.ones(3), noise_std=0.1)
    >>> print(simulate.trajectories(network, stimulus=1.0, num_steps=5, num_trials=8, key=jax.random.key(0)).shape)
    (5, 8, 3)
    """
    key = check_key("key", key)
    num_steps, num_trials = check_counts(num_steps=num_steps, num_trials=num_trials)
    check_network(network)
    check_flag("observed", observed)
    size = check_reading(network, read)
    given = initial_state is not None and protocol == "pulse"
    theta = jnp.zeros((), network.dtype) if given else check_protocol(network, protocol, stimulus, num_steps)
    start = None
    if initial_state is not None:
        units = network.state_size
        start = as_real("initial_state", initial_state, f"{units}", f"starts {units}", dtype=network.dtype)
    lead = () if start is None else start.shape[:-1]
    check_allocation("trajectories", (num_steps, *lead, num_trials, size), network.dtype)
    observation = network.observation_noise_std
    adds_noise = observed and (is_traced(observation) or float(observation) > 0)
    rows = row_shards(weight_bytes(network), devices)
    how = (num_steps, num_trials, protocol, read, adds_noise, block_length(num_steps))
    with products_in(precision), on_devices(devices, num_row_shards=rows):
        return _simulate(network, start, theta, key, *how)


def noisy_step(
    network: Network, state: Float[Array, "*trials S"], key: Key, inputs: Array | None = None
) -> Float[Array, "*trials S"]:
    """One step of a network with fresh process noise."""
    return network.step(state, inputs, standard_normal(key, state.shape, state.dtype))


def weight_bytes(network: Network) -> int:
    """Bytes of a network's largest array, which decide among how many devices its rows are divided."""
    return max((leaf.nbytes for leaf in jax.tree.leaves(network) if hasattr(leaf, "nbytes")), default=0)


def ready(network: Network) -> Network:
    """The network as a loop over time should use it: its weights worked out, their rows laid out over the devices."""
    network = resolved(network)
    size = network.state_size

    def laid(leaf: Array) -> Array:
        return spread(leaf, "rows") if jnp.ndim(leaf) == 2 and leaf.shape[1] == size else leaf

    return jax.tree.map(laid, network)


def narrowed(network: Network) -> Network:
    """The network as its steps use it: matrices that products would round at every step are rounded here, once."""
    if not rounds_to_bfloat16() or not isinstance(network, RateNetwork | FlowNetwork | RecurrentNetwork):
        return network
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16) if jnp.ndim(leaf) == 2 else leaf, network)


def block_length(num_steps: int) -> int:
    """How many steps make a block, a divisor of all; on accelerators to launch a small program takes longer than it."""
    most = 1 if jax.default_backend() == "cpu" else MOST_AT_ONCE
    return max(length for length in range(1, most + 1) if num_steps % length == 0)


def normals(keys: Key, like: Float[Array, "*shape"]) -> Float[Array, "steps *shape"]:
    """Noise of the shape and type of an array, for each of some keys."""
    if len(keys) == 1:
        return standard_normal(keys[0], like.shape, like.dtype)[None]
    return jax.vmap(lambda key: standard_normal(key, like.shape, like.dtype))(keys)


@eqx.filter_jit
def _simulate(
    network: Network,
    start: Array | None,
    theta: Array,
    key: Key,
    num_steps: int,
    num_trials: int,
    protocol: Protocol,
    read: Reading,
    observed: bool,  # noqa: FBT001
    length: int,
) -> Array:
    """Blocks of `length` steps, whose noise is drawn at once and whose states are written at once."""
    count = num_steps // length
    process_keys, observation_keys = (
        jax.vmap(jax.random.fold_in, in_axes=(None, 0))(one, jnp.arange(num_steps)).reshape(count, length)
        for one in jax.random.split(key)
    )
    network = ready(network)
    inputs = None
    if start is None or protocol != "pulse":
        begun, inputs = entered(network, protocol, theta, num_steps)
        start = begun if start is None else start
    states = jnp.broadcast_to(start[..., None, :], (*start.shape[:-1], num_trials, start.shape[-1]))
    seen, moving = reading(network, read), narrowed(network)
    layout = (*(None,) * (states.ndim - 2), "batch")

    def block(state: Array, now: tuple[Array, Array, Array | None]) -> tuple[Array, Array]:
        own_keys, error_keys, given = now
        noise, records = normals(own_keys, state), []
        for step in range(length):
            state = spread(moving.step(state, None if given is None else given[step], noise[step]), *layout)
            records.append(seen(state))
        shown = jnp.stack(records)
        return state, shown + network.observation_noise_std * normals(error_keys, shown[0]) if observed else shown

    given = None if inputs is None else inputs.reshape(count, length, *inputs.shape[1:])
    shown = jax.lax.scan(block, spread(states, *layout), (process_keys, observation_keys, given))[1]
    return spread(shown.reshape(num_steps, *shown.shape[2:]), None, *layout)
