"""Programs in texts: a python block that a text block follows runs, and prints what is written there."""

import contextlib
import io
import re

import jax
import numpy as np

BLOCK = re.compile(r"```python\n(.*?)```\n+```text\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d+\.?\d*")


def blocks(text: str) -> list[tuple[str, str]]:
    """Every program of a page, and what it prints."""
    return BLOCK.findall(text)


def check(code: str, printed: str) -> None:
    """Run a program as a newcomer does, in float32; simulations differ between processors in the last digits.

    Raises
    ------
    AssertionError
        If it prints something else.
    """
    output = io.StringIO()
    with jax.enable_x64(False), contextlib.redirect_stdout(output):
        exec(code, {})
    shown = output.getvalue()
    words = [NUMBER.sub("#", text).split() for text in (shown, printed)]
    if words[0] != words[1]:
        raise AssertionError(f"it prints\n{shown}")
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (shown, printed)]
    np.testing.assert_allclose(*numbers, rtol=0.02, atol=0.011)
