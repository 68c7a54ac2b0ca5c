"""A second call of an entry point, with another key and other numbers, compiles nothing.

Shapes may differ and then do: `find_fixed_points` looks at as many points as there are.
"""

import jax
import pytest
from calls import ENTRIES, HOST_ONLY, PACKAGES

COMPILED = "/jax/core/compile/backend_compile_duration"


def test_every_public_function_is_here_or_left_out_by_name():
    for name, package in PACKAGES.items():
        functions = {one for one in package.__all__ if one[0].islower()}
        tested = {entry.partition(",")[0].partition(".")[2] for entry in ENTRIES if entry.startswith(f"{name}.")}
        left_out = set(HOST_ONLY.get(name, "").split())
        assert not tested & left_out
        assert functions == tested | left_out, name


@pytest.mark.filterwarnings("ignore:the Gaussian total is exact")
@pytest.mark.filterwarnings("ignore:saturation was not seen")
@pytest.mark.parametrize("name", ENTRIES)
def test_second_call_compiles_nothing(name):
    entry, compiled = ENTRIES[name], []

    def count(event, duration, **_):
        if event == COMPILED:
            compiled.append(event)

    entry(jax.random.key(1), 1.0)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        entry(jax.random.key(2), 1.05)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert not compiled, f"{len(compiled)} programs"
