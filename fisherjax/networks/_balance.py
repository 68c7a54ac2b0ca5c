r"""Initial weights of fixed sign in which excitation and inhibition cancel, so that no eigenvalue grows with √N.

Weights of one sign have a mean of the order of their deviation, g/√N, and the mean of N of them acts on a common
direction with √N g. Within one region the remedy is that every row sums to zero. Between regions that is not enough:
where only excitatory units project, a row that is zero in sum may hold +c √N from one region and −c √N from another,
and then directions that differ between regions still grow. Therefore every source region cancels by itself wherever it
has both signs. What remains is decided by the matrix M of class means, M_rc = mean over units i of class r of
Σ_{j in c} W_ij, a class being the excitatory or the inhibitory units of one region: its eigenvalues are the outliers
of W. Weights between regions are scaled down until those are within the bulk.

References
----------
Rajan & Abbott (2006), Eigenvalue spectra of random matrices for neural networks, Phys. Rev. Lett. 97, 188104.
Aljadeff, Stern & Sharpee (2015), Transition to chaos in random networks with cell-type-specific connectivity,
Phys. Rev. Lett. 114, 088101 (spectra of block-structured matrices).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import is_traced, warn

from ._pattern import Pattern

_HALVINGS = 40
_KRYLOV = 40  # enough for an eigenvalue outside of a disc: its error falls as (disc/eigenvalue)^40
_CLEARLY = 1.25  # a small matrix exceeds its gain by chance by as much
Matrix = Float[Array, "to from"]


def balanced_weights(drawn: Matrix, pattern: Pattern, gain: float) -> Matrix:
    """Weights with the zeros and signs of `drawn`, canceled per source region; Σ_j W_ij² = gain² in every row.

    A row of one sign, which cannot be canceled, has Σ_j |W_ij| = gain.
    """
    regions = np.zeros(drawn.shape[1], int) if pattern.sources is None else pattern.sources
    weights = _of_gain(drawn, jnp.asarray(np.unique(regions)[:, None] == regions), gain)
    if drawn.shape[0] != drawn.shape[1] or is_traced(weights):
        return weights
    weights = _weaker_between_regions(weights, regions, pattern.signs, gain)
    return _without_outlier(weights, pattern, gain)


@jax.jit
def _of_gain(drawn: Matrix, regions: Bool[Array, "regions from"], gain: float | Array) -> Matrix:
    """Canceled weights with rows of the given length."""
    weights = _canceled_by_region(drawn, regions)
    total, absolute = (jnp.sum(part, axis=1, keepdims=True) for part in (weights**2, jnp.abs(weights)))
    one_signed = jnp.abs(jnp.sum(weights, axis=1, keepdims=True)) > 0.999 * absolute
    several = jnp.sum(weights != 0, axis=1, keepdims=True) > 1
    length = jnp.where(one_signed & several, absolute, jnp.sqrt(total))
    return gain * weights / jnp.where(length > 0, length, 1)


def _canceled_by_region(drawn: Matrix, regions: Bool[Array, "regions from"]) -> Matrix:
    """Every region's part of a row sums to zero where it has both signs; the other parts do together if they have."""
    weights = drawn
    for inside in regions:
        weights = _canceled(weights, inside)
    alone = jnp.zeros(drawn.shape, bool)
    for inside in regions:
        part = jnp.where(inside, weights, 0)
        signs = jnp.any(part > 0, axis=1, keepdims=True) & jnp.any(part < 0, axis=1, keepdims=True)
        alone = alone | (inside & ~signs)
    return _canceled(weights, alone)


def _canceled(weights: Matrix, inside: Array) -> Matrix:
    """Inhibition of the entries `inside` scaled so that it equals their excitation, in rows that have both."""
    part = jnp.where(inside, weights, 0)
    excitation = jnp.sum(jnp.maximum(part, 0), axis=1, keepdims=True)
    inhibition = -jnp.sum(jnp.minimum(part, 0), axis=1, keepdims=True)
    both = (excitation > 0) & (inhibition > 0)
    ratio = jnp.where(both, excitation / jnp.where(both, inhibition, 1), 1)
    return jnp.where(part < 0, weights * ratio, weights)


