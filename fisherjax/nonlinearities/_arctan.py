"""The arctangent without branches, which compilers vectorize where they call a scalar function for the library's."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_TERMS = 11  # of the Chebyshev series: the first one left out is 1e-17 of the angle


@jax.custom_jvp
def arctan(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    r"""The inverse tangent, to rounding; several times as fast as `jax.numpy.arctan` in float64 on a CPU.

    .. math::
        \arctan x = 2 \arctan \frac{x}{1 + \sqrt{1 + x^2}}

    twice, which leaves at most tan(π/8), and a Chebyshev series there. Derivatives of every order are those of
    1/(1 + x²). The square of x must be a finite number, so |x| up to 1e154, in float32 up to 1e19.
    """
    tangent = x
    for _ in range(2):
        tangent /= 1 + jnp.sqrt(1 + tangent * tangent)
    return 4 * tangent * jnp.polyval(jnp.asarray(_coefficients(), x.dtype), tangent * tangent)


@arctan.defjvp
def _arctan_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (change,) = primals, tangents
    return arctan(x), change / (1 + x * x)


@functools.cache
def _coefficients() -> tuple[float, ...]:
    """Of arctan(t)/t in powers of t², highest first, on |t| ≤ tan(π/8).

    From arctan(t) = 2 Σ_n (−1)^n q^(2n+1) / (2n+1) T_{2n+1}(t / tan(π/8)), q = tan(π/16).
    """
    order = 2 * np.arange(_TERMS) + 1
    chebyshev = np.zeros(2 * _TERMS)
    chebyshev[order] = 2 * (-1.0) ** np.arange(_TERMS) * math.tan(math.pi / 16) ** order / order
    powers = np.polynomial.chebyshev.cheb2poly(chebyshev)[order] / math.tan(math.pi / 8) ** order
    return tuple(float(one) for one in powers[::-1])
