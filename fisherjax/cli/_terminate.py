"""SIGTERM, which queues send before they kill: treated like Ctrl-C, but remembered."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_received = threading.Event()


class Terminated(KeyboardInterrupt):
    """The scheduler wants the process to end."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM arrives; what has a checkpoint keeps it."""
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        _received.set()
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def terminated() -> bool:
    """Whether SIGTERM came."""
    return _received.is_set()


def stop_if_terminated() -> None:
    """Raise `Terminated` once more where the library turned the first one into a partial result."""
    if terminated():
        raise Terminated
