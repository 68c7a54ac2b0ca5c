"""Variance of one population in continuous time from the conservation of energy.

Read τ as time: Δ″ = −V′(Δ) is a particle that leaves Δ₀ with velocity −s₂ and comes to rest at Δ(∞), so that

    ½ s₂² + ∫ (g² C_φ(c; Δ₀) − c) dc = 0,   c from Δ(∞) to Δ₀,   Δ(∞) = g² C_φ(Δ(∞); Δ₀).

Without noise and for odd φ, Δ(∞) = 0 and this is Δ₀²/2 = g² (E[Φ²] − E[Φ]²) with Φ = ∫φ.

References
----------
Sompolinsky, Crisanti & Sommers (1988), Chaos in random neural networks, Phys. Rev. Lett. 61, 259.
Schuecker, Goedeke & Helias (2018), Optimal sequence memory in driven random networks, Phys. Rev. X 8, 041029.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax.nonlinearities import Nonlinearity

from ._profile import pair_moments

_LOWEST, _HIGHEST = 1e-14, 1e10  # range of Δ₀ relative to its scale
_QUADRATURE = 48
_BISECTIONS = 40  # to 5e-11 in log Δ₀: near the transition κ² is a small difference of terms of the size of Δ₀


class Variance(NamedTuple):
    """Variance, limit of the autocorrelation, and whether the variance is finite."""

    variance: Float[Array, ""]
    limit: Float[Array, ""]
    bounded: jax.Array


def energy(phi: Nonlinearity, gain2: Array, intensity: Array, variance: Array) -> tuple[Array, Array]:
    """Left-hand side of the energy condition over Δ₀², positive where Δ₀ is too small; and Δ(∞).

    The smallest root of c = g² C_φ(c) is where the particle can rest. C_φ is convex, so that Newton's method
    reaches it from zero without passing it. Where there is none, or where it is unstable, Δ₀ is too small.
    """

    def approach(_: int | Array, limit: Array) -> Array:
        moments = pair_moments(phi, variance, limit)
        slope = 1 - gain2 * moments.slope_overlap
        step = (limit - gain2 * moments.overlap) / jnp.where(slope > 0, slope, 1)
        return jnp.clip(jnp.where(slope > 0, limit - step, limit), 0, variance)

    limit = jax.lax.fori_loop(0, 30, approach, jnp.zeros_like(variance))
    rests = gain2 * pair_moments(phi, variance, limit).slope_overlap < 1
    # in the angle of c = Δ₀ sin t, the square-root singularity of the moments at c = Δ₀ is gone
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    lowest = jnp.arcsin(limit / variance)
    half = (np.pi / 2 - lowest) / 2
    angle = lowest + half * (1 + jnp.asarray(nodes, variance.dtype))
    place = jnp.minimum(variance * jnp.sin(angle), variance)
    force = gain2 * pair_moments(phi, variance, place).overlap - place
    work = half * jnp.sum(jnp.asarray(weights, variance.dtype) * force * jnp.cos(angle)) / variance
    return jnp.where(rests, (intensity / variance) ** 2 / 2 + work, 1.0), limit


def starting_variance(phi: Nonlinearity, gain2: Array, intensity: Array) -> Variance:
    """Δ₀ by bisection in its logarithm from the side of large variances."""
    unit = jnp.ones_like(gain2)
    scale = intensity + gain2 * phi.second_moment(unit)
    lower, upper = jnp.log(_LOWEST * scale), jnp.log(_HIGHEST * scale)
    bounded = energy(phi, gain2, intensity, jnp.exp(upper))[0] < 0

    def halve(_: int | Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        lower, upper = bracket
        middle = (lower + upper) / 2
        too_small = energy(phi, gain2, intensity, jnp.exp(middle))[0] > 0
        return jnp.where(too_small, middle, lower), jnp.where(too_small, upper, middle)

    lower, upper = jax.lax.fori_loop(0, _BISECTIONS, halve, (lower, upper))
    variance = jnp.exp((lower + upper) / 2)
    return Variance(variance, energy(phi, gain2, intensity, variance)[1], bounded)
