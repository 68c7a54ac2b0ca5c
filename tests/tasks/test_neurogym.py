"""Trials of environments as neurogym has them, by a small stand-in with its interface."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import networks, tasks, training


class Discrete:
    """As in gymnasium."""

    shape, dtype = (), np.int64

    def __init__(self, n):
        self.n = n


class Box:
    """As in gymnasium."""

    def __init__(self, *shape):
        self.shape, self.dtype = shape, np.float32


class Decision:
    """Fixation, then one of two stimuli, then the answer: 1 or 2; fixation lasts 2 to 4 steps."""

    observation_space, action_space = Box(3), Discrete(3)

    def __init__(self):
        self.rng = np.random.RandomState()
        self.count = self.t_ind = 0

    @property
    def unwrapped(self):
        return self

    def seed(self, seed=None):
        self.rng = np.random.RandomState(seed)

    def new_trial(self):
        side, wait = self.rng.choice(2), self.rng.choice([2, 3, 4])
        self.ob, self.gt = np.zeros((wait + 2, 3), np.float32), np.zeros(wait + 2, np.int64)
        self.ob[:-1, 0], self.ob[wait, 1 + side], self.gt[-1] = 1, 1, side + 1
        self.count += 1
        self.trial = {"ground_truth": side, "wait": float(wait), "pulses": np.zeros(3), "name": "left"}
        return self.trial

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.seed(seed)
        self.new_trial()
        self.t_ind = 0
        return self.ob[0], {}

    def step(self, action):
        info = {"gt": self.gt[self.t_ind], "new_trial": False}
        self.t_ind += 1
        if self.t_ind == len(self.ob):
            self.t_ind, info["new_trial"] = 0, True
            info["trial"] = self.new_trial()
        return self.ob[self.t_ind], 0.0, False, False, info


class Wrapper:
    """As of gymnasium 1: attributes of what is inside do not shine through."""

    def __init__(self, env):
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space

    @property
    def unwrapped(self):
        return self.env.unwrapped

    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        return self.env.step(action)


def make(kind):
    return {"plain": Decision, "wrapped": lambda: Wrapper(Decision())}[kind]()


@pytest.mark.parametrize("kind", ["plain", "wrapped"])
def test_trials_of_the_environment(kind, key):
    trials = tasks.from_neurogym(make(kind), key=key, batch_size=20)
    assert (trials.num_inputs, trials.num_outputs) == (3, 3)
    inputs, targets, mask = trials.batch(key)
    assert inputs.shape == (6, 20, 3)
    assert targets.shape == mask.shape == (6, 20)
    assert np.issubdtype(targets.dtype, np.integer)
    conditions = trials.conditions(key)
    assert sorted(conditions) == ["ground_truth", "wait"]
    np.testing.assert_array_equal(mask.sum(axis=0), np.asarray(conditions["wait"]) + 2)
    last = mask.sum(axis=0).astype(int) - 1
    np.testing.assert_array_equal(targets[last, np.arange(20)], np.asarray(conditions["ground_truth"]) + 1)
    assert len(np.unique(mask.sum(axis=0))) == 3
    assert inputs[mask == 0].sum() == 0


def test_a_key_is_a_batch(key):
    """The same trials from the same key, whatever was drawn before; the environment given is left alone."""
    env = Decision()
    trials = tasks.from_neurogym(env, key=key, batch_size=5)
    passes = [[next(batches) for _ in range(3)] for batches in (iter(trials), iter(trials))]
    for one, two in zip(*passes, strict=True):
        for ours, again in zip(one, two, strict=True):
            np.testing.assert_array_equal(ours, again)
    assert env.count == 0
    assert any(
        np.any(one != two) for one, two in zip(passes[0][0], passes[0][1], strict=True) if one.shape == two.shape
    )
    cut, filled = (trials.batch(key, 4, steps) for steps in (3, 9))
    assert cut.inputs.shape == (3, 4, 3)
    assert filled.inputs.shape == (9, 4, 3)
    np.testing.assert_array_equal(cut.targets, filled.targets[:3])


def test_accuracy_is_about_actions(key):
    trials = tasks.from_neurogym(Decision(), key=key)
    batch = trials.batch(key, 50)
    right = jnp.asarray(np.eye(3)[np.asarray(batch.targets)])
    assert float(trials.accuracy(right, batch)) == 1
    waiting = jnp.zeros_like(right).at[..., 0].set(1.0)
    assert float(trials.accuracy(waiting, batch)) == 0
    idle = batch._replace(targets=np.zeros_like(batch.targets))
    assert float(trials.accuracy(waiting, idle)) == 1


class Reaching(Decision):
    """Actions that are numbers."""

    action_space = Box(2)

    def new_trial(self):
        super().new_trial()
        self.gt = np.tile(self.ob.sum(axis=1, keepdims=True), 2)


def test_actions_may_be_numbers(key):
    trials = tasks.from_neurogym(Reaching(), key=key, batch_size=4)
    batch = trials.batch(key)
    assert (trials.num_outputs, batch.targets.shape[1:]) == (2, (4, 2))
    assert trials.conditions(key) == {}
    np.testing.assert_allclose(trials.accuracy(jnp.asarray(batch.targets), batch), 1.0, rtol=1e-12)


class Bandit(Decision):
    """Without what is right."""

    def new_trial(self):
        super().new_trial()
        del self.gt


def test_a_network_learns_it_and_goes_on_exactly(key, tmp_path):
    trials = tasks.from_neurogym(Decision(), key=key, batch_size=16, num_steps=6)
    network = networks.RNN(3, 12, 3, key=key)
    settings = {"key": key, "learning_rate": 2e-2, "evaluate_every": 20, "held_out": trials.batch(key, 100)}
    trained = training.fit(network, trials, num_steps=120, **settings)
    assert trained.stopped == "finished"
    held_out = trials.batch(jax.random.key(1), 100)
    outputs = networks.run(trained.network, jnp.asarray(held_out.inputs))[1]
    assert float(trials.accuracy(outputs, held_out)) > 0.9
    training.fit(network, trials, num_steps=60, checkpoint=tmp_path / "run", **settings)
    resumed = training.fit(network, trials, num_steps=120, checkpoint=tmp_path / "run", **settings)
    np.testing.assert_array_equal(resumed.history.loss, trained.history.loss)


class Steps:
    """An environment of gymnasium whose steps tell what is right."""

    observation_space, action_space = Box(1), Discrete(2)
    length = 4

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.RandomState(seed)
        self.time, self.cue = 0, self.rng.choice([-1.0, 1.0])
        return np.array([self.cue], np.float32), {}

    def step(self, action):
        self.time += 1
        info = {"gt": int(self.cue > 0)} if self.length else {}
        return np.array([self.cue * self.time], np.float32), 0.0, self.time == self.length, False, info


def test_an_environment_without_trials_is_stepped_through(key):
    trials = tasks.from_neurogym(Steps(), key=key, batch_size=10)
    inputs, targets, mask = trials.batch(key)
    assert inputs.shape == (4, 10, 1)
    assert mask.min() == 1
    cue = inputs[0, :, 0]
    np.testing.assert_array_equal(inputs[:, :, 0], np.stack([cue, cue, 2 * cue, 3 * cue]))
    np.testing.assert_array_equal(targets, np.broadcast_to(cue > 0, (4, 10)))


@pytest.mark.usefixtures("as_user")
def test_what_cannot_be_trained_on_is_said(key, monkeypatch):
    with pytest.raises(ValueError, match=r"Bandit does not say what is right \(gt\)"):
        tasks.from_neurogym(Bandit(), key=key)
    monkeypatch.setattr(Steps, "length", 0)
    with pytest.raises(ValueError, match="Steps does not say what is right"):
        tasks.from_neurogym(Steps(), key=key)
    with pytest.raises(TypeError, match="env must be an Environment, got 3"):
        tasks.from_neurogym(3, key=key)
    monkeypatch.setitem(sys.modules, "neurogym", None)
    with pytest.raises(ImportError, match="pip install neurogym"):
        tasks.from_neurogym("PerceptualDecisionMaking-v0", key=key)
    with pytest.raises(ValueError, match="settings are for environments that are given by their name"):
        tasks.from_neurogym(Decision(), key=key, settings={"dt": 20})
    with pytest.raises(TypeError, match=r"write jax.random.key"):
        tasks.from_neurogym(Decision(), key=1)
