"""Moments of the noisy state and of its derivative in the stimulus, streamed over trials."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_integer, check_key, require
from fisherjax._types import Key, Result, Stimulus
from fisherjax.networks import RateNetwork
from fisherjax.numerics import progress_bar

from ._memory import check_allocation, chunk_length
from ._trajectories import noisy_step

_LIVE_ARRAYS = 6  # states, tangents, noise and temporaries that one step keeps alive per trial


class SensitivityMoments(Result):
    """Sample moments of the state x and of its pathwise derivative r′ = dx/dθ, in B blocks of trials.

    Scatters are sums of centred products, per unit, or (N, N) where the covariance was asked for.
    """

    count: Float[Array, " B"]
    mean: Float[Array, "B T N"]
    derivative: Float[Array, "B T K N"]
    scatter: Float[Array, "B T N *N"]
    derivative_scatter: Float[Array, "B T K K N *N"]

    def pooled(self, keep: np.ndarray | None = None) -> "SensitivityMoments":
        """The moments of the trials of several blocks (all by default) as those of one block."""
        weights = self.count if keep is None else self.count * jnp.asarray(keep, self.count.dtype)
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
) -> SensitivityMoments:
    """Simulate trials together with their exact derivative in the stimulus, and keep only moments.

    Each trial carries x(t) and r′(t) = ∂x(t)/∂θ at fixed noise (forward mode): common random numbers
    in the limit of a vanishing stimulus difference. Trials are processed in chunks that fit into memory.

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

    Raises
    ------
    ValueError
        If there are fewer than two trials per block, or the moments would not fit into memory.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    num_blocks = check_integer("num_blocks", num_blocks, minimum=2)
    check_choice("covariance", covariance, ("diagonal", "full"))
    require(
        num_trials >= 2 * num_blocks,
        f"num_trials must be at least two per block, {2 * num_blocks} for num_blocks={num_blocks}; got {num_trials}",
    )
    network.initial_state(stimulus)
    units, dtype = network.num_units, network.weights.dtype
    parameters = max(1, int(np.prod(network.input_vector.shape[1:])))
    full = covariance == "full"
    if full:
        shape = (num_blocks * num_steps * (1 + parameters**2), units, units)
        check_allocation("covariances of the blocks", shape, dtype)
    per_block = math.ceil(num_trials / num_blocks)
    chunk = chunk_length(per_block, _LIVE_ARRAYS * (1 + parameters) * units * dtype.itemsize)
    chunks_per_block = math.ceil(per_block / chunk)
    sizes = _split_evenly(num_trials, num_blocks * chunks_per_block)
    theta = jnp.asarray(stimulus).astype(dtype)
    blocks = []
    with progress_bar("simulating", num_blocks, enabled=progress) as advance:
        for block in range(num_blocks):
            pieces = []
            for index in range(block * chunks_per_block, (block + 1) * chunks_per_block):
                chunk_key = jax.random.fold_in(key, index)
                pieces.append(_chunk_moments(network, theta, chunk_key, num_steps, max(sizes), sizes[index], full))
            blocks.append(_concatenate(pieces).pooled() if chunks_per_block > 1 else pieces[0])
            if progress:
                jax.block_until_ready(blocks[-1].count)
            advance()
    return _concatenate(blocks)


def _concatenate(parts: list[SensitivityMoments]) -> SensitivityMoments:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _split_evenly(total: int, parts: int) -> list[int]:
    base, extra = divmod(total, parts)
    return [base + (index < extra) for index in range(parts)]


@jax.jit(static_argnums=(3, 4, 6))
def _chunk_moments(
    network: RateNetwork,
    theta: Array,
    key: Key,
    num_steps: int,
    num_rows: int,
    num_trials: int | Array,
    full: bool,  # noqa: FBT001
) -> SensitivityMoments:
    """Moments of one chunk; of its `num_rows` simulated rows the first `num_trials` count."""
    phi = network.nonlinearity
    dtype = network.weights.dtype
    counts = (jnp.arange(num_rows) < num_trials).astype(dtype)[:, None]
    count = jnp.sum(counts)
    patterns = network.input_vector.reshape(network.num_units, -1).T
    state = jnp.broadcast_to(network.initial_state(theta), (num_rows, network.num_units))
    tangent = jnp.broadcast_to(patterns[:, None], (patterns.shape[0], *state.shape))

    def step(carry: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        state, tangent = carry
        slope = jax.jvp(phi, (state,), (jnp.ones_like(state),))[1]
        following = noisy_step(network, state, jax.random.fold_in(key, index))
        tangent = (slope * tangent) @ network.weights.T
        return (following, tangent), _centred(following, tangent)

    def _centred(state: Array, tangent: Array) -> tuple[Array, ...]:
        mean = jnp.sum(counts * state, axis=0) / count
        slope = jnp.sum(counts * tangent, axis=1) / count
        deviation = counts * (state - mean)
        slope_deviation = counts * (tangent - slope[:, None])
        if full:
            scatter = deviation.T @ deviation
            slope_scatter = jnp.einsum("kni,lnj->klij", slope_deviation, slope_deviation)
        else:
            scatter = jnp.sum(deviation**2, axis=0)
            slope_scatter = jnp.einsum("kni,lni->kli", slope_deviation, slope_deviation)
        return mean, slope, scatter, slope_scatter

    _, moments = jax.lax.scan(step, (state, tangent), jnp.arange(num_steps))
    return SensitivityMoments(*(part[None] for part in (count, *moments)))
