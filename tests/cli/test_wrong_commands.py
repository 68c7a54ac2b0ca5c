"""Wrong command lines and broken files: a part of benchmarks/wrong_commands.py, which runs all of them."""

import pytest

from benchmarks import wrong_commands
from fisherjax.cli._commands import COMMANDS

pytestmark = pytest.mark.usefixtures("as_user")


def test_each_is_refused_on_one_line_before_anything_begins(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cases = list(wrong_commands.cases(tmp_path / "files"))
    options = [case for case in cases if case.words[0] in COMMANDS and not case.kind.startswith(("conf", "plan"))]
    assert len(cases) > 900
    assert {case.words[0] for case in options} == set(COMMANDS)
    # one of every kind for a few commands, and every configuration and plan: most need no JAX
    chosen = {(case.kind, case.words[0]): case for case in options if case.words[0] in {"optimize", "train", "dmft"}}
    written = [case for case in cases if case.kind.startswith(("configuration", "plan"))]
    outcomes = [wrong_commands.outcome(case, tmp_path / "here") for case in [*chosen.values(), *written]]
    assert len(outcomes) > 70
    assert [one for one in outcomes if one.verdict != "good"] == []
