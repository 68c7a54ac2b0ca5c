"""Weight matrices that are functions of free parameters, so that no training step can break a constraint."""

import abc
import functools
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int8

from fisherjax._types import Record

from ._pattern import Pattern

T = TypeVar("T")

Matrix = Float[Array, "to from"]


class WeightMatrix(Record):
    """A weight matrix (to, from) and the free parameters that it is built from."""

    @property
    @abc.abstractmethod
    def value(self) -> Matrix:
        """The weights (to, from)."""

    @property
    def pattern(self) -> Pattern:
        """Which entries may differ from zero, and with which sign."""
        return Pattern()

    def trained(self: T) -> T:
        """A tree of the same shape, True at the numbers that training may change."""
        return jax.tree.map(eqx.is_inexact_array_like, self)


class FreeWeights(WeightMatrix):
    """W itself is the parameter."""

    parameter: Matrix

    @property
    def value(self) -> Matrix:
        """The weights (to, from)."""
        return self.parameter


class ConstrainedWeights(WeightMatrix):
    """W = mask · (V, or s |V| where a sign s is fixed), with V free; frozen entries are those of `fixed`.

    Masked and frozen entries have exactly their value and no gradient; a fixed sign cannot change, whatever V does. V
    passes through zero freely: where a step takes it to the other side, the weight is reflected and its gradient too.
    """

    parameter: Matrix
    mask: Bool[Array | np.ndarray, "to from"] | None = None
    signs: Int8[Array | np.ndarray, "to from"] | None = None
    frozen: Bool[Array | np.ndarray, "to from"] | None = None
    fixed: Matrix | None = None

    @property
    def value(self) -> Matrix:
        """The weights (to, from)."""
        return _constrained(self.parameter, self.mask, self.signs, self.frozen, self.fixed)

    @property
    def pattern(self) -> Pattern:
        """Which entries may differ from zero, with which sign, and which are frozen."""
        mask, signs, frozen = (
            None if part is None else np.asarray(part) for part in (self.mask, self.signs, self.frozen)
        )
        return Pattern(mask, signs, frozen=frozen)

    def trained(self) -> "ConstrainedWeights":
        """Not what frozen entries are."""
        return eqx.tree_at(lambda tree: tree.fixed, super().trained(), replace=False, is_leaf=lambda leaf: leaf is None)


@functools.partial(jax.jit, inline=True)
def _constrained(
    weights: Matrix, mask: Array | None, signs: Array | None, frozen: Array | None, fixed: Matrix | None
) -> Matrix:
    if signs is not None:
        weights = jnp.where(signs == 0, weights, signs.astype(weights.dtype) * jnp.abs(weights))
    if mask is not None:
        weights = jnp.where(mask, weights, 0)
    return weights if frozen is None or fixed is None else jnp.where(frozen, fixed, weights)


class LowRankWeights(WeightMatrix):
    """W = M Lᵀ / N with M (to, R), L (from, R); with fixed signs s of the columns, W = |M| |L|ᵀ diag(s) / N."""

    left: Float[Array, "to rank"]
    right: Float[Array, "from rank"]
    signs: Int8[Array | np.ndarray, " from"] | None = None

    @property
    def value(self) -> Matrix:
        """The weights (to, from)."""
        left, right = self.left, self.right
        if self.signs is not None:
            left, right = jnp.abs(left), jnp.abs(right) * jnp.asarray(self.signs).astype(right.dtype)[:, None]
        return left @ right.T / right.shape[0]

    @property
    def pattern(self) -> Pattern:
        """Signs and rank."""
        shape = (self.left.shape[0], self.right.shape[0])
        signs = None if self.signs is None else np.broadcast_to(np.asarray(self.signs), shape)
        return Pattern(None, signs, self.left.shape[1])


def impose(matrix: Matrix, pattern: Pattern) -> Matrix:
    """The matrix with signs and zeros of a pattern: |W_ij| where a sign is fixed, 0 where there is no connection."""
    return ConstrainedWeights(matrix, pattern.mask, pattern.signs).value


def constrain(matrix: Matrix, pattern: Pattern) -> WeightMatrix:
    """Weights that start at `impose(matrix, pattern)` and keep the pattern for good.

    Of low rank: the best approximation of that rank (singular vectors), in which |M| |L|ᵀ is a rank-one start
    with small random parts where signs are fixed.

    Raises
    ------
    ValueError
        If low rank is asked together with signs that differ within a column.
    """
    if pattern.rank is not None:
        return _low_rank(matrix, pattern)
    weights = impose(matrix, pattern)
    if pattern.frozen is not None:
        given = jnp.full((), jnp.nan) if pattern.values is None else jnp.asarray(pattern.values)
        fixed = jnp.where(jnp.isfinite(given), given.astype(weights.dtype), weights)
        return ConstrainedWeights(weights, pattern.mask, pattern.signs, pattern.frozen, fixed)
    if pattern.mask is None and pattern.signs is None:
        return FreeWeights(matrix)
    return ConstrainedWeights(weights, pattern.mask, pattern.signs)


def resolved(network: T) -> T:
    """The same network with every weight matrix replaced by its value: what a loop over time should use."""
    return jax.tree.map(
        lambda leaf: FreeWeights(leaf.value) if isinstance(leaf, WeightMatrix) else leaf,
        network,
        is_leaf=lambda leaf: isinstance(leaf, WeightMatrix),
    )


def in_precision(network: T, dtype: DTypeLike) -> T:
    """The same network with its numbers in another float type: trained in float32, analyzed in float64."""
    kind = jnp.dtype(dtype)
    return jax.tree.map(lambda x: jnp.asarray(x, kind) if jnp.issubdtype(x.dtype, jnp.floating) else x, network)


def _low_rank(matrix: Matrix, pattern: Pattern) -> LowRankWeights:
    rank, num_from = pattern.rank or 1, matrix.shape[1]
    signs = None
    if pattern.signs is not None:
        signs = pattern.signs[0]
        if np.any(pattern.signs != signs) or np.any(signs == 0):
            raise ValueError("low rank goes with Dale's law only where every unit has one fixed sign")
    left, values, right = jnp.linalg.svd(impose(matrix, Pattern(None, pattern.signs)), full_matrices=False)
    scale = jnp.sqrt(values[:rank] * num_from)
    return LowRankWeights(left[:, :rank] * scale, right[:rank].T * scale, signs)
