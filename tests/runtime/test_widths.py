"""How wide batches are on an accelerator, pretended on a CPU: wider, and with the same results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _runtime, _theory, dynamics, fisher, meanfield, networks
from fisherjax.dynamics import _search
from fisherjax.fisher import _respond

GENEROUS = 2**37


@pytest.fixture
def pretended(monkeypatch):
    """An accelerator with 128 GiB."""

    def begin():
        for module in (_search, _respond, _theory):
            monkeypatch.setattr(module, "jax", Pretended())
        monkeypatch.setattr(_runtime._memory, "available_bytes", lambda: GENEROUS)

    return begin


class Pretended:
    """JAX with a GPU."""

    def __getattr__(self, name):
        return (lambda: "gpu") if name == "default_backend" else getattr(jax, name)


def test_rows_of_a_diagram_are_solved_together(pretended):
    gains, noise = [0.8, 1.5], [0.0, 0.1, 0.3]
    one = meanfield.phase_diagram(gains, noise)
    pretended()
    assert [_theory.rows_at_once(*size) for size in ((3, 2), (50, 50), (100, 100), (7, 5000))] == [3, 50, 34, 1]
    together = meanfield.phase_diagram(gains, noise)
    np.testing.assert_allclose(together.lyapunov_exponent, one.lyapunov_exponent, rtol=1e-9)
    np.testing.assert_array_equal(together.regime, one.regime)


def responder():
    """A function of its own, for which a program of its own is compiled."""
    return lambda theta, key: theta * jnp.arange(1.0, 4.0) + jax.random.normal(key, (3,))


def test_trials_are_simulated_together(pretended, key):
    respond = responder()
    one = fisher.estimate(responder(), 0.5, key=key, num_trials=600, check=False)
    pretended()
    keys = jax.random.split(key, 100_000)
    assert _respond.trials_at_once(respond, jnp.asarray(0.5), keys) == 100_000
    assert _respond.trials_at_once(lambda t, k: jnp.zeros(1000) + t, jnp.asarray(0.5), keys) == 1024
    found = fisher.estimate(respond, 0.5, key=key, num_trials=600, check=False)
    np.testing.assert_allclose(found.value, one.value, rtol=1e-9)


def test_stubborn_candidates_are_polished_together(pretended, key):
    states = jnp.zeros((1000, 64))
    assert _search._block(1000, states) == 64
    pretended()
    assert [_search._block(count, states) for count in (3, 65, 1000)] == [64, 128, 1024]
    network = networks.RNN(1, 4, 1, key=key)
    found = dynamics.find_fixed_points(network, 0.1 * jax.random.normal(key, (70, 4)))
    assert len(found.points) == 1
