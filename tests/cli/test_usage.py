"""What can be said, in which words it is refused, and that neither streams nor folders nor devices end a run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import jax
import numpy as np
import pytest

from fisherjax.cli import main
from fisherjax.cli._arguments import Common, Nonlinearity, Optimize, Orientation, Train
from fisherjax.cli._commands import COMMANDS
from fisherjax.cli._messages import in_options
from fisherjax.cli._parse import parse, with_entries
from fisherjax.cli._values import kinds_of, limits_of, without_none
from fisherjax.nonlinearities import _registry

pytestmark = pytest.mark.usefixtures("as_user")
FIELDS = [
    pytest.param(name, field, hint, id=f"{name} {field}")
    for name, command in COMMANDS.items()
    if isinstance(command, Common)
    for field, hint in get_type_hints(type(command)).items()
]


def example(hint):
    """A value of such a type as TOML has it, and as the command has it."""
    hint = without_none(hint)
    if get_origin(hint) is tuple:
        kinds = kinds_of(hint)
        pairs = [example(kind) for kind in (kinds if kinds[-1] is not Ellipsis else (kinds[0], kinds[0]))]
        return [toml for toml, _ in pairs], tuple(value for _, value in pairs)
    if get_origin(hint) is Literal:
        return (get_args(hint)[-1],) * 2
    known = {bool: True, int: 7, float: 0.5, str: "text", Path: "some/file"}
    return known[hint], hint(known[hint])


@pytest.mark.parametrize(("name", "field", "hint"), FIELDS)
def test_every_option_can_be_set_from_a_config(name, field, hint):
    toml, value = example(hint)
    for key in (field, field.replace("_", "-")):
        assert getattr(with_entries(COMMANDS[name], {key: toml}, "a file"), field) == value
    numbers = {int, float} & {without_none(kind) for kind in kinds_of(hint)}
    limited = list(limits_of(get_type_hints(type(COMMANDS[name]), include_extras=True)[field]))
    assert bool(numbers) == bool(limited), "every number has limits"


def test_parts_from_a_config_and_what_the_command_line_says_wins(tmp_path):
    (tmp_path / "network.npz").touch()
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbfparts = ["stability"]\nimages = 9 # \xc3\xa9\n')
    words = ["convnet", "analyze", str(tmp_path / "network.npz"), f"--config={tmp_path / 'a.toml'}"]
    command = parse([*words, "--eigenvalues", "3"])
    assert (command.parts, command.images, command.eigenvalues) == (("stability",), 9, 3)
    assert parse([*words, "--images", "11"]).images == 11


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optimize"], {"units": 300, "trials": 60, "generations": 25}),
        (["optimize", "--units", "1000", "--trials", "200"], {"units": 1000, "trials": 200, "generations": 25}),
        (["optimize", "--populations", "400"], {"units": 400, "populations": 400}),
        (["simulate", "--form", "linear"], {"units": 200, "trials": 400}),
        (["simulate", "--form", "linear", "--units", "500"], {"units": 500, "trials": 1000}),
        (["dmft", "--max-lag", "30"], {"max_lag": 30.0, "duration": 60.0, "grid": 10}),
        (["dmft", "--duration", "20"], {"max_lag": 10.0, "duration": 20.0}),
        (["train", "--rank", "50", "--steps=1000"], {"units": 50, "steps": 1000}),
        (["orientation", "--budget", "2000000"], {"budget": 2_000_000, "angles": 24}),
    ],
)
def test_quick_leaves_what_was_said(words, expected, tmp_path):
    assert {name: getattr(parse([*words, "--quick"]), name) for name in expected} == expected
    (tmp_path / "quick.toml").write_text("quick = true\nunits = 777\n")
    if words == ["optimize"]:
        assert parse([*words, "--config", str(tmp_path / "quick.toml")]).units == 777


def test_messages_of_the_library_name_options():
    told = in_options("num_units must be at least num_populations, got num_units=3; see noise_std", Optimize())
    assert told == "--units must be at least --populations, got --units 3; see --noise-std"
    assert in_options("limit must be above 0, no limit", Optimize()) == "--budget must be above 0, no limit"
    assert in_options("max_trials=3 is too small", Orientation()) == "--budget 3 is too small"
    assert in_options("ratio must be within [0, 1]", Train()) == "--dale must be within [0, 1]"
    assert in_options("--noise-std must be …; results/noise_std.npz", Train()).endswith("results/noise_std.npz")


def test_words_of_other_packages_are_not_repeated(monkeypatch, tmp_path, capsys):
    from fisherjax.cli import _curves

    for failing in (lambda *_: np.linalg.inv(np.ones(3)), lambda *_: float("x"), lambda *_: {}[[]]):
        monkeypatch.setattr(_curves, "run_curve", failing)
        assert main(["curve", "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.startswith("fisherjax: these arguments and files cannot be computed with")
    monkeypatch.setattr(_curves, "run_curve", lambda *_: np.empty((2**45, 2**10)))
    assert main(["curve", "--out", str(tmp_path / "out")]) == 2
    assert "more memory than there is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_never_stands_in_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convnet", "run"]) == 2
    assert main(["dmft", "--nonlinearity", "relu", "--gain", "1.5"]) == 2
    assert not list(tmp_path.iterdir())
    (tmp_path / "results" / "pictures").mkdir(parents=True)
    (tmp_path / "table.txt").write_text("1 2\n3")
    capsys.readouterr()
    assert main(["curve", "--gains", "table.txt"]) == 2
    assert "is not empty" not in capsys.readouterr().err
    (tmp_path / "results" / "pictures" / "mine.png").touch()
    assert main(["curve", "--gains", "table.txt"]) == 2
    assert "--out results is not empty" in capsys.readouterr().err
    assert main(["curve", "--units", "0"]) == 2
    assert "--units must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend")])
def test_a_device_that_is_not_there_is_one_line(error, monkeypatch, capsys):
    def none():
        raise error

    before = jax.config.jax_platforms
    monkeypatch.setattr(jax, "devices", none)
    assert main(["info", "--device", "gpu"]) == 2
    assert capsys.readouterr().err.startswith("fisherjax: --device gpu: JAX finds no GPU here; write --device cpu")
    assert main(["info"]) == 2
    assert f"JAX_PLATFORMS={before} names devices" in capsys.readouterr().err
    assert jax.config.jax_platforms == before


def environment(**changes):
    return {**os.environ, **changes}


def test_neither_notebook_nor_terminal_nor_home_end_a_run(tmp_path):
    """What Jupyter exports, an encoding without Greek, and no place for caches: the run goes on."""
    changes = {"MPLBACKEND": "module://nowhere.backend_inline", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    changes |= {"HOME": os.devnull, "MPLCONFIGDIR": os.devnull, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    (tmp_path / "config.toml").write_text("units = 9 # Größe σ\n", encoding="utf-8")
    words = ["curve", "--steps", "2", "--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "out")]
    run = subprocess.run(
        [sys.executable, "-m", "fisherjax", *words], env=environment(**changes), capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(b"fisherjax ")
    assert b" ? jax" in run.stdout.splitlines()[0]
    assert all(line.endswith(b" ?") for line in run.stderr.splitlines()), run.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["configuration"]["units"] == 9


def test_a_reader_that_leaves_ends_nothing():
    process = subprocess.Popen(
        [sys.executable, "-m", "fisherjax", "info"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process.stderr:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.wait() == 0


def test_the_command_line_knows_every_nonlinearity():
    assert set(get_args(Nonlinearity)) == set(_registry._BY_NAME)
