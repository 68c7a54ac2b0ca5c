"""Training: it learns, constraints hold, the loss is what it says, and everything that can stop it does."""

import math
import os
import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fisherjax import networks, tasks, training
from fisherjax._runtime import Interrupted
from fisherjax._runtime._steps import run_steps
from fisherjax.networks import GRU, RNN, ContinuousRNN, dale, no_autapses
from fisherjax.networks._recurrent import trainable_filter
from fisherjax.training._loss import LossSettings, batch_loss

TASK = tasks.flip_flop(num_bits=1, pulse_probability=0.2)
SMALL = {"batch_size": 8, "trial_steps": 8, "evaluate_every": 10}


def small(key, **options):
    return RNN(1, 8, 1, key=key, **options)


def weights_of(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


@pytest.mark.parametrize("kind", [RNN, ContinuousRNN, GRU], ids=lambda kind: kind.__name__)
def test_it_learns(kind, key):
    options = {"time_constant": 30.0, "dt": 10.0} if kind is ContinuousRNN else {}
    network = kind(1, 16, 1, key=key, **options)
    trained = training.fit(
        network, TASK, key=key, num_steps=300, batch_size=16, trial_steps=10, learning_rate=1e-2, target_accuracy=0.98
    )
    history = trained.history
    assert history.held_out_accuracy[-1] >= 0.98 or history.held_out_accuracy.max() > 0.95
    assert history.held_out_loss.min() < 0.3 * history.loss[0]
    assert trained.best_step == history.evaluated[history.held_out_loss.argmin()]
    assert len(history.loss) == trained.num_steps
    assert str(trained.num_steps) in repr(trained)


def test_a_thousand_wild_steps_break_no_constraint(key):
    """Learning rate 0.05: weights are thrown about, signs, autapses and masks stay exactly as they were."""
    allowed = np.asarray(jax.random.bernoulli(key, 0.6, (16, 16))) | np.roll(np.eye(16, dtype=bool), 1, axis=1)
    readout = np.arange(16)[None] < 12
    constraints = [dale(0.75), no_autapses(), networks.mask(recurrent=allowed, output=readout)]
    network = RNN(1, 16, 1, key=key, constraints=constraints)
    trained = training.fit(
        network, TASK, key=key, num_steps=1000, batch_size=4, trial_steps=6, learning_rate=0.05, keep_best=False,
        evaluate_every=250,
    )  # fmt: skip
    weights = np.asarray(trained.network.recurrent_weights)
    moved = np.abs(weights - np.asarray(network.recurrent_weights))
    assert moved[allowed & ~np.eye(16, dtype=bool)].mean() > 0.1, "nothing was trained"
    assert np.all(weights[:, :12] >= 0)
    assert np.all(weights[:, 12:] <= 0)
    assert np.count_nonzero(np.diag(weights)) == 0
    assert np.count_nonzero(weights[~allowed]) == 0
    assert np.count_nonzero(np.asarray(trained.network.output_weights)[~readout]) == 0


def test_time_constants_stay_above_dt_and_initial_state_moves(key):
    names = ("recurrent", "input", "output", "time_constant", "initial_state")
    network = ContinuousRNN(1, 6, 1, key=key, time_constant=12.0, dt=10.0, trainable=names)
    trained = training.fit(network, TASK, key=key, num_steps=60, learning_rate=0.1, **SMALL, keep_best=False).network
    assert np.all(np.asarray(trained.time_constant) > 10)
    assert np.ptp(np.asarray(trained.time_constant)) > 0.1
    assert np.any(np.asarray(trained.initial_state) != 0)
    np.testing.assert_array_equal(trained.recurrent_bias, network.recurrent_bias)


def test_only_what_is_trainable_moves(key):
    trained = training.fit(small(key), TASK, key=key, num_steps=20, trainable=("output",), **SMALL, keep_best=False)
    start, end = small(key), trained.network
    np.testing.assert_array_equal(start.recurrent_weights, end.recurrent_weights)
    np.testing.assert_array_equal(start.input_weights, end.input_weights)
    assert np.any(start.output_weights != end.output_weights)


@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_loss_and_penalties_are_what_they_say(kind, key):
    task = tasks.copy_memory(num_symbols=3, length=2)
    batch = task.batch(key, 5)
    network = RNN(4, 6, 3, key=key)
    states, outputs = networks.run(network, batch.inputs)
    out, target, mask = np.asarray(outputs), np.asarray(batch.targets), np.asarray(batch.mask)
    if kind == "mse":
        each = np.mean((out - target) ** 2, axis=-1)
    else:
        each = np.log(np.exp(out).sum(axis=-1)) - np.sum(out * target, axis=-1)
    expected = np.sum(each * mask) / np.sum(mask)
    matrices = (network.recurrent_weights, network.input_weights, network.output_weights)
    expected += 0.3 * np.sum(np.mean(np.asarray(states) ** 2, axis=-1) * mask) / np.sum(mask)
    expected += 0.2 * sum(np.sum(np.asarray(m) ** 2) for m in matrices)
    loss = batch_loss(network, batch, None, LossSettings(kind, 0.3, 0.2, False, 1))
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_masked_moments_do_not_count(key):
    """Targets where the mask is zero may be anything: not a bit of the result changes."""
    inputs, targets, _ = TASK.batch(key, 12, 8)
    mask = np.ones((8, 12))
    mask[:4] = 0
    other = np.array(targets)
    other[:4] = 1e3
    results = [
        training.fit(small(key), (inputs, part, mask), key=key, num_steps=15, batch_size=6, evaluate_every=5).network
        for part in (np.asarray(targets), other)
    ]
    np.testing.assert_array_equal(*(weights_of(one) for one in results))


def test_gradient_accumulation_is_one_large_batch(key):
    """Three batches of four give the step of one batch of twelve, to rounding."""
    inputs, targets, mask = TASK.batch(key, 12, 8)
    thirds = [tuple(part[:, start : start + 4] for part in (inputs, targets, mask)) for start in (0, 4, 8)]
    settings = {"key": key, "num_steps": 1, "evaluate_every": 1, "optimizer": optax.sgd(0.1)}
    whole = training.fit(small(key), [(inputs, targets, mask)], **settings)
    parts = training.fit(small(key), thirds, accumulate=3, **settings)
    np.testing.assert_allclose(weights_of(whole.network), weights_of(parts.network), rtol=1e-10, atol=1e-14)


def test_gradient_descent_by_hand(key):
    """Two steps of plain gradient descent with clipping against the same written out."""
    batches = [tuple(TASK.batch(k, 4, 6)) for k in jax.random.split(key, 2)]
    rate, norm = 0.5, 0.05
    trained = training.fit(
        small(key), batches, key=key, num_steps=2, evaluate_every=2, optimizer=optax.sgd(rate), max_gradient_norm=norm
    )
    network = small(key)
    spec = trainable_filter(network)
    for batch in batches:
        moving, fixed = eqx.partition(network, spec)

        def loss(moving, fixed=fixed, batch=batch):
            _, outputs = networks.run(eqx.combine(moving, fixed), batch[0])
            return jnp.mean((outputs - batch[1]) ** 2)

        slope = jax.grad(loss)(moving)
        length = np.sqrt(sum(np.sum(np.asarray(leaf) ** 2) for leaf in jax.tree.leaves(slope)))
        factor = min(1.0, norm / length)
        moving = jax.tree.map(lambda p, g, f=factor: p - rate * f * g, moving, slope)
        network = eqx.combine(moving, fixed)
    np.testing.assert_allclose(weights_of(trained.network), weights_of(network), rtol=1e-10, atol=1e-14)
    assert np.isnan(trained.history.learning_rate).all()


def test_schedules_iterables_and_arrays(key):
    schedule = optax.cosine_decay_schedule(1e-2, 30)
    trained = training.fit(small(key), TASK, key=key, num_steps=30, learning_rate=schedule, **SMALL)
    np.testing.assert_allclose(trained.history.learning_rate, [float(schedule(k)) for k in range(30)], rtol=1e-6)
    batches = (tuple(TASK.batch(k, 4, 6))[:2] for k in jax.random.split(key, 7))
    trained = training.fit(small(key), batches, key=key, num_steps=30, evaluate_every=5)
    assert (trained.stopped, trained.num_steps) == ("data exhausted", 7)
    assert len(trained.history.held_out_loss) == 0
    inputs, targets, _ = TASK.batch(key, 20, 6)
    held_out = TASK.batch(jax.random.key(1), 9, 6)
    trained = training.fit(
        small(key), (inputs, targets), key=key, num_steps=11, batch_size=8, evaluate_every=5, held_out=held_out
    )
    assert trained.history.evaluated.tolist() == [5, 10, 11]
    assert np.isnan(trained.history.held_out_accuracy).all()


def test_padding_may_be_anything(key):
    """NaN targets where the mask is zero, as in padded recordings."""
    inputs, targets, _ = TASK.batch(key, 8, 8)
    mask, padded = np.ones((8, 8)), np.array(targets)
    mask[5:], padded[5:] = 0, np.nan
    trained = training.fit(small(key), (inputs, padded, mask), key=key, num_steps=5, batch_size=4, evaluate_every=5)
    assert trained.stopped == "finished"
    assert np.isfinite(weights_of(trained.network)).all()


def test_a_last_step_to_nowhere_is_not_returned(key):
    with pytest.warns(RuntimeWarning, match="non-finite loss at step 1"):
        trained = training.fit(
            small(key, nonlinearity="identity"), TASK, key=key, num_steps=1, evaluate_every=1, batch_size=4,
            optimizer=optax.sgd(1e200), max_gradient_norm=math.inf,
        )  # fmt: skip
    np.testing.assert_array_equal(weights_of(trained.network), weights_of(small(key, nonlinearity="identity")))


def test_chunks_end_at_multiples_of_their_length(key, tmp_path):
    """A run that ended in between and is then made longer takes the same steps."""
    path, settings = tmp_path / "run", {"key": key, "learning_rate": 1e-2, **SMALL, "keep_best": False}
    training.fit(small(key), TASK, num_steps=25, checkpoint=path, **settings)
    assert path.with_suffix(".npz").exists()
    longer = training.fit(small(key), TASK, num_steps=50, checkpoint=path, **settings)
    assert longer.history.evaluated.tolist() == [10, 20, 25, 30, 40, 50]
    whole = training.fit(small(key), TASK, num_steps=50, **settings)
    np.testing.assert_array_equal(weights_of(longer.network), weights_of(whole.network))


def test_runs_on_data_resume_exactly(key, tmp_path):
    inputs, targets, _ = TASK.batch(key, 30, 6)
    batches = [tuple(TASK.batch(k, 4, 6)) for k in jax.random.split(key, 40)]
    for name, data in (("arrays", (inputs, targets)), ("iterable", batches)):
        path = tmp_path / name
        settings = {"key": key, "batch_size": 7, "evaluate_every": 4, "accumulate": 2, "learning_rate": 1e-2}
        whole = training.fit(small(key), data, num_steps=16, **settings)
        training.fit(small(key), data, num_steps=8, checkpoint=path, **settings)
        resumed = training.fit(small(key), data, num_steps=16, checkpoint=path, **settings)
        np.testing.assert_array_equal(weights_of(whole.network), weights_of(resumed.network))
        other = (inputs, -targets) if name == "arrays" else [(one, -two, three) for one, two, three in batches]
        with pytest.raises(ValueError, match="other data"):
            training.fit(small(key), other, num_steps=20, checkpoint=path, **settings)


def test_early_stop_and_callback(key):
    trained = training.fit(small(key), TASK, key=key, num_steps=1000, learning_rate=0.0, patience=3, **SMALL)
    assert (trained.stopped, trained.num_steps, trained.best_step) == ("no improvement", 40, 10)
    steps = []

    def stop(progress):
        steps.append(progress.step)
        assert progress.network.num_units == 8
        return progress.step >= 30

    trained = training.fit(small(key), TASK, key=key, num_steps=1000, callback=stop, **SMALL)
    assert (trained.stopped, steps) == ("callback", [10, 20, 30])


def test_interrupt_keeps_what_is_trained(key, tmp_path):
    """A real Ctrl-C signal in the middle."""

    def interrupt(progress):
        if progress.step == 20:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(
            KeyboardInterrupt, match=r"training was interrupted after step \d+; go on with .*run\.npz"
        ) as told:
            training.fit(
                small(key), TASK, key=key, num_steps=10_000, callback=interrupt, checkpoint=tmp_path / "run", **SMALL
            )
    finally:
        signal.signal(signal.SIGINT, handler)
    assert isinstance(told.value, Interrupted)
    trained = told.value.result
    assert trained.stopped == "interrupted"
    assert 20 <= trained.num_steps < 10_000
    assert np.any(weights_of(trained.model) != weights_of(small(key)))
    assert training.load_checkpoint(tmp_path / "run").step == trained.num_steps


def test_a_loss_that_is_not_finite_stops_at_its_step(key):
    """The seventh batch is so large that its square overflows: six good steps are kept, the bad one is named."""
    batches = [tuple(np.array(part) for part in TASK.batch(k, 4, 6)) for k in jax.random.split(key, 12)]
    batches[6][1][0, 0, 0] = 1e200
    with pytest.warns(RuntimeWarning, match=r"non-finite loss at step 6; .* smaller learning_rate may help"):
        broken = training.fit(small(key), batches, key=key, num_steps=12, evaluate_every=4)
    assert (broken.stopped, broken.num_steps) == ("non-finite loss at step 6", 6)
    assert len(broken.history.loss) == 6
    # back to the parameters at which the loss was last known to be finite: those of the sixth batch
    good = training.fit(small(key), batches[:5], key=key, num_steps=5, evaluate_every=4)
    np.testing.assert_array_equal(weights_of(broken.last_network), weights_of(good.network))


def test_same_key_same_bits_and_resume_goes_on_exactly(key, tmp_path):
    settings = {"key": key, "learning_rate": 1e-2, **SMALL}
    noisy = small(key, noise_std=0.1)
    whole = training.fit(noisy, TASK, num_steps=47, **settings)
    path = tmp_path / "run.npz"
    training.fit(noisy, TASK, num_steps=20, checkpoint=path, **settings)
    resumed = training.fit(noisy, TASK, num_steps=47, checkpoint=path, **settings)
    np.testing.assert_array_equal(weights_of(whole.network), weights_of(resumed.network))
    np.testing.assert_array_equal(whole.history.loss, resumed.history.loss)
    np.testing.assert_array_equal(whole.history.held_out_loss, resumed.history.held_out_loss)
    again = training.fit(noisy, TASK, num_steps=47, checkpoint=path, **settings)
    assert again.num_steps == 47
    np.testing.assert_array_equal(weights_of(again.network), weights_of(whole.network))
    assert np.any(weights_of(training.fit(noisy, TASK, num_steps=47, **settings | {"key": jax.random.key(1)}).network)
                  != weights_of(whole.network))  # fmt: skip


@pytest.mark.usefixtures("as_user")
def test_checkpoints_of_another_run_are_refused(key, tmp_path):
    path = tmp_path / "run.npz"
    training.fit(small(key), TASK, key=key, num_steps=10, checkpoint=path, **SMALL)

    def resume(network=None, **changes):
        settings = {"key": key, "num_steps": 20, "checkpoint": path, **SMALL} | changes
        return training.fit(small(key) if network is None else network, TASK, **settings)

    with pytest.raises(ValueError, match="of another network: recurrent is a FreeWeights there and a ConstrainedW"):
        resume(small(key, constraints=dale(0.5)))
    with pytest.raises(ValueError, match=r"recurrent.parameter has shape \(8, 8\) there and \(9, 9\) here"):
        resume(RNN(1, 9, 1, key=key))
    with pytest.raises(ValueError, match="nonlinearity"):
        resume(small(key, nonlinearity="relu"))
    with pytest.raises(ValueError, match="started from other weights"):
        resume(small(jax.random.key(5)))
    with pytest.raises(ValueError, match="batch_size = 8, this run has 4"):
        resume(batch_size=4)
    with pytest.raises(ValueError, match="optimizer = adam"):
        resume(optimizer=optax.sgd(0.1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.warns(RuntimeWarning, match=r"run\.npz cannot be read .* the one before it is used"):
        assert resume().num_steps == 20
    (tmp_path / "run.previous.npz").unlink()
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"run\.npz"):
            resume()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(flipped))
    with pytest.raises(ValueError, match=r"run\.npz"):
        resume()
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="not written by fisherjax"):
        resume()


