"""The variable that says where tests compute is read, and handed on."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from platforms import VARIABLE, platforms, rounding


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "cpu"), ("cpu", "cpu"), ("gpu", "cuda,cpu"), ("tpu", "tpu,cpu"), ("rocm", "rocm,cpu")]
)
def test_what_the_variable_stands_for(given, expected):
    assert platforms({VARIABLE: given} if given else {}) == expected


def test_it_is_that_of_this_process_and_of_those_it_starts():
    asked = platforms(os.environ)
    assert jax.config.jax_platforms == asked
    assert jax.default_backend() == {"cuda": "gpu", "rocm": "gpu"}.get(asked.split(",")[0], asked.split(",")[0])
    command = [sys.executable, "-c", "import os; print(os.environ['JAX_PLATFORMS'])"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == asked


def test_rounding_is_that_of_the_platform(monkeypatch):
    here, eps = rounding(1), np.finfo(float).eps
    assert rounding(10, condition=3.0) >= 3 * here
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert rounding(10, condition=3.0) == pytest.approx(30 * eps)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert rounding(10, condition=3.0) == pytest.approx(3 * np.sqrt(eps))
