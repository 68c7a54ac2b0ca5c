"""Arguments that do not go together: what can be known of a command before anything is loaded."""

import math
import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, get_type_hints

from . import _arguments as command
from . import _convnet_arguments as convnet
from ._values import UsageError, is_positional, option, suggestion

_BLOCKS = 10  # into which trials are divided for a standard error
_FEWEST_IMAGES = 3  # whose three distances can be correlated
_FEWEST_TRAINED = 40  # training images whose information can be estimated
_PILOT = 300  # trials at every angle of a profile before more are drawn where they are needed, and after it

Said = Container[str]
Wrong = Iterator[tuple[Any, str]]  # what must not be, and what is said of it


def check_combination(asked: command.Common, said: Said) -> None:
    """Refuse arguments that contradict each other or would be ignored; `said` names those that the user wrote."""
    for kind, check in _CHECKS.items():
        if isinstance(asked, kind):
            for condition, message in check(asked, said):
                if condition:
                    raise UsageError(message)


def enough_trials(trials: int, size: int) -> bool:
    """Whether the covariance of `size` numbers can be inverted, a block of trials left out."""
    return trials - math.ceil(trials / _BLOCKS) - 1 > size + 1


def _each(said: Said, names: str, message: str) -> Wrong:
    """The options of `names` must not be said; the message goes on after the name of the first that is."""
    for name in names.split():
        yield name in said, f"{option(name)} {message}"


def _all(c: command.Common, said: Said) -> Wrong:
    yield from _processes(c)
    # `out` is to be made, and what is not said is looked for where it is used
    hints = get_type_hints(type(c), include_extras=True)
    for name, hint in sorted(hints.items(), key=lambda item: is_positional(item[1])):
        value, named = getattr(c, name), is_positional(hint) or (name in said and name != "out")
        for path in value if isinstance(value, tuple) else (value,):
            label = name if is_positional(hint) else option(name)
            missing = named and isinstance(path, Path) and not os.path.lexists(path)
            yield missing, f"{label} {path}: No such file or directory"


def _processes(c: command.Common) -> Wrong:
    number = c.devices.isascii() and c.devices.isdecimal() and 1 <= int(c.devices[:19]) < 10**9
    yield c.devices != "all" and not number, f"--devices must be a positive number or all, got {c.devices!r}"
    given = (bool(c.coordinator), c.num_processes > 0, c.process_id >= 0)
    together = "--coordinator, --num-processes and --process-id go together: give all three, or none"
    yield any(given) and not all(given), together
    if c.coordinator:
        _, colon, port = c.coordinator.rpartition(":")
        wrong = not colon or not port.isdecimal() or not 0 < int(port[:9]) < 2**16
        yield wrong, f"--coordinator must be HOST:PORT with a port below 65536, got {c.coordinator!r}"
        last = c.num_processes - 1
        yield c.process_id > last, f"--process-id must be at most {last}, got {c.process_id}"


def _asked(c: command.Asked, said: Said) -> Wrong:
    count = len(c.stimulus)
    if c.network is not None:
        structure = "gain gains fractions units draws projection observed means bias bias_std"
        yield from _each(said, structure, "describes a structure, and --network names one network; give one of them")
        many = f"--stimulus must be one number, which --pattern multiplies, got {count}"
        yield c.pattern is not None and count != 1, many
    else:
        only = "" if isinstance(c, command.Structured) else "noise_std steps nonlinearity"
        alone = "" if isinstance(c, command.Entered) else "observation_noise_std protocol"
        of_network = f"{alone} pattern read {only}"
        yield from _each(said, of_network, "belongs to --network, which names a network")
        streams = c.protocol == "stream"
        many = f"--stimulus must be one number for a structure, got {count}; several belong to --network or a stream"
        yield count != 1 and not streams and isinstance(c, command.Structured), many
    if c.protocol == "stream":
        steps = f"--stimulus must be one number, or one for each of --steps {c.steps}, got {count}"
        yield count not in {1, c.steps} and "steps" in said, steps
        yield from _each(said, "pattern read", "has no use with --protocol stream")


