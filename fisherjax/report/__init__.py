"""Reports: one self-contained HTML file."""

from ._html import Figure, Section, Table, format_cell, html_report

__all__ = ["Figure", "Section", "Table", "format_cell", "html_report"]
