"""Checkpoints: whole or absent, the previous one kept, broken ones passed over, foreign ones refused."""

import os

import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _runtime, fisher
from fisherjax._types import write_atomically


def curve(value):
    numbers = jnp.full((1, 1), value)
    return fisher.FisherCurve(jnp.ones(1), numbers, numbers[0], None, "linear")


def test_the_previous_one_is_kept_and_used(tmp_path):
    path = tmp_path / "deep" / "run"
    assert _runtime.read_checkpoint(fisher.FisherCurve, path) is None
    _runtime.write_checkpoint(curve(1.0), path)
    _runtime.write_checkpoint(curve(2.0), path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.npz", "run.previous.npz"]
    assert float(_runtime.read_checkpoint(fisher.FisherCurve, path).total[0]) == 2.0
    whole = (path.parent / "run.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (path.parent / "run.npz").write_bytes(whole[:length])
        with pytest.warns(RuntimeWarning, match=r"run\.npz cannot be read .* the one before it is used"):
            assert float(_runtime.read_checkpoint(fisher.FisherCurve, path).total[0]) == 1.0
    (path.parent / "run.previous.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint .*run\.npz cannot be read .*; remove it to begin anew"):
        _runtime.read_checkpoint(fisher.FisherCurve, path)
    (path.parent / ".run.npz.123.tmp").touch()
    _runtime.remove_checkpoint(path)
    assert not list(path.parent.iterdir())


def test_something_else_is_refused_and_not_passed_over(tmp_path):
    path = tmp_path / "run.npz"
    _runtime.write_checkpoint(curve(1.0), path)
    _runtime.write_checkpoint(curve(1.0), path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="not written by fisherjax"):
        _runtime.read_checkpoint(fisher.FisherCurve, path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, call):
    path = tmp_path / "run.npz"
    _runtime.write_checkpoint(curve(1.0), path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match=r"No space left on device"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    _runtime.write_checkpoint(curve(1.0), tmp_path / "run")
    _runtime.write_checkpoint(curve(2.0), tmp_path / "run")
    assert float(fisher.FisherCurve.load(tmp_path / "run.previous.npz").total[0]) == 1.0


def test_descriptions_do_not_change_from_run_to_run():
    def function():
        return None

    assert "0x" not in _runtime.description(function)
    assert _runtime.digest((jnp.ones(3),)) == _runtime.digest((np.ones(3),))
    assert _runtime.digest(jnp.ones(3)) != _runtime.digest(jnp.ones((3, 1)))