def _structure(c: command.Structured | command.Dmft, said: Said) -> Wrong:
    if isinstance(c, command.Structured) and c.network is not None:
        return
    total, populations = math.fsum(c.fractions), max(1, len(c.fractions))
    yield c.fractions and abs(total - 1) >= 1e-5, f"--fractions must sum to 1, got {total:g}"
    silent = c.noise_std == 0 and not isinstance(c, command.Geometry | command.Dmft)
    yield silent, "--noise-std must be above 0, got 0: without noise information is infinite"
    few = f"--units must be at least the number of populations, {populations}, got {c.units}"
    yield c.units < populations, few
    if c.gains is not None:
        yield from _each(said, "gain", "is the gain where there is no --gains; give one of them")
        if c.gains.suffix == ".npz":
            yield from _each(said, "fractions", f"is already in {c.gains}; give fractions with gains as text only")


def _entered(c: command.Entered, said: Said) -> Wrong:
    yield c.observed and max(c.observed) == 0, "--observed must hold a share above 0: nothing would be read"
    populations = max(1, len(c.fractions))
    for name, alone in (("observed", ""), ("bias", "a number, or "), ("bias_std", "a number, or ")):
        count = len(getattr(c, name))
        many = f"{option(name)} must be {alone}one for each of the {populations} populations, got {count}"
        fits = count in {0, populations} or (alone and count == 1)
        yield c.gains is None and not fits, many
    if c.gains is not None and c.gains.suffix == ".npz":
        yield from _each(said, "means", f"belongs to gains as text; {c.gains} has its own")


def _trials(c: Any, _: Said) -> Wrong:
    yield c.trials < 2 * _BLOCKS, f"--trials must be at least {2 * _BLOCKS}, got {c.trials}"


def _simulate(c: command.Simulate, said: Said) -> Wrong:
    yield from _trials(c, said)
    # how many numbers are read of a given network, or of populations in a file, is known when that is
    known = c.network is None and not c.observed
    few = known and c.form == "linear" and not enough_trials(c.trials, c.units)
    needed = f"--units by a ninth for --form linear, got {c.trials} trials of {c.units} units"
    yield few, f"--trials must be more than {needed}"


def _optimize(c: command.Optimize, said: Said) -> Wrong:
    yield from _trials(c, said)
    count, (low, high) = c.populations, c.bounds
    empty = f"--units must be at least the number of populations, {count}, got {c.units}"
    yield c.units < count, f"{empty}: a population without a unit cannot be simulated"
    yield low >= high, f"--bounds must be a lower and a higher number, got {low:g} {high:g}"
    needs = f"--form linear needs a smooth --nonlinearity ({', '.join(command.SMOOTH)}), got {c.nonlinearity}"
    smooth = f"{needs}; use --form independent"
    yield c.form == "linear" and c.nonlinearity not in command.SMOOTH, smooth
    alone = count < 2 and c.structure == "generalized-toeplitz"
    yield alone, f"--populations must be at least 2 for --structure {c.structure}, got {count}"
    yield c.images < _FEWEST_IMAGES, f"--images must be at least {_FEWEST_IMAGES}, got {c.images}"
    never = f"--max-radius {c.max_radius:g} cannot be met"
    if c.max_radius and c.budget:
        # equal sums of all rows, or symmetry: no such network has a radius below the root of its budget
        balanced = c.structure in {"homogeneous", "circulant", "symmetric-toeplitz"} or count == 1
        least = c.budget**0.5
        makes = f"with --structure {c.structure} a --budget of {c.budget:g} makes a radius of at least {least:g}"
        yield balanced and c.max_radius < least * (1 - 1e-9), f"{never}: {makes}"
    elif c.max_radius:
        bounded = c.structure not in {"chain", "generalized-toeplitz"} and low > c.max_radius
        yield bounded, f"{never}: the lowest of --bounds makes a radius of {low:g}"


