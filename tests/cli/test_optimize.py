"""fisherjax optimize, whole and in parts: it stops at a signal or a full disk, and goes on to the same numbers."""

import json

import numpy as np
import pytest
from processes import ended, signaled

from fisherjax import connectivity as cn
from fisherjax._runtime import read_checkpoint
from fisherjax.cli import main
from fisherjax.fisher import meanfield_curve
from fisherjax.optimize._checkpoint import OptimizationCheckpoint

SEARCH = ["optimize", "--quick", "--populations", "2", "--steps", "4", "--generations", "300", "--images", "12"]

pytestmark = pytest.mark.usefixtures("as_user")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of a search without a break."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert main([*SEARCH, "--out", str(folder)]) == 0
    return folder


def goes_on_to_the_same(folder, whole):
    assert main([*SEARCH, "--out", str(folder), "--resume"]) == 0
    for name in ("results.json", "table.csv"):
        assert (folder / name).read_text() == (whole / name).read_text()


def test_optimize_does_the_whole_loop(whole, tmp_path):
    files = {"manifest.json", "results.json", "arrays.npz", "table.csv", "report.html"}
    figures = {"network.png", "optima.png", "fisher.png", "history.png", "geometry.png"}
    kept = {f"checkpoint{which}.npz" for which in ("", ".previous", "-independent", "-independent.previous")}
    kept |= {"optimum.npz", "optimum_independent.npz"}
    assert {path.name for path in whole.iterdir()} == files | figures | kept
    results = json.loads((whole / "results.json").read_text())
    matrix = cn.GainMatrix(np.array(results["gains"]), np.array(results["fractions"]))
    curve = meanfield_curve(matrix, stimulus=0.1, noise_std=0.1, num_steps=4, form="linear")
    assert float(np.log(curve.total[-1])) == pytest.approx(results["value"], rel=1e-9)
    assert float(matrix.mean_synaptic_budget) == pytest.approx(1)
    # each optimum is the better one in its own form
    other = results["compared"]["independent optimum"]
    ours = {fact["quantity"]: fact["value"] for fact in results["facts"]}
    assert ours["Fisher information at T, linear form"] >= other["Fisher information at T, linear form"]
    assert ours["Fisher information at T, independent form"] <= other["Fisher information at T, independent form"]
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["arguments"] == [*SEARCH, "--out", str(whole)]
    assert manifest["configuration"]["population_size"] == 24
    assert manifest["versions"]["jax"]
    page = (whole / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page.split("<body>")[1]
    # the optimum is the next command's input
    assert main(["curve", "--gains", str(whole / "optimum.npz"), "--steps", "3", "--out", str(tmp_path / "curve")]) == 0


def test_sigterm_keeps_a_checkpoint_and_has_its_own_code(tmp_path, start, whole):
    """Resumed, the run finds what one without a break finds."""
    folder = tmp_path / "out"
    words = signaled("SIGTERM", folder / "checkpoint.npz", 0, "-m", "fisherjax", *SEARCH, "--out", folder)[1:]
    ((output, error, code),) = ended([start(*words)])
    assert code == 75, error
    assert error.strip().splitlines()[-1] == "fisherjax: terminated; what was finished is in the output folder"
    assert f"--out {folder} --resume" in output
    assert not (folder / "results.json").exists()
    goes_on_to_the_same(folder, whole)


def test_resume_without_a_checkpoint(tmp_path, capsys):
    assert main([*SEARCH, "--out", str(tmp_path), "--resume"]) == 2
    assert f"--resume: there is no {tmp_path / 'checkpoint.npz'}" in capsys.readouterr().err


def test_a_disk_that_fills_up_during_a_search_leaves_the_last_checkpoint(tmp_path, whole, small_disk, capsys):
    """No file of more than 4 KiB: with the second stage the checkpoint grows beyond that."""
    folder = tmp_path / "out"
    with small_disk(4096):
        assert main([*SEARCH, "--out", str(folder)]) == 74
    error = capsys.readouterr().err
    last = error.strip().splitlines()[-1]
    assert last == f"fisherjax: {folder / 'checkpoint.npz'}: File too large; what was written before is kept"
    assert "Warning" not in error
    kept = read_checkpoint(OptimizationCheckpoint, folder / "checkpoint.npz")
    assert len(kept.search.path) == 300
    assert kept.ascent is None
    assert not list(folder.glob(".*"))
    goes_on_to_the_same(folder, whole)
