"""What the recursion carries from step to step, and what rounding can have done to it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax.nonlinearities import Nonlinearity, TwoPointMoments
from fisherjax.nonlinearities._nonlinearity import Drift

_RESOLVED = 1e-2  # of D, that rounding may have changed: a bound, which is far from reached


class Order(NamedTuple):
    variance: Array
    noise_variance: Array
    variance_slope: Array
    noise_slope: Array  # ∂V/∂θ, which the difference of ∂Δ/∂θ and ∂C/∂θ would round away
    overlap: Array  # C and ∂C/∂θ, which those of Δ and V would round away where a stimulus is small beside noise
    overlap_slope: Array
    sensitivity: Array
    across: Array  # D − R, which their difference would round away after the first step
    noise_slope_error: Array
    overlap_slope_error: Array
    sensitivity_error: Array
    across_error: Array


def known(states: Order, phi: Nonlinearity) -> Bool[Array, " T"]:
    """Whether D is resolved in every population, and has been until now."""
    parts = (states.sensitivity, states.sensitivity_error)
    diagonal, doubt = (jnp.diagonal(part, axis1=-2, axis2=-1) for part in parts)
    resolved = jnp.all((doubt <= _RESOLVED * diagonal) & jnp.isfinite(diagonal), axis=-1)
    good = resolved & (states.variance <= phi.largest_variance) & jnp.isfinite(states.noise_variance)
    return jnp.cumsum(~jnp.all(good, axis=-1)) == 0


def along_state(overlap_slope: Array, overlap: Array) -> Float[Array, "P K K"]:
    """C′C′/4C, the part of D that comes from derivatives along the state itself; nothing where C vanishes."""
    active = (overlap > 0)[:, None]
    root = jnp.sqrt(jnp.where(active, overlap[:, None], 1))  # whose slope at zero would be infinite
    scaled = jnp.where(active, overlap_slope / (2 * root), 0)
    return scaled[:, :, None] * scaled[:, None, :]


def both_ways(first: Array, second: Array) -> Float[Array, "P K K"]:
    return first[:, :, None] * second[:, None, :] + second[:, :, None] * first[:, None, :]


def rounding_errors(
    total_gain: Array,
    phi: Nonlinearity,
    state: Order,
    moments: TwoPointMoments,
    drift: Drift,
    mixed: Array,
    next_small: Array,
) -> dict[str, Array]:
    """What rounding can do to ∂V/∂θ, ∂C/∂θ and D: the sizes of what is added up, times the precision of the moments."""
    total_gain, state, moments, drift, mixed = jax.lax.stop_gradient((total_gain, state, moments, drift, mixed))
    unit = max(phi.accuracy, 4 * float(jnp.finfo(total_gain.dtype).eps))
    kappa, curvature = jnp.abs(moments.slope_overlap), jnp.abs(moments.curvature_overlap)
    slope, noise = jnp.abs(state.variance_slope), jnp.abs(state.noise_slope)
    doubt = state.noise_slope_error + unit * noise
    noise_slope_error = kappa[:, None] * doubt + unit * drift.spread_size[:, None] * slope
    small, overlap_slope = (state.noise_variance > state.variance / 2)[:, None], jnp.abs(state.overlap_slope)
    overlap_doubt = state.overlap_slope_error + unit * overlap_slope
    overlap_slope_error = jnp.where(
        small,
        kappa[:, None] * overlap_doubt + unit * jnp.abs(mixed)[:, None] * slope,
        noise_slope_error + unit * kappa[:, None] * slope,
    )
    along = along_state(state.overlap_slope, state.overlap)
    in_along = unit * jnp.abs(along) + jnp.sqrt(jnp.abs(along) * jnp.abs(along_state(overlap_doubt, state.overlap)))
    sensitivity_error = (
        kappa[:, None, None] * (state.across_error + unit * jnp.abs(state.across))
        + unit * drift.aligned_size[:, None, None] * jnp.abs(along)
        + jnp.abs(drift.aligned)[:, None, None] * in_along
        + curvature[:, None, None] / 4 * both_ways(noise, doubt)
        + drift.slope_overlap_size[:, None, None] / 4 * unit * both_ways(overlap_slope, noise)
        + jnp.abs(drift.slope_overlap)[:, None, None] / 4 * both_ways(overlap_slope, doubt)
        + jnp.abs(drift.slope_overlap)[:, None, None] / 4 * both_ways(overlap_doubt, noise)
    )
    total = jnp.einsum("pq,qab->pab", total_gain, sensitivity_error)
    carried = jnp.einsum("pq,qab->pab", total_gain, kappa[:, None, None] * jnp.abs(state.sensitivity))
    noise_slope_error = total_gain @ noise_slope_error
    return {
        "noise_slope_error": noise_slope_error,
        "overlap_slope_error": jnp.where(next_small[:, None], total_gain @ overlap_slope_error, noise_slope_error),
        "sensitivity_error": total,
        "across_error": total + unit * carried,
    }
