"""Tables of text as rows of cells: which separator, which decimal mark, whether there is a header.

What can be meant in one way only is recognized; what was decided is told in notes; the rest is refused with the option
that decides it.
"""

import contextlib
import csv
import io
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fisherjax._errors import as_path, check_choice, listed, require

from ._formats import read_text
from ._headers import HEADERS, Row, as_number, is_missing, split_header

SEPARATORS = {"tab": "\t", "semicolon": ";", "comma": ",", "bar": "|", "space": " "}
DECIMALS = {"point": ".", "comma": ","}

_SAMPLE, _SAMPLE_SIZE = 200, 2**16  # lines and characters that decide on the separator
_LISTED = 5
_COMMENTS = ("#", "%")


class Table(NamedTuple):
    """Rows of equally many cells."""

    path: Path
    names: list[str] | None  # of the header
    rows: list[Row]
    decimal: str
    notes: list[str]

    def without(self, column: int) -> "Table":
        """The same without one column."""
        rows = [Row(row.line, row.cells[:column] + row.cells[column + 1 :]) for row in self.rows]
        names = None if self.names is None else self.names[:column] + self.names[column + 1 :]
        return self._replace(names=names, rows=rows)

    def column(self, index: int) -> list[str]:
        """Cells of one column."""
        return [row.cells[index] for row in self.rows]


def read_table(path: Path, *, header: str = "auto", separator: str = "auto", decimal: str = "auto") -> Table:
    """A table of text; the arguments are those of `read_responses`.

    Raises
    ------
    OSError
        If the file may not be read.
    ValueError
        If it is no text, has no rows, rows of different lengths, or a first row that may be a header or not.
    """
    check_choice("header", header, HEADERS)
    check_choice("separator", separator, ("auto", *SEPARATORS))
    check_choice("decimal", decimal, ("auto", *DECIMALS))
    text, encoding = read_text(path)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # a line that Excel writes and reads
        named = {mark: name for name, mark in SEPARATORS.items()}.get(first.strip()[-1], "auto")
        separator, text = (named if separator == "auto" else separator), "#\n" + rest
    mark, point = _chosen(path, text, separator, decimal)
    comments: list[Row] = []
    rows = list(_rows(path, text, mark, comments))
    require(len(rows) > 0, f"{path} has no rows")
    rows = _rectangular(path, _without_trailing(rows))
    names, rows, notes = split_header(path, rows, point, header)
    _check_comments(path, comments, len(rows[0].cells), point, mark)
    called = {mark: f"{name}s" for name, mark in SEPARATORS.items()}[mark]
    width = len(rows[0].cells)
    columns = f"{width} columns between {called}" if width > 1 else "one column"
    layout = f"{len(rows)} rows of {columns}, {'with' if names else 'without'} a header"
    layout += ", decimal commas" if point == "," else ""
    layout += f", {encoding}" if encoding != "UTF-8" else ""
    layout += f", {len(comments)} lines of comments left out" if comments else ""
    return Table(path, names, rows, point, [f"{path.name}: {layout}", *notes])


def read_numbers(
    path: str | os.PathLike[str], *, header: str = "auto", separator: str = "auto", decimal: str = "auto"
) -> Float[np.ndarray, "rows columns"]:
    """Read a table of numbers from text: .csv, .tsv or .txt, also packed by gzip.

    Parameters
    ----------
    path
        The file.
    header, separator, decimal
        As for `read_responses`.

    Raises
    ------
    OSError
        If the file may not be read.
    TypeError, ValueError
        If it is another format, damaged or too large, a cell is missing or no number, rows differ in length, or its
        first row may be a header of numbers.
    """
    return numbers(read_table(as_path("path", path).expanduser(), header=header, separator=separator, decimal=decimal))


def numbers(table: Table, *, missing: bool = False) -> np.ndarray:
    """All cells as finite numbers (rows, columns); NaN for those that are missing, if they may be.

    Raises
    ------
    ValueError
        If a cell is missing (in which lines), is no number, or not finite (in which line).
    """
    values = np.empty((len(table.rows), len(table.rows[0].cells)))
    lines_with_holes: list[int] = []
    for index, (line, cells) in enumerate(table.rows):
        if _all_plain(cells, table.decimal, values[index]):
            continue
        for column, cell in enumerate(cells):
            value = as_number(cell, table.decimal)
            if value is None and is_missing(cell):
                values[index, column] = np.nan
                lines_with_holes.append(line)
                continue
            if value is None:
                other = next(name for name, mark in DECIMALS.items() if mark != table.decimal)
                hint = f"; if its decimal mark is a {other}, say decimal={other}"
                hint = hint if as_number(cell, DECIMALS[other]) is not None else ""
                raise ValueError(f"{table.path}: line {line} holds {cell[:40]!r}, which is not a number{hint}")
            if not np.isfinite(value):
                raise ValueError(f"{table.path}: line {line} holds {cell[:40]!r}, which is not finite")
            values[index, column] = value
    if lines_with_holes and not missing:
        holes = list(dict.fromkeys(lines_with_holes))
        share, lines = f"{len(holes)} of {len(table.rows)} rows", listed(holes, _LISTED)
        what = "leave those rows out, or fill the values in"
        raise ValueError(f"{table.path}: {share} have missing values (line {lines}); {what}")
    return values


