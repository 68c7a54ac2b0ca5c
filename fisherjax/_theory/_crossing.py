"""Gains at which a growth rate vanishes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from fisherjax._errors import is_traced, warn
from fisherjax._linalg import spectral_radius
from fisherjax._types import ArrayLike
from fisherjax.nonlinearities import Nonlinearity

_FARTHEST = 20.0  # states among which the largest slope of φ is looked for


def told(gain: Array) -> Array:
    """The gain, after a warning if it is known (not traced) not to have been found."""
    if not is_traced(gain) and bool(jnp.isnan(gain)):
        warn(
            "there is no such gain, or none that could be resolved: the activity grows without bound first, the noise "
            "is too weak for this float type, or the gain lies beyond the range that is searched; the result is NaN"
        )
    return gain


def unless_silent(phi: Nonlinearity, total_gain: Array, noise: Array, found: Array) -> Float[Array, ""]:
    """`found`, but without noise and with φ(0) = 0 the gain at which silence, a state at all gains, loses stability."""
    zero = jnp.zeros((), total_gain.dtype)
    silent = 1 / (jnp.sqrt(spectral_radius(total_gain)) * jnp.abs(phi.mean_slope(zero)))
    return jnp.where(jnp.all(noise == 0) & (phi(zero) == 0), silent, found)


def ordered_below(phi: Nonlinearity, total_gain: Array) -> Float[Array, ""]:
    """Logarithm of a factor below which no state is chaotic: √ρ(G) max |φ′| < 1 there, whatever the variance."""
    slopes = jax.vmap(jax.grad(phi))(jnp.linspace(-_FARTHEST, _FARTHEST, 1601, dtype=total_gain.dtype))
    steepest = jnp.max(jnp.abs(slopes))
    return jax.lax.stop_gradient(-jnp.log(spectral_radius(total_gain)) / 2 - jnp.log(steepest) - 0.1)


def crossing(function: Callable, parameters: ArrayLike, lower: Array, upper: Array) -> Float[Array, ""]:
    """Exp of where a function of log gain changes sign; NaN if it does not."""
    eps = float(jnp.finfo(lower.dtype).eps)
    lower, upper = jax.lax.stop_gradient((lower, upper))
    middle = (lower + upper) / 2
    frozen = jax.lax.stop_gradient(parameters)
    changes = (function(lower, frozen) < 0) & (function(upper, frozen) > 0)

    def bracketed(log_factor: Array, given: Any) -> Array:
        # the root finder must have a root to find
        parameters, changes, middle = given
        return jnp.where(changes, function(log_factor, parameters), log_factor - middle)

    solution = optx.root_find(
        bracketed,
        optx.Bisection(rtol=10 * eps, atol=10 * eps),
        middle,
        (parameters, changes, middle),
        options={"lower": lower, "upper": upper},
        throw=False,
        max_steps=64,
    )
    # rounding keeps the function from vanishing to the last digit; a jump across zero is no crossing
    left = jnp.abs(function(jax.lax.stop_gradient(solution.value), frozen))
    return jnp.where(changes & (left < eps**0.5), jnp.exp(solution.value), jnp.nan)
