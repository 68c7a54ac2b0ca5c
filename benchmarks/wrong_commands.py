"""Wrong command lines and broken files: ``python -m benchmarks.wrong_commands [--show]``.

Made from the options of all commands: misspelt names, unknown words, text for numbers, numbers out of range, files that
are not there, folders for files, broken files, and arguments that contradict each other. Each must end with code 2 (74
for an output that cannot be written), say one line on stderr that names what is wrong, in words of fisherjax, and begin
nothing: no folder is made. All run in one process, a dozen in processes of their own, whose memory is measured too.
Writes results/wrong_commands.md and .json.
"""

import contextlib
import io
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from unittest import mock

from benchmarks._broken_files import broken_archives, broken_configurations, broken_tables
from benchmarks._common import RESULTS
from fisherjax.cli import main as run_command
from fisherjax.cli._arguments import Common
from fisherjax.cli._commands import COMMANDS
from fisherjax.cli._session import Session
from fisherjax.cli._values import is_positional, kinds_of, limits_of, option, without_none

MOST_MEMORY = 1.0  # GB
_PROCESSES = 12

# what only programmers of the packages beneath understand
_FOREIGN = re.compile(
    r"Traceback|Errno|codec|invalid literal|could not convert|allow_pickle|unhashable|numpy(?!\.save)|\bjax\.|tyro|"
    r"zip file|cannot be computed with",
    re.IGNORECASE,
)
_LIBRARY = re.compile(r"\b(num_\w+|noise_std|max_lag|relative_error|max_radius)\b")  # options are written otherwise

COMBINATIONS = """
optimize --populations 5 --units 3
optimize --structure generalized-toeplitz --populations 1
optimize --bounds 3 1
optimize --bounds 2 2
optimize --structure circulant --max-radius 0.3
optimize --structure symmetric-toeplitz --budget 4 --max-radius 1.9
optimize --budget 0 --max-radius 0.2 --bounds 1 5
optimize --images 2
optimize --trials 19
optimize --resume
optimize --quick --populations 40 --units 39
optimize --units 1000000
curve --fractions 0.5 0.2
curve --noise-std 0
curve --gain 2 --gains {good}
curve --gains {good} --fractions 0.5 0.3 0.2
curve --units 1 --fractions 0.5 0.5
curve --coordinator localhost:1 --num-processes 2
curve --coordinator localhost --num-processes 2 --process-id 0
curve --coordinator localhost:99999 --num-processes 2 --process-id 0
curve --coordinator localhost:1 --num-processes 2 --process-id 2
curve --devices 0
curve --devices 1000
curve --devices many
curve --device gpu
curve --out {file}
curve --out {full}
curve --out {file}/inside
curve --out /proc/fisherjax
curve --config {folder}
curve --config /dev/zero
curve --seed 5 --sed 6
curve three
curve --steps 3 4
curve --quick=yes
curve -n 3
simulate --trials 5
simulate --form linear
simulate --form linear --units 100 --trials 100
simulate --units 3 --fractions 0.9 0.05 0.05
simulate --units 2000000
geometry --images 2
geometry --split test
geometry --data {good} --split train
geometry --data cifar10 --size 8
geometry --data {folder}
geometry --projection identity --units 20
estimate --separation 0.1
estimate --responses {good} --angles 30
estimate --responses {good} --trials 100
estimate --responses {good}
estimate --responses {good} {good} {good} --separation 0.1
estimate
estimate --trials 10
orientation --budget 100
orientation --trials 10
orientation --loss cosine sqared
orientation --stimuli grating
orientation --stimuli {good}
orientation --window 0.5
orientation --stimuli photographs --symmetry 2
orientation --images 5
orientation --encoding scalar --loss von-mises
orientation --base {good}
orientation --base {folder}
orientation --resume
dmft --max-lag 60
dmft --duration 10
dmft --nonlinearity identity --gain 1.5
train --rank 65
train --rank 3 --no-autapses
train --kind lstm --nonlinearity relu
train --trial-steps 1
train copy-memory --trial-steps 6
train --batch-size 900000000
train --resume
train flip-flop adding
fixed-points --network {good}
fixed-points --network {folder}
fixed-points {good}
curve --network {good}
curve --network {folder}
curve --network {good} --gain 1
simulate --network {good} --units 5
geometry --network {good} --draws 2
geometry --data random
estimate --network {good} --angles 5
estimate --protocol sustained
curve --stimulus 0.1 0.2
fixed-points
convnet
convnet trian
convnet run
convnet run {good} --checkpoint {good}
convnet run {good}
convnet run {good} --at 3
convnet analyze
convnet analyze {good}
convnet analyze {good} --parts stability --trials 100
convnet analyze {good} --parts information --eigenvalues 3
convnet analyze {good} --data photographs --images 3
convnet train --images 5
convnet train --images 5000
convnet train --preset R4-28 --data digits
convnet train --data {folder}
convnet train --data digits --skip-bad
convnet train --area .5
convnet train --data minst
convnet evaluate
convnet evaluate {good}
convnet evaluate {good} --data digits --skip-bad
convnet train --crop 8
convnet train --batch-size 2000
convnet train --resume
sweep {good} --shard 3/2
sweep {good} --shard two
sweep {good} --distributed
sweep {good} --merge --shard 1/2
sweep {folder}
--steps 3 curve
info --device tpu
info five
"""


