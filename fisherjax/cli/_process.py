"""What the process of a run meets: signals, readers that leave, and characters that a terminal has not."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any


def use_one_blas_thread() -> None:
    """Factorize in one thread, if nobody says otherwise; before NumPy and SciPy are loaded.

    The matrices are many and small, and the other threads of OpenBLAS spin while they wait for work: beside other
    programs that takes ten times the time.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextlib.contextmanager
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


class _Tolerant:
    """A stream that goes on silently once nobody reads it any more."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._gone = False

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, function: Any, *words: str) -> None:
        if self._gone:
            return
        try:
            function(*words)
        except BrokenPipeError:
            self._gone = True
            # what is still in the buffer must not fail once more when Python closes the stream
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except ValueError:  # it has been closed
            self._gone = True
        except OSError as error:
            self._gone = True
            raise OSError(error.errno, error.strerror, "what is printed") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Print what can be printed, `?` for what the encoding has not, and warnings on one line each."""
    before = sys.stdout, sys.stderr
    for stream in before:
        # a stream of another kind, a notebook's for instance, takes every character
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    tolerant: list[Any] = [None if stream is None else _Tolerant(stream) for stream in before]
    sys.stdout, sys.stderr = tolerant
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _one_line(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """What the library warns of, to users; what others warn of, their programmers are to see."""
    if sys.stderr is not None and issubclass(category, UserWarning | RuntimeWarning):
        print(f"fisherjax: warning: {' '.join(str(message).split())}", file=sys.stderr)
