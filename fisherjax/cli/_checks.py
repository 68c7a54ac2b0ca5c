"""Arguments that do not go together: what can be known of a command before anything is loaded."""

import math
import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, get_type_hints

from ._arguments import Asked, Dmft, Estimate, Geometry, Optimize, Simulate, Structured, Sweep, Train
from ._common_arguments import Common
from ._convnet_arguments import ConvnetAnalyze, ConvnetRun, ConvnetTrain
from ._limits import UsageError, option
from ._usage import is_positional

_BLOCKS = 10  # into which trials are divided for a standard error
_FEWEST_IMAGES = 3  # whose three distances can be correlated


def check_combination(command: Common, said: Container[str]) -> None:
    """Refuse arguments that contradict each other or would be ignored; `said` names those that the user wrote.

    Raises
    ------
    UsageError
        That names the options.
    """
    _check_processes(command)
    _check_files(command, said)
    for kind, check in _CHECKS.items():
        if isinstance(command, kind):
            check(command, said)


def _refuse(condition: Any, message: str) -> None:
    if condition:
        raise UsageError(message)


def _belongs(said: Container[str], names: tuple[str, ...], message: str) -> None:
    """Refuse the first option of `names` that was said; the message goes on after its name."""
    for name in names:
        _refuse(name in said, f"{option(name)} {message}")


def _check_processes(command: Common) -> None:
    devices = command.devices
    number = devices.isascii() and devices.isdecimal() and 1 <= int(devices[:19]) < 10**9
    _refuse(devices != "all" and not number, f"--devices must be a positive number or all, got {devices!r}")
    given = (bool(command.coordinator), command.num_processes > 0, command.process_id >= 0)
    together = "--coordinator, --num-processes and --process-id go together: give all three, or none"
    _refuse(any(given) and not all(given), together)
    if command.coordinator:
        _, colon, port = command.coordinator.rpartition(":")
        wrong = not colon or not port.isdecimal() or not 0 < int(port[:9]) < 2**16
        _refuse(wrong, f"--coordinator must be HOST:PORT with a port below 65536, got {command.coordinator!r}")
        last = command.num_processes - 1
        _refuse(command.process_id > last, f"--process-id must be at most {last}, got {command.process_id}")


def _check_files(command: Common, said: Container[str]) -> None:
    """Refuse files that are not there; `out` is to be made, and what is not said is looked for where it is used."""
    hints = get_type_hints(type(command), include_extras=True)
    for name, hint in sorted(hints.items(), key=lambda item: is_positional(item[1])):
        value = getattr(command, name)
        named = is_positional(hint) or (name in said and name != "out")
        for path in value if isinstance(value, tuple) else (value,):
            missing = named and isinstance(path, Path) and not os.path.lexists(path)
            label = name if is_positional(hint) else option(name)
            _refuse(missing, f"{label} {path}: No such file or directory")


def _check_asked(command: Asked, said: Container[str]) -> None:
    count = len(command.stimulus)
    if command.network is not None:
        structure = ("gain", "gains", "fractions", "units", "draws", "projection")
        _belongs(said, structure, "describes a structure, and --network names one network; give one of them")
        _refuse(
            command.pattern is not None and count != 1,
            f"--stimulus must be one number, which --pattern multiplies, got {count}",
        )
        return
    only = () if isinstance(command, Structured) else ("stimulus", "noise_std", "steps", "nonlinearity")
    _belongs(
        said,
        ("observation_noise_std", "protocol", "pattern", "read", *only),
        "belongs to --network, which names a network",
    )
    _refuse(count != 1, f"--stimulus must be one number for a structure, got {count}; several belong to --network")


def _check_gains(command: Structured | Dmft, said: Container[str]) -> None:
    if isinstance(command, Structured) and command.network is not None:
        return
    total = math.fsum(command.fractions)
    _refuse(command.fractions and abs(total - 1) >= 1e-5, f"--fractions must sum to 1, got {total:g}")
    populations = max(1, len(command.fractions))
    if not isinstance(command, Geometry | Dmft):
        _refuse(command.noise_std == 0, "--noise-std must be above 0, got 0: without noise information is infinite")
    _refuse(
        command.units < populations,
        f"--units must be at least the number of populations, {populations}, got {command.units}",
    )
    if command.gains is not None:
        _belongs(said, ("gain",), "is the gain where there is no --gains; give one of them")
        if command.gains.suffix == ".npz":
            _belongs(said, ("fractions",), f"is already in {command.gains}; give fractions with gains as text only")


def _check_trials(command: Simulate | Optimize) -> None:
    fewest = 2 * _BLOCKS
    _refuse(command.trials < fewest, f"--trials must be at least {fewest}, got {command.trials}")


def _check_simulate(command: Simulate, _: Container[str]) -> None:
    _check_trials(command)
    # how many numbers are read of a given network is known when its file is
    _refuse(
        command.network is None and command.form == "linear" and not enough_trials(command.trials, command.units),
        f"--trials must be more than --units by a ninth for --form linear, got {command.trials} trials "
        f"of {command.units} units",
    )


def enough_trials(trials: int, size: int) -> bool:
    """Whether the covariance of `size` numbers can be inverted, a block of trials left out."""
    return trials - math.ceil(trials / _BLOCKS) - 1 > size + 1


