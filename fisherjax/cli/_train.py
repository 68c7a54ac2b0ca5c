"""Training of a recurrent network on a task."""

from typing import Any

import jax
import numpy as np

from fisherjax import connectivity, networks, tasks, training
from fisherjax.networks._pattern import Constraint
from fisherjax.plot._networks import save_training, save_trials
from fisherjax.report import Table
from fisherjax.report._html import Picture
from fisherjax.tasks._memory import CopyMemory
from fisherjax.tasks._registry import TASKS

from ._arguments import Train
from ._outcome import Outcome, section, thinned
from ._process import stop_if_terminated
from ._session import Session
from ._structure import check_memory
from ._values import UsageError

_KINDS = {"rnn": networks.RNN, "continuous": networks.ContinuousRNN, "gru": networks.GRU, "lstm": networks.LSTM}

_TEST_TRIALS = 1000
_MOST_ROWS = 25


def run_train(command: Train, session: Session) -> Outcome:
    """Train, test on fresh trials, and say how to go on."""
    task = _task(command)
    steps = _trial_steps(command, task)
    network_key, train_key, test_key = jax.random.split(jax.random.key(command.seed), 3)
    _check_sizes(command, task, steps)
    with jax.enable_x64(False):  # float32: theory is not at stake
        gain = _memory_gain(command, task, steps)
        network = _network(command, task, gain, network_key)
        trained = _trained(command, session, network, task, steps, train_key)
        with session.stage("testing"):
            batch = task.batch(test_key, _TEST_TRIALS, steps or None)
            accuracy = float(task.accuracy(networks.run(trained.network, batch.inputs)[1], batch))
    history, table = trained.history, _table(trained.history)
    ended = f"{trained.stopped} after {trained.num_steps} steps"
    measure = " ".join((type(task).accuracy.__doc__ or "").split()).rstrip(".")
    text = [
        f"{trained.network!r}",
        f"{ended[:1].upper()}{ended[1:]} of {trained.data}; best on held-out trials at step {trained.best_step}.",
        f"Accuracy on {_TEST_TRIALS} fresh trials: {accuracy:.4f} ({measure[:1].lower()}{measure[1:]}).",
    ]
    course = "Loss and accuracy over training; recurrent weights and their eigenvalues."
    trials = "Three trials: inputs above, outputs (lines) and targets (pale) below."
    as_probabilities = {"probabilities": task.loss == "cross_entropy"}
    items = [
        Picture("training.png", course, save_training, trained),
        Picture("trials.png", trials, save_trials, trained.network, batch, **as_probabilities),
        thinned(table, _MOST_ROWS),
    ]
    results = {"task": command.task, "accuracy": accuracy, "stopped": trained.stopped}
    told = []
    if gain is not None:
        results["memory_gain"] = gain
        told = [f"orthogonal weights began with the gain {gain:.4f}, which keeps most over this delay"]
    named = ("loss", "evaluated", "held_out_loss", "held_out_accuracy")
    arrays = {name: getattr(history, name) for name in named}
    path = session.folder / "checkpoint.npz"
    return Outcome(
        title=f"Training on {command.task}",
        sections=[section("Training", text, *items)],
        results=results | {"steps": trained.num_steps, "best_step": trained.best_step},
        arrays=arrays | {"recurrent_weights": trained.network.recurrent_weights},
        table=table,
        sentences=[
            *told,
            f"{ended}: accuracy {accuracy:.4f} on {_TEST_TRIALS} fresh trials",
            f"its fixed points: fisherjax fixed-points --network {path} --out {session.folder}-fixed-points",
        ],
        interrupted=trained.stopped == "interrupted",
    )


def _task(command: Train) -> tasks.Task:
    if command.task == "copy-memory":
        return tasks.copy_memory(length=command.length, num_symbols=command.symbols)
    return TASKS[command.task]


def _trial_steps(command: Train, task: tasks.Task) -> int:
    """Steps of a trial; 0 for the task's own."""
    return task.shortest + command.delay if command.delay else command.trial_steps


def _memory_gain(command: Train, task: tasks.Task, steps: int) -> float | None:
    """The gain that keeps the symbols over the delay, with input weights as they are drawn; None if not asked for."""
    if command.initializer != "memory" or not isinstance(task, CopyMemory):
        return None
    delay = (steps or task.default_steps) - task.shortest
    return connectivity.memory_gain(
        delay, noise_std=command.noise_std, input_variance=1 / (3 * task.num_inputs), length=task.length,
        num_symbols=task.num_symbols,
    )  # fmt: skip


def _check_sizes(command: Train, task: tasks.Task, steps: int) -> None:
    shortest, units = task.shortest, command.units
    if 0 < command.trial_steps < shortest:
        raise UsageError(f"--trial-steps must be at least {shortest} for {command.task}, got {command.trial_steps}")
    check_memory(f"the weights of --units {units}, their gradients and Adam's moments", 16 * units**2)
    states = 4 * command.batch_size * units * (steps or task.default_steps)
    check_memory(f"the states of --batch-size {command.batch_size}", states)


def _trained(
    command: Train, session: Session, network: networks.RecurrentNetwork, task: tasks.Task, steps: int, key: jax.Array
) -> training.Training:
    path = session.checkpoint("checkpoint.npz")
    with session.stage("training"):
        trained = training.fit(
            network,
            task,
            key=key,
            num_steps=command.steps,
            batch_size=command.batch_size,
            trial_steps=steps or None,
            learning_rate=command.learning_rate,
            target_accuracy=command.target_accuracy or None,
            checkpoint=path,
            checkpoint_every=command.checkpoint_every,
            progress=session.progress,
        )
        stop_if_terminated()
        return session.save("training", trained)


def _network(command: Train, task: tasks.Task, gain: float | None, key: Any) -> networks.RecurrentNetwork:
    constraints: list[Constraint] = []
    if command.dale:
        constraints.append(networks.dale(command.dale))
    if not command.autapses:
        constraints.append(networks.no_autapses())
    if command.rank:
        constraints.append(networks.low_rank(command.rank))
    options: dict[str, Any] = {"constraints": constraints, "noise_std": command.noise_std}
    if command.kind in {"rnn", "continuous"}:
        options["nonlinearity"] = command.nonlinearity
    if gain is not None:
        options["recurrent_initializer"] = networks.initializers.orthogonal(gain)
    elif command.initializer != "default":
        options["recurrent_initializer"] = command.initializer
    return _KINDS[command.kind](task.num_inputs, command.units, task.num_outputs, key=key, **options)


def _table(history: training.TrainingHistory) -> Table:
    columns = (history.evaluated, history.held_out_loss, history.held_out_accuracy)
    rows = [
        [int(step), float(loss), float(np.round(accuracy, 6))] for step, loss, accuracy in zip(*columns, strict=True)
    ]
    return Table(("step", "held-out loss", "held-out accuracy"), rows)
