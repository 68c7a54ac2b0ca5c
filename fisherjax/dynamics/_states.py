"""States as one array (K, N), whatever a user's states are, and the way back."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import require
from fisherjax._records import record_bytes
from fisherjax._types import Record


@dataclasses.dataclass(frozen=True)
class Unflatten:
    """From flat states (…, N) to the trees of arrays (…, *shape) that a step takes."""

    tree_of: Callable[[Array], Any]

    def __call__(self, states: Any) -> Any:
        """The trees of flat states; leading axes are free."""
        flat, tree_of = jnp.asarray(states), self.tree_of
        for _ in range(flat.ndim - 1):
            tree_of = jax.vmap(tree_of)
        return tree_of(flat)


class FlatStates(NamedTuple):
    """States (K, N), and how they become trees again if they were."""

    array: Float[Array, "K N"]
    unflatten: Unflatten | None


class StateRecord(Record):
    """A result that holds states. They are flat; where the step's states are trees, `unflatten` makes trees of them.

    A file does not keep `unflatten`.
    """

    unflatten: Unflatten | None = eqx.field(static=True, default=None, kw_only=True)

    def to_bytes(self) -> bytes:
        """What `.save` writes."""
        return record_bytes(dataclasses.replace(self, unflatten=None))  # pyright: ignore[reportArgumentType]


def as_states(name: str, states: Any, *, single: bool = False) -> FlatStates:
    """States as (K, N); one state (N,) becomes (1, N).

    A state may be a tree of arrays: a dictionary, a named tuple, a module, or a tuple that holds arrays; each leaf has
    the leading axis K, or none where a `single` state is asked for. A list is an array, row by row.

    Raises
    ------
    TypeError, ValueError
        If they are not real numbers, have another number of axes, are none, or are not finite; if leaves of a tree
        disagree in K or in their float type.
    """
    if not _is_tree(states):
        array = jnp.atleast_2d(as_real(name, states, "K N", "N"))
        require(array.size > 0, f"{name} must hold at least one state of at least one unit, got shape {array.shape}")
        return FlatStates(array, None)
    leaves, structure = jax.tree.flatten(states)
    parts = [as_real(f"every leaf of {name}", leaf) for leaf in leaves]
    types = sorted({str(part.dtype) for part in parts})
    require(len(types) <= 1, f"every leaf of {name} must have one float type, got {' and '.join(types)}")
    if single:
        parts = [part[None] for part in parts]
    counts = sorted({part.shape[:1] for part in parts})
    agree = len(counts) == 1 and len(counts[0]) == 1
    require(agree, f"every leaf of {name} must have one leading axis, the states; got {[p.shape for p in parts]}")
    tree = jax.tree.unflatten(structure, parts)
    require(sum(part.size for part in parts) > 0, f"{name} must hold at least one state of at least one unit")
    tree_of = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], tree))[1]
    return FlatStates(flattened(tree, 1), Unflatten(tree_of))


def flattened(tree: Any, num_leading: int = 0) -> Float[Array, "... N"]:
    """Trees of arrays as flat states, with leading axes kept."""
    ravel = _ravel
    for _ in range(num_leading):
        ravel = jax.vmap(ravel)
    return ravel(tree)


def _ravel(tree: Any) -> Array:
    return ravel_pytree(tree)[0]


def _is_tree(states: Any) -> bool:
    if isinstance(states, tuple) and not hasattr(states, "_fields"):
        return any(_is_tree(part) or (isinstance(part, jax.Array | np.ndarray) and part.ndim > 0) for part in states)
    return not (states is None or isinstance(states, list) or jax.tree_util.all_leaves([states]))
