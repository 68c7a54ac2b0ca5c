"""SIGTERM, which queues send before they kill: treated like Ctrl-C, but remembered."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def terminable() -> Iterator[None]:
    """Raise KeyboardInterrupt where SIGTERM arrives; of several processes, where all of them can stop together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()

    def stop(*_: Any) -> None:
        _received.set()
        if several_processes():
            from fisherjax._runtime import request_stop  # noqa: PLC0415

            request_stop()
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_received = threading.Event()


def several_processes() -> bool:
    """Whether this is one of several; without importing JAX, or starting its devices, to find out."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized() and jax.process_count() > 1


def is_first_process() -> bool:
    """Whether this is the one that the others connect to."""
    return sys.modules["jax"].process_index() == 0


def terminated() -> bool:
    """Whether SIGTERM came, here or, in a run of several processes, elsewhere."""
    if several_processes():
        from fisherjax._runtime import stop_requested  # noqa: PLC0415

        return stop_requested() or _received.is_set()
    return _received.is_set()


def stop_if_terminated() -> None:
    """Raise KeyboardInterrupt once more where the library turned the first one into a partial result."""
    if terminated():
        raise KeyboardInterrupt
