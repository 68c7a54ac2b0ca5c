"""Work spread over several devices: a named mesh that is ambient, and what the compiled code does with it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from fisherjax._errors import check_integer, require

Devices: TypeAlias = int | str | Sequence[Any] | Mesh | None
"""Where to compute: how many devices, "all" of every process, which ones, or a mesh with axes ("batch", "rows")."""

AXES = ("batch", "rows")
"""Axes of a mesh: over the first, parts of a batch are divided; over the second, the rows of one matrix."""


def device_mesh(devices: Devices, *, num_row_shards: int = 1) -> Mesh | None:
    """The mesh that `devices` stands for; None for None.

    Parameters
    ----------
    devices
        A number (of the first devices), ``"all"``, a sequence of devices, or a mesh with axes ("batch", "rows").
    num_row_shards
        Devices among which the rows of one matrix are divided; the others take different parts of the batch.

    Raises
    ------
    ValueError
        If there are fewer devices, they cannot be divided so, or a mesh has other axes.
    """
    if devices is None:
        return None
    if isinstance(devices, Mesh):
        require(devices.axis_names == AXES, f"devices: a mesh must have axes {AXES}, got {devices.axis_names}")
        return devices
    there = jax.devices()
    if isinstance(devices, str):
        require(devices == "all", f"devices must be a number, 'all', a sequence of devices or a mesh, got {devices!r}")
        chosen = there
    elif isinstance(devices, Sequence):
        chosen = list(devices)
        require(bool(chosen), "devices must hold at least one device")
    else:
        count = check_integer("devices", devices, minimum=1)
        require(
            count <= len(there),
            f"devices={count}, but there are {len(there)}: {there[0].device_kind}; on a CPU, "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count} before JAX starts makes as many",
        )
        chosen = there[:count]
    require(
        len(chosen) % num_row_shards == 0,
        f"{len(chosen)} devices cannot share the rows of a matrix {num_row_shards} ways",
    )
    return Mesh(np.array(chosen).reshape(-1, num_row_shards), AXES)


@contextlib.contextmanager
def on_devices(devices: Devices, *, num_row_shards: int = 1) -> Iterator[Mesh | None]:
    """Within it, everything in fisherjax that has a batch divides it among the devices.

    What functions do that take ``devices=``. Results are those of one device, for the same keys, to rounding. Batches
    need not be multiples of the number of devices. Without devices nothing changes, nor does a mesh around it.

    Raises
    ------
    ValueError
        As `device_mesh`.
    """
    mesh = device_mesh(devices, num_row_shards=num_row_shards)
    if mesh is None:
        yield None
        return
    with jax.set_mesh(mesh):
        yield mesh


def spread(tree: Any, *axes: str | tuple[str, ...] | None) -> Any:
    """The arrays of a tree laid out over the ambient mesh: dimension i over the devices of axis ``axes[i]``.

    ``spread(x)`` puts all of x on every device. Without a mesh, x itself. Sizes that do not divide are padded by
    the compiler.
    """
    if not _has_mesh():
        return tree
    layout = PartitionSpec(*axes)
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, layout), tree)


def spread_map(function: Callable[..., Any], items: Any, *shared: Any, batch_size: int | None = None) -> Any:
    """``function(item, *shared)`` of every item along the leading axis, each device taking its share.

    Parameters
    ----------
    function
        Of one item and what all share. Traced arrays must come in through `shared`, not by closure.
    items
        A tree of arrays with a common leading axis.
    shared
        Trees that every device gets whole.
    batch_size
        Items that one device processes at once; all of its share if absent.
    """
    arrays, fixed = eqx.partition(shared, eqx.is_array)

    def share(part: Any, arrays: Any) -> Any:
        whole = eqx.combine(arrays, fixed)
        count = len(jax.tree.leaves(part)[0])
        if batch_size is None or batch_size >= count:
            return jax.vmap(lambda item: function(item, *whole))(part)
        return jax.lax.map(lambda item: function(item, *whole), part, batch_size=batch_size)

    mesh = jax.sharding.get_abstract_mesh()
    if not _has_mesh() or mesh.shape["batch"] == 1:
        return share(items, arrays)
    count = len(jax.tree.leaves(items)[0])
    missing = -count % mesh.shape["batch"]
    padded = jax.tree.map(lambda leaf: _repeat_last(leaf, missing), items)
    layout = PartitionSpec("batch")
    found = jax.shard_map(share, in_specs=(layout, PartitionSpec()), out_specs=layout, check_vma=False)(padded, arrays)
    return jax.tree.map(lambda leaf: spread(leaf)[:count], found)


def _has_mesh() -> bool:
    mesh = jax.sharding.get_abstract_mesh()
    # within shard_map the devices are already at work on parts of their own
    return not mesh.empty and "batch" in mesh.axis_names and not mesh.manual_axes


def _repeat_last(array: Any, times: int) -> Any:
    return jnp.concatenate([array, jnp.repeat(array[-1:], times, axis=0)]) if times else array
