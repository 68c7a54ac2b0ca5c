"""One HTML file that holds everything: text, tables and pictures, and opens offline."""

import base64
import dataclasses
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #999; } td:first-child, th:first-child { text-align: left; }
.scroll { overflow-x: auto; } footer { margin-top: 3rem; color: #777; font-size: .85rem; }
"""


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
    """A cell as text: floats to four significant digits, everything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def html_report(title: str, subtitle: str, sections: Sequence[Section], footer: str) -> str:
    """The whole page as a string."""
    parts = [f"<h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>"]
    for section in sections:
        parts.append(f"<h2>{html.escape(section.heading)}</h2>")
        parts.extend(f"<p>{html.escape(paragraph)}</p>" for paragraph in section.text)
        parts.extend(_ITEMS[type(item)](item) for item in section.items)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"{''.join(parts)}<footer>{html.escape(footer)}</footer></body></html>\n"
    )


def _table(table: Table) -> str:
    header = "".join(f"<th>{html.escape(name)}</th>" for name in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(format_cell(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f'<div class="scroll"><table><tr>{header}</tr>{rows}</table></div>'


def _figure(figure: Figure) -> str:
    data = base64.b64encode(figure.path.read_bytes()).decode()
    caption = html.escape(figure.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


_ITEMS: dict[type, Callable[[Any], str]] = {Table: _table, Figure: _figure}