class Case(NamedTuple):
    """A command line, what is wrong with it, and a word that the message must hold."""

    kind: str
    words: list[str]
    named: str = ""


class Outcome(NamedTuple):
    """What became of it."""

    kind: str
    line: str
    verdict: str  # "good", or what is wrong with the answer
    message: str


class Began(BaseException):
    """A command that should be refused begins to work."""


def cases(folder: Path) -> Iterator[Case]:
    """All wrong command lines; what they need is written into the folder."""
    for name, command in COMMANDS.items():
        yield from _wrong_options(name, command)
    places = _places(folder)
    for line in COMBINATIONS.strip().splitlines():
        yield Case("impossible combination", line.format(**places).split())
    yield from _wrong_files(folder)


def _wrong_options(name: str, command: Any) -> Iterator[Case]:
    hints = get_type_hints(type(command), include_extras=True)
    common = {} if name == "curve" else get_type_hints(Common)
    yield Case("misspelt command", [f"{name}x"], name)
    for field, hint in hints.items():
        if is_positional(hint):
            yield from (Case("missing file", [name, "nowhere.npz"], field) for _ in [0] if "Path" in str(hint))
        elif field not in common:
            yield from _wrong_values([name, option(field)], hint)
            yield Case("misspelt option", [name, f"{option(field)}x"], option(field))


def _wrong_values(words: list[str], hint: Any) -> Iterator[Case]:
    plain = get_type_hints(_holder(hint))["value"]
    kinds = kinds_of(plain)
    if not kinds:
        yield Case("value for a switch", [words[0], f"{words[1]}=maybe"], words[1])
        return
    kind = without_none(kinds[0])
    more = ["1"] * (len(kinds) - 1 if kinds[-1] is not Ellipsis else 0)
    yield Case("no value", words, words[1])
    if get_origin(kind) is Literal:
        yield Case("unknown word", [*words, f"{get_args(kind)[0]}x"], words[1])
        yield Case("unknown word", [*words, "elephant"], words[1])
    elif kind is Path and words[1] not in {"--out"}:
        yield Case("missing file", [*words, "nowhere/file.npz"], words[1])
    elif kind in {int, float}:
        yield Case("text for a number", [*words, "many", *more], words[1])
        yield Case("not finite", [*words, "nan", *more], words[1])
        if kind is int:
            yield Case("fraction of a whole number", [*words, "1.5", *more], words[1])
        for limits in limits_of(hint):
            yield (
                Case("out of range", [*words, "-1e-3" if kind is float else "-2", *more], words[1])
                if (limits.minimum > -2)
                else Case("out of range", [*words, "1e200", *more], words[1])
            )
            if not limits.infinite:
                yield Case("out of range", [*words, "9" * 30, *more], words[1])


def _holder(hint: Any) -> type:
    return type("Holder", (), {"__annotations__": {"value": hint}})


def _places(folder: Path) -> dict[str, str]:
    (folder / "good.txt").write_text("1 0.5\n0.5 1\n")
    (folder / "file").write_text("")
    (folder / "folder").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "thesis.tex").write_text("")
    return {name: str(folder / name) for name in ("file", "folder", "full")} | {"good": str(folder / "good.txt")}


def _wrong_files(folder: Path) -> Iterator[Case]:
    for index, (what, content) in enumerate(broken_configurations().items()):
        path = folder / f"{index}.toml"
        path.write_bytes(content)
        yield Case(f"configuration: {what}", ["curve", "--config", str(path)], path.name)
        if what not in {"another type", "misspelt", "unknown", "itself"}:
            yield Case(f"plan: {what}", ["sweep", str(path)], path.name)
    for index, (what, content) in enumerate(broken_tables().items()):
        path = folder / f"table{index}.csv"
        path.write_bytes(content)
        yield Case(f"responses: {what}", ["estimate", "--separation", "0.1", "--responses", str(path)], "--responses")
        yield Case(f"gains: {what}", ["curve", "--gains", str(path)], path.name)
    for index, (what, content) in enumerate(broken_archives().items()):
        path = folder / f"archive{index}.npz"
        path.write_bytes(content)
        yield Case(f"responses: {what}", ["estimate", "--separation", "0.1", "--responses", str(path)], "--responses")
        yield Case(f"gains: {what}", ["curve", "--gains", str(path)], path.name)
        yield Case(f"checkpoint: {what}", ["fixed-points", "--network", str(path)], path.name)
        yield Case(f"network: {what}", ["convnet-analyze", str(path)], path.name)
        yield Case(f"images: {what}", ["geometry", "--data", str(path)], "--data")


