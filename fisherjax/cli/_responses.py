"""Responses of a user's experiment from files: the library reads, the messages speak of options."""

import re

from fisherjax import datasets
from fisherjax.datasets._recorded import Responses

from ._arguments import Estimate
from ._limits import UsageError
from ._messages import in_options


def load_responses(command: Estimate) -> Responses:
    """Responses to two conditions (trials, units), and their separation.

    Raises
    ------
    UsageError
        If a file cannot be read, or does not say which conditions are compared; if there is no separation.
    """
    try:
        loaded = datasets.read_responses(
            *command.responses,
            conditions=command.conditions or None,
            separation=command.separation or None,
            period=command.period,
            header=command.header,
            separator=command.separator,
            decimal=command.decimal,
        )
    except OSError as error:
        raise UsageError(f"--responses {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        message = _as_options(str(error), command)
        named = message.startswith(tuple(map(str, command.responses)))
        raise UsageError(f"--responses {message}" if named else message) from error
    if loaded.separation is None:
        known = next((f" ({note})" for note in loaded.notes if note.startswith("the conditions differ")), "")
        raise UsageError(f"--separation must be given: the total stimulus difference between the conditions{known}")
    return loaded._replace(notes=tuple(_as_options(note, command) for note in loaded.notes))


def _as_options(message: str, command: Estimate) -> str:
    """A message of the library with its arguments written as options, a pair of conditions too."""
    pair = re.sub(r"\bconditions=\(([^()]*)\)", lambda found: f"--conditions {found[1].replace(', ', ' ')}", message)
    return in_options(pair, command)
