"""Cells of a table of text as numbers, and whether its first row is a header, which may hold numbers too."""

import itertools
import math
from pathlib import Path
from typing import NamedTuple

from fisherjax._errors import listed, require

HEADERS = ("auto", "yes", "no")
_MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "missing", "-", ".", "?", "<na>"}
_CERTAIN = 4  # a first row 0, 1, 2, 3 of counts is hardly a trial; 0, 1, 2 may well be
_LISTED = 5
_DECIDE = "say header=yes or header=no"


class Row(NamedTuple):
    """One row of cells and the line that it ends on."""

    line: int
    cells: list[str]


def as_number(cell: str, decimal: str = ".") -> float | None:
    """The number that a cell holds, or None."""
    if decimal == ",":
        cell = "x" if "." in cell else cell.replace(",", ".")
    plain = cell.replace("\N{MINUS SIGN}", "-")
    if "_" in plain or not plain.isascii():
        return None  # Python takes 1_000 and digits of any script
    try:
        value = float(plain)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that there is no value."""
    return cell.strip().lower() in _MISSING


def is_whole(cell: str) -> bool:
    """Whether a cell is written as a whole number, without decimals."""
    return cell.isascii() and cell.isdigit()


def whole_cells(cells: list[str]) -> bool:
    """Whether all cells are written as whole numbers."""
    return all(map(is_whole, cells))


def split_header(path: Path, rows: list[Row], point: str, header: str) -> tuple[list[str] | None, list[Row], list[str]]:
    """Names of columns, if there are any, the rows of numbers, and what was decided."""
    first, rest = rows[0], rows[1:]
    taken, notes = (header == "yes", []) if header != "auto" else _is_header(path, first, rest, point)
    if not taken:
        return None, rows, notes
    require(len(rest) > 0, f"{path} has no rows below its header")
    for line, cells in rest:
        repeated = header == "auto" and cells == first.cells
        require(not repeated, f"{path}: line {line} repeats the header: two tables in one file, or say header=yes")
    return first.cells, rest, notes


def _is_header(path: Path, first: Row, rest: list[Row], point: str) -> tuple[bool, list[str]]:
    cells, labels = first.cells, [row.cells[0] for row in rest]
    # a column of words says nothing of the row above it
    start = 1 if len(cells) > 1 else 0
    numeric = [
        index
        for index in range(start, len(cells))
        if not rest or any(as_number(row.cells[index], point) is not None for row in rest)
    ]
    tail = [cells[index] for index in numeric]
    values = [value for value in (as_number(cell, point) for cell in tail) if value is not None]
    words = [cell for cell in tail if as_number(cell, point) is None and not is_missing(cell)]
    shown = listed(cells, _LISTED)
    where = f"{path}: line {first.line} ({shown})"
    if words and values:
        # a table that numbers its units and names its conditions
        if values[0] in {0, 1} and _progresses(values, 1.0) and (len(values) > 1 or cells[0] == ""):
            return True, []
        raise ValueError(f"{where} holds words and numbers: a header, or a trial with a fault? {_DECIDE}")
    if not values or len(values) < len(tail) or not rest:
        return bool(words), []
    if cells[0] != "" and cells[0] in labels and as_number(cells[0], point) is None:
        return False, []  # the name of a condition that has other trials
    # a name above a column of conditions: none of them, while they repeat
    named = as_number(cells[0], point) is None and cells[0] not in labels and len(set(labels)) < len(labels)
    named = named or cells[0] == ""
    whole_below = any(is_whole(cell) for row in rest for cell in (row.cells[1:] or row.cells))
    head = as_number(cells[0], point)
    counts = values if named or head is None or len(cells) == 1 else [head, *values]
    if counts[0] in {0, 1} and _progresses(counts, 1.0) and (named or len(counts) > 1):
        if named or len(counts) >= _CERTAIN or (not whole_below and whole_cells(tail)):
            return True, [f"line {first.line} ({shown}) was taken for a header of numbers; header=no makes it a trial"]
        raise ValueError(f"{where} may be a header of numbers or a trial; {_DECIDE}")
    steady = len(counts) >= _CERTAIN and counts[1] != counts[0] and _progresses(counts, counts[1] - counts[0])
    bare = len(tail) > 1 and whole_cells(tail) and not whole_below and cells[0] not in labels
    require(not (steady or bare or named), f"{where} may be a header of numbers or a trial; {_DECIDE}")
    return False, []


def _progresses(values: list[float], step: float) -> bool:
    return all(abs(later - earlier - step) <= 1e-9 * abs(step) for earlier, later in itertools.pairwise(values))