def outcome(case: Case, here: Path) -> Outcome:
    """Run one in this process; `here` is an empty folder, the current one."""
    code: Any
    printed, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(Session, "open_folder", side_effect=Began),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = run_command(case.words)
        except Began:
            code = "it began to work"
        except SystemExit as stop:
            code = f"exit {stop.code}"
        except Exception as error:
            code = f"{type(error).__name__}: {error}"
    return _judged(case, code, errors.getvalue(), here)


def _judged(case: Case, code: Any, errors: str, here: Path) -> Outcome:
    left = [path.name for path in here.iterdir()]
    lines = errors.strip().splitlines()
    message = lines[-1] if lines else ""
    if code not in {2, 74}:
        verdict = f"ended with {code}"
    elif len(lines) != 1 or not message.startswith("fisherjax: "):
        verdict = f"said {len(lines)} lines"
    elif left:
        verdict = f"left {', '.join(left)}"
    elif _FOREIGN.search(message):
        verdict = "in foreign words"
    elif _LIBRARY.search(message) and not case.kind.startswith(("configuration", "plan")):
        verdict = "in words of the library"
    elif case.named not in message:
        verdict = f"does not name {case.named}"
    else:
        verdict = "good"
    return Outcome(case.kind, f"fisherjax {' '.join(case.words)}", verdict, message)


def in_process(case: Case, here: Path) -> tuple[Outcome, float]:
    """Run one in a process of its own; its peak memory in GB."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "fisherjax", *case.words], cwd=here, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        return _judged(case, process.returncode, errors.read(), here), usage.ru_maxrss / 2**20


def run(*, show: bool = False) -> dict[str, Any]:
    """Run all; write the table."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as here:
        os.chdir(here)
        try:
            lines = list(cases(Path(folder)))
            outcomes = [outcome(case, Path(here)) for case in lines]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            own = [in_process(case, Path(here)) for case in lines[:: len(lines) // _PROCESSES]]
        finally:
            os.chdir(before)
    largest = max(memory for _, memory in own)
    bad = [one for one in (*outcomes, *(one for one, _ in own)) if one.verdict != "good"]
    for one in bad if show else ():
        print(f"{one.line[:150]}\n    {one.verdict}: {one.message[:200]}")
    record = {
        "lines": len(outcomes),
        "good": sum(one.verdict == "good" for one in outcomes),
        "processes": len(own),
        "good_in_processes": sum(one.verdict == "good" for one, _ in own),
        "peak_gigabytes": round(peak, 2),
        "peak_gigabytes_of_a_process": round(largest, 2),
        "most_gigabytes": MOST_MEMORY,
        "bad": [one._asdict() for one in bad],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wrong_commands.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "wrong_commands.md").write_text(_table(outcomes, record))
    return record


def _table(outcomes: list[Outcome], record: dict[str, Any]) -> str:
    groups = [one.kind.partition(":")[0] for one in outcomes]
    count, good = Counter(groups), Counter(g for g, one in zip(groups, outcomes, strict=True) if one.verdict == "good")
    rows = [f"| {name} | {count[name]} | {good[name]} |" for name in dict.fromkeys(groups)]
    text = (
        "Exit code 2 or 74, one line on stderr in words of fisherjax, nothing written, nothing begun. "
        f"Peak memory of the process that ran all of them: {record['peak_gigabytes']} GB; "
        f"{record['processes']} were run in processes of their own, {record['good_in_processes']} well, with at most "
        f"{record['peak_gigabytes_of_a_process']} GB."
    )
    head = ["# Wrong command lines", "", "Written by `python -m benchmarks.wrong_commands`.", "", text, ""]
    return "\n".join([*head, "| what is wrong | lines | refused well |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    done = run(show="--show" in sys.argv)
    print(f"{done['good']} of {done['lines']} refused well; {done['peak_gigabytes']} GB")
    fits = max(done["peak_gigabytes"], done["peak_gigabytes_of_a_process"]) < MOST_MEMORY
    sys.exit(int(bool(done["bad"]) or not fits))
