"""Fixed points of the theory's maps, differentiated implicitly: the variance of an autonomous network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array

from fisherjax.nonlinearities import Nonlinearity

_PICARD_STEPS = 60


def variance_from_above(total_gain: Array, noise: Array, phi: Nonlinearity) -> Array:
    """Δ from above: a start that bounds the fixed point for a saturating φ, large for the others."""
    count = total_gain.shape[0]
    row_sum = jnp.max(jnp.sum(total_gain, axis=1))
    big = jnp.full((count,), 1e4, total_gain.dtype)
    start = noise + row_sum * jnp.max(phi.second_moment(big)) + jnp.zeros_like(big)

    def variance_map(variance: Array, args: tuple[Array, Array]) -> Array:
        gain, sigma2 = args
        return sigma2 + gain @ phi.second_moment(variance)

    return fixed_point(variance_map, jax.lax.stop_gradient(start), (total_gain, noise))


def fixed_point(function: Callable[[Array, Any], Array], start: Array, arguments: Any) -> Array:
    """Fixed point near where plain iteration leads; derivative by the implicit function theorem."""
    frozen = jax.lax.stop_gradient(arguments)
    near = jax.lax.fori_loop(0, _PICARD_STEPS, lambda _, y: function(y, frozen), jax.lax.stop_gradient(start))
    eps = float(jnp.finfo(start.dtype).eps)
    solver = optx.Newton(rtol=10 * eps, atol=10 * eps)
    solution = optx.fixed_point(function, solver, near, arguments, throw=False, max_steps=64)
    return solution.value
