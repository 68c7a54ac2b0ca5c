"""The Gaussian fields of a structure through time, and the moments of φ that information is made of.

The noise-mean m of a unit and its derivative ∂m in the stimulus are jointly Gaussian over the units of a population,
and given m the state is N(m, V). All that follows are averages over m, of sums of squares wherever it can be so.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax.connectivity._gain_matrix import GainMatrix
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._conditional import (
    ConditionalMoments,
    Kind,
    ResponseMoments,
    SlopeMoments,
    conditional_moments,
)

from ._drive import Drive

_UNRESOLVED = 1e-2  # of the sensitivity, that rounding may have changed: a bound, which is far from reached


class Fields(NamedTuple):
    """The field (m, ∂m) of every population at times 1…T, on n nodes of m, for K parameters of the stimulus."""

    weights: Float[Array, "T P n"]
    stacked: Float[Array, "T moments P n"]  # moments of φ given m
    mean_slope: Float[Array, "T K P n"]  # E[∂m | m]
    private_slope: Float[Array, "T P K K"]  # covariance of ∂m given m
    mean: Float[Array, "T P"]  # μ
    overlap: Float[Array, "T P"]  # C, variance of m
    noise_variance: Float[Array, "T P"]  # V
    population_slope: Float[Array, "T P K"]  # μ′
    half_overlap_slope: Float[Array, "T P K"]  # ½ ∂C
    noise_slope: Float[Array, "T K P"]  # ∂V
    sensitivity: Float[Array, "T P K K"]  # mean of ∂m ∂m
    next_noise_variance: Float[Array, "T P"]
    resolved: Bool[Array, " T"]  # whether rounding leaves something of the next ∂m

    @property
    def slopes(self) -> SlopeMoments:
        """The moments that carry a response on, each (…, P, n)."""
        return SlopeMoments(*jnp.moveaxis(self.stacked[..., : len(SlopeMoments._fields), :, :], -3, 0))

    @property
    def slope_overlap(self) -> Float[Array, "*T P"]:
        """κ = ⟨a²⟩."""
        return jnp.sum(self.weights * self.slopes.slope**2, axis=-1)

    @property
    def moments(self) -> ConditionalMoments:
        """All of them, in fields that are followed for the linear form."""
        return ConditionalMoments(*jnp.moveaxis(self.stacked, -3, 0))

    def responses(self) -> tuple[Float[Array, "*T A P n"], Float[Array, "*T A P n"]]:
        """μ and E[s | m] for every parameter, s = a ∂m + ½ b ∂V, and their derivatives in m at fixed ∂m."""
        phi, noise_slope = self.moments, self.noise_slope[..., None] / 2
        a, b, third = (part[..., None, :, :] for part in (phi.slope, phi.curvature, phi.third))
        values = (phi.mean[..., None, :, :], a * self.mean_slope + b * noise_slope)
        slopes = (a, b * self.mean_slope + third * noise_slope)
        return jnp.concatenate(values, axis=-3), jnp.concatenate(slopes, axis=-3)


class _State(NamedTuple):
    mean: Float[Array, " P"]
    mean_slope: Float[Array, "P K"]
    overlap: Float[Array, " P"]
    half_slope: Float[Array, "P K"]
    private: Float[Array, "P K K"]
    noise_variance: Float[Array, " P"]
    noise_slope: Float[Array, "P K"]


class _Sent(NamedTuple):
    """What a population sends on: averages over m of the mean response μ̂ and of s, its derivative."""

    weights: Float[Array, "P n"]
    value: Float[Array, "P n"]
    slope: Float[Array, "K P n"]
    private: Float[Array, "P K K"]  # what of ∂m is not told by m, as far as it is sent
    noise: Float[Array, " P"]  # ⟨υ⟩
    noise_slope: Float[Array, "P K"]


def fields_over_time(
    gain_matrix: GainMatrix, phi: Nonlinearity, drive: Drive, noise_std: Array, num_steps: int, *, linear: bool = False
) -> Fields:
    r"""Follow a structure from where it starts, through whatever enters.

    .. math::
        μ^+ &= M f ⟨\hat μ⟩ + b + w u, \quad C^+ = G⟨\hat μ^2⟩ + β^2 + ω^2 u^2, \quad V^+ = σ² + G⟨υ⟩, \\
        μ'^+ &= M f ⟨s⟩ + w e, \quad ½∂C^+ = G⟨\hat μ s⟩ + ω^2 u e, \quad
        ⟨∂m ∂m^T⟩^+ - μ'μ'^T = G⟨s s^T⟩ + ω^2 e e^T, \\
        ∂V^+ &= G(⟨d\,∂m⟩ + ⟨v⟩ ∂V), \qquad s = a ∂m + ½ b ∂V

    No difference of large numbers is in it. Not a number from where a variance leaves the float range. With `linear`
    all moments of φ are kept that the linear form needs.
    """
    noise, centered = noise_std**2, gain_matrix.centered and drive.is_pulse
    # where μ = 0 the noise that is sent is a closed form in C and V for many φ
    kind = ConditionalMoments if linear else (SlopeMoments if centered else ResponseMoments)

    def arriving(sent: _Sent, now: Drive) -> _State:
        return _arriving(gain_matrix, noise, sent, now)

    def step(state: _State, now: Drive) -> tuple[_State, Fields]:
        fields = _fields(kind, phi, state, odd=centered and phi.odd)
        sent = _sent(phi, fields, centered=centered)
        following, resolved = arriving(sent, now), _resolved(fields, sent)
        return following, fields._replace(next_noise_variance=following.noise_variance, resolved=resolved)

    first, later = (jax.tree.map(lambda part, cut=cut: part[cut], drive[2:]) for cut in (0, slice(1, None)))
    begun = arriving(_sent_first(phi, drive), Drive(*drive[:2], *first))
    # what enters after the last step is nobody's
    entering = jax.tree.map(lambda part, one: jnp.concatenate([part, jnp.zeros_like(one)[None]]), later, first)

    def scanned(state: _State, now: tuple) -> tuple[_State, Fields]:
        return step(state, Drive(*drive[:2], *now))

    return jax.lax.scan(scanned, begun, entering, length=num_steps)[1]


def _fields(kind: Kind, phi: Nonlinearity, state: _State, *, odd: bool) -> Fields:
    variance, width = state.noise_variance, jnp.sqrt(1 + state.noise_variance)
    if odd:
        z, weights = phi.half_points(state.overlap, width)
    else:
        z, weights = phi.field_points(state.mean, state.overlap, width)
    root, share = _along(state.overlap, state.half_slope)
    means = state.mean_slope
    return Fields(
        weights=weights,
        stacked=conditional_moments(kind, phi, state.mean[:, None] + root[:, None] * z, variance[:, None]),
        mean_slope=means.T[..., None] + share.T[..., None] * z,
        private_slope=state.private,
        mean=state.mean,
        overlap=state.overlap,
        noise_variance=variance,
        population_slope=means,
        half_overlap_slope=state.half_slope,
        noise_slope=state.noise_slope.T,
        sensitivity=state.private + _outer(share) + _outer(means),
        next_noise_variance=variance,
        resolved=jnp.ones((), bool),
    )


def _outer(slopes: Float[Array, "P K"]) -> Float[Array, "P K K"]:
    return slopes[:, :, None] * slopes[:, None, :]


def _along(overlap: Array, half_slope: Array) -> tuple[Float[Array, " P"], Float[Array, "P K"]]:
    """√C, and ½∂C/√C: what of ∂m lies along m. Both nothing where C is; the slope of the root at zero is infinite."""
    active = overlap > 0
    root = jnp.sqrt(jnp.where(active, overlap, 1))
    return jnp.where(active, root, 0), jnp.where(active[:, None], half_slope / root[:, None], 0)


def _resolved(fields: Fields, sent: _Sent) -> Bool[Array, ""]:
    """Whether what rounding adds to the private part of ∂m, of the size of what lies along m, is small when sent on."""
    private = jnp.diagonal(sent.private, axis1=-2, axis2=-1).T
    whole = jnp.sum(sent.weights * sent.slope**2, axis=-1) + private
    unit = 4 * float(jnp.finfo(whole.dtype).eps)
    doubt = fields.slope_overlap * (_along(fields.overlap, fields.half_overlap_slope)[1].T * unit) ** 2
    return jnp.all(doubt <= _UNRESOLVED * whole)


def _sent_first(phi: Nonlinearity, drive: Drive) -> _Sent:
    """Of a state that is the same for all units of a population, without noise."""
    value, slope = jax.jvp(phi, (drive.start,), (jnp.ones_like(drive.start),))
    slopes = (slope[:, None] * drive.start_slope).T
    none = jnp.zeros_like(drive.start_slope)
    return _Sent(
        weights=jnp.ones_like(value)[:, None],
        value=value[:, None],
        slope=slopes[..., None],
        private=jnp.zeros((*none.shape, none.shape[1]), none.dtype),
        noise=jnp.zeros_like(value),
        noise_slope=none,
    )


def _sent(phi: Nonlinearity, fields: Fields, *, centered: bool) -> _Sent:
    slopes = fields.slopes

    def average(terms: Array) -> Array:
        return jnp.sum(fields.weights * terms, axis=-1)

    kappa = fields.slope_overlap
    if centered:
        total = fields.overlap + fields.noise_variance
        noise = phi.spread(total, fields.noise_variance)
        total_slope = 2 * fields.half_overlap_slope.T + fields.noise_slope
        noise_slope = phi.spread_slope(total, fields.noise_variance) * total_slope + kappa * fields.noise_slope
    else:
        responses = ResponseMoments(*jnp.moveaxis(fields.stacked, -3, 0)[: len(ResponseMoments._fields)])
        noise = average(responses.variance)
        noise_slope = average(responses.by_mean * fields.mean_slope)
        noise_slope += average(responses.by_variance) * fields.noise_slope
    return _Sent(
        weights=fields.weights,
        value=slopes.mean,
        slope=slopes.slope * fields.mean_slope + slopes.curvature * fields.noise_slope[..., None] / 2,
        private=kappa[:, None, None] * fields.private_slope,
        noise=noise,
        noise_slope=noise_slope.T,
    )


def _arriving(gain_matrix: GainMatrix, noise: Array, sent: _Sent, now: Drive) -> _State:
    """The state of every population after what the others send, and what enters."""
    gain, count = gain_matrix.variance_gain, sent.slope.shape[0]
    weights, value, slope = sent.weights, sent.value, sent.slope
    none = jnp.zeros_like(gain[0])
    overlap = gain @ jnp.sum(weights * value**2, axis=-1)
    half_slope = gain @ jnp.sum(weights * value * slope, axis=-1).T
    mean, mean_slope = none, jnp.zeros((len(none), count), none.dtype)
    if not gain_matrix.centered:
        mean = gain_matrix.mean_gain @ jnp.sum(weights * value, axis=-1)
        mean_slope = gain_matrix.mean_gain @ jnp.sum(weights * slope, axis=-1).T
    if now.mean is not None and now.mean_slope is not None:
        mean, mean_slope = mean + now.mean, mean_slope + now.mean_slope
    random, random_slope = now.random, now.random_slope
    if random is not None and random_slope is not None:
        overlap += jnp.sum(random**2, axis=0)
        half_slope += jnp.sum(random[..., None] * random_slope, axis=0)
    # what of ∂m lies along m is taken off before anything is squared
    active = overlap[:, None] > 0
    along = jnp.where(active, half_slope / jnp.where(active, overlap[:, None], 1), 0)
    beside = slope[None] - along[:, :, None, None] * value
    private = jnp.einsum(
        "pq,piqn,pjqn,qn->pij", gain, beside, beside, weights, precision=jax.lax.Precision.HIGHEST
    ) + jnp.einsum("pq,qij->pij", gain, sent.private)
    if random is not None and random_slope is not None:
        own = random_slope - along * random[..., None]
        private += jnp.einsum("hpi,hpj->pij", own, own)
    return _State(
        mean=mean,
        mean_slope=mean_slope,
        overlap=overlap,
        half_slope=half_slope,
        private=private,
        noise_variance=noise + gain @ sent.noise,
        noise_slope=gain @ sent.noise_slope,
    )
