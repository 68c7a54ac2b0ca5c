"""Fisher information along a stimulus from trials that are there, some of which may be set aside."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax._runtime import full_precision

from ._interval import student_interval
from ._moments import scalar_if
from ._profile import _BLOCKS, InformationProfile, _jackknife, _Sums


@full_precision
def profile_of_trials(
    stimuli: Float[Array, " M"],
    values: Float[Array, "M n p"],
    slopes: Float[Array, "M n p"],
    kept: Bool[Array, "M n"],
    *,
    relative_error: float,
    confidence: float = 0.95,
) -> InformationProfile:
    """The profile that responses and their derivatives give at each stimulus, trials that are not kept left out.

    Value, error and interval are those of `information_profile`, with which it can be compared.
    """
    sums, center = _summed(values, slopes, kept)
    value, error = scalar_if(True, jax.lax.map(lambda part: _jackknife(*part), (sums, center)))  # noqa: FBT003
    trials = jnp.sum(kept, axis=1)
    return InformationProfile(
        stimuli=stimuli,
        value=value,
        standard_error=error,
        interval=jnp.moveaxis(student_interval(value, error, confidence, _BLOCKS - 1), 0, 1),
        num_trials=trials,
        converged=(error > 0) & (error <= relative_error * jnp.abs(value)),
        total_trials=jnp.sum(trials),
        relative_error=relative_error,
    )


@jax.jit
def _summed(values: Array, slopes: Array, kept: Array) -> tuple[_Sums, Float[Array, "M 1 p"]]:
    """Sums over each block of trials, of deviations from the means of those that are kept."""
    weights = kept.astype(values.dtype)[..., None]
    count = jnp.sum(weights, axis=1, keepdims=True)
    center, slope_center = (jnp.sum(weights * part, axis=1, keepdims=True) / count for part in (values, slopes))

    def blocks(part: Array) -> Array:
        # zeros fill the last block
        padded = jnp.pad(part, ((0, 0), (0, -part.shape[1] % _BLOCKS), (0, 0)))
        return padded.reshape(len(part), _BLOCKS, -1, part.shape[2])

    values, slopes = blocks(weights * (values - center)), blocks(weights * (slopes - slope_center))
    sums = _Sums(
        jnp.sum(blocks(weights), axis=(2, 3)),
        jnp.sum(values, axis=2),
        jnp.sum(slopes, axis=2)[:, :, None],
        jnp.einsum("mbni,mbnj->mbij", values, values),
        jnp.einsum("mbni,mbnj->mbij", slopes, slopes)[:, :, None, None],
    )
    return sums, slope_center
