"""What one step of a simulation costs, read off the compiled program: a GPU waits for everything that is launched."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _runtime, networks, simulate
from fisherjax.simulate import _trajectories

UNITS, TRIALS, STEPS = 64, 5, 24
FREE = ("get-tuple-element", "parameter", "tuple", "constant", "bitcast")  # names of places in memory


def loop(precision, length):
    """Instructions of the body of the loop over time, and of everything that is in them."""
    network = networks.RateNetwork(np.eye(UNITS, dtype=np.float32), np.ones(UNITS), noise_std=0.1)
    how = (STEPS, TRIALS, "pulse", "state", False, length)
    with _runtime.products_in(precision):
        program = _trajectories._simulate.lower(network, None, jnp.float32(0.1), jax.random.key(0), *how).compile()
    text = program.compiled.as_text()
    parts, name = {}, ""
    for line in text.splitlines():
        if begun := re.match(r"(?:ENTRY )?%([\w.\-]+) \(", line):
            name = begun[1]
        elif line.startswith("  "):
            parts.setdefault(name, []).append(line.strip().removeprefix("ROOT "))
    main = next(
        lines
        for lines in parts.values()
        if any(f"f32[{STEPS // length}," in line and " while(" in line for line in lines)
    )
    (line,) = (line for line in main if f"f32[{STEPS // length}," in line and " while(" in line)
    body = parts[re.search(r"body=%([\w.\-]+)", line)[1]]
    inside = [
        one for line in body for called in re.findall(r"(?:calls|to_apply)=%([\w.\-]+)", line) for one in parts[called]
    ]
    return body, [*body, *inside], line


def named(lines, *kinds):
    return [line for line in lines if re.search(rf" ({'|'.join(kinds)})\(", line)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("length", [1, 8])
def test_one_product_a_step_and_little_else(precision, length):
    body, everything, head = loop(precision, length)
    assert '"known_trip_count":{"n":"' in head  # no predicate travels to the host
    assert len(named(everything, "dot", "custom-call")) == length
    of_weights = rf"\[{UNITS},{UNITS}\]"
    moved = [
        line for line in named(everything, "transpose", "copy", "convert") if re.search(rf"= \S*{of_weights}", line)
    ]
    assert not moved  # weights are turned and rounded before the loop, if at all
    assert len(named(everything, "dynamic-update-slice")) == 1  # states are written in place, once for a block
    launched = [line for line in body if not named([line], *FREE)]
    assert len(launched) <= 5 * length + 3, launched
    assert not named(everything, "while", "conditional")


def test_blocks_change_no_number(key, monkeypatch):
    """Their length is that of a divisor, and more than one on accelerators only."""
    network = networks.RateNetwork(
        0.1 * jax.random.normal(key, (UNITS, UNITS)), np.ones(UNITS), noise_std=0.1, observation_noise_std=0.2
    )
    inputs = jax.random.normal(key, (STEPS, 1))
    settings = {"num_steps": STEPS, "num_trials": TRIALS, "key": key, "protocol": lambda theta: theta * inputs}
    one = simulate.trajectories(network, stimulus=0.3, **settings)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert [_trajectories.block_length(count) for count in (1, 7, 11, 12, 24, 100)] == [1, 7, 1, 6, 8, 5]
    np.testing.assert_allclose(simulate.trajectories(network, stimulus=0.3, **settings), one, rtol=1e-12, atol=1e-14)