def _all_plain(cells: list[str], decimal: str, target: np.ndarray) -> bool:
    """Read a row at once if all of it is finite numbers in plain writing; otherwise look at it cell by cell."""
    whole = ";".join(cells)
    if decimal == ",":
        whole = "." if "." in whole else whole.replace(",", ".")
    if not whole.isascii() or "_" in whole:
        return False
    try:
        target[:] = list(map(float, whole.split(";")))
    except ValueError:
        return False
    return bool(np.isfinite(target).all())


def _rows(path: Path, text: str, mark: str, comments: list[Row]) -> Iterator[Row]:
    """Rows of stripped cells, without blank lines and comments."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for line in io.StringIO(text, newline=""):
            number += 1
            plain = line.strip("\r\n\ufeff")
            plain = plain.replace("\t", " ").strip() if mark == " " else plain
            if plain.lstrip().startswith(_COMMENTS):
                comments.append(Row(number, [plain.lstrip().lstrip("".join(_COMMENTS))]))
            elif plain.strip():
                yield plain

    try:
        for cells in csv.reader(lines(), delimiter=mark, skipinitialspace=mark != "\t", strict=True):
            yield Row(number, [cell.strip() for cell in cells])
    except csv.Error as error:
        hint = "is there a quotation mark that is not closed?"
        raise ValueError(f"{path}: line {number} cannot be split into cells; {hint}") from error


def _chosen(path: Path, text: str, separator: str, decimal: str) -> tuple[str, str]:
    """Separator and decimal mark under which most cells of the first lines are numbers."""
    best, chosen = -np.inf, (",", ".")
    marks = list(SEPARATORS.values()) if separator == "auto" else [SEPARATORS[separator]]
    points = list(DECIMALS.values()) if decimal == "auto" else [DECIMALS[decimal]]
    sample, size = [], 0
    for line in io.StringIO(text, newline=""):
        sample.append(line)
        size += len(line)
        if len(sample) >= _SAMPLE or (size > _SAMPLE_SIZE and len(sample) > 1):
            break
    for mark in marks:
        rows: list[Row] = []
        # what is damaged, or goes on after the sample, is said when all of it is read
        with contextlib.suppress(ValueError):
            rows.extend(_rows(path, "".join(sample), mark, []))
        if not rows:
            continue
        for point in points:
            cells = [cell for _, row in rows for cell in row if not is_missing(cell)]
            score = sum(1 if as_number(cell, point) is not None else -1 for cell in cells)
            if abs(len(rows[0].cells) - statistics.mode(len(row.cells) for row in rows)) > 1:
                score -= len(cells)  # names of columns that hold the mark themselves
            if score > best:
                best, chosen = score, (mark, point)
    return chosen


def _without_trailing(rows: list[Row]) -> list[Row]:
    """Rows without the empty cell that a separator at the end of each makes, in the header or without it."""
    data = rows[1:] or rows
    width = len(data[0].cells)
    if width > 1 and all(len(row.cells) == width and not row.cells[-1] for row in data):
        narrower = [Row(row.line, row.cells[:-1] if len(row.cells) == width else row.cells) for row in rows]
        return narrower if not rows[0].cells[-1] or len(rows[0].cells) == width - 1 else rows
    return rows


def _rectangular(path: Path, rows: list[Row]) -> list[Row]:
    first, width = rows[0], len(rows[1 if len(rows) > 1 else 0].cells)
    if len(first.cells) == width - 1 and len(rows) > 2 and not any(as_number(cell) is not None for cell in first.cells):
        # R writes no name above the names of rows
        rows = [Row(first.line, ["", *first.cells]), *rows[1:]]
    width = len(rows[0].cells)
    for line, cells in rows:
        if len(cells) != width:
            raise ValueError(
                f"{path}: line {line} has {len(cells)} values where line {rows[0].line} has {width}"
                + (f" ({cells[0][:40]!r})" if len(cells) == 1 else "")
            )
    return rows


def _check_comments(path: Path, comments: list[Row], width: int, point: str, mark: str) -> None:
    """Refuse a comment that looks like a row: nobody should lose a trial to a sign."""
    for line, (text,) in comments:
        cells = [cell.strip() for cell in (text.split() if mark == " " else text.split(mark))]
        counts = list(range(len(cells)))
        if [str(count) for count in counts] == cells or [str(count + 1) for count in counts] == cells:
            continue
        if width > 1 and len(cells) == width and all(as_number(cell, point) is not None for cell in cells[1:]):
            raise ValueError(
                f"{path}: line {line} begins as a comment and goes on as a row; take the sign away, or the line"
            )
