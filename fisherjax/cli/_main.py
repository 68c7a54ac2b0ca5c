"""Entry point: turns every expected failure into one line and an exit code."""

import contextlib
import io
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from ._arguments import COMMANDS, Info, Sweep
from ._common_arguments import Common
from ._limits import UsageError
from ._messages import in_options, is_ours, where_raised
from ._parse import parse
from ._streams import tolerant_streams
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
        if terminated():
            return _say("terminated; what was finished is in the output folder", _TERMINATED)
        return _say("interrupted; what was finished is in the output folder", _INTERRUPTED)
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


def told_reason(error: Exception, command: Any) -> str | None:
    """What is said of an error in a command, on one line; None of one that nobody expects."""
    if isinstance(error, UsageError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "this needs more memory than there is; ask for fewer units, trials, draws or images"
    if not isinstance(error, ValueError | TypeError):
        return None
    if is_ours(error) and str(error):
        return in_options(str(error), command)
    return f"these arguments and files cannot be computed with ({type(error).__name__} in {where_raised(error)})"


def _say(message: str, code: int) -> int:
    print(f"fisherjax: {message}", file=sys.stderr)
    return code


def _run(command: Any, words: list[str]) -> None:
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
    with _drawing_to_files():
        from ._devices import chosen_devices  # noqa: PLC0415
        from ._session import Session  # noqa: PLC0415

        session = Session(command, name, words)
        from fisherjax._runtime import on_devices  # noqa: PLC0415

        from . import _commands as commands  # noqa: PLC0415

        try:
            # of several processes one speaks
            quiet = contextlib.nullcontext() if session.first else contextlib.redirect_stdout(io.StringIO())
            with on_devices(chosen_devices(command)), quiet:
                getattr(commands, f"run_{name.replace('-', '_')}")(command, session)
        except KeyboardInterrupt:
            session.say_how_to_go_on()
            raise
        finally:
            session.leave_no_empty_folder()
        session.close()


@contextlib.contextmanager
def _drawing_to_files() -> Iterator[None]:
    """Figures are files: whatever backend the environment names, a notebook's for instance, is not asked for."""
    import logging  # noqa: PLC0415

    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    # where its cache cannot be written it makes another one, and says so at length
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        yield
    finally:
        os.environ.pop("MPLBACKEND")
        if before is not None:
            os.environ["MPLBACKEND"] = before


def _print_info(command: Info) -> None:
    from ._devices import set_up_device  # noqa: PLC0415
    from ._session import first_line, versions  # noqa: PLC0415

    print(first_line(set_up_device(command.device)))
    for name, version in versions().items():
        print(f"  {name:<12} {version}")
