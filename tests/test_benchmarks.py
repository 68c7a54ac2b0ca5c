"""The comparison of two benchmark runs, and the table: neither measures anything here."""

import json

import pytest

from benchmarks import compare, gpu
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


@pytest.fixture
def accelerator():
    """Three parts, the second of which fails at first, and how often each was measured."""
    calls = {"right": 0, "broken": 0, "slow": 0}

    def measured(name):
        def measure():
            calls[name] += 1
            if name == "broken" and calls[name] == 1:
                raise RuntimeError("out of memory")
            return [row(f"{name}: seconds", [calls[name]], "lower", 1.0)]

        return measure

    checked = {"right": True, "broken": False, "slow": False}
    return [gpu.Part(name, 1.0, measured(name), is_check) for name, is_check in checked.items()], calls


def test_rows_are_written_as_they_are_measured_and_not_measured_again(tmp_path, accelerator, capsys, monkeypatch):
    path, (chosen, calls) = tmp_path / "results" / "gpu.json", accelerator
    there = []
    chosen.insert(1, gpu.Part("looks", 1.0, lambda: there.append(path.read_text()) or []))
    assert gpu.run(chosen, path, 1e9) == 1  # one part failed; the next was measured nevertheless
    assert "right: seconds" in there[0]
    assert "broken: failed" not in there[0]
    rows = {one["name"]: one for one in json.loads(path.read_text())["rows"]}
    assert list(rows) == ["right: seconds", "broken: failed", "slow: seconds"]
    assert rows["broken: failed"]["reason"] == "RuntimeError: out of memory"
    assert "| right: seconds | 1 (1 to 1)  | ≤ 1 |" in path.with_suffix(".md").read_text()
    assert gpu.run(chosen, path, 1e9) == 0  # what failed is tried again, nothing else
    assert calls == {"right": 1, "broken": 2, "slow": 1}
    assert gpu.run(chosen, path, 0.5, again=True) == 0  # nothing fits
    assert "left out: right; looks; broken; slow" in capsys.readouterr().out
    assert calls == {"right": 1, "broken": 2, "slow": 1}
    assert gpu.run(chosen, path, 1e9, again=True) == 1  # the check is at 2, above its target; to be slow is no error
    assert calls == {"right": 2, "broken": 3, "slow": 2}
    monkeypatch.setattr(gpu, "version", lambda: "another")
    assert gpu.run(chosen[:1], path, 1e9) == 1
    assert calls["right"] == 3
    assert "slow: seconds *" in path.with_suffix(".md").read_text()  # of the version before
    path.write_text('{"machine": ')
    with pytest.raises(SystemExit, match="cannot be read"):
        gpu.run(chosen, path, 1e9)


def test_every_part_has_its_own_name():
    for small in (False, True):
        names = [part.name for part in gpu.parts(small=small)]
        assert len(set(names)) == len(names)
