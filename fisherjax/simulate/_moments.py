"""Moments of the noisy state and of its derivative in the stimulus, streamed over trials."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_flag, check_integer, check_key, is_traced, require
from fisherjax._types import Key, Result, Stimulus
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, full_precision, on_devices, progress_bar, spread, standard_normal

from ._draw import check_network
from ._memory import check_allocation, chunk_length, row_shards

_LIVE_ARRAYS = 6  # states, tangents, noise and temporaries that one step keeps alive per trial


class SensitivityMoments(Result):
    """Sample moments of the read-out x + σ_obs η and of its pathwise derivative r′ = dx/dθ, in B blocks of trials.

    Scatters are sums of centred products, per unit, or (N, N) where the covariance was asked for.
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
    network: RateNetwork,
    *,
    stimulus: Stimulus,
    num_steps: int,
    num_trials: int,
    key: Key,
    covariance: str = "diagonal",
    num_blocks: int = 10,
    progress: bool = False,
    devices: Devices = None,
) -> SensitivityMoments:
    """Simulate trials together with their exact derivative in the stimulus, and keep only moments of what is read out.

    Each trial carries x(t) and r′(t) = ∂x(t)/∂θ at fixed noise (forward mode): common random numbers
    in the limit of a vanishing stimulus difference. Where the network has observation noise, it is in the mean and the
    scatter, as in `trajectories`. Trials are processed in chunks that fit into memory; how
    large these are changes no trial (of a threefry key).

    Parameters
    ----------
    network
        The network, N units.
    stimulus
        θ, scalar or (K,).
    num_steps, num_trials
        Steps T; trials in all.
    key
        JAX random key.
    covariance
        ``"diagonal"`` keeps variances per unit; ``"full"`` whole covariance matrices, B·T·N² numbers.
    num_blocks
        B, blocks of trials whose moments are kept apart, so that errors can be jackknifed.
    progress
        Whether to show a bar on stderr.
    devices
        Divide the trials among devices; see `trajectories`.

    Raises
    ------
    ValueError
        If there are fewer than two trials per block, the moments would not fit into memory, or there are fewer devices.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    num_blocks = check_integer("num_blocks", num_blocks, minimum=2)
    check_choice("covariance", covariance, ("diagonal", "full"))
    check_flag("progress", progress)
    require(
        num_trials >= 2 * num_blocks,
        f"num_trials must be at least two per block, {2 * num_blocks} for num_blocks={num_blocks}; got {num_trials}",
    )
    check_network(network)
    network.initial_state(stimulus)
    units, dtype = network.num_units, network.weights.dtype
    parameters = max(1, int(np.prod(network.input_vector.shape[1:])))
    full = covariance == "full"
    if full:
        shape = (num_blocks * num_steps * (1 + parameters**2), units, units)
        check_allocation("covariances of the blocks", shape, dtype)
    per_block = math.ceil(num_trials / num_blocks)
    row_bytes = _LIVE_ARRAYS * (1 + parameters) * units * dtype.itemsize
    rows = chunk_length(per_block, num_blocks * row_bytes)
    num_chunks = math.ceil(per_block / rows)
    sizes = np.array(_split_evenly(num_trials, num_chunks * num_blocks)).reshape(num_chunks, num_blocks)
    theta = jnp.asarray(stimulus).astype(dtype)
    first = np.cumsum(sizes.sum(axis=0)) - sizes.sum(axis=0) + np.cumsum(sizes, axis=0) - sizes
    noisy = is_traced(network.observation_noise_std) or float(network.observation_noise_std) > 0
    chunks = []
    bar = progress_bar("simulating", num_chunks, enabled=progress)
    with bar as advance, on_devices(devices, num_row_shards=row_shards(network.weights.nbytes, devices)):
        for counts, numbers in zip(sizes, first.astype(np.uint32), strict=True):
            trials = (jnp.asarray(counts), jnp.asarray(numbers))
            chunks.append(_chunk_moments(network, theta, key, trials, num_steps, int(sizes.max()), full, noisy))
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


@jax.jit(static_argnums=(4, 5, 6, 7))
def _chunk_moments(
    network: RateNetwork,
    theta: Array,
    key: Key,
    trials: tuple[Array, Array],
    num_steps: int,
    num_rows: int,
    full: bool,  # noqa: FBT001
    noisy: bool,  # noqa: FBT001
) -> SensitivityMoments:
    """Moments of one chunk of all B blocks.

    `trials` are how many of each block's `num_rows` simulated rows count, and the number of the first of them.
    """
    counts, first = trials
    numbers = first[:, None] + jnp.arange(num_rows, dtype=first.dtype)
    phi, dtype = network.nonlinearity, network.weights.dtype
    mask = (jnp.arange(num_rows) < counts[:, None]).astype(dtype)[..., None]
    count = jnp.sum(mask, axis=(1, 2))
    # a chunk of one row may hold no trial of a block: its moments are zeros that weigh nothing
    divisor = jnp.maximum(count, 1)[:, None]
    patterns = network.input_vector.reshape(network.num_units, -1).T
    shape = (counts.shape[0], num_rows, network.num_units)
    state = spread(jnp.broadcast_to(network.initial_state(theta), shape), None, "batch")
    tangent = spread(jnp.broadcast_to(patterns[:, None, None], (patterns.shape[0], *shape)), None, None, "batch")
    weights = spread(network.weights, "rows")

    def step(carry: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        state, tangent = carry
        response, slope = jax.jvp(phi, (state,), (jnp.ones_like(state),))
        # one product for the states and their derivatives: the weights are read once
        rows = spread(jnp.concatenate([response[None], slope * tangent]), None, None, "batch")
        products = spread(jnp.matmul(rows, weights.T, precision=jax.lax.Precision.HIGHEST), None, None, "batch")
        step_key = jax.random.fold_in(key, index)
        noise = standard_normal(step_key, shape, dtype, rows=numbers)
        following = products[0] + network.sustained_input + network.noise_std * noise
        seen = following
        if noisy:
            error = standard_normal(jax.random.fold_in(step_key, 0), shape, dtype, rows=numbers)
            seen = following + network.observation_noise_std * error
        return (following, products[1:]), centred(seen, products[1:])

    def centred(state: Array, tangent: Array) -> tuple[Array, ...]:
        mean = jnp.sum(mask * state, axis=1) / divisor
        slope = jnp.sum(mask * tangent, axis=2) / divisor
        deviation = mask * (state - mean[:, None])
        slope_deviation = mask * (tangent - slope[:, :, None])
        if full:
            scatter = jnp.einsum("bni,bnj->bij", deviation, deviation)
            slope_scatter = jnp.einsum("kbni,lbnj->bklij", slope_deviation, slope_deviation)
        else:
            scatter = jnp.sum(deviation**2, axis=1)
            products = slope_deviation[:, None] * slope_deviation
            slope_scatter = jnp.moveaxis(jnp.sum(products, axis=3), 2, 0)
        return mean, jnp.moveaxis(slope, 0, 1), scatter, slope_scatter

    _, moments = jax.lax.scan(step, (state, tangent), jnp.arange(num_steps))
    return spread(SensitivityMoments(count, *(jnp.moveaxis(part, 0, 1) for part in moments)))
