"""The Gaussian fields of a structure through time, and the moments of φ that noise correlations are made of.

The same order parameters as `propagate`, for odd φ, as averages over the noise-mean m of a unit: m and its derivative
∂m in the stimulus are jointly Gaussian over the units of a population, and given m the state is N(m, V).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax.connectivity._gain_matrix import GainMatrix
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._conditional import ConditionalMoments, conditional_moments

from ._recursion import first_step


class Fields(NamedTuple):
    """The field (m, ∂m) of every population at times 1…T, on n nodes of m, for K parameters of the stimulus."""

    weights: Float[Array, "T P n"]
    stacked: Float[Array, "T 14 P n"]  # moments of φ given m
    mean_slope: Float[Array, "T K P n"]  # E[∂m | m]
    private_slope: Float[Array, "T P K K"]  # covariance of ∂m given m
    overlap: Float[Array, "T P"]  # C
    noise_variance: Float[Array, "T P"]  # V
    noise_slope: Float[Array, "T K P"]  # ∂V
    sensitivity: Float[Array, "T P K K"]  # D

    @property
    def moments(self) -> ConditionalMoments:
        """Those of φ given m, each (…, P, n)."""
        return ConditionalMoments(*jnp.moveaxis(self.stacked, -3, 0))

    def responses(self) -> tuple[Float[Array, "*T A P n"], Float[Array, "*T A P n"]]:
        """μ and E[s | m] for every parameter, s = a ∂m + ½ b ∂V, and their derivatives in m at fixed ∂m."""
        phi, noise_slope = self.moments, self.noise_slope[..., None] / 2
        a, b, third = (part[..., None, :, :] for part in (phi.slope, phi.curvature, phi.third))
        values = (phi.mean[..., None, :, :], a * self.mean_slope + b * noise_slope)
        slopes = (a, b * self.mean_slope + third * noise_slope)
        return jnp.concatenate(values, axis=-3), jnp.concatenate(slopes, axis=-3)


class _State(NamedTuple):
    overlap: Float[Array, " P"]  # C
    half_slope: Float[Array, "P K"]  # ½ ∂C
    sensitivity: Float[Array, "P K K"]
    private: Float[Array, "P K K"]
    noise_variance: Float[Array, " P"]
    noise_slope: Float[Array, "P K"]


def fields_over_time(
    gain_matrix: GainMatrix, phi: Nonlinearity, theta: Array, pattern: Array, noise_std: Array, num_steps: int
) -> Fields:
    r"""Follow a pulse, φ odd and smooth.

    .. math::
        V^+ &= σ² + G⟨υ⟩, \quad ∂V^+ = G(⟨d\,∂m⟩ + ⟨v⟩ ∂V), \\
        C^+ &= G⟨μ²⟩, \quad ½∂C^+ = G⟨μ s⟩, \quad D^+ = G⟨s s^T⟩

    No difference of large numbers is in it. Not a number from where a variance leaves the float range.
    """
    noise, gain = noise_std**2, gain_matrix.variance_gain
    start = first_step(gain_matrix, phi, theta, pattern, noise)
    begun = _State(
        start.overlap, start.overlap_slope / 2, start.sensitivity, start.across, start.noise_variance, start.noise_slope
    )

    def step(state: _State, _: None) -> tuple[_State, Fields]:
        fields = _fields(phi, state)
        return _following(gain, noise, fields), fields

    return jax.lax.scan(step, begun, length=num_steps)[1]


def _fields(phi: Nonlinearity, state: _State) -> Fields:
    variance = state.noise_variance
    z, weights = phi.half_points(state.overlap, jnp.sqrt(1 + variance))
    root, share = _along(state.overlap, state.half_slope)
    return Fields(
        weights=weights,
        stacked=conditional_moments(phi, root[:, None] * z, variance[:, None]),
        mean_slope=share.T[..., None] * z,
        private_slope=state.private,
        overlap=state.overlap,
        noise_variance=variance,
        noise_slope=state.noise_slope.T,
        sensitivity=state.sensitivity,
    )


def _along(overlap: Array, half_slope: Array) -> tuple[Float[Array, " P"], Float[Array, "P K"]]:
    """√C, and ½∂C/√C: what of ∂m lies along m. Both nothing where C is; the slope of the root at zero is infinite."""
    active = overlap > 0
    root = jnp.sqrt(jnp.where(active, overlap, 1))
    return jnp.where(active, root, 0), jnp.where(active[:, None], half_slope / root[:, None], 0)


def _following(gain: Array, noise: Array, fields: Fields) -> _State:
    phi, (responses, _) = fields.moments, fields.responses()

    def average(terms: Array) -> Array:
        return jnp.sum(fields.weights * terms, axis=-1)

    second = jnp.einsum("ipn,jpn,pn->pij", responses, responses, fields.weights, precision=jax.lax.Precision.HIGHEST)
    second = second.at[:, 1:, 1:].add(average(phi.slope**2)[:, None, None] * fields.private_slope)
    moved = average(phi.by_mean * fields.mean_slope) + average(phi.by_variance) * fields.noise_slope
    following = jnp.einsum("pq,qij->pij", gain, second)
    overlap, half_slope, sensitivity = following[:, 0, 0], following[:, 0, 1:], following[:, 1:, 1:]
    _, share = _along(overlap, half_slope)
    return _State(
        overlap=overlap,
        half_slope=half_slope,
        sensitivity=sensitivity,
        private=sensitivity - share[:, :, None] * share[:, None, :],
        noise_variance=noise + gain @ average(phi.variance),
        noise_slope=gain @ moved.T,
    )
