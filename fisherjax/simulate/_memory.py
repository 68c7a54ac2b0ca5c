"""What a computation will allocate, and what there is; checked before anything is run."""

import math
import os

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fisherjax.numerics import Devices, device_mesh

_SHARE = 0.5  # of the free memory that one array may take, leaving room for temporaries


def available_bytes() -> int:
    """Free memory of JAX's default device: the accelerator's pool, or the host's unused memory."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
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
    """How many of `num_items` to process at once, so that they stay within a sixteenth of the free memory."""
    budget = available_bytes() // 16
    return max(1, min(num_items, budget // max(1, bytes_per_item)))


def map_length(num_items: int, bytes_per_item: int) -> int:
    """How many linear-algebra problems to batch: one on a CPU, where XLA's threads can wait for each other forever."""
    return 1 if jax.default_backend() == "cpu" else chunk_length(num_items, bytes_per_item)
