"""Messages of the library in the words of the command line: its arguments under the names of the options."""

import linecache
import re
from pathlib import Path
from typing import Any, get_type_hints

from ._arguments import Estimate, FixedPoints, Optimize, Train
from ._limits import option

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
    Estimate: {"num_steps": "training_steps", "max_trials": "budget", "stimuli": "angles"},
    Train: {"ratio": "dale", "shortest": "trial_steps"},
    FixedPoints: {"num_states": "candidates", "fixed_points": "network"},
}


def in_options(text: str, command: Any) -> str:
    """A message of the library as one about a command: ``noise_std must be …`` becomes ``--noise-std must be …``."""
    names = {**_OPTIONS, **_OWN.get(type(command), {})}
    fields = get_type_hints(type(command))

    def translated(found: re.Match[str]) -> str:
        word = found[0].partition("=")[0]
        field = names.get(word, word)
        # a plain word in mid-sentence may be no argument
        is_argument = "_" in word or found[1] is not None or found.start() == 0
        if field not in fields or not is_argument or text[max(0, found.start() - 1) : found.start()] in {"-", "/", "."}:
            return found[0]
        return option(field) + (" " if found[1] == "=" else "")

    return _NAME.sub(translated, " ".join(text.split()))


def is_ours(error: BaseException) -> bool:
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


def where_raised(error: BaseException) -> str:
    """The package and the line of ours that an error of something else came through."""
    lines, trace, last = [], error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        last = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if path.is_relative_to(_PACKAGE):
            lines.append(f"{path.relative_to(_PACKAGE)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{last or 'Python'}, {lines[-1] if lines else 'start'}"