def _check_optimize(command: Optimize, _: Container[str]) -> None:
    _check_trials(command)
    count = command.populations
    _refuse(
        command.units < count,
        f"--units must be at least the number of populations, {count}, got {command.units}: a population without "
        "a unit cannot be simulated",
    )
    low, high = command.bounds
    _refuse(low >= high, f"--bounds must be a lower and a higher number, got {low:g} {high:g}")
    _refuse(
        count < 2 and command.structure == "generalized-toeplitz",
        f"--populations must be at least 2 for --structure {command.structure}, got {count}",
    )
    _refuse(command.images < _FEWEST_IMAGES, f"--images must be at least {_FEWEST_IMAGES}, got {command.images}")
    # equal sums of all rows, or symmetry: no such network has a radius below the root of its budget
    balanced = command.structure in {"homogeneous", "circulant", "symmetric-toeplitz"} or count == 1
    if command.max_radius and command.budget:
        least = command.budget**0.5
        _refuse(
            balanced and command.max_radius < least * (1 - 1e-9),
            f"--max-radius {command.max_radius:g} cannot be met: with --structure {command.structure} a --budget of "
            f"{command.budget:g} makes a radius of at least {least:g}",
        )
    elif command.max_radius:
        _refuse(
            command.structure not in {"chain", "generalized-toeplitz"} and low > command.max_radius,
            f"--max-radius {command.max_radius:g} cannot be met: the lowest of --bounds makes a radius of {low:g}",
        )


def _check_geometry(command: Geometry, said: Container[str]) -> None:
    _refuse(command.images < _FEWEST_IMAGES, f"--images must be at least {_FEWEST_IMAGES}, got {command.images}")
    _belongs(said, ("pattern",), "is one stimulus, and geometry is that of many, which --data names")
    arrays = Path(command.data).suffix in {".npy", ".npz"}
    if command.data == "random":
        _refuse(command.network is None, "--data random belongs to --network; a structure is shown images")
        _belongs(said, ("size", "color", "preprocess", "split"), "belongs to images, which --data names")
    elif command.network is not None:
        _belongs(said, ("stimulus",), "is the size of --data random; images have their own")
    if command.data in {"natural", "random"} or arrays:
        _belongs(said, ("split",), "belongs to CIFAR, which --data names")
    if command.data != "natural":
        _belongs(said, ("size",), "is the side of --data natural; other images have their own")


def _check_estimate(command: Estimate, said: Container[str]) -> None:
    study = ("size", "training_steps", "angles", "relative_error", "budget", "trials")
    files = ("conditions", "separation", "period", "header", "separator", "decimal", "robust", "blocks")
    _refuse(command.trials < 2 * _BLOCKS, f"--trials must be at least {2 * _BLOCKS}, got {command.trials}")
    if command.network is not None:
        _belongs(said, ("responses",), "are yours, and --network names a network; give one of them")
        _belongs(said, study[:-1], "belongs to the study of orientations, which does without --network")
        _belongs(said, files, "belongs to --responses, which names your files")
        return
    if command.responses:
        _belongs(said, study, "belongs to the study of orientations, which does without --responses")
        return
    _belongs(said, files, "belongs to --responses, which names your files")
    pilot = 200  # trials at every angle before more are drawn where they are needed, and after it
    needed = command.angles * (pilot + 100)
    _refuse(
        command.budget < needed,
        f"--budget must be at least {needed} trials for --angles {command.angles}, got {command.budget}",
    )


def _check_dmft(command: Dmft, _: Container[str]) -> None:
    _refuse(
        2 * command.max_lag > command.duration,
        f"--max-lag must be at most half of --duration, got {command.max_lag:g} and {command.duration:g}",
    )


def _check_train(command: Train, said: Container[str]) -> None:
    _refuse(command.rank > command.units, f"--rank must be at most --units {command.units}, got {command.rank}")
    _refuse(
        command.rank and not command.autapses,
        "--rank and --no-autapses exclude each other: weights of low rank have no entries of their own to leave out",
    )
    if command.kind in {"gru", "lstm"}:
        _belongs(said, ("nonlinearity",), f"belongs to rnn and continuous: the gates of {command.kind} have their own")


def _check_convnet_train(command: ConvnetTrain, said: Container[str]) -> None:
    _refuse(0 < command.images < 10, f"--images must be at least 10, or 0 for all, got {command.images}")
    if command.data != "cifar10":
        _belongs(said, ("cifar",), "belongs to --data cifar10")


def _check_convnet_run(command: ConvnetRun, _: Container[str]) -> None:
    _refuse(not command.images, "convnet run: name a picture; fisherjax convnet run IMAGE … --checkpoint FILE")


def _check_convnet_analyze(command: ConvnetAnalyze, said: Container[str]) -> None:
    if command.data not in {"auto", "cifar10"}:
        _belongs(said, ("cifar",), "belongs to --data cifar10")
    if command.data == "photographs":
        _belongs(said, ("images",), "is the number of labeled images; all photographs are used")
    parts = set(command.parts)
    if parts and "information" not in parts:
        _belongs(said, ("trials",), "belongs to --parts information")
    if parts and not parts & {"stability", "growth"}:
        _belongs(said, ("eigenvalues",), "belongs to --parts stability and growth")


def _check_sweep(command: Sweep, said: Container[str]) -> None:
    _refuse(
        command.distributed or command.coordinator,
        "sweep: processes share the points by --shard i/n, not by --distributed",
    )
    if command.merge:
        _belongs(said, ("shard", "force"), "belongs to computing points; --merge only puts together what is there")


_CHECKS: dict[type[Common], Callable[[Any, Container[str]], None]] = {
    Asked: _check_asked,
    Structured: _check_gains,
    Dmft: lambda command, said: (_check_gains(command, said), _check_dmft(command, said))[-1],
    Simulate: _check_simulate,
    Optimize: _check_optimize,
    Geometry: _check_geometry,
    Estimate: _check_estimate,
    Train: _check_train,
    ConvnetTrain: _check_convnet_train,
    ConvnetRun: _check_convnet_run,
    ConvnetAnalyze: _check_convnet_analyze,
    Sweep: _check_sweep,
}
