"""Generators of random numbers are chosen by the key: the same laws, and every file keeps which it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import networks, simulate, tasks, training
from fisherjax.simulate import _trajectories

TRIALS, UNITS, STEPS = 2000, 3, 8


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_noise_of_steps_trials_units_and_runs_is_independent(impl, length, monkeypatch):
    """Without weights states are noise: variances and all correlations, also between keys that are mapped over."""
    monkeypatch.setattr(_trajectories, "block_length", lambda _: length)
    free = networks.RateNetwork(np.zeros((UNITS, UNITS)), np.zeros(UNITS), noise_std=1.0, observation_noise_std=1.0)

    def run(key):
        return simulate.trajectories(free, num_steps=STEPS, num_trials=TRIALS, key=key)

    runs = jnp.stack(
        [*jax.vmap(run)(jax.random.split(jax.random.key(5, impl=impl))), run(jax.random.key(6, impl=impl))]
    )
    flat = np.asarray(jnp.moveaxis(runs, 2, -1)).reshape(-1, TRIALS)
    correlation = np.corrcoef(flat) - np.eye(len(flat))
    assert abs(correlation).max() < 5.2 / np.sqrt(TRIALS)  # among 2556: Bonferroni's bound at one in a thousand
    assert abs(flat.var() - 2) < 4.5 * 2 * np.sqrt(2 / flat.size)
    moments = simulate.sensitivity_moments(
        free, stimulus=0.1, num_steps=2, num_trials=TRIALS, key=jax.random.key(5, impl=impl)
    ).pooled()
    np.testing.assert_allclose(moments.scatter[0] / (TRIALS - 1), 2, atol=4.5 * 2 * np.sqrt(2 / TRIALS))


def test_a_checkpoint_knows_the_generator(tmp_path, as_user):
    """Two of them have keys of the same words."""
    network = networks.RNN(1, 2, 1, key=jax.random.key(0, impl="rbg"), noise_std=0.1)
    settings = {"batch_size": 2, "trial_steps": 3, "evaluate_every": 2, "checkpoint": tmp_path / "run.npz"}

    def fit(num_steps, impl):
        return training.fit(
            network, tasks.integrator(), num_steps=num_steps, key=jax.random.key(1, impl=impl), **settings
        )

    fit(2, "rbg")
    resumed = fit(4, "rbg")
    assert len(resumed.history.loss) == 4
    with pytest.raises(ValueError, match="was written with key"):
        fit(6, "unsafe_rbg")
