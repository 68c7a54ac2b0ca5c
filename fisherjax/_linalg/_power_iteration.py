"""The dominant eigenvalue of a linear map by repeated products, whichever its sign, real or a complex pair."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, check_integer, is_traced, require, warn
from fisherjax._types import Record, Scalar

from ._krylov import Product, check_product, residual_tolerance


class PowerIteration(Record):
    """The dominant eigenvalue, or the pair of complex conjugates that dominate together.

    Parameters
    ----------
    eigenvalue
        λ, the one with Im λ ≥ 0.
    eigenvector
        v (N,), of unit norm.
    residual
        ‖A v − λ v‖₂.
    converged
        Whether that is within the tolerance.
    num_steps
        Products with A.
    """

    eigenvalue: Complex[Array, ""]
    eigenvector: Complex[Array, " N"]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]
    num_steps: Any


def power_iteration(
    product: Product,
    start: Float[Array | np.ndarray, " N"],
    *,
    tolerance: Scalar | None = None,
    max_steps: int = 10_000,
) -> PowerIteration:
    r"""The dominant eigenvalue of a real linear map by repeated products, real or complex, of either sign.

    After many steps the iterate lies in the span of one real or two complex conjugate eigenvectors. There
    A²x = a A x + b x, and λ² = a λ + b gives both cases: a and b by least squares, v = A x − λ̄ x. It stops when
    the residual of the pair is within the tolerance. Compiled, and possible inside jit and vmap.

    Parameters
    ----------
    product
        x (N,) ↦ A x (N,).
    start
        Any vector that is not orthogonal to the leading eigenvectors; draw it at random.
    tolerance
        Largest residual relative to |λ|; √ε of the precision by default.
    max_steps
        Products after which `converged` is False.

    Warns
    -----
    RuntimeWarning
        If it has not converged, outside of jit and vmap.

    Raises
    ------
    ValueError
        If a number is out of range, `start` is zero, or the product has another shape.

    Notes
    -----
    The error falls as |λ₂/λ₁| per step, λ₂ the largest that does not belong to the pair: use `arnoldi` where
    several are close, such as λ and −λ or two pairs.
    """
    check_callable("product", product)
    max_steps = check_integer("max_steps", max_steps, minimum=2)
    vector = as_real("start", start, "N")
    require(
        is_traced(vector) or bool(jnp.any(vector != 0)), "start must not be zero: no product of it is anything else"
    )
    accuracy = jnp.asarray(residual_tolerance(tolerance, vector.dtype), vector.dtype)
    check_product(product, vector)
    result = _iterated(product, vector, accuracy, max_steps)
    if not is_traced(result) and not bool(result.converged):
        warn(
            f"power_iteration has not converged in {int(result.num_steps)} steps: the residual is "
            f"{float(result.residual):.3g}"
        )
    return result


@eqx.filter_jit
def _iterated(product: Product, vector: Array, accuracy: Array, max_steps: int) -> PowerIteration:
    def advance(carry: Any) -> Any:
        vector, _, steps = carry
        norm = jnp.linalg.norm(vector)
        unit = vector / jnp.where(norm > 0, norm, 1)  # products of a nilpotent map end at zero
        first = product(unit)
        second = product(first)
        return second, _dominant(unit, first, second), steps + 2

    def going(carry: Any) -> Any:
        _, (value, _, residual), steps = carry
        return (residual > accuracy * jnp.abs(value)) & (steps < max_steps)

    carry = jax.lax.while_loop(going, advance, advance((vector, None, jnp.zeros((), int))))
    _, (value, found, residual), steps = carry
    return PowerIteration(value, found, residual, residual <= accuracy * jnp.abs(value), steps)


def _dominant(unit: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """The best real and the best complex pair in the span of x and A x; whichever has the smaller residual."""
    real = jnp.vdot(unit, first)
    real_residual = jnp.linalg.norm(first - real * unit)
    # A x split into its part along x and the rest, so that the least squares are well posed
    rest = first - real * unit
    size = jnp.linalg.norm(rest)
    other = rest / jnp.where(size > 0, size, 1)
    complex_type = np.result_type(unit.dtype, np.complex64)
    slope = jnp.vdot(other, second) / jnp.where(size > 0, size, 1)
    constant = jnp.vdot(unit, second) - slope * real
    root = jnp.sqrt((slope**2 + 4 * constant).astype(complex_type))
    unit, first, second, slope = (part.astype(complex_type) for part in (unit, first, second, slope))
    candidates = jnp.stack([(slope + root) / 2, (slope - root) / 2])
    value = candidates[jnp.argmax(jnp.abs(candidates))]
    value = jnp.where(value.imag < 0, value.conj(), value)
    partner = slope - value  # the other root
    vector = first - partner * unit
    norm = jnp.linalg.norm(vector)
    length = jnp.where(norm > 0, norm, 1)
    image = second - partner * first
    residual = jnp.linalg.norm(image - value * vector) / length
    single = (real_residual <= residual) | (norm == 0)
    return (
        jnp.where(single, real.astype(complex_type), value),
        jnp.where(single, unit, vector / length.astype(complex_type)),
        jnp.where(single, real_residual, residual),
    )
