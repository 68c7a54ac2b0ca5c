"""What a notebook shows of a result: its numbers, and a small picture where there is one."""

import base64
import io
import re

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import pytest
from matplotlib.image import imread

from fisherjax import connectivity, fisher
from fisherjax._runtime import progress_bar
from fisherjax.plot._thumbnail import _DRAWN_BY


def records():
    total = jnp.array([3.0, 2.0, 1.0])
    curve = fisher.FisherCurve(jnp.arange(1.0, 4.0), total[:, None], total)
    return [connectivity.GainMatrix(jnp.eye(2), jnp.full(2, 0.5)), curve]


def picture_of(shown):
    found = re.findall(r"<img [^>]*src='data:image/png;base64,([^']+)'", shown)
    return [base64.b64decode(data) for data in found]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_numbers_and_a_picture(record):
    shown = record._repr_html_()
    (picture,) = picture_of(shown)
    pixels = imread(io.BytesIO(picture))
    assert 200 < pixels.shape[1] <= 450
    assert pixels[..., :3].std() > 0.02
    assert f"<caption>{type(record).__name__}</caption>" in shown
    assert plt.get_fignums() == []


def test_a_result_without_a_picture_has_its_numbers():
    network = records()[0]
    shown = []

    @jax.jit
    def traced(gains):
        shown.append(connectivity.GainMatrix(gains, network.fractions)._repr_html_())
        return gains

    traced(jnp.eye(2))
    assert picture_of(shown[0]) == []
    assert "gains" in shown[0]


def test_what_has_a_picture_is_a_result_of_ours():
    assert all(kind.__module__.startswith("fisherjax.") for kind in _DRAWN_BY)


def test_progress_in_a_notebook_leaves_nothing_behind(monkeypatch, capsys):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with progress_bar("working", 2, enabled=True) as advance:
        advance(2)
    written = capsys.readouterr().err
    assert "working" in written
    # the line is erased, and only the cursor is moved after that
    left = written[written.rindex("working") :].split("\x1b[2K")[-1]
    assert re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|\s", "", left) == ""


def test_progress_elsewhere_stays(capsys):
    with progress_bar("working", 2, enabled=True) as advance:
        advance(2)
    assert "2/2" in capsys.readouterr().err
