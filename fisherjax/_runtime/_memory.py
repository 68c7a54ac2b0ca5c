"""What a computation will allocate, and what there is; checked before anything is run."""

import functools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ._devices import Devices, device_mesh

_SHARE = 0.5  # of the free memory that one array may take, leaving room for temporaries


def available_bytes() -> int:
    """Free memory of JAX's default device: the accelerator's pool, or the host's unused memory.

    Of several processes, the least that any of them had at first: all must come to the same sizes.
    """
    return _here() if jax.process_count() == 1 else _least()


@functools.cache
def _least() -> int:
    from jax.experimental import multihost_utils  # noqa: PLC0415

    # in kibibytes: without double precision JAX has 32 bits
    return 1024 * int(np.min(multihost_utils.process_allgather(np.array(_here() // 1024, np.int32))))


def _here() -> int:
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))


def check_allocation(what: str, shape: tuple[int, ...], dtype: jnp.dtype) -> int:
    """Bytes of an array of `shape`; a ValueError that says what to lower if it cannot fit.

    Raises
    ------
    ValueError
        If the array would take more than half of the free memory.
    """
    size = math.prod(shape) * jnp.dtype(dtype).itemsize
    free = available_bytes()
    if size > _SHARE * free:
        raise ValueError(
            f"{what} of shape {shape} need {size / 2**30:.2f} GiB, more than half of the {free / 2**30:.2f} GiB free; "
            "lower num_trials, num_steps or the number of units, or use float32"
        )
    return size


def row_shards(weight_bytes: int, devices: Devices) -> int:
    """Among how many of the devices to divide the rows of weights: the fewest that have room for them."""
    mesh = device_mesh(devices)
    if mesh is None or isinstance(devices, Mesh):
        return 1
    room = _SHARE * available_bytes()
    return next((n for n in range(1, mesh.size + 1) if mesh.size % n == 0 and weight_bytes <= n * room), mesh.size)


def chunk_length(num_items: int, bytes_per_item: int) -> int:
    """How many of `num_items` to process at once, so that they stay within a sixteenth of the free memory.

    All of them, or a power of two: what is free changes all the time, and every length is a program of its own.
    """
    room = max(1, available_bytes() // 16 // max(1, bytes_per_item))
    return num_items if room >= num_items else 2 ** (room.bit_length() - 1)


def map_length(num_items: int, bytes_per_item: int) -> int:
    """How many linear-algebra problems to batch: one on a CPU, where XLA's threads can wait for each other forever."""
    return 1 if jax.default_backend() == "cpu" else chunk_length(num_items, bytes_per_item)
