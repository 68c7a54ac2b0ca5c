"""One command for every combination of some arguments: planned, divided among jobs, resumed, put together."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import re
import shlex
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from fisherjax.report import Table

from ._arguments import Common, Sweep
from ._commands import COMMANDS, name_of
from ._files import read_toml
from ._messages import told_reason
from ._outcome import drawing_to_files, run
from ._parse import finished, with_entries
from ._process import stop_if_terminated
from ._provenance import settings_table, typed_line
from ._session import CHECKPOINTS
from ._sweep_results import Made, finish_point, merge_points, point_results
from ._values import UsageError, check_word, converted, shown, suggestion

_PARTS = ("command", "out", "fixed", "vary", "show")
_OWN = ("out", "config", "force", "resume", "quick", "format", "device", "devices", "distributed", "coordinator")
_OWN += ("num_processes", "process_id")
_MOST_POINTS = 100_000
_COMPARED = 1000  # points whose settings are looked at for the report


class Point(NamedTuple):
    """One combination: the values that vary, the whole command, and its folder, named by what it computes."""

    varied: dict[str, Any]
    command: Common
    folder: Path

    @property
    def done(self) -> bool:
        """Whether it was computed to the end, and its results are what was written."""
        return point_results(self.folder) is not None


class Plan(NamedTuple):
    """All points of a sweep, in order."""

    name: str
    folder: Path
    points: list[Point]
    show: dict[str, str]


def run_sweep(sweep: Sweep, words: list[str]) -> None:
    """Compute this shard's points that are not done yet; when all shards' are, put them together."""
    plan = read_plan(sweep)
    index, count = _shard(sweep.shard)
    _claim(plan)
    failed: list[str] = []
    if not sweep.merge:
        mine = plan.points[index - 1 :: count]
        todo = [point for point in mine if sweep.force or not point.done]
        print(f"{plan.name}: {len(plan.points)} points, {len(mine)} in this shard, {len(todo)} to do", flush=True)
        try:
            for number, point in enumerate(todo, start=1):
                failed += _compute(point, f"[{number}/{len(todo)}]", words, anew=sweep.force)
        except KeyboardInterrupt:
            print(f"go on with: fisherjax {shlex.join(word for word in words if word != '--force')}", flush=True)
            raise
    missing = sum(not point.done for point in plan.points)
    if missing and not sweep.merge:
        print(f"{missing} points are not done; those that are, together: fisherjax sweep {sweep.plan} --merge")
    else:
        done = [(point.varied, point.folder) for point in plan.points if point.done]
        with drawing_to_files(sweep):
            merge_points(_made(plan, words), plan.folder, done, plan.show, missing)
    if failed:
        raise UsageError(f"{len(failed)} points failed, the first: {failed[0]}; run again to try them again")


def read_plan(sweep: Sweep) -> Plan:
    """All points of a plan."""
    source = f"sweep {sweep.plan}"
    entries = read_toml(sweep.plan, "sweep")
    for key in entries:
        if key not in _PARTS:
            raise UsageError(f"{source}: unknown key {key!r}{suggestion(key, _PARTS)}")
    commands = {name: c for name, c in COMMANDS.items() if isinstance(c, Common) and not isinstance(c, Sweep)}
    name = entries.get("command", "")
    check_word(f"{source}: command", name, commands)
    fixed, vary, show = _tables(entries, source)
    folder = sweep.out
    if folder == Path():
        folder = converted(f"{source}: out", entries.get("out", str(Path("results") / sweep.plan.stem)), Path)
    base = with_entries(commands[name], fixed, f"{source}, [fixed]")
    own = {"device": sweep.device, "devices": sweep.devices, "quick": sweep.quick, "format": sweep.format}
    base = dataclasses.replace(base, **own, seed=base.seed if "seed" in fixed else sweep.seed)
    points: dict[Path, Point] = {}
    for values in itertools.product(*vary.values()):
        varied = dict(zip(vary, values, strict=True))
        command = _point_command(base, fixed, varied, source)
        place = folder / "points" / _digest(name, command)
        if place in points:
            raise UsageError(f"{source}: [vary] names the same combination twice: {_label(varied)}")
        points[place] = Point(varied, dataclasses.replace(command, out=place), place)
    return Plan(f"{sweep.plan.stem}: {name}", folder, list(points.values()), show)


def _made(plan: Plan, words: list[str]) -> Made:
    """What the report says of how the points were made."""
    first = plan.points[0].command
    values = {name: dict.fromkeys(str(point.varied[name]) for point in plan.points) for name in plan.points[0].varied}
    own = {"out", "config", "force", "resume", *(name.replace("-", "_") for name in values)}
    # sizes of --quick may follow from what varies
    differing = {
        name
        for point in plan.points[1:_COMPARED]
        for name, value in dataclasses.asdict(point.command).items()
        if value != getattr(first, name)
    }
    settings = settings_table(first, own | differing)
    rows = [[name, ", ".join(found)] for name, found in values.items()]
    return Made(plan.name, name_of(first), typed_line(words), Table(settings.header, rows + list(settings.rows)))


def _point_command(base: Common, fixed: dict[str, Any], varied: dict[str, Any], source: str) -> Common:
    """The command of one point: what cannot be computed is found before any point is."""
    command = with_entries(base, varied, f"{source}, [vary]")
    try:
        return finished(command, {key.replace("-", "_") for key in (*fixed, *varied)})
    except UsageError as error:
        raise UsageError(f"{source}, point {_label(varied)}: {error}") from error


def _label(varied: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in varied.items())


def _tables(entries: dict[str, Any], source: str) -> tuple[dict[str, Any], dict[str, list[Any]], dict[str, str]]:
    """[fixed], [vary] and [show], checked."""
    fixed, vary, show = (entries.get(part, {}) for part in ("fixed", "vary", "show"))
    for part, entry in (("fixed", fixed), ("show", show)):
        if not isinstance(entry, dict):
            raise UsageError(f"{source}: {part} must be a table, [{part}], got {shown(entry)}")
    if not isinstance(vary, dict) or not vary or not all(isinstance(v, list) and v for v in vary.values()):
        raise UsageError(f"{source}: [vary] must name at least one argument with a list of values")
    count = math.prod(len(values) for values in vary.values())
    if count > _MOST_POINTS:
        raise UsageError(f"{source}: [vary] makes {count} points, more than {_MOST_POINTS}")
    for role, name in show.items():
        if role not in {"x", "y", "color"} or not isinstance(name, str) or (role != "y" and name not in vary):
            raise UsageError(f"{source}: [show] takes x and color among what varies, and y; got {role} = {shown(name)}")
    for reserved in _OWN:
        if reserved in {str(key).replace("-", "_") for key in (*fixed, *vary)}:
            raise UsageError(f"{source}: {reserved} is the sweep's own")
    return fixed, vary, show


def _digest(name: str, command: Common) -> str:
    """What a point computes, whatever device it is on."""
    settings = dataclasses.asdict(command)
    for name_of_own in _OWN:
        if name_of_own != "quick":
            settings.pop(name_of_own, None)
    for key, value in settings.items():
        if isinstance(value, Path) and value.is_file():
            settings[key] = hashlib.sha256(value.read_bytes()).hexdigest()  # another file of that name is another point
    return hashlib.sha256(json.dumps([name, settings], sort_keys=True, default=str).encode()).hexdigest()[:16]


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise UsageError(f"--shard must be i/n with i from 1 to n, such as 2/8, got {text!r}")
    return index, count


def _claim(plan: Plan) -> None:
    """Make the folder, or refuse one that holds something else."""
    folder = plan.folder
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / "points").is_dir():
            raise UsageError(f"--out {folder} holds something else than a sweep; choose another folder")
        (folder / "points").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written to: {error.strerror}") from error


def _compute(point: Point, number: str, words: list[str], *, anew: bool) -> list[str]:
    """Run one point; what went wrong, if something did. What it prints goes into log.txt."""
    label = _label(point.varied)
    print(f"{number} {label} …", file=sys.stderr, flush=True)
    command = _prepared(point, anew=anew)
    start = time.perf_counter()
    with (point.folder / "log.txt").open("w", encoding="utf-8", errors="replace") as log:
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                run(command, words)
            stop_if_terminated()
        except OSError:
            raise
        except Exception as error:  # whatever it is: no other point may suffer from it
            stop_if_terminated()
            reason = f"{label}: {told_reason(error, command) or type(error).__name__}"
            traceback.print_exc(file=log)
            print(f"  failed: {reason}", file=sys.stderr, flush=True)
            return [reason]
    finish_point(point.folder, {"varied": point.varied, "seconds": round(time.perf_counter() - start, 3)})
    return []


def _prepared(point: Point, *, anew: bool) -> Common:
    """The command of a point, which goes on from a checkpoint in its folder."""
    if anew:
        shutil.rmtree(point.folder, ignore_errors=True)
    point.folder.mkdir(parents=True, exist_ok=True)
    for unfinished in point.folder.glob(".*.tmp"):
        unfinished.unlink(missing_ok=True)  # a write that a kill cut short
    resumable = any(any(point.folder.glob(pattern)) for pattern in CHECKPOINTS)
    resume = {"resume": True} if resumable and hasattr(point.command, "resume") else {}
    return dataclasses.replace(point.command, force=True, **resume)
