"""Wrong calls of every public function: ``python -m benchmarks.wrong_calls [PACKAGE …] [--show]``.

Takes each valid call of tests/calls.py and spoils one argument at a time: text, None, a function, complex numbers, NaN,
ragged lists, another number of axes, a negative or broken count, an integer for a key. Counts those that are refused by
fisherjax itself in words that name the argument, and those refused before anything is compiled.
Writes results/wrong_calls.md unless packages are named.
"""

import argparse
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from calls import ACCEPTED, ENTRIES, HOST_ENTRIES, PACKAGES  # pyright: ignore[reportMissingImports]

COMPILED = "/jax/core/compile/backend_compile_duration"
POSITIONAL = {"responses_minus", "responses_plus", "separation", "responses", "derivatives"}  # what *data are
LIBRARY = str(Path(sys.modules["fisherjax"].__file__ or "").parent)


class Outcome(NamedTuple):
    """What became of one wrong call."""

    function: str
    argument: str
    spoiled: str
    verdict: str  # "named", or what is wrong with the answer
    message: str
    compiled: int


class _Captured(Exception):  # noqa: N818
    pass


def main() -> int:
    """Try them, write the table; exit code 1 if one fails."""
    parser = argparse.ArgumentParser(prog="benchmarks.wrong_calls", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", help="all by default")
    parser.add_argument("--show", action="store_true", help="print every answer, not only those that fail")
    options = parser.parse_args()
    outcomes = [outcome for name in options.packages or PACKAGES for outcome in package_outcomes(name)]
    for one in outcomes:
        if options.show or one.verdict != "named":
            print(f"{one.function}({one.argument} = {one.spoiled}): {one.verdict}: {one.message}")
    print("\n".join(table(outcomes)))
    if not options.packages:
        (RESULTS / "wrong_calls.md").write_text("\n".join(["# Wrong calls", "", *table(outcomes)]) + "\n")
    return int(any(one.verdict != "named" for one in outcomes))


def table(outcomes: list[Outcome]) -> list[str]:
    """Counts by package, as lines of Markdown."""
    lines = ["| package | wrong calls | refused, argument named | before any compile |", "|---|---|---|---|"]
    groups = {name: [one for one in outcomes if one.function.startswith(f"{name}.")] for name in PACKAGES}
    for name, some in [*groups.items(), ("all", outcomes)]:
        if some:
            named = sum(one.verdict == "named" for one in some)
            early = sum(one.compiled == 0 for one in some)
            lines.append(f"| {name} | {len(some)} | {named} | {early / len(some):.1%} |")
    return lines


def package_outcomes(package: str) -> list[Outcome]:
    """All wrong calls of one package's functions."""
    entries = {name: entry for name, entry in {**ENTRIES, **HOST_ENTRIES}.items() if name.startswith(f"{package}.")}
    return [outcome for name, entry in entries.items() for outcome in function_outcomes(name, entry)]


def function_outcomes(name: str, entry: Callable[..., Any], *, every: int = 1) -> list[Outcome]:
    """All wrong calls of one function, or one in `every`."""
    package, _, function = name.partition(",")[0].partition(".")
    original = getattr(PACKAGES[package], function)
    bound = _captured(PACKAGES[package], function, entry)
    found = []
    for argument, spoiled, call in list(_spoiled(original, bound))[::every]:
        if (name, argument, spoiled) in ACCEPTED or (name, argument, "*") in ACCEPTED:
            continue
        found.append(_try(name, argument, spoiled, call))
    return found


def _captured(package: Any, function: str, entry: Callable[..., Any]) -> inspect.BoundArguments:
    """The arguments with which a valid call calls a function."""
    original = getattr(package, function)

    def capture(*args: Any, **kwargs: Any) -> None:
        raise _Captured(args, kwargs)

    setattr(package, function, capture)
    try:
        entry(jax.random.key(1), 1.0)
    except _Captured as caught:
        args, kwargs = caught.args
        bound = inspect.signature(original).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound
    finally:
        setattr(package, function, original)
    raise AssertionError(f"the entry of {function} does not call it")


def _spoiled(
    original: Callable[..., Any], bound: inspect.BoundArguments
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """(argument, how it was spoiled, the call)."""
    parameters = inspect.signature(original).parameters
    for argument, value in list(bound.arguments.items()):
        kind = parameters[argument].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            continue
        several = kind is inspect.Parameter.VAR_POSITIONAL
        for place, single in enumerate(value if several else (value,)):
            for spoiled, wrong in _wrong_values(argument, single):
                changed = (*value[:place], wrong, *value[place + 1 :]) if several else wrong
                arguments = {**bound.arguments, argument: changed}

                def call(arguments: dict[str, Any] = arguments) -> Any:
                    fresh = inspect.BoundArguments(bound.signature, arguments)  # pyright: ignore[reportArgumentType]
                    return original(*fresh.args, **fresh.kwargs)

                yield argument, spoiled, call


def _wrong_values(argument: str, value: Any) -> Iterator[tuple[str, Any]]:
    if argument == "key" or argument.endswith("_key"):
        yield from {"integer": 0, "text": "key", "none": None}.items()
    elif isinstance(value, bool):
        yield "text", "perhaps"
    elif isinstance(value, int):
        yield from {"text": "many", "negative": -3, "fraction": 2.5, "nan": float("nan")}.items()
    elif isinstance(value, float) or (isinstance(value, jax.Array | np.ndarray | np.generic) and np.ndim(value) == 0):
        yield from {"text": "much", "nan": float("nan"), "complex": 1j, "infinite": float("inf")}.items()
    elif isinstance(value, jax.Array | np.ndarray) and value.dtype.kind in "fiu":
        array = np.asarray(value, float)
        yield from {"none": None, "text": "text", "complex": array + 1j, "objects": object(), "function": abs}.items()
        yield "ragged", [[1.0, 2.0], [3.0]]
        yield "nan", np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array)
        yield "axes", array[None, None, None, None]
    elif isinstance(value, str):
        yield from {"misspelt": value + "x", "number": 3}.items()
    elif value is None or callable(value) or isinstance(value, eqx.Module):
        yield "object", object()
        if value is not None:
            yield from {"text": "text", "number": 3.5, "none": None}.items()
    elif isinstance(value, list | tuple | dict):
        yield from {"object": object(), "number": 3.5}.items()


def _try(name: str, argument: str, spoiled: str, call: Callable[[], Any]) -> Outcome:
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **_: Any) -> None:  # noqa: ARG001
        if event == COMPILED:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call()
        verdict, message = "accepted", " ".join(repr(result).split())[:100]
    except Exception as error:
        verdict, message = _judged(error, argument)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    return Outcome(name, argument, spoiled, verdict, message, len(compiled))


def _judged(error: Exception, argument: str) -> tuple[str, str]:
    message = " ".join(str(error).split())
    where = traceback.extract_tb(error.__traceback__)[-1].filename
    if not isinstance(error, TypeError | ValueError):
        return f"a {type(error).__name__}", message[:200]
    if not where.startswith(LIBRARY):
        return f"from {Path(where).parent.name}/{Path(where).name}", message[:200]
    words = {argument, argument.replace("_", " "), argument.rstrip("s")} | (POSITIONAL if argument == "data" else set())
    if not any(re.search(rf"\b{re.escape(word)}", message) for word in words):
        return "argument not named", message[:200]
    return "named", message[:200]


if __name__ == "__main__":
    jnp.zeros(1).block_until_ready()
    raise SystemExit(main())
