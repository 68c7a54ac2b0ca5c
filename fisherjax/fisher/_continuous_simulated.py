"""Fisher information about a pulse or a step in continuous time, measured in simulated networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fisherjax._arrays import check_float_type
from fisherjax._errors import check_choice, check_flag, check_integer, check_key, check_positive, check_scalar
from fisherjax._runtime import check_allocation, full_precision, progress_bar
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix, population_index, population_sizes
from fisherjax.networks import FlowNetwork
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity
from fisherjax.simulate import draw_networks
from fisherjax.simulate._continuous import solve_additive, solver_grid
from fisherjax.simulate._moments import SensitivityMoments

from ._continuous import PROTOCOLS, noise_and_pattern, times_after_onset
from ._curve import FisherCurve, mean_curve, warn_if_not_finite
from ._simulated import information_with_error

_BLOCKS = 10


@full_precision
def simulated_continuous_curve(
    gain_matrix: GainMatrix,
    *,
    times: ArrayLike,
    stimulus: Scalar = 0.0,
    noise_std: Scalar,
    num_units: int,
    num_trials: int,
    num_draws: int,
    key: Key,
    protocol: str = "pulse",
    settle: Scalar = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    dt: Scalar = 0.05,
    dtype: DTypeLike = jnp.float32,
    progress: bool = False,
) -> FisherCurve:
    """Measure what `continuous_curve` predicts, in simulated networks and with their exact derivative in θ.

    Every trial carries its derivative r′ = ∂x/∂θ at fixed noise, ṙ′ = −r′ + J (φ′(x) r′) + w u(t), and information is
    estimated without bias as in `simulated_curve`. Arguments are those of `continuous_curve`, with

    Parameters
    ----------
    num_trials
        Trials per network, at least 20.
    num_draws
        Networks drawn, each with its own pattern w; the standard error is over networks if there are several.
    key
        JAX random key.
    dt
        Longest step of the stochastic solver.
    dtype
        Float type of the simulation.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    ValueError, TypeError
        As `continuous_curve`; if `key` is not a JAX key.
    """
    key = check_key("key", key)
    check_choice("protocol", protocol, PROTOCOLS)
    num_trials = check_integer("num_trials", num_trials, minimum=2 * _BLOCKS)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    check_scalar("stimulus", stimulus)
    check_positive(noise_std=noise_std, dt=dt)
    check_scalar("settle", settle, minimum=0.0)
    check_gain_matrix(gain_matrix)
    dtype, progress = check_float_type("dtype", dtype), check_flag("progress", progress)
    _, pattern = noise_and_pattern(gain_matrix, noise_std, input_pattern)
    recorded = times_after_onset(times, dtype)
    sizes = population_sizes(gain_matrix, num_units)
    check_allocation("states and derivatives", (2 * len(recorded), num_trials, num_units), jnp.dtype(dtype))
    spread = pattern[population_index(gain_matrix, num_units)].astype(dtype)
    phi = as_nonlinearity(nonlinearity)
    pairs = []
    with progress_bar("simulating networks", num_draws, enabled=progress) as advance:
        for draw_key in jax.random.split(key, num_draws):
            weight_key, pattern_key, noise_key = jax.random.split(draw_key, 3)
            (network,) = draw_networks(
                gain_matrix,
                num_units,
                num_draws=1,
                noise_std=noise_std,
                nonlinearity=phi,
                key=weight_key,
                dtype=dtype,
                input_pattern=spread * jax.random.normal(pattern_key, (num_units,), dtype),
                kind=FlowNetwork,
            )
            pairs.append(
                _one_network(
                    network, stimulus, recorded, settle, dt, noise_key, num_trials, sizes, pulse=protocol == "pulse"
                )
            )
            advance()
    values, errors = (jnp.stack(parts) for parts in zip(*pairs, strict=True))
    curve = mean_curve(values, "independent", tuple(range(1, len(recorded) + 1)), scalar=True, errors=errors)
    curve = eqx.tree_at(lambda c: c.times, curve, recorded)
    return warn_if_not_finite(curve, "states or their derivatives left the float range (unstable weights?)")


def _one_network(
    network: FlowNetwork,
    stimulus: Scalar,
    recorded: Array,
    settle: Scalar,
    dt: Scalar,
    key: Key,
    num_trials: int,
    sizes: tuple[int, ...],
    *,
    pulse: bool,
) -> tuple[Array, Array]:
    dtype = network.weights.dtype
    before_key, after_key = jax.random.split(key)
    state = jnp.zeros((num_trials, network.num_units), dtype)
    if float(settle) > 0:
        end = jnp.asarray([float(settle)], dtype)
        state = _spontaneous(network, state, end, jnp.asarray(solver_grid(end, dt), dtype), before_key)
    theta, grid = jnp.asarray(stimulus).astype(dtype), jnp.asarray(solver_grid(recorded, dt), dtype)
    moments = _responding(network, state, theta, recorded, grid, after_key, pulse)
    return information_with_error(moments, sizes)


@eqx.filter_jit
def _spontaneous(network: FlowNetwork, state: Array, end: Array, grid: Array, key: Key) -> Array:
    noise = jnp.sqrt(2 * network.noise_std**2)
    return solve_additive(network.velocity, state, noise, end, grid, key)[0]


@eqx.filter_jit
def _responding(
    network: FlowNetwork,
    state: Array,
    theta: Array,
    recorded: Array,
    grid: Array,
    key: Key,
    pulse: bool,  # noqa: FBT001
) -> SensitivityMoments:
    """Moments of states and derivatives after the onset, in blocks of trials."""
    pattern = network.input_vector
    push = jnp.zeros_like(pattern) if pulse else pattern

    def vector_field(joint: Float[Array, "2 trials N"]) -> Float[Array, "2 trials N"]:
        state, tangent = joint
        response, slope = jax.jvp(network.nonlinearity, (state,), (jnp.ones_like(state),))
        products = jnp.stack([response, slope * tangent]) @ network.weights.T
        return products - joint + jnp.stack([theta * push + network.sustained_input, push])[:, None]

    jump = pattern if pulse else jnp.zeros_like(pattern)
    start = jnp.stack([state + theta * jump, jnp.broadcast_to(jump, state.shape)])
    noise = jnp.stack([jnp.sqrt(2 * network.noise_std**2), jnp.zeros_like(network.noise_std)])[:, None, None]
    states, tangents = jnp.moveaxis(solve_additive(vector_field, start, noise, recorded, grid, key), 1, 0)
    blocks = np.array_split(np.arange(state.shape[0]), _BLOCKS)
    parts = [_block(states[:, rows[0] : rows[-1] + 1], tangents[:, rows[0] : rows[-1] + 1]) for rows in blocks]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _block(states: Float[Array, "T trials N"], tangents: Float[Array, "T trials N"]) -> SensitivityMoments:
    """Moments of one block of trials, with an axis of length one for blocks."""
    count = jnp.full(1, states.shape[1], states.dtype)
    mean, slope = jnp.mean(states, axis=1), jnp.mean(tangents, axis=1)
    scatter = jnp.sum((states - mean[:, None]) ** 2, axis=1)
    slope_scatter = jnp.sum((tangents - slope[:, None]) ** 2, axis=1)
    return SensitivityMoments(
        count, mean[None], slope[None, :, None], scatter[None], slope_scatter[None, :, None, None]
    )
