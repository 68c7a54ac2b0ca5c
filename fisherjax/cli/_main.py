"""Entry point: turns every expected failure into one line and an exit code."""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from ._arguments import Info, Sweep
from ._commands import function_of
from ._devices import settings_kept
from ._messages import told_reason
from ._parse import parse
from ._process import is_first_process, several_processes, terminable, terminated, tolerant_streams, use_one_blas_thread

_LINGER = 5.0  # seconds
_UNEXPECTED, _USAGE, _NOT_WRITTEN, _TERMINATED, _INTERRUPTED = 1, 2, 74, 75, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    0 done; 2 bad usage or input; 74 a file could not be read or written; 75 ended by SIGTERM, run again with
    --resume; 130 interrupted.
    """
    if arguments is None:
        use_one_blas_thread()
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _UNEXPECTED
    with tolerant_streams():
        try:
            code = _guarded(words)
        finally:
            if code and several_processes():
                _leave_together(code)
    return code


def _leave_together(code: int) -> None:
    """End this process at once: leaving in the usual way waits for the others, who may wait for this one."""
    if code == _UNEXPECTED:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if is_first_process():
        # it serves the others, who mostly leave for the same reason: to lose it would abort them
        time.sleep(_LINGER)
    os._exit(code)


def _guarded(words: list[str]) -> int:
    """Every expected failure as a line and a code."""
    command: Any = None
    try:
        with terminable():
            command = parse(words)
            _run(command, words)
    except KeyboardInterrupt:
        ended, code = ("terminated", _TERMINATED) if terminated() else ("interrupted", _INTERRUPTED)
        return _say(f"{ended}; what was finished is in the output folder", code)
    except FileNotFoundError as error:
        return _say(f"{error.filename or 'the current folder'}: {error.strerror}", _USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; what was written before is kept", _NOT_WRITTEN)
    except Exception as error:
        reason = told_reason(error, command)
        if reason is None:
            raise
        return _say(reason, _USAGE)
    return 0


def _say(message: str, code: int) -> int:
    print(f"fisherjax: {message}", file=sys.stderr)
    return code


def _run(command: Any, words: list[str]) -> None:
    with settings_kept():
        if isinstance(command, Info | Sweep):
            function_of(command)(command, words)
            return
        from ._outcome import run  # noqa: PLC0415 - JAX, which takes seconds

        run(command, words)
