"""What a run prints must never end it: characters that a terminal has not, and readers that have left."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any


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
