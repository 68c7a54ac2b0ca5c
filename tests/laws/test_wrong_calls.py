"""Wrong calls of public functions are refused by fisherjax itself, in words that name the argument."""

import pytest
from calls import ENTRIES, HOST_ENTRIES, PACKAGES

from benchmarks.wrong_calls import function_outcomes

EVERY = {**ENTRIES, **HOST_ENTRIES}


@pytest.mark.parametrize("package", PACKAGES)
def test_wrong_calls_name_the_argument(package, as_user):
    """One way in four of spoiling each argument here; all of them in benchmarks/wrong_calls.py."""
    outcomes = [
        outcome
        for name, entry in EVERY.items()
        if name.startswith(f"{package}.")
        for outcome in function_outcomes(name, entry, every=4)
    ]
    assert len(outcomes) > 5
    assert [one for one in outcomes if one.verdict != "named"] == []
    assert sum(one.compiled == 0 for one in outcomes) >= 0.8 * len(outcomes)  # over all packages 98 %