def _geometry(c: command.Geometry, said: Said) -> Wrong:
    yield c.images < _FEWEST_IMAGES, f"--images must be at least {_FEWEST_IMAGES}, got {c.images}"
    yield from _each(said, "pattern", "is one stimulus, and geometry is that of many, which --data names")
    if c.data == "random":
        yield c.network is None, "--data random belongs to --network; a structure is shown images"
        yield from _each(said, "size color preprocess split", "belongs to images, which --data names")
    elif c.network is not None:
        yield from _each(said, "stimulus", "is the size of --data random; images have their own")
    if c.data in {"natural", "random"} or Path(c.data).suffix in {".npy", ".npz"}:
        yield from _each(said, "split", "belongs to CIFAR, which --data names")
    if c.data != "natural":
        yield from _each(said, "size", "is the side of --data natural; other images have their own")


_RECORDED = "array block exclude axes window stimulus_unit missing drop_rare"


def _recorded(c: command.Estimate, said: Said) -> Wrong:
    """Of files of responses: --stimulus names that of a recording; without it there are two conditions."""
    if "stimulus" not in said:
        yield from _each(said, _RECORDED, "is of a recording; name its stimulus by --stimulus")
        return
    two = "conditions separation robust blocks"
    yield from _each(said, two, "is for two conditions; --stimulus names the stimulus of a recording")
    yield len(c.responses) != 1, f"--responses must be one file with --stimulus, got {len(c.responses)}"
    yield len(c.stimulus) != 1, f"--stimulus must be one column or array of a recording, got {len(c.stimulus)}"
    ends = f"--window must be a start and a later stop in seconds, got {' '.join(f'{end:g}' for end in c.window)}"
    yield bool(c.window) and (len(c.window) != 2 or c.window[0] >= c.window[1]), ends


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _estimate(c: command.Estimate, said: Said) -> Wrong:
    yield from _trials(c, said)
    if c.network is None:
        yield from _each(said, "trials", "belongs to --network, which names a network")
    if not c.responses:
        files = f"conditions separation period header separator decimal robust blocks {_RECORDED}"
        yield from _each(said, files, "belongs to --responses, which names your files")
    else:
        yield from _recorded(c, said)
    for word in c.stimulus if c.network is not None else ():
        yield not _is_finite(word), f"--stimulus must be finite numbers with --network, got {word!r}"
    neither = "estimate: name files by --responses or a network by --network; orientations: fisherjax orientation"
    yield c.network is None and not c.responses, neither
    if c.network is not None:
        yield from _each(said, "responses", "are yours, and --network names a network; give one of them")


def _orientation(c: command.Orientation, said: Said) -> Wrong:
    yield from _trials(c, said)
    needed = c.angles * _PILOT
    few = f"--budget must be at least {needed} trials for --angles {c.angles}, got {c.budget}"
    yield c.budget < needed, few
    named = c.stimuli in {"gratings", "photographs"}
    near = suggestion(c.stimuli, ("gratings", "photographs"))
    missing = not named and not os.path.lexists(c.stimuli)
    yield missing, f"--stimuli {c.stimuli}: No such file or directory{near}"
    if c.stimuli == "gratings":
        yield from _each(said, "symmetry window noise_std", "belongs to pictures, which --stimuli names")
    elif c.stimuli == "photographs":
        yield from _each(said, "symmetry", "belongs to your own pictures; photographs have 1")
    few = f"--images must be 0 or at least {_FEWEST_TRAINED}, got {c.images}"
    yield 0 < c.images < _FEWEST_TRAINED, few
    lengthless = "--loss von-mises needs a length, which --encoding scalar has not; take cosine"
    yield "von-mises" in c.loss and c.encoding == "scalar", lengthless


