"""Responses of a user's experiment from files: the library reads, the messages speak of options."""

import re

from fisherjax import datasets

from ._arguments import Estimate
from ._limits import UsageError

_OPTIONS = ("conditions", "separation", "period", "header", "separator", "decimal")


def load_responses(command: Estimate) -> datasets.Responses:
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
        message = as_options(str(error))
        named = message.startswith(tuple(map(str, command.responses)))
        raise UsageError(f"--responses {message}" if named else message) from error
    if loaded.separation is None:
        known = next((f" ({note})" for note in loaded.notes if note.startswith("the conditions differ")), "")
        raise UsageError(f"--separation must be given: the total stimulus difference between the conditions{known}")
    return loaded._replace(notes=tuple(map(as_options, loaded.notes)))


def as_options(message: str) -> str:
    """A message of the library with its arguments written as options: ``header=no`` as ``--header no``."""
    names = "|".join(_OPTIONS)
    message = re.sub(r"\bconditions=\(([^()]*)\)", lambda found: f"--conditions {found[1].replace(', ', ' ')}", message)
    message = re.sub(rf"\b({names})=([^\s,;)]+)", r"--\1 \2", message)
    return re.sub(rf"^({names})(?= must|:| are)", r"--\1", message)