def _weaker_between_regions(weights: Matrix, regions: np.ndarray, signs: Any, gain: float) -> Matrix:
    """Weights between regions times a common factor f ≤ 1 that keeps all eigenvalues of class means within gain/2.

    The bulk has the radius √(1 − 2/π) gain = 0.6 gain. Weights within a region take what those between them leave of a
    row's gain².
    """
    if len(np.unique(regions)) == 1:
        return weights
    matrix = np.asarray(weights, np.float64)
    between = regions[:, None] != regions[None, :]
    outer, inner = np.where(between, matrix, 0), np.where(between, 0, matrix)
    lengths = [np.sum(part**2, axis=1, keepdims=True) for part in (inner, outer)]
    _, classes = np.unique(3 * regions + (1 if signs is None else signs[0]), return_inverse=True)
    member = np.eye(classes.max() + 1)[classes.reshape(-1)]
    mean = member.T / member.sum(axis=0)[:, None]

    def scaled(factor: float) -> tuple[np.ndarray, float]:
        left = np.maximum(lengths[0] + (1 - factor**2) * lengths[1], 0)
        return np.sqrt(np.divide(left, lengths[0], out=np.zeros_like(left), where=lengths[0] > 0)), factor

    def largest(factor: float) -> float:
        within, across = scaled(factor)
        return float(np.abs(np.linalg.eigvals(mean @ (within * inner + across * outer) @ member)).max())

    # without a factor that serves, because a region cannot be balanced by itself, weights are as they are
    if largest(1.0) <= gain / 2 or largest(0.0) > gain / 2:
        return weights
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if largest(middle) <= gain / 2 else (low, middle)
    within, across = scaled(low)
    return jnp.asarray(within * inner + across * outer, weights.dtype)


def _without_outlier(weights: Matrix, pattern: Pattern, gain: float) -> Matrix:
    """The last resort: where an eigenvalue is left all the same, all weights are scaled to the radius `gain`."""
    allowed = np.ones(weights.shape, bool) if pattern.mask is None else pattern.mask
    signs = np.zeros(weights.shape, int) if pattern.signs is None else np.where(allowed, pattern.signs, 0)
    if len(weights) > 1 and (np.all(signs[allowed] > 0) or np.all(signs[allowed] < 0)):
        warn(
            "all recurrent connections have one sign, so that nothing can balance them: their rows sum to ±gain, and "
            f"the initial spectral radius is at most the gain {gain:g}, for any number of units"
        )
        return weights
    largest = _largest_eigenvalue(np.asarray(weights, np.float64))
    if largest <= _CLEARLY * gain:
        return weights
    warn(
        f"under this mask excitation and inhibition leave an eigenvalue of {largest:.2g} in the initial recurrent "
        f"weights; all of them are scaled down so that the spectral radius is the gain {gain:g}. Regions of "
        "MultiRegion are balanced each by itself"
    )
    return weights * (gain / largest)


def _largest_eigenvalue(matrix: np.ndarray) -> float:
    """Largest |eigenvalue|, of a large matrix by Arnoldi's method: right where it stands clear of the others."""
    size = len(matrix)
    if size <= 4 * _KRYLOV:
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    basis = np.zeros((_KRYLOV + 1, size))
    hessenberg = np.zeros((_KRYLOV + 1, _KRYLOV))
    start = np.random.default_rng(0).normal(size=size)
    basis[0] = start / np.linalg.norm(start)
    for step in range(_KRYLOV):
        moved = matrix @ basis[step]
        for _ in range(2):  # the second pass takes out what rounding left
            overlap = basis[: step + 1] @ moved
            hessenberg[: step + 1, step] += overlap
            moved = moved - basis[: step + 1].T @ overlap
        length = np.linalg.norm(moved)
        hessenberg[step + 1, step] = length
        if length < 1e-12:
            return float(np.abs(np.linalg.eigvals(hessenberg[: step + 1, : step + 1])).max())
        basis[step + 1] = moved / length
    return float(np.abs(np.linalg.eigvals(hessenberg[:_KRYLOV])).max())
