"""Entry point: turns every expected failure into one line and an exit code."""

import contextlib
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence

from ._arguments import COMMANDS, Info, Sweep
from ._common_arguments import Common
from ._parse import UsageError, parse
from ._terminate import is_first_process, several_processes, terminable, terminated

_LINGER = 5.0  # seconds
_UNEXPECTED, _USAGE, _NOT_WRITTEN, _TERMINATED, _INTERRUPTED = 1, 2, 74, 75, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    0 done; 2 bad usage or input; 74 a file could not be read or written; 75 ended by SIGTERM, run again with
    --resume; 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _UNEXPECTED
    try:
        code = _guarded(words)
    finally:
        if code and several_processes():
            # leaving in the usual way waits for the others, who may wait for this one: they notice that it is gone
            if code == _UNEXPECTED:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            if is_first_process():
                # it serves the others, who mostly leave for the same reason: to lose it would abort them
                time.sleep(_LINGER)
            os._exit(code)
    return code


def _guarded(words: list[str]) -> int:
    """Every expected failure as a line and a code."""
    try:
        with terminable():
            _run(words)
    except (UsageError, ValueError, TypeError) as error:
        if not isinstance(error, UsageError) and not str(error):
            raise
        return _say(" ".join(str(error).split()), _USAGE)
    except FileNotFoundError as error:
        return _say(f"{error.filename}: {error.strerror}", _USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; what was written before is kept", _NOT_WRITTEN)
    except KeyboardInterrupt:
        if terminated():
            return _say("terminated; what was finished is in the output folder", _TERMINATED)
        return _say("interrupted; what was finished is in the output folder", _INTERRUPTED)
    return 0


def _say(message: str, code: int) -> int:
    print(f"fisherjax: {message}", file=sys.stderr)
    return code


def _run(words: list[str]) -> None:
    command = parse(words)
    if isinstance(command, Info):
        _print_info(command)
    elif isinstance(command, Sweep):
        from ._sweep import run_sweep  # noqa: PLC0415

        run_sweep(command, words)
    else:
        run(command, words)


def run(command: Common, words: list[str]) -> None:
    """Run a command that computes something, in a session of its own; `words` are what the user typed."""
    name = next(key for key, value in COMMANDS.items() if type(value) is type(command))
    command = command.quickened() if command.quick else command
    from ._devices import chosen_devices  # noqa: PLC0415
    from ._session import Session  # noqa: PLC0415

    session = Session(command, name, words)
    from fisherjax.numerics import on_devices  # noqa: PLC0415

    from . import _commands as commands  # noqa: PLC0415

    try:
        # of several processes one speaks
        quiet = contextlib.nullcontext() if session.first else contextlib.redirect_stdout(io.StringIO())
        with on_devices(chosen_devices(command)), quiet:
            getattr(commands, f"run_{name.replace('-', '_')}")(command, session)
    except KeyboardInterrupt:
        session.say_how_to_go_on()
        raise
    session.close()


def _print_info(command: Info) -> None:
    from ._devices import set_up_device  # noqa: PLC0415
    from ._session import first_line, versions  # noqa: PLC0415

    print(first_line(set_up_device(command.device)))
    for name, version in versions().items():
        print(f"  {name:<12} {version}")
