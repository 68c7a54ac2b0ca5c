"""A wish to stop that long loops look at between two chunks, the same on every process."""

import threading

import jax
import numpy as np

_requested = threading.Event()


def request_stop() -> None:
    """Ask this process's loops, and with them those of all others, to stop at the next chunk."""
    _requested.set()


def forget_stop() -> None:
    """Take the wish back."""
    _requested.clear()


def stop_requested() -> bool:
    """Whether this process was asked, or has heard from another that was."""
    return _requested.is_set()


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt on every process if one of them was asked to stop; all must call it."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils  # noqa: PLC0415

        if bool(np.any(multihost_utils.process_allgather(np.array(_requested.is_set())))):
            _requested.set()
    if _requested.is_set():
        raise KeyboardInterrupt
