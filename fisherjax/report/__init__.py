"""Reports: one self-contained HTML file."""

from ._html import Figure, Section, Table, html_report

__all__ = ["Figure", "Section", "Table", "html_report"]
