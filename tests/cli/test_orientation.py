"""`fisherjax orientation` at its smallest: one network, several, and what is there already."""

import functools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from fisherjax import vision
from fisherjax.cli import main
from fisherjax.vision._orientation._study import OrientationStudy, estimator_variance

# so few trials of so small a network deserve these warnings of the library
pytestmark = pytest.mark.filterwarnings("ignore::fisherjax.fisher.AssumptionWarning", "ignore:the target of")
SMALL = ["--size", "9", "--angles", "3", "--budget", "3000", "--trials", "100"]


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    study = functools.partial(vision.orientation_study, num_replicates=4, num_decoded=60)
    few = functools.partial(estimator_variance, separations=(0.1,), num_trials=(50,))
    monkeypatch.setattr(vision, "orientation_study", study)
    monkeypatch.setattr("fisherjax.vision._orientation._study.estimator_variance", few)


def test_one_network(tmp_path):
    """Of gratings, with outlying trials set aside beside all of them."""
    assert main(["orientation", *SMALL, "--training-steps", "200", "--robust", "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert 0 < result["share_of_image_information"] < 1
    assert result["total_trials"] <= 3000
    assert result["training_images"] is None
    assert list(result["estimates"])[-2:] == ["pathwise, robust", "direct, robust"]
    assert 0.5 < result["robust_information"] / result["mean_information"] < 2
    assert result["decoder_robust_std"] <= 1.01 * result["decoder_std"]
    for name in ("orientation.png", "methods.png", "variance.png", "report.html", "network.npz", "profile.npz"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_several_ways_of_training_and_resume(tmp_path, capsys):
    """Pictures of one's own, some of them for training, from a base that was saved before."""
    folder, pictures = tmp_path / "out", tmp_path / "mine"
    pictures.mkdir()
    for number in (5, 9):
        ramp = (number * np.add.outer(np.arange(16), 2 * np.arange(16)) % 256).astype(np.uint8)
        Image.fromarray(ramp).save(pictures / f"{number}.png")
    base = vision.angle_network(key=jax.random.key(1), size=9, nonlinearity="tanh").save(tmp_path / "base")
    words = ["orientation", *SMALL[2:], "--training-steps", "30", "--loss", "cosine", "squared", "--frozen", "first"]
    words += ["--stimuli", str(pictures), "--base", str(base), "--images", "50"]
    assert main([*words, "--out", str(folder)]) == 0
    files = {path: path.stat().st_mtime_ns for path in folder.glob("case-*.npz")}
    assert {path.name for path in files} == {"case-cosine-0-first.npz", "case-squared-0-first.npz"}
    cases = json.loads((folder / "results.json").read_text())["cases"]
    assert [case["loss"] for case in cases] == ["cosine", "squared"]
    assert cases[0]["training_images"]["mean_information"] is not None
    assert (folder / "cases.png").stat().st_size > 1000
    report = (folder / "report.html").read_text()
    assert "on mine, 50 of them, turned by θ, to point along (cos θ, sin θ)" in report
    first = OrientationStudy.load(folder / "study.npz")
    np.testing.assert_array_equal(first.cases[0].network.weights[0], vision.AngleNetwork.load(base).weights[0])
    assert main([*words, "--concentration", "2", "0", "--out", str(folder), "--resume"]) == 0
    again = OrientationStudy.load(folder / "study.npz")
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(again.cases) == 4
    np.testing.assert_array_equal(again.cases[1].fresh.profile.value, first.cases[0].fresh.profile.value)
    for change, told in (
        (["--training-steps", "31"], "--training-steps = 30, this run has 31"),
        (["--noise-std", "0.4"], "was written with stimuli = mine"),
        (["--encoding", "scalar"], "--base has the encoding 'vector', got 'scalar'"),
    ):
        assert main([*words, *change, "--out", str(folder), "--resume"]) == 2
        assert told in capsys.readouterr().err
