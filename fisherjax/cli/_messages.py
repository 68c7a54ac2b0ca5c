"""Errors and messages of the library in the words of the command line: its arguments under the names of the options."""

import linecache
import re
from pathlib import Path
from typing import Any, get_type_hints

from ._arguments import FixedPoints, Optimize, Orientation, Train
from ._values import UsageError, option

_PACKAGE = Path(__file__).parents[1]
_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)*\b(=True\b|=)?")

# what the library calls differently, wherever a command has such an option
_OPTIONS = {
    "num_steps": "steps",
    "step": "steps",
    "num_units": "units",
    "num_trials": "trials",
    "num_draws": "draws",
    "num_populations": "populations",
    "num_generations": "generations",
    "num_restarts": "restarts",
    "num_images": "images",
    "num_eigenvalues": "eigenvalues",
    "num_states": "candidates",
    "gain_matrix": "gains",
    "low": "bounds",
    "high": "bounds",
}
# and what only one command calls so
_OWN: dict[type, dict[str, str]] = {
    Optimize: {"limit": "budget", "num_images": "images"},
    Orientation: {
        "num_steps": "training_steps",
        "num_angles": "angles",
        "max_trials": "budget",
        "pictures": "stimuli",
        "start": "base",
        "losses": "loss",
        "concentrations": "concentration",
    },
    Train: {"ratio": "dale", "shortest": "trial_steps"},
    FixedPoints: {"num_states": "candidates", "fixed_points": "network"},
}


def told_reason(error: Exception, command: Any) -> str | None:
    """What is said of an error in a command, on one line; None of one that nobody expects."""
    if isinstance(error, UsageError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "this needs more memory than there is; ask for fewer units, trials, draws or images"
    if not isinstance(error, ValueError | TypeError):
        return None
    if _is_ours(error) and str(error):
        return in_options(str(error), command)
    return f"these arguments and files cannot be computed with ({type(error).__name__} in {_where_raised(error)})"


def in_options(text: str, command: Any) -> str:
    """A message of the library as one about a command: ``noise_std must be …`` becomes ``--noise-std must be …``."""
    names = {**_OPTIONS, **_OWN.get(type(command), {})}
    fields = get_type_hints(type(command))

    def translated(match: re.Match[str]) -> str:
        word = match[0].partition("=")[0]
        field = names.get(word, word)
        # a plain word in mid-sentence may be no argument
        is_argument = "_" in word or match[1] is not None or match.start() == 0
        if field not in fields or not is_argument or text[max(0, match.start() - 1) : match.start()] in {"-", "/", "."}:
            return match[0]
        return option(field) + (" " if match[1] == "=" else "")

    return _NAME.sub(translated, " ".join(text.split()))


def _is_ours(error: BaseException) -> bool:
    """Whether fisherjax raised an error, with a message for users, and not something that it calls."""
    trace = error.__traceback__
    if trace is None:
        return True
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    line = linecache.getline(file, trace.tb_lineno).strip()
    # what is written in C has no frame of its own: float("x") fails in our line, which raises nothing
    return Path(file).is_relative_to(_PACKAGE) and line.startswith("raise")


def _where_raised(error: BaseException) -> str:
    """The package and the line of ours that an error of something else came through."""
    lines, trace, last = [], error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        last = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if path.is_relative_to(_PACKAGE):
            lines.append(f"{path.relative_to(_PACKAGE)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{last or 'Python'}, {lines[-1] if lines else 'start'}"
