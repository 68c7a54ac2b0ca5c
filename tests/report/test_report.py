"""The report is one page that needs nothing else, and escapes what it is given."""

import base64

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt

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
    assert format_cell(-123456.0) == "-123500"
    assert format_cell(12345.6) == "12350"
    assert format_cell(999_960.0) == "1e+06"
    assert format_cell(3) == "3"
    assert format_cell("x") == "x"
    assert format_cell(np.float32(0.123456)) == "0.1235"
    assert format_cell(float("nan")) == format_cell(None) == ""
    assert format_cell(np.True_) == "yes"


def test_a_column_in_which_nothing_is_said_is_left_out():
    rows = [("a", "", 1.0, float("nan")), ("b", None, 2.0, float("nan"))]
    page = html_report("T", "S", [Section("One", [], [Table(("name", "empty", "value", "unknown"), rows)])], "end")
    assert "<th class=text>name</th><th>value</th>" in page
    assert "<td class=text>a</td><td>1</td>" in page
    assert "empty" not in page
    assert "unknown" not in page


def test_the_command_and_its_settings_are_told():
    settings = Table(("setting", "value"), [("gain", "1 < 2")])
    page = html_report("T", "S", [], "end", command="fisherjax curve --out 'a b'", folded={"All settings": settings})
    assert "<pre><code>fisherjax curve --out &#x27;a b&#x27;</code></pre>" in page
    assert "<details><summary>All settings</summary>" in page
    assert "<td class=text>1 &lt; 2</td>" in page


def test_a_picture_has_the_size_at_which_it_was_drawn(tmp_path):
    """A figure of five inches is five inches wide, whatever its resolution: its letters have their size in points."""
    figure = plt.figure(figsize=(5, 1))
    for dpi in (100, 130):
        figure.savefig(tmp_path / "a.png", dpi=dpi)
        page = html_report("T", "S", [Section("One", [], [Figure(tmp_path / "a.png", "a")])], "end")
        assert 'width="480"' in page
    plt.close(figure)
