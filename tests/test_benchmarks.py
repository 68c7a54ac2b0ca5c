"""The comparison of two benchmark runs, and the table: neither measures anything here."""

import json

import pytest

from benchmarks import compare
from benchmarks.__main__ import table
from benchmarks._common import machine, ratio_row, row


def written(path, *rows):
    record = {"machine": machine(), "rows": [{"benchmark": "x", **one._asdict(), "met": one.met} for one in rows]}
    path.write_text(json.dumps(record))
    return str(path)


@pytest.mark.parametrize(
    ("better", "values", "code"),
    [
        ("lower", [1.07, 1.08, 1.09], 0),  # within the tolerance
        ("lower", [1.3, 1.4, 1.5], 1),
        ("lower", [0.5, 1.4, 2.0], 0),  # within the noise
        ("lower", [0.5, 0.6, 0.7], 0),
        ("higher", [0.5, 0.6, 0.7], 1),
        ("higher", [1.3, 1.4, 1.5], 0),
        ("", [9.0, 9.0, 9.0], 0),
    ],
)
def test_only_what_noise_cannot_explain_is_worse(tmp_path, capsys, better, values, code):
    old = written(tmp_path / "old.json", row("ratio", [0.95, 1.0, 1.05], better))
    new = written(tmp_path / "new.json", row("ratio", values, better))
    assert compare.main([old, new]) == code
    assert ("1 ratios are worse" in capsys.readouterr().err) == bool(code)


def test_a_ratio_that_is_gone_fails_and_a_new_one_does_not(tmp_path, capsys):
    one, two = row("one", [1.0], "lower"), row("two", [1.0], "lower")
    assert compare.main([written(tmp_path / "a", one, two), written(tmp_path / "b", one)]) == 1
    assert "gone     two" in capsys.readouterr().out
    assert compare.main([written(tmp_path / "a", one), written(tmp_path / "b", one, two)]) == 0
    assert compare.main([str(tmp_path / "a")]) == 2
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "none")]) == 2


def test_the_table_says_which_targets_are_missed():
    times = {"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 4.0, 8.0]}
    good = ratio_row("theirs / ours", times, ("theirs", "ours"), "higher", 1.5)
    bad = ratio_row("ours / theirs", times, ("ours", "theirs"), "lower", 0.1, "it is a test")
    assert (good.value, good.met, bad.value, bad.met) == (2.0, True, 0.5, False)
    text = table({"startup": [{**one._asdict(), "met": one.met} for one in (good, bad)]})
    assert "| theirs / ours | 2 | ≥ 1.5 | yes |" in text
    assert "- ours / theirs: it is a test." in text
