"""What is left of φ's fluctuations given the mean of its argument: the moments that noise correlations are made of."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._nonlinearity import Moments, Nonlinearity
from ._regularity import derivative

Stacked = Float[Array, "moments ..."]


class SlopeMoments(NamedTuple):
    """Moments of φ(x) over x ~ N(m, V) that say how a state responds."""

    mean: Moments  # μ = E φ
    slope: Moments  # a = E φ′
    curvature: Moments  # b = E φ″


class ResponseMoments(NamedTuple):
    """Those, first, and how its noise does."""

    mean: Moments
    slope: Moments
    curvature: Moments
    variance: Moments  # υ = Var φ
    by_mean: Moments  # d = ∂υ/∂m
    by_variance: Moments  # v = ∂υ/∂V


class ConditionalMoments(NamedTuple):
    """Those, first, and the derivatives in m at fixed V that the linear information needs.

    Computed and kept as one array (14, …) of them: as many arrays would take long to compile.

    With c = φ − Eφ, and since ∂_V = ½ ∂²_m on every E f(x),

        ∂_m υ = 2 E[c φ′],  ∂_V υ = E[φ′² + c φ″],  ∂²_m υ = 2 (∂_V υ − a²),  ∂_m κ₃ = 3 E[c² φ′] − 3 a υ.
    """

    mean: Moments
    slope: Moments
    curvature: Moments
    variance: Moments
    by_mean: Moments
    by_variance: Moments
    third: Moments  # E φ‴, which is ∂_m b
    bend: Moments  # ∂²υ/∂m²
    rest: Moments  # η = υ − a² V, what of υ is not linear in x
    rest_by_mean: Moments  # ∂_m η
    rest_bend: Moments  # ∂²_m η
    skew: Moments  # χ = κ₃(φ) − a d V
    skew_by_mean: Moments  # ∂_m χ
    excess: Moments  # π = E c⁴ − υ² − d² V, the variance of c² that is not linear in x


Kind = type[SlopeMoments] | type[ResponseMoments] | type[ConditionalMoments]


def conditional_moments(kind: Kind, phi: Nonlinearity, mean: Moments, variance: Moments) -> Stacked:
    """All of a kind for x ~ N(mean, variance), elementwise; of a smooth φ with relative errors below 1e-11."""
    return _moments(kind, phi, *jnp.broadcast_arrays(mean, variance))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _moments(kind: Kind, phi: Nonlinearity, mean: Moments, variance: Moments) -> Stacked:
    return _MOMENTS[kind](phi, mean, variance)


@_moments.defjvp
def _moments_jvp(kind, phi, primals, tangents):
    """Many functions of two numbers each: their slopes in both are taken forward, so that no node is remembered."""
    values, push = jax.linearize(functools.partial(_moments.__wrapped__, kind, phi), *primals)
    both = jnp.stack([jnp.ones_like(primals[0]), jnp.zeros_like(primals[0])])
    by_mean, by_variance = jax.vmap(push)(both, both[::-1])
    return values, by_mean * tangents[0] + by_variance * tangents[1]


def _slopes(phi: Nonlinearity, mean: Moments, variance: Moments) -> Stacked:
    return jnp.stack(phi.derivative_means(mean, variance, 2))


def _responses(phi: Nonlinearity, mean: Moments, variance: Moments) -> Stacked:
    value, slope, curvature = phi.derivative_means(mean, variance, 2)
    spread, push = jax.linearize(phi.value_variance, mean, variance)
    one, zero = jnp.ones_like(mean), jnp.zeros_like(mean)
    by_mean, by_variance = jax.vmap(push)(jnp.stack([one, zero]), jnp.stack([zero, one]))
    return jnp.stack(ResponseMoments(value, slope, curvature, spread, by_mean, by_variance))


def _by_quadrature(phi: Nonlinearity, mean: Moments, variance: Moments) -> Stacked:
    points, weights = phi.points(mean, variance)
    value, a, b, third = phi.derivative_means(mean, variance, 3)

    def average(terms: Moments) -> Moments:
        return jnp.sum(weights * terms, axis=-1)

    centered, slope, curvature = (derivative(phi, order)(points) for order in range(3))
    centered = centered - value[..., None]
    squared = centered**2
    spread, d = average(squared), 2 * average(centered * slope)
    v = average(slope**2 + centered * curvature)
    bend = 2 * (v - a**2)
    third_cumulant, by_mean = average(centered * squared), 3 * average(squared * slope) - 3 * a * spread
    moments = ConditionalMoments(
        mean=value,
        slope=a,
        curvature=b,
        third=third,
        variance=spread,
        by_mean=d,
        by_variance=v,
        bend=bend,
        rest=spread - a**2 * variance,
        rest_by_mean=d - 2 * a * b * variance,
        rest_bend=bend - 2 * (b**2 + a * third) * variance,
        skew=third_cumulant - a * d * variance,
        skew_by_mean=by_mean - (b * d + a * bend) * variance,
        excess=average(squared**2) - spread**2 - d**2 * variance,
    )
    return jnp.stack(moments)


_MOMENTS = {SlopeMoments: _slopes, ResponseMoments: _responses, ConditionalMoments: _by_quadrature}
