"""Every Python block of the README runs, and prints what it says it prints; `make docs` runs those of all pages."""

from pathlib import Path

import pytest
from programs import blocks, check

BLOCKS = blocks((Path(__file__).parent.parent / "README.md").read_text())


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=range(len(BLOCKS)))
def test_block(code, printed):
    check(code, printed)


def test_there_are_blocks():
    assert len(BLOCKS) == 3


def test_a_program_that_prints_something_else_is_found():
    with pytest.raises(AssertionError):
        check("print(1.0)", "1.5\n")
    with pytest.raises(AssertionError, match="it prints"):
        check("print('a b')", "a\n")
