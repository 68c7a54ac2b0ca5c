"""Leading eigenvalues and singular values of maps that are too large to write down."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Complex, Float

from fisherjax._errors import (
    check_callable,
    check_choice,
    check_integer,
    check_key,
    check_scalar,
    output_of,
    require,
    told,
    warn,
)
from fisherjax._types import Key, Record, Scalar

Product = Callable[[Any], Any]
Target = Literal["largest magnitude", "largest real part"]

_CODES = {"largest magnitude": "LM", "largest real part": "LR"}
_DENSE = 64  # up to this size the matrix is written down


class Spectrum(Record):
    """Eigenpairs of a linear map, the leading first; pairs of complex conjugates stand together.

    Parameters
    ----------
    eigenvalues
        λ (k,).
    eigenvectors
        v (N, k), of unit norm, as columns.
    residuals
        ‖A v − λ v‖₂ (k,), computed anew from each pair.
    converged
        Which residuals are within the tolerance (k,).
    num_products
        How often A was applied, residuals excluded.
    """

    eigenvalues: Complex[np.ndarray, " k"]
    eigenvectors: Complex[np.ndarray, "N k"]
    residuals: Float[np.ndarray, " k"]
    converged: Bool[np.ndarray, " k"]
    num_products: int


def arnoldi(
    product: Product,
    size: int,
    *,
    key: Key,
    num_eigenvalues: int | None = None,
    which: Target = "largest magnitude",
    tolerance: Scalar | None = None,
    subspace: int | None = None,
    max_restarts: int = 300,
    dtype: DTypeLike | None = None,
) -> Spectrum:
    """Leading eigenpairs of a real linear map by Arnoldi's method with implicit restarts (ARPACK, through SciPy).

    Only products A v are needed: ``lambda v: jax.jvp(step, (state,), (v,))[1]`` gives those with a Jacobian. The
    iteration runs in float64 on the host; what precision the products have limits the residuals.

    Parameters
    ----------
    product
        v (N,) ↦ A v (N,); called with float arrays, and compiled.
    size
        N.
    key
        JAX random key of the starting vector.
    num_eigenvalues
        k, by default six or as many as there are; a pair of complex conjugates is never cut in two, so that one more
        may be returned.
    which
        Which eigenvalues are leading: those that dominate a map, or those that decide on the stability of a flow.
    tolerance
        Largest residual relative to |λ|, or to one where |λ| is smaller; √ε of the precision by default (1.5e-8 in
        float64).
    subspace
        Vectors kept, at least k + 4; max(2k + 3, 20) by default. More of them need fewer restarts.
    max_restarts
        After which what has converged is returned, with `converged` saying so.
    dtype
        Float type with which the product is called; JAX's default precision by default.

    Returns
    -------
    `Spectrum`. Pairs that ARPACK did not reach are returned too where there are any, not converged.

    Warns
    -----
    RuntimeWarning
        If pairs are missing or have not converged; a missing one may be the leading one.

    Raises
    ------
    ValueError
        If the size or number of eigenvalues is out of range, or the product has another shape or is not finite.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Lehoucq, Sorensen & Yang (1998), ARPACK users' guide. Sorensen (1992), SIAM J. Matrix Anal. Appl. 13, 357.
    """
    check_callable("product", product)
    size = check_integer("size", size, minimum=1)
    count = min(6, size) if num_eigenvalues is None else check_integer("num_eigenvalues", num_eigenvalues, minimum=1)
    require(count <= size, f"num_eigenvalues must be at most the size {size}, got {count}")
    check_choice("which", which, tuple(_CODES))
    key = check_key("key", key)
    apply = _Product(product, size, dtype)
    accuracy = residual_tolerance(tolerance, apply.dtype)
    restarts = check_integer("max_restarts", max_restarts, minimum=1)
    kept = _subspace(subspace, count, size)
    start = np.asarray(jax.random.normal(key, (size,)), np.float64)
    if size <= _DENSE or kept >= size - 1:
        values, vectors = np.linalg.eig(apply.matrix())
    else:
        values, vectors = _restarted(apply, start, count + 1, _CODES[which], kept, accuracy, restarts)
    calls = apply.calls
    values, vectors = _leading(np.asarray(values, complex), np.asarray(vectors, complex), count, which)
    images = [apply(vector.real) + 1j * apply(vector.imag) for vector in vectors.T]
    residuals = np.array([
        np.linalg.norm(image - value * vector) for image, value, vector in zip(images, values, vectors.T, strict=True)
    ])  # fmt: skip
    converged = residuals <= accuracy * np.maximum(np.abs(values), 1)
    if int(converged.sum()) < count:
        warn(
            f"only {int(converged.sum())} of {count} eigenvalues have converged: use more max_restarts or a larger "
            "subspace or tolerance"
        )
    return Spectrum(values, vectors, residuals, converged, calls)


@eqx.filter_jit
def _applied(product: Product, vector: Array) -> Array:
    return product(vector)


class _Product:
    """A v in float64 on the host, counted and checked. Compiled once per function, or per shapes of a `Partial`."""

    def __init__(self, product: Product, size: int, dtype: DTypeLike | None):
        self.product, self.size, self.calls = product, size, 0
        self.dtype = jnp.zeros((), dtype).dtype
        check_product(product, jax.ShapeDtypeStruct((size,), self.dtype))

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        image = np.asarray(_applied(self.product, jnp.asarray(vector.reshape(-1), self.dtype)), np.float64)
        self.calls += 1
        require(bool(np.isfinite(image).all()), "product returned numbers that are not finite")
        return image

    def matrix(self) -> np.ndarray:
        """A itself, for a small one."""
        return np.stack([self(column) for column in np.eye(self.size)], axis=1)


def check_product(product: Product, vector: Any) -> None:
    """Refuse a product that does not map vectors to vectors of their length."""
    image: Any = output_of("product", product, vector)
    shape = getattr(image, "shape", None)
    require(shape == vector.shape, f"product must return {vector.shape}, got {told(image) if shape is None else shape}")


def _operator(apply: _Product) -> Any:
    return scipy.sparse.linalg.LinearOperator((apply.size,) * 2, matvec=apply, dtype=np.float64)  # pyright: ignore[reportCallIssue]


def _restarted(
    apply: _Product, start: np.ndarray, count: int, code: str, kept: int, tolerance: float, restarts: int
) -> tuple[np.ndarray, np.ndarray]:
    # a tenth of the tolerance: ARPACK's test is an estimate, ours is of the pair itself
    if not np.any(apply(start)):  # ARPACK has no word for the zero map
        return np.zeros(count, complex), np.eye(len(start), count, dtype=complex)
    options: Any = {"k": count, "which": code, "v0": start, "ncv": kept, "maxiter": restarts, "tol": tolerance / 10}
    try:
        pairs: Any = scipy.sparse.linalg.eigs(_operator(apply), **options)
        return pairs
    except scipy.sparse.linalg.ArpackNoConvergence as stopped:
        return stopped.eigenvalues, stopped.eigenvectors


def _subspace(subspace: int | None, count: int, size: int) -> int:
    if subspace is None:
        return min(max(2 * count + 3, 20), size)
    subspace = check_integer("subspace", subspace, minimum=count + 4)
    return min(subspace, size)


def residual_tolerance(tolerance: Scalar | None, dtype: Any) -> float:
    """Largest relative residual of an eigenpair; √ε of the precision by default."""
    if tolerance is None:
        return float(jnp.finfo(dtype).eps) ** 0.5
    check_scalar("tolerance", tolerance, minimum=0.0, strict=True)
    return float(tolerance)


def _leading(values: np.ndarray, vectors: np.ndarray, count: int, which: str) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` in their order, and the partner of the last if it has one."""
    rank = np.abs(values) if which == "largest magnitude" else np.real(values)
    # partners have the same rank to the last bit: side by side, the one with positive imaginary part first
    order = np.lexsort((-np.imag(values), -np.abs(np.imag(values)), -rank))
    values, vectors = values[order], vectors[:, order]
    end = min(count, len(values))
    if 0 < end < len(values) and values[end - 1].conj() == values[end] and values[end - 1].imag > 0:
        end += 1
    norms = np.linalg.norm(vectors[:, :end], axis=0)
    return values[:end], vectors[:, :end] / norms


def largest_symmetric(
    product: Product, start: np.ndarray, *, dtype: DTypeLike | None = None
) -> tuple[float, np.ndarray]:
    """Largest eigenvalue and its eigenvector of a symmetric map, by Lanczos's method (ARPACK).

    To a residual of ε^{3/4} of the product's precision: it cannot be asked for less than its rounding. NaN with a
    RuntimeWarning if it has not converged.
    """
    apply = _Product(product, len(start), dtype)
    if len(start) <= _DENSE:
        values, vectors = np.linalg.eigh(apply.matrix())
        return float(values[-1]), vectors[:, -1]
    first = start.astype(np.float64)
    if not np.any(apply(first)):
        return 0.0, first / np.linalg.norm(first)
    tolerance = float(jnp.finfo(apply.dtype).eps) ** 0.75
    try:
        values, vectors = scipy.sparse.linalg.eigsh(_operator(apply), k=1, which="LA", v0=first, tol=tolerance)
    except scipy.sparse.linalg.ArpackNoConvergence:
        warn("Lanczos's method has not converged: the eigenvalue is NaN")
        return float("nan"), np.full(first.shape, np.nan)
    return float(values[0]), vectors[:, 0]