def _dmft(c: command.Dmft, said: Said) -> Wrong:
    yield from _structure(c, said)
    long = f"--max-lag must be at most half of --duration, got {c.max_lag:g} and {c.duration:g}"
    yield 2 * c.max_lag > c.duration, long


def _train(c: command.Train, said: Said) -> Wrong:
    yield c.rank > c.units, f"--rank must be at most --units {c.units}, got {c.rank}"
    elsewhere = c.task != "copy-memory"
    yield elsewhere and c.delay > 0, f"--delay is that of copy-memory, and {c.task} has none to choose"
    if elsewhere:
        yield from _each(said, "length symbols", f"is that of copy-memory, and {c.task} has none")
    yield c.symbols < 2, f"--symbols must be at least 2, got {c.symbols}"
    yield c.delay > 0 and c.trial_steps > 0, "--delay and --trial-steps say the same; give one of them"
    memory = c.initializer == "memory"
    yield memory and elsewhere, f"--initializer memory is for copy-memory, got {c.task}"
    yield memory and c.length > 10, f"--initializer memory compares sequences of at most 10 symbols, got {c.length}"
    plain = c.kind == "rnn" and c.nonlinearity == "tanh"
    yield memory and not plain, f"--initializer memory is for rnn with tanh, got {c.kind} with {c.nonlinearity}"
    both = "--rank and --no-autapses exclude each other"
    yield c.rank and not c.autapses, f"{both}: weights of low rank have no entries of their own to leave out"
    if c.kind in {"gru", "lstm"}:
        yield from _each(said, "nonlinearity", f"belongs to rnn and continuous: the gates of {c.kind} have their own")


def _convnet_train(c: convnet.ConvnetTrain, said: Said) -> Wrong:
    yield 0 < c.images < 10, f"--images must be at least 10, or 0 for all, got {c.images}"
    yield from _of_images(c.data, said)


def _convnet_run(c: convnet.ConvnetRun, _: Said) -> Wrong:
    yield c.at and not c.areas, "--at belongs to --areas, whose activity is written"
    yield not c.images, "convnet run: name a picture; fisherjax convnet run IMAGE … --checkpoint FILE"


def _convnet_analyze(c: convnet.ConvnetAnalyze, said: Said) -> Wrong:
    if c.data == "photographs":
        yield from _each(said, "images", "is the number of labeled images; all photographs are used")
    if c.parts and "information" not in c.parts:
        yield from _each(said, "trials", "belongs to --parts information")
    if c.parts and "stability" not in c.parts:
        yield from _each(said, "eigenvalues", "belongs to --parts stability")


def _convnet_evaluate(c: convnet.ConvnetEvaluate, said: Said) -> Wrong:
    if c.data != "auto":
        yield from _of_images(c.data, said)


def _of_images(data: str, said: Said) -> Wrong:
    if data in convnet.DATA:
        yield from _each(said, "skip_bad area", f"belongs to pictures in files, not to --data {data}")


def _sweep(c: command.Sweep, said: Said) -> Wrong:
    shared = "sweep: processes share the points by --shard i/n, not by --distributed"
    yield c.distributed or c.coordinator, shared
    if c.merge:
        computing = "belongs to computing points; --merge only puts together what is there"
        yield from _each(said, "shard force", computing)


_CHECKS: dict[type[command.Common], Callable[[Any, Said], Wrong]] = {
    command.Common: _all,
    command.Asked: _asked,
    command.Structured: _structure,
    command.Entered: _entered,
    command.Dmft: _dmft,
    command.Simulate: _simulate,
    command.Optimize: _optimize,
    command.Geometry: _geometry,
    command.Estimate: _estimate,
    command.Orientation: _orientation,
    command.Train: _train,
    convnet.ConvnetTrain: _convnet_train,
    convnet.ConvnetRun: _convnet_run,
    convnet.ConvnetAnalyze: _convnet_analyze,
    convnet.ConvnetEvaluate: _convnet_evaluate,
    command.Sweep: _sweep,
}
