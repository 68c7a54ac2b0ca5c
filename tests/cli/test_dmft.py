"""fisherjax dmft, end to end, and what it says to wrong input."""

import json

import numpy as np
import pytest

from fisherjax import dmft
from fisherjax.cli import main

FAST = ["--units", "40", "--draws", "2", "--duration", "20", "--max-lag", "5", "--grid", "3"]


def test_report(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["dmft", "--gain", "2.0", "--noise-std", "0.316227766", *FAST, "--out", str(folder)]) == 0
    assert "The network is chaotic" in capsys.readouterr().out
    for name in ("report.html", "dmft.png", "manifest.json", "table.csv", "simulated.npz"):
        assert (folder / name).stat().st_size > 0
    facts = json.loads((folder / "results.json").read_text())
    np.testing.assert_allclose(facts["critical_factor"], 1.42503417 / 2, rtol=1e-6)
    np.testing.assert_allclose(facts["local_stability_factor"], 1.24747185 / 2, rtol=1e-6)
    assert len(facts["measured_exponents"]) == 5
    theory = dmft.Autocorrelation.load(folder / "theory.npz")
    np.testing.assert_allclose(facts["variance"], theory.variance)
    arrays = np.load(folder / "arrays.npz")
    assert arrays["measured"].shape == (21, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gain", "-1"], "--gain must be above 0, got -1"),
        (["--noise-std", "-1"], "--noise-std must be at least 0, got -1"),
        (["--gain", "1.5", "--nonlinearity", "identity"], "grows without bound"),
        (["--gain", "0"], "--gain must be above 0"),
        (["--grid", "1"], "--grid must be at least 2, got 1"),
    ],
)
def test_wrong_input_is_one_line(words, message, tmp_path, capsys):
    assert main(["dmft", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) <= 2
