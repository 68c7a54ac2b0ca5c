"""Checkpoints of an optimization: both stages, so that it goes on to the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import require
from fisherjax._runtime import check_settings, read_checkpoint, write_checkpoint
from fisherjax._types import Record


class SearchState(Record):
    """Stage 1 after some generations: leaves of the strategy's state, and the best points so far."""

    leaves: tuple[Any, ...]
    path: Float[Array, "G R d"]


class AscentState(Record):
    """Stage 2 as all that it has evaluated, in order, from which it is followed again: E points of the unit box."""

    points: Float[np.ndarray, "E d"]
    values: Float[np.ndarray, " E"]
    excesses: Float[np.ndarray, "E c"]
    slopes: Float[np.ndarray, "E d"]
    excess_slopes: Float[np.ndarray, "E c d"]


class OptimizationCheckpoint(Record):
    """Where both stages are, and the settings of the run."""

    search: SearchState | None
    ascent: AscentState | None
    settings: dict[str, Any]


class Saver:
    """Both stages as they are, written to a file (if there is one) whenever one of them moves on."""

    def __init__(self, path: Path | None, settings: Callable[[], dict[str, Any]]):
        """Begin where the file is; ValueError if it is broken or of another run, which has other `settings`."""
        self.path, self.settings = path, settings
        stored = None if path is None else read_checkpoint(OptimizationCheckpoint, path, resume=True)
        if stored is not None:
            check_settings(stored.settings, settings(), str(path))
        self.search = None if stored is None else stored.search
        self.ascent = None if stored is None else stored.ascent

    def keep(self, state: SearchState | AscentState) -> None:
        """One of the stages moved on."""
        setattr(self, "search" if isinstance(state, SearchState) else "ascent", state)
        if self.path is not None:
            write_checkpoint(OptimizationCheckpoint(self.search, self.ascent, self.settings()), self.path)


Save = Callable[[Any], None]


def leaves_of(tree: Any) -> tuple[Any, ...]:
    """What a checkpoint keeps of a state."""
    return tuple(jax.tree.leaves(tree))


def with_leaves(like: Any, leaves: tuple[Any, ...]) -> Any:
    """A state of the same structure with other leaves.

    Raises
    ------
    ValueError
        If they are not of that structure.
    """
    shapes, stored = ([jnp.shape(leaf) for leaf in tree] for tree in (jax.tree.leaves(like), leaves))
    require(shapes == stored, f"the checkpoint holds another state: arrays of shapes {stored}, expected {shapes}")
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(leaf) for leaf in leaves])
