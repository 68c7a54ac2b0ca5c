"""One HTML file that holds everything: text, tables and pictures, and opens offline."""

import base64
import dataclasses
import html
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
p { overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #999; vertical-align: bottom; }
td:first-child, th:first-child, td.text, th.text { text-align: left; }
pre { background: #f4f4f4; padding: .5rem .8rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
td { white-space: nowrap; }
details { margin: .5rem 0; } summary { cursor: pointer; color: #555; font-size: .92rem; }
details td { white-space: normal; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } footer { margin-top: 3rem; color: #666; font-size: .85rem; }
"""
_LONG, _HUGE = 1e4, 999_950  # between these a number is written without a power of ten
_PIXELS_PER_METER = 96 / 0.0254


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; numbers are written with four significant digits."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Figure:
    """A PNG file, embedded, with a caption."""

    path: Path
    caption: str


class Picture:
    """A figure still to be drawn: ``draw(path, *arguments, **options)`` writes it."""

    def __init__(self, name: str, caption: str, draw: Callable[..., Path], *arguments: Any, **options: Any):
        self.name, self.caption = name, caption
        self._draw, self._arguments, self._options = draw, arguments, options

    def drawn(self, folder: Path) -> Figure:
        """The figure as a file in a folder."""
        return Figure(self._draw(folder / self.name, *self._arguments, **self._options), self.caption)


Item: TypeAlias = Table | Figure | Picture


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs of plain text, then tables and figures in order."""

    heading: str
    text: Sequence[str] = ()
    items: Sequence[Item] = ()

    def drawn(self, folder: Path) -> "Section":
        """The same with all pictures as files in a folder."""
        items = [item.drawn(folder) if isinstance(item, Picture) else item for item in self.items]
        return dataclasses.replace(self, items=items)


def format_cell(value: object) -> str:
    """A cell as text: floats to four significant digits, what there is not as nothing, everything else as it is."""
    if _is_empty(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, float | np.floating):
        return str(value)
    text = f"{value:.4g}"
    return f"{float(text):.0f}" if _LONG <= abs(value) < _HUGE else text


def html_report(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    footer: str,
    *,
    command: str = "",
    folded: Mapping[str, Table] | None = None,
) -> str:
    """The whole page as a string.

    Parameters
    ----------
    title, subtitle
        Head of the page.
    sections
        What it says.
    footer
        Its last line.
    command
        The command that makes it again, below the head.
    folded
        Tables below the command by their titles, as of all settings, which open on a click.
    """
    parts = [f"<h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>"]
    if command:
        parts.append(f"<pre><code>{html.escape(command)}</code></pre>")
    for name, table in (folded or {}).items():
        parts.append(f"<details><summary>{html.escape(name)}</summary>{_table(table)}</details>")
    for section in sections:
        parts.append(f"<h2>{html.escape(section.heading)}</h2>")
        parts.extend(f"<p>{html.escape(paragraph)}</p>" for paragraph in section.text)
        parts.extend(_ITEMS[type(item)](item) for item in section.items)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"{''.join(parts)}<footer>{html.escape(footer)}</footer></body></html>\n"
    )


def _is_empty(value: object) -> bool:
    """Whether a cell says nothing."""
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value)


def _table(table: Table) -> str:
    """A table without the columns in which no row says anything; columns of words begin at the left."""
    columns = [
        (name, [row[place] for row in table.rows])
        for place, name in enumerate(table.header)
        if not table.rows or not all(_is_empty(row[place]) for row in table.rows)
    ]
    words = [all(isinstance(cell, str) for cell in cells) for _, cells in columns]
    rows = [[name for name, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    lines = [
        "<tr>" + "".join(_cell("td" if place else "th", cell, text=text) for cell, text in zip(row, words, strict=True))
        + "</tr>"
        for place, row in enumerate(rows)
    ]  # fmt: skip
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _cell(tag: str, value: object, *, text: bool) -> str:
    return f"<{tag}{' class=text' * text}>{html.escape(format_cell(value))}</{tag}>"


def _figure(figure: Figure) -> str:
    """The picture at the size at which it was drawn, so that its letters have the size that they were given."""
    data = figure.path.read_bytes()
    caption, encoded, width = html.escape(figure.caption), base64.b64encode(data).decode(), _width(data)
    size = f' width="{width}"' if width else ""
    return (
        f'<figure><img alt="{caption}"{size} src="data:image/png;base64,{encoded}"><figcaption>{caption}</figcaption>'
        "</figure>"
    )


def _width(png: bytes) -> int | None:
    """The width that a PNG says it has, in pixels of a page; None if it does not say how large its own are."""
    place = png.find(b"pHYs", 0, 4096)
    if place < 0:
        return None
    (pixels,) = struct.unpack(">I", png[16:20])
    per_meter, _, unit = struct.unpack(">IIB", png[place + 4 : place + 13])
    return round(pixels / per_meter * _PIXELS_PER_METER) if unit == 1 and per_meter else None


_ITEMS: dict[type, Callable[[Any], str]] = {Table: _table, Figure: _figure}
