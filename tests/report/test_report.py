"""The report is one page that needs nothing else, and escapes what it is given."""

import base64

from fisherjax.report import Figure, Section, Table, html_report
from fisherjax.report._html import format_cell

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_page_holds_text_tables_and_pictures(tmp_path):
    path = tmp_path / "pixel.png"
    path.write_bytes(PIXEL)
    table = Table(("time", "value"), [(1, 0.123456), (2, "a < b")])
    page = html_report("Title & more", "by <us>", [Section("One", ["text"], [table, Figure(path, "a pixel")])], "end")
    assert page.startswith("<!doctype html>")
    assert "Title &amp; more" in page
    assert "&lt;us&gt;" in page
    assert "a &lt; b" in page
    assert "<td>0.1235</td>" in page
    assert base64.b64encode(PIXEL).decode() in page
    assert 'src="http' not in page


def test_cells():
    assert format_cell(1234567.0) == "1.235e+06"
    assert format_cell(3) == "3"
    assert format_cell("x") == "x"
