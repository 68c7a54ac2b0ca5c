"""What constraints say about one weight matrix, and how several of them combine."""

import abc
from collections.abc import Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from fisherjax._errors import require
from fisherjax._types import Key

Role: TypeAlias = Literal["recurrent", "input", "output"]
Shape: TypeAlias = tuple[int, int]


class Pattern(eqx.Module):
    """Which entries of a weight matrix (to, from) may differ from zero, with which sign, and which stay as they are.

    Parameters
    ----------
    mask
        (to, from), False where a weight is zero; None if all may differ from zero.
    signs
        (to, from), +1 or −1 where the sign is fixed, 0 where it is free; None if all are free.
    rank
        Largest rank; None if full.
    sources
        Region (from,) of every column, a whole number: excitation and inhibition from each cancel on their own
        (`initializers.balanced`); None for one region.
    frozen
        (to, from), True where a weight keeps its value; None if none does.
    values
        (to, from), the values of frozen weights; NaN where one keeps what is drawn. None if all do.
    """

    mask: Bool[np.ndarray, "to from"] | None = None
    signs: Int8[np.ndarray, "to from"] | None = None
    rank: int | None = eqx.field(static=True, default=None)
    sources: Int[np.ndarray, " from"] | None = None
    frozen: Bool[np.ndarray, "to from"] | None = None
    values: Float[np.ndarray, "to from"] | None = None

    def __str__(self) -> str:
        words = [] if self.mask is None else [f"{int((~self.mask).sum())} of {self.mask.size} zero"]
        words += [] if self.signs is None else [f"{int((self.signs != 0).sum())} signs fixed"]
        words += [] if self.rank is None else [f"rank {self.rank}"]
        words += [] if self.frozen is None else [f"{int(self.frozen.sum())} frozen"]
        return ", ".join(words)

    def combined(self, other: "Pattern") -> "Pattern":
        """Both patterns at once.

        Raises
        ------
        ValueError
            If they ask for opposite signs of an entry that neither sets to zero, or for two values of a frozen one.
        """
        masks, ranks, sources, frozen = (
            [part for part in (getattr(self, name), getattr(other, name)) if part is not None]
            for name in ("mask", "rank", "sources", "frozen")
        )
        mask = np.logical_and.reduce(masks) if masks else None
        return Pattern(
            mask,
            _combined_signs(self.signs, other.signs, mask),
            min(ranks) if ranks else None,
            # two divisions into regions at once divide into their intersections
            np.unique(np.stack(sources), axis=1, return_inverse=True)[1].reshape(-1) if sources else None,
            np.logical_or.reduce(frozen) if frozen else None,
            _combined_values(self.values, other.values),
        )

    def tiled(self, count: int) -> "Pattern":
        """The pattern of `count` matrices below one another, one per gate."""
        mask, signs, frozen, values = (
            None if part is None else np.tile(part, (count, 1))
            for part in (self.mask, self.signs, self.frozen, self.values)
        )
        return Pattern(mask, signs, self.rank, self.sources, frozen, values)


class Constraint(eqx.Module):
    """A rule for the weights of a network."""

    @abc.abstractmethod
    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:
        """What the rule says about the matrix of a role, of shape (to, from)."""


def combined_pattern(constraints: Sequence[Constraint], role: Role, shape: Shape, key: Key) -> Pattern:
    """What all constraints together say about one matrix.

    Raises
    ------
    ValueError
        If they contradict each other, ask for a rank that a mask or frozen weights would break, or leave a unit, input
        or output without any connection that it needs.
    """
    total = Pattern()
    for constraint, own_key in zip(constraints, jax.random.split(key, max(1, len(constraints))), strict=False):
        total = total.combined(constraint.pattern(role, shape, own_key))
    if total.mask is not None:
        require(
            total.rank is None,
            f"the {role} weights cannot keep rank {total.rank} under a mask or without autapses: "
            "setting single entries of a product to zero raises its rank; drop one of the two",
        )
        _check_connected(role, total.mask)
    if total.frozen is not None:
        _check_frozen(role, total)
    return total


def _combined_signs(first: np.ndarray | None, second: np.ndarray | None, mask: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return first if second is None else second
    clash = first * second < 0
    clash = clash if mask is None else clash & mask
    if np.any(clash):
        row, column = np.argwhere(clash)[0]
        raise ValueError(f"two constraints ask for opposite signs of the weight from {column} to {row}")
    return np.where(first == 0, second, first).astype(np.int8)


def _combined_values(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return first if second is None else second
    clash = np.argwhere(np.isfinite(first) & np.isfinite(second) & (first != second))
    if clash.size:
        row, column = clash[0]
        raise ValueError(f"two constraints freeze the weight from {column} to {row} at different values")
    return np.where(np.isfinite(first), first, second)


def _check_frozen(role: Role, pattern: Pattern) -> None:
    """Refuse frozen weights that another constraint forbids."""
    require(pattern.rank is None, f"the {role} weights cannot keep rank {pattern.rank} where some are frozen")
    if pattern.values is None:
        return
    values = np.nan_to_num(pattern.values)  # zero fits any sign and any mask
    if pattern.mask is not None:
        require(
            not np.any(values[~pattern.mask]), f"frozen {role} weights must be zero where another constraint says so"
        )
    if pattern.signs is not None:
        require(
            not np.any(values * pattern.signs < 0),
            f"frozen {role} weights break the signs that another constraint fixes",
        )


def _check_connected(role: Role, mask: np.ndarray) -> None:
    if role == "input":
        unused = np.flatnonzero(~mask.any(axis=0))
        require(not unused.size, f"the mask of the input weights leaves input {_first(unused)} without a unit to drive")
        return
    target = "unit" if role == "recurrent" else "output"
    silent = np.flatnonzero(~mask.any(axis=1))
    require(
        not silent.size,
        f"the mask of the {role} weights is zero in the whole row {_first(silent)}: nothing would drive that {target}",
    )


def _first(indices: np.ndarray) -> int:
    return int(indices[0]) if indices.size else -1
