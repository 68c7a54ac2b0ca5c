"""Rank of a product of matrices in exact arithmetic: which directions vanish, rather than become too small to see."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int

# the largest prime below 2²⁵: 512 products of two residues still fit into 64 bits
_PRIME = 33_554_393
LARGEST = 512


def product_ranks(matrices: Iterable[Float[np.ndarray, "N N"]]) -> Iterator[int]:
    """Ranks of M₁, M₂ M₁, M₃ M₂ M₁, …, with every entry taken as the rational number that its float is.

    A float is an integer times a power of two, so that the product can be formed modulo a prime without rounding.
    The rank modulo a prime is the rank over the rational numbers unless the prime happens to divide a minor, one
    chance in some 10⁷.
    """
    total: Int[np.ndarray, "N N"] | None = None
    for matrix in matrices:
        residues = _residues(matrix)
        total = residues if total is None else residues @ total % _PRIME
        yield _rank(total)


def _residues(matrix: Float[np.ndarray, "N N"]) -> Int[np.ndarray, "N N"]:
    fraction, exponent = np.frexp(matrix.astype(np.float64))
    whole = (fraction * 2.0**53).astype(np.int64) % _PRIME
    powers, place = np.unique(exponent, return_inverse=True)
    scale = np.array([pow(2, int(power) - 53, _PRIME) for power in powers], np.int64)
    return whole * scale[place.reshape(whole.shape)] % _PRIME


def _rank(matrix: Int[np.ndarray, "N N"]) -> int:
    """Gaussian elimination modulo the prime."""
    rows, rank = matrix.copy(), 0
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(rows[rank:, column])
        if not pivots.size:
            continue
        pivot = rank + int(pivots[0])
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] = rows[rank] * pow(int(rows[rank, column]), -1, _PRIME) % _PRIME
        below = rows[rank + 1 :]
        rows[rank + 1 :] = (below - below[:, column : column + 1] * rows[rank]) % _PRIME
        rank += 1
        if rank == len(rows):
            break
    return rank
