"""How information grows with the number of recorded units, over all neighbouring stimuli."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import require
from fisherjax._types import Key
from fisherjax.fisher._moments import direct_value
from fisherjax.fisher._saturation import SCALING_BLOCKS, drawn_subsets, fit_saturation, sizes_of_subsets

from ._jackknife import Jackknife
from ._pairs import Trials, as_recording, check_blocks_of, grouped, map_pairs, moments_of, paired, pairs_of
from ._recording import Recording


def recording_curves(
    recording: Recording, sizes: Any, num_subsets: int, key: Key
) -> tuple[Int[Array, " S"], Array, Array, Array, Array]:
    """Sizes, mean information and its error, and (c, ε) with theirs, as `information_scaling` returns them.

    Raises
    ------
    ValueError
        If values are missing, or there are too few trials for the largest size.
    """
    check_blocks_of(as_recording("recording", recording, whole="subsets"))
    pairs, data = pairs_of(recording), grouped(recording, SCALING_BLOCKS)
    left = recording.num_trials - np.ceil(recording.num_trials * data.shares.max()).astype(int)
    freedom = int(left[pairs.members].sum(axis=1).min()) - 2
    require(freedom > 6, f"a curve over sizes needs more trials, got {freedom + 2} in a pair when a block is left out")
    # half of what can be inverted: beyond, the few trials say little of the covariance
    most = min(recording.num_units, freedom // 2)
    chosen = sizes_of_subsets(sizes, recording.num_units, most)
    require(
        max(chosen) < freedom - 1,
        f"sizes must be below {freedom - 1} for {freedom + 2} trials in a pair, a block left out; got {max(chosen)}",
    )
    subsets = drawn_subsets(chosen, recording.num_units, num_subsets, key)
    index, steps = pairs.arrays(data.responses.dtype)
    block = jnp.asarray(data.block)
    value, parts, fit, fits = _program(data.responses, data.present, block, index, steps, subsets, data.num_blocks)
    error, fit_error = (
        Jackknife(np.asarray(whole), np.asarray(left_out), data.shares).error()
        for whole, left_out in ((value, parts), (fit, fits))
    )
    return jnp.asarray(chosen), value, jnp.asarray(error, float), fit, jnp.asarray(fit_error, float)


@jax.jit(static_argnums=6)
def _program(
    responses: Array, present: Array, block: Array, index: Array, steps: Array, subsets: list[Array], num_blocks: int
) -> tuple[Float[Array, " S"], Float[Array, "B S"], Float[Array, "2"], Float[Array, "B 2"]]:
    def of_pair(trials: Trials) -> Float[Array, " S"]:
        whole, freedom = paired(moments_of(trials), trials.step)

        def of_subset(units: Array) -> Array:
            part = whole._replace(slope=whole.slope[:, units], covariance=whole.covariance[units][:, units])
            return direct_value(part, freedom)[0][0, 0]

        return jnp.stack([jnp.mean(jax.lax.map(of_subset, part)) for part in subsets])

    def curve(weight: Array) -> Float[Array, " S"]:
        return jnp.mean(map_pairs(responses, weight, index, steps, of_pair), axis=0)

    sizes = jnp.asarray([part.shape[1] for part in subsets], responses.dtype)
    value = curve(present)
    # relative errors are about equal over sizes, so that weights are one over the value itself
    weights = 1 / jnp.maximum(jnp.abs(value), 1e-3 * jnp.max(jnp.abs(value)))

    def without(left: Array) -> tuple[Array, Array]:
        part = curve(jnp.where(block == left, 0, present))
        return part, fit_saturation(sizes, part, weights)

    parts, fits = jax.lax.map(without, jnp.arange(num_blocks))
    return value, parts, fit_saturation(sizes, value, weights), fits
