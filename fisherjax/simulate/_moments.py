"""Moments of the noisy state and of its derivative in the stimulus, streamed over trials."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_flag, check_integer, check_key, is_traced, require
from fisherjax._linalg import standard_normal, with_slopes
from fisherjax._runtime import (
    PRECISIONS,
    Devices,
    Precision,
    full_precision,
    on_devices,
    products_in,
    progress_bar,
    recorded_scan,
    spread,
)
from fisherjax._runtime._memory import check_allocation, chunk_length, row_shards
from fisherjax._types import Key, Record, Stimulus
from fisherjax.networks import Network
from fisherjax.networks._protocol import (
    Protocol,
    Reading,
    check_protocol,
    check_reading,
    check_times,
    entered_with_slopes,
    reading,
)

from ._draw import check_network
from ._trajectories import narrowed, ready, weight_bytes

_LIVE_ARRAYS = 6  # states, tangents, noise and temporaries that one step keeps alive per trial


class SensitivityMoments(Record):
    """Sample moments of what is read, r + σ_obs η, and of its pathwise derivative r′ = dr/dθ, in B blocks of trials.

    Scatters are sums of centered products, per number that is read, or (N, N) where the covariance was asked for.
    """

    count: Float[Array, " B"]
    mean: Float[Array, "B T N"]
    derivative: Float[Array, "B T K N"]
    scatter: Float[Array, "B T N *N"]
    derivative_scatter: Float[Array, "B T K K N *N"]

    def pooled(self, keep: Array | np.ndarray | None = None) -> "SensitivityMoments":
        """The moments of the trials of several blocks (all by default) as those of one block."""
        weights = self.count if keep is None else self.count * jnp.asarray(keep).astype(self.count.dtype)
        total = jnp.sum(weights)
        mean = jnp.einsum("b,b...->...", weights, self.mean) / total
        derivative = jnp.einsum("b,b...->...", weights, self.derivative) / total
        used = (weights > 0).astype(self.count.dtype)
        offset, slope_offset = self.mean - mean, self.derivative - derivative
        full = self.scatter.ndim == 4
        between = "b,bti,btj->tij" if full else "b,bti,bti->ti"
        slope_between = "b,btki,btlj->tklij" if full else "b,btki,btli->tkli"
        scatter = jnp.einsum("b,b...->...", used, self.scatter)
        slope_scatter = jnp.einsum("b,b...->...", used, self.derivative_scatter)
        scatter += jnp.einsum(between, weights, offset, offset)
        slope_scatter += jnp.einsum(slope_between, weights, slope_offset, slope_offset)
        parts = (total, mean, derivative, scatter, slope_scatter)
        return SensitivityMoments(*(part[None] for part in parts))


@full_precision
def sensitivity_moments(
    network: Network,
    *,
    stimulus: Stimulus,
    num_steps: int,
    num_trials: int,
    key: Key,
    protocol: Protocol = "pulse",
    read: Reading = "state",
    at: Sequence[int] | None = None,
    covariance: str = "diagonal",
    num_blocks: int = 10,
    precision: Precision = "float32",
    progress: bool = False,
    devices: Devices = None,
) -> SensitivityMoments:
    """Simulate trials together with their exact derivative in the stimulus, and keep only moments of what is read.

    Each trial carries x(t) and x′(t) = ∂x(t)/∂θ at fixed noise (forward mode): common random numbers
    in the limit of a vanishing stimulus difference. Where the network has observation noise, it is in the mean and the
    scatter, as in `trajectories`. Trials are processed in chunks that fit into memory; how
    large these are changes no trial (of a threefry key).

    Parameters
    ----------
    network
        Any `Network`.
    stimulus
        θ, scalar or (K,).
    num_steps, num_trials
        Steps T; trials in all.
    key
        JAX random key.
    protocol, read
        How the stimulus enters, and what is read; see `trajectories`.
    at
        After which steps to look; all T by default.
    covariance
        ``"diagonal"`` keeps variances per number that is read; ``"full"`` whole covariance matrices, B·T·N² numbers.
    num_blocks
        B, blocks of trials whose moments are kept apart, so that errors can be jackknifed; 1 where they are not.
    precision
        Of the products of a step, as in `trajectories`; moments are in full float32 whatever it is.
    progress
        Whether to show a bar on stderr.
    devices
        Divide the trials among devices; see `trajectories`.

    Raises
    ------
    ValueError
        If there are fewer than two trials per block, the moments would not fit into memory, `precision` is
        misspelt, or there are fewer devices.
    TypeError
        If `network` is none, or `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    num_blocks = check_integer("num_blocks", num_blocks, minimum=1)
    check_choice("covariance", covariance, ("diagonal", "full"))
    check_choice("precision", precision, PRECISIONS)
    check_flag("progress", progress)
    require(
        num_trials >= 2 * num_blocks,
        f"num_trials must be at least two per block, {2 * num_blocks} for num_blocks={num_blocks}; got {num_trials}",
    )
    check_network(network)
    theta = check_protocol(network, protocol, stimulus, num_steps)
    return moments_of(
        network, theta, key, protocol, read, num_steps, check_times(at, num_steps), check_reading(network, read),
        precision, num_trials=num_trials, num_blocks=num_blocks, full=covariance == "full", progress=progress,
        devices=devices,
    )  # fmt: skip


def moments_of(
    network: Network,
    theta: Array,
    key: Key,
    protocol: Protocol,
    read: Reading,
    num_steps: int,
    times: tuple[int, ...],
    size: int,
    precision: Precision,
    *,
    num_trials: int,
    num_blocks: int,
    full: bool,
    progress: bool = False,
    devices: Devices = None,
) -> SensitivityMoments:
    """`sensitivity_moments` of arguments that are checked already; `size` numbers are read."""
    dtype, parameters = network.dtype, max(1, theta.size)
    if full:
        shape = (num_blocks * len(times) * (1 + parameters**2), size, size)
        check_allocation("covariances of the blocks", shape, dtype)
    per_block = math.ceil(num_trials / num_blocks)
    row_bytes = _LIVE_ARRAYS * (1 + parameters) * max(size, network.state_size) * dtype.itemsize
    rows = chunk_length(per_block, num_blocks * row_bytes)
    num_chunks = math.ceil(per_block / rows)
    sizes = np.array(_split_evenly(num_trials, num_chunks * num_blocks)).reshape(num_chunks, num_blocks)
    first = np.cumsum(sizes.sum(axis=0)) - sizes.sum(axis=0) + np.cumsum(sizes, axis=0) - sizes
    noisy = is_traced(network.observation_noise_std) or float(network.observation_noise_std) > 0
    how = (protocol, read, num_steps, times, int(sizes.max()), full, noisy, precision)
    chunks = []
    bar = progress_bar("simulating", num_chunks, enabled=progress)
    with bar as advance, on_devices(devices, num_row_shards=row_shards(weight_bytes(network), devices)):
        for counts, numbers in zip(sizes, first.astype(np.uint32), strict=True):
            chunks.append(_chunk_moments(network, theta, key, jnp.asarray(counts), jnp.asarray(numbers), *how))
            if progress:
                jax.block_until_ready(chunks[-1].count)
            advance()
    return chunks[0] if num_chunks == 1 else _merge(chunks)


def _merge(chunks: list[SensitivityMoments]) -> SensitivityMoments:
    """Merge chunks block by block."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *chunks)
    merged = jax.vmap(lambda block: block.pooled())(stacked)
    return jax.tree.map(lambda leaf: leaf[:, 0], merged)


def _split_evenly(total: int, parts: int) -> list[int]:
    base, extra = divmod(total, parts)
    return [base + (index < extra) for index in range(parts)]


@eqx.filter_jit
def _chunk_moments(
    network: Network,
    theta: Array,
    key: Key,
    counts: Array,
    first: Array,
    protocol: Protocol,
    read: Reading,
    num_steps: int,
    times: tuple[int, ...],
    num_rows: int,
    full: bool,  # noqa: FBT001
    noisy: bool,  # noqa: FBT001
    precision: Precision,
) -> SensitivityMoments:
    """Moments of one chunk of all B blocks.

    Of each block's `num_rows` simulated rows `counts` count; `first` is the number of the first of them.
    """
    network, seen, dtype = ready(network), reading(network, read), network.dtype
    numbers = first[:, None] + jnp.arange(num_rows, dtype=first.dtype)
    mask = (jnp.arange(num_rows) < counts[:, None]).astype(dtype)[..., None]
    count = jnp.sum(mask, axis=(1, 2))
    # a chunk of one row may hold no trial of a block: its moments are zeros that weigh nothing
    divisor = jnp.maximum(count, 1)[:, None]
    (state, inputs), (slope, input_slopes) = entered_with_slopes(network, protocol, theta, num_steps)
    shape = (counts.shape[0], num_rows, network.state_size)
    with products_in(precision):
        moving = narrowed(network)
    state = spread(jnp.broadcast_to(state, shape), None, "batch")
    slope = spread(jnp.broadcast_to(slope[:, None, None], (len(slope), *shape)), None, None, "batch")

    def step(carry: tuple[Array, Array, Array], now: Any) -> tuple[Array, Array, Array]:
        state, slope, _ = carry
        own_key, given, given_slopes = now
        noise = standard_normal(own_key, shape, dtype, rows=numbers)
        with products_in(precision):
            state, slope = with_slopes(lambda x, u: moving.step(x, u, noise), (state, given), (slope, given_slopes))
        return spread(state, None, "batch"), spread(slope, None, None, "batch"), own_key

    def look(carry: tuple[Array, Array, Array]) -> tuple[Array, ...]:
        state, slope, own_key = carry
        shown, shown_slope = (state, slope) if read == "state" else with_slopes(seen, (state,), (slope,))
        if noisy:
            error_key = jax.random.fold_in(own_key, 0)
            shown += network.observation_noise_std * standard_normal(error_key, shown.shape, dtype, rows=numbers)
        return centered(shown, shown_slope)

    def centered(values: Array, slopes: Array) -> tuple[Array, ...]:
        mean = jnp.sum(mask * values, axis=1) / divisor
        slope = jnp.sum(mask * slopes, axis=2) / divisor
        deviation = mask * (values - mean[:, None])
        slope_deviation = mask * (slopes - slope[:, :, None])
        if full:
            scatter = jnp.einsum("bni,bnj->bij", deviation, deviation)
            slope_scatter = jnp.einsum("kbni,lbnj->bklij", slope_deviation, slope_deviation)
        else:
            scatter = jnp.sum(deviation**2, axis=1)
            products = slope_deviation[:, None] * slope_deviation
            slope_scatter = jnp.moveaxis(jnp.sum(products, axis=3), 2, 0)
        return mean, jnp.moveaxis(slope, 0, 1), scatter, slope_scatter

    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(num_steps))
    moments = recorded_scan(step, look, (state, slope, key), (keys, inputs, input_slopes), num_steps, times)
    return spread(SensitivityMoments(count, *(jnp.moveaxis(part, 0, 1) for part in moments)))
