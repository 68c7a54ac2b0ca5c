"""Where the tests compute, and how exactly: ``FISHERJAX_TEST_PLATFORM=gpu python -m pytest tests``; cpu by default."""

import os

import jax
import numpy as np

VARIABLE = "FISHERJAX_TEST_PLATFORM"
_NAMES = {"gpu": "cuda"}  # as JAX has them


def platforms(environment):
    """What JAX_PLATFORMS must say: the one that is asked for and, beside an accelerator, the host."""
    asked = environment.get(VARIABLE, "cpu")
    return "cpu" if asked == "cpu" else f"{_NAMES.get(asked, asked)},cpu"


def enter():
    """Here, and in every process that a test starts, which finds it in the environment."""
    os.environ["JAX_PLATFORMS"] = platforms(os.environ)
    if os.environ["JAX_PLATFORMS"] != "cpu":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share its memory
    jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])


def rounding(length, condition=1.0):
    """Relative error of what is computed in float64 through products or convolutions, in the worst case.

    Of sums of `length` terms: length × ε, times the condition of what is made of them. Libraries of accelerators bound
    no error of their convolutions, whose algorithms (Winograd, Fourier) are chosen by their speed: half of the digits.
    """
    eps = float(np.finfo(np.float64).eps)
    return condition * (length * eps if jax.default_backend() == "cpu" else eps**0.5)
