"""What constraints say about one weight matrix, and how several of them combine."""

import abc
from collections.abc import Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Int, Int8

from fisherjax._errors import require
from fisherjax._types import Key

Role: TypeAlias = Literal["recurrent", "input", "output"]
Shape: TypeAlias = tuple[int, int]


class Pattern(eqx.Module):
    """Which entries of a weight matrix (to, from) may differ from zero, and with which sign.

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
    """

    mask: Bool[np.ndarray, "to from"] | None = None
    signs: Int8[np.ndarray, "to from"] | None = None
    rank: int | None = eqx.field(static=True, default=None)
    sources: Int[np.ndarray, " from"] | None = None

    def __str__(self) -> str:
        words = [] if self.mask is None else [f"{int((~self.mask).sum())} of {self.mask.size} zero"]
        words += [] if self.signs is None else [f"{int((self.signs != 0).sum())} signs fixed"]
        words += [] if self.rank is None else [f"rank {self.rank}"]
        return ", ".join(words)

    def combined(self, other: "Pattern") -> "Pattern":
        """Both patterns at once.

        Raises
        ------
        ValueError
            If they ask for opposite signs of an entry that neither sets to zero.
        """
        masks = [part for part in (self.mask, other.mask) if part is not None]
        mask = np.logical_and.reduce(masks) if masks else None
        ranks = [part for part in (self.rank, other.rank) if part is not None]
        sources = [part for part in (self.sources, other.sources) if part is not None]
        return Pattern(
            mask,
            _combined_signs(self.signs, other.signs, mask),
            min(ranks) if ranks else None,
            # two divisions into regions at once divide into their intersections
            np.unique(np.stack(sources), axis=1, return_inverse=True)[1].reshape(-1) if sources else None,
        )

    def tiled(self, count: int) -> "Pattern":
        """The pattern of `count` matrices below one another, one per gate."""
        mask, signs = (None if part is None else np.tile(part, (count, 1)) for part in (self.mask, self.signs))
        return Pattern(mask, signs, self.rank, self.sources)


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
        If they contradict each other, ask for a rank that a mask would break, or leave a unit, input or
        output without any connection that it needs.
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
