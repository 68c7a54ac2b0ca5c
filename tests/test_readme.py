"""Every Python block of the README and of the pages runs, and prints what it says it prints."""

import contextlib
import io
import re
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
GUIDES = (
    "training",
    "remembering",
    "dynamics",
    "networks",
    "convolutional",
    "orientation",
    "scale",
    "recordings",
    "seeing",
)
PAGES = ("README.md", *(f"docs/{name}.md" for name in GUIDES))
TEXT = "\n".join((ROOT / name).read_text() for name in PAGES)
BLOCKS = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", TEXT, re.S)
NUMBER = re.compile(r"-?\d+\.?\d*")


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=range(len(BLOCKS)))
def test_block(code, printed):
    """In float32, as a newcomer runs it. Simulations differ between processors in the last digits."""
    output = io.StringIO()
    with jax.enable_x64(False), contextlib.redirect_stdout(output):
        exec(code, {})
    shown, expected = output.getvalue(), printed
    assert NUMBER.sub("#", shown).split() == NUMBER.sub("#", expected).split()
    values, numbers = ([float(x) for x in NUMBER.findall(text)] for text in (shown, expected))
    np.testing.assert_allclose(values, numbers, rtol=0.02, atol=0.011)


def test_there_are_blocks():
    assert len(BLOCKS) >= 9
