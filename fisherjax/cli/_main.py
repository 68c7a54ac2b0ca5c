"""Entry point: turns every expected failure into one line and an exit code."""

import sys
from collections.abc import Sequence

from ._arguments import COMMANDS, Info
from ._parse import UsageError, parse

_USAGE, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 2 bad usage or input, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(words)
    except (UsageError, ValueError, TypeError) as error:
        if not isinstance(error, UsageError) and not str(error):
            raise
        print(f"fisherjax: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("fisherjax: interrupted; what was finished is in the output folder", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _run(words: list[str]) -> None:
    command = parse(words)
    if isinstance(command, Info):
        _print_info(command)
        return
    name = next(key for key, value in COMMANDS.items() if type(value) is type(command))
    command = command.quickened() if command.quick else command
    from ._session import Session  # noqa: PLC0415

    session = Session(command, name, words)
    from . import _commands as commands  # noqa: PLC0415

    getattr(commands, f"run_{name.replace('-', '_')}")(command, session)


def _print_info(command: Info) -> None:
    from ._session import first_line, set_up_device, versions  # noqa: PLC0415

    print(first_line(set_up_device(command.device)))
    for name, version in versions().items():
        print(f"  {name:<12} {version}")