def test_another_schedule_or_optimizer_is_another_run(key, tmp_path):
    settings = {"key": key, "num_steps": 10, **SMALL}
    path = tmp_path / "schedule"
    training.fit(small(key), TASK, checkpoint=path, learning_rate=optax.constant_schedule(1e-2), **settings)
    with pytest.raises(ValueError, match="another learning_rate schedule"):
        training.fit(
            small(key), TASK, checkpoint=path, learning_rate=optax.cosine_decay_schedule(1e-2, 10), **settings
        )  # fmt: skip
    path = tmp_path / "optimizer"
    training.fit(small(key), TASK, checkpoint=path, optimizer=optax.sgd(0.1), **settings)
    for other in (optax.sgd(0.9), optax.adam(0.1)):
        with pytest.raises(ValueError, match="optimizer"):
            training.fit(small(key), TASK, checkpoint=path, optimizer=other, **settings)


@pytest.mark.usefixtures("as_user")
def test_what_cannot_be_saved_says_so_before_training(key, tmp_path):
    network = small(key, nonlinearity=jnp.arctan)
    with pytest.raises(TypeError, match="cannot save"):
        training.fit(
            network,
            TASK,
            key=key,
            num_steps=10,
            checkpoint=tmp_path / "deep" / "run",
            callback=lambda _: pytest.fail("trained"),
        )
    numbers = SMALL | {"batch_size": np.int64(4)}
    trained = training.fit(
        small(key), TASK, key=key, num_steps=10, checkpoint=tmp_path / "new" / "run", learning_rate=np.float32(1e-3),
        **numbers,
    )  # fmt: skip
    assert trained.num_steps == 10


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_steps": 0}, ValueError, "num_steps must be at least 1"),
        ({"max_gradient_norm": 0.0}, ValueError, "max_gradient_norm must be above 0"),
        ({"loss": "hinge"}, ValueError, "loss must be one of"),
        ({"rate_penalty": -1.0}, ValueError, "rate_penalty must be at least 0"),
        ({"learning_rate": 0.1, "optimizer": optax.sgd(0.1)}, ValueError, "either learning_rate"),
        ({"trainable": ("recurent",)}, ValueError, "no parameter of RNN"),
        ({"key": 3}, TypeError, "write jax.random.key"),
        ({"task": tasks.flip_flop}, ValueError, "the task has 3 inputs, the network 1"),
        ({"task": (np.zeros((5, 8, 1)), np.zeros((5, 8, 2)))}, ValueError, "targets of width 2, the network 1"),
        ({"task": (np.zeros((5, 4, 1)), np.zeros((4, 4, 1)))}, ValueError, "must hold inputs"),
        ({"task": (np.zeros((5, 4, 1)), np.zeros((5, 4, 1)), np.zeros((5, 4, 1)))}, ValueError, "the mask of task"),
        ({"task": (np.zeros((5, 4, 1)), np.zeros((5, 4, 1)))}, ValueError, "batch_size must be at most the 4 trials"),
        ({"task": 5}, TypeError, "task must be a Task"),
        ({"task": [(np.zeros((5, 4, 1)), np.zeros((5, 4, 2)))]}, ValueError, "targets must have the shape"),
        ({"task": [[np.zeros((5, 4, 3)), np.zeros((5, 4, 1))]]}, ValueError, r"inputs must have shape \(T, …, 1\)"),
        ({"task": (np.zeros((5, 9, 1)), np.zeros((5, 9, 1))), "patience": 2}, ValueError, "need held-out trials"),
        ({"task": (np.zeros((5, 9, 1)), np.zeros((5, 9, 1))), "target_accuracy": 0.5}, ValueError, "needs a Task"),
        ({"learning_rate": lambda step: jnp.where(step < 3, 0.1, jnp.nan)}, ValueError, "gives nan at step 3"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(change, error, message, key):
    settings = {"task": TASK, "key": key, "num_steps": 10, **SMALL} | change
    with pytest.raises(error, match=message):
        training.fit(small(key), settings.pop("task"), **settings)


def test_another_run_compiles_nothing(key, num_programs):
    """New keys, learning rates and lengths use the program that is there; so does the second chunk of a run."""
    lasting = {**SMALL, "trial_steps": 13}  # as no other test has
    training.fit(small(key), TASK, key=key, num_steps=10, **lasting)
    compiled = num_programs(run_steps)
    other = small(jax.random.key(3))
    training.fit(other, TASK, key=jax.random.key(4), num_steps=37, learning_rate=0.02, **lasting)
    assert num_programs(run_steps) == compiled
    training.fit(other, TASK, key=key, num_steps=10, max_gradient_norm=math.inf, **lasting)
    assert num_programs(run_steps) == compiled + 1


def test_results_can_be_saved(key, tmp_path):
    trained = training.fit(small(key), TASK, key=key, num_steps=10, **SMALL)
    loaded = training.Training.load(trained.save(tmp_path / "trained"))
    np.testing.assert_array_equal(weights_of(loaded.network), weights_of(trained.network))
    assert loaded.stopped == "finished"
