"""`fisherjax orientation` at its smallest: one network, several, and what is there already."""

import functools
import json

import numpy as np
import pytest

from fisherjax import vision
from fisherjax.cli import main
from fisherjax.vision._orientation_study import OrientationStudy, estimator_variance

# so few trials of so small a network deserve these warnings of the library
pytestmark = pytest.mark.filterwarnings("ignore::fisherjax.fisher.AssumptionWarning", "ignore:the target of")
SMALL = ["--size", "9", "--angles", "4", "--budget", "4000", "--trials", "100"]


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    study = functools.partial(vision.orientation_study, num_replicates=4, num_decoded=60)
    few = functools.partial(estimator_variance, separations=(0.1,), num_trials=(50,))
    monkeypatch.setattr(vision, "orientation_study", study)
    monkeypatch.setattr("fisherjax.vision._orientation_study.estimator_variance", few)


def test_one_network(tmp_path):
    assert main(["orientation", *SMALL, "--training-steps", "200", "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert 0 < result["share_of_image_information"] < 1
    assert result["total_trials"] <= 4000
    assert len(result["estimates"]) == 5
    for name in ("orientation.png", "methods.png", "variance.png", "report.html", "network.npz", "profile.npz"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_several_ways_of_training_and_resume(tmp_path, capsys):
    folder = tmp_path / "out"
    words = ["orientation", *SMALL, "--training-steps", "30", "--loss", "cosine", "squared", "--frozen", "first"]
    assert main([*words, "--out", str(folder)]) == 0
    files = {path: path.stat().st_mtime_ns for path in folder.glob("case-*.npz")}
    assert {path.name for path in files} == {"case-cosine-0-first.npz", "case-squared-0-first.npz"}
    cases = json.loads((folder / "results.json").read_text())["cases"]
    assert [case["loss"] for case in cases] == ["cosine", "squared"]
    assert (folder / "cases.png").stat().st_size > 1000
    first = OrientationStudy.load(folder / "study.npz")
    assert main([*words, "--concentration", "2", "0", "--out", str(folder), "--resume"]) == 0
    again = OrientationStudy.load(folder / "study.npz")
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(again.cases) == 4
    np.testing.assert_array_equal(again.cases[1].profile.value, first.cases[0].profile.value)
    assert main([*words, "--training-steps", "31", "--out", str(folder), "--resume"]) == 2
    assert "--training-steps = 30, this run has 31" in capsys.readouterr().err
