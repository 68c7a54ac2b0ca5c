"""Responses of a user's experiment from npz and csv files."""

import csv
from pathlib import Path

import numpy as np

from ._parse import UsageError


def load_responses(paths: tuple[Path, ...], separation: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Responses to two conditions (trials, units) and their separation.

    Raises
    ------
    UsageError
        If a file cannot be read, lacks a condition, or has ragged rows; if there is no separation.
    """
    if len(paths) == 1 and paths[0].suffix == ".npz":
        minus, plus, stored = _from_npz(paths[0])
        separation = separation or stored
    elif len(paths) == 1:
        minus, plus = _from_table(paths[0])
    elif len(paths) == 2:
        minus, plus = (_numbers(path, _rows(path)) for path in paths)
    else:
        raise UsageError(f"--responses takes one file (npz, csv) or two (csv), got {len(paths)}")
    if separation <= 0:
        raise UsageError("--separation must be given: the total stimulus difference between the conditions, above 0")
    return minus, plus, separation


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ("minus", "plus") if name not in archive]
            if missing:
                raise UsageError(f"--responses {path} has no array {missing[0]!r}; it has {sorted(archive.files)}")
            stored = float(archive["separation"]) if "separation" in archive else 0.0
            return archive["minus"], archive["plus"], stored
    except OSError as error:
        raise UsageError(f"--responses {path}: {error.strerror or error}") from error


def _from_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    rows = _rows(path)
    names = list(dict.fromkeys(row[0] for _, row in rows))
    if len(names) != 2:
        raise UsageError(
            f"--responses {path}: the first column must name two conditions, got {len(names)} ({', '.join(names[:4])}…)"
        )
    minus, plus = ([(line, row[1:]) for line, row in rows if row[0] == name] for name in names)
    return _numbers(path, minus), _numbers(path, plus)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Lines with their numbers, without a header, all of the same length."""
    try:
        with path.open(newline="") as stream:
            rows = [(line, [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(stream), 1) if row]
    except OSError as error:
        raise UsageError(f"--responses {path}: {error.strerror}") from error
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise UsageError(f"--responses {path} has no rows")
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise UsageError(f"--responses {path}: line {line} has {len(row)} values where the first has {width}")
    return rows


def _numbers(path: Path, rows: list[tuple[int, list[str]]]) -> np.ndarray:
    for line, row in rows:
        for cell in row:
            if not _is_number(cell):
                raise UsageError(f"--responses {path}: line {line} holds {cell!r}, which is not a number")
    return np.array([[float(cell) for cell in row] for _, row in rows])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
