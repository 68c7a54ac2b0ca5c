"""Training of a recurrent network on a task."""

from typing import Any

import jax
import numpy as np

from fisherjax import networks, tasks, training
from fisherjax.networks._pattern import Constraint
from fisherjax.plot._networks import save_training, save_trials
from fisherjax.report import Figure, Section, Table
from fisherjax.tasks._registry import TASKS

from ._arguments import Train
from ._limits import UsageError
from ._session import Session
from ._shared import check_memory, say_where, write_report

KINDS = {"rnn": networks.RNN, "continuous": networks.ContinuousRNN, "gru": networks.GRU, "lstm": networks.LSTM}
HEADER = ("step", "held-out loss", "held-out accuracy")

_TEST_TRIALS = 1000
_MOST_ROWS = 25


def run_train(command: Train, session: Session) -> None:
    """Train, test on fresh trials, draw, and say how to go on."""
    task = TASKS[command.task]
    keys = jax.random.split(jax.random.key(command.seed), 3)
    shortest = task.shortest
    if 0 < command.trial_steps < shortest:
        raise UsageError(f"--trial-steps must be at least {shortest} for {command.task}, got {command.trial_steps}")
    check_memory(f"the weights of --units {command.units}, their gradients and Adam's moments", 16 * command.units**2)
    trial_steps = command.trial_steps or task.default_steps
    check_memory(
        f"the states of --batch-size {command.batch_size}", 4 * command.batch_size * command.units * trial_steps
    )
    with jax.enable_x64(False):  # float32: theory is not at stake
        network = _network(command, task, keys[0])
    path = session.checkpoint("checkpoint.npz")
    with session.stage("training"), jax.enable_x64(False):
        trained = training.fit(
            network,
            task,
            key=keys[1],
            num_steps=command.steps,
            batch_size=command.batch_size,
            trial_steps=command.trial_steps or None,
            learning_rate=command.learning_rate,
            target_accuracy=command.target_accuracy or None,
            checkpoint=path,
            checkpoint_every=command.checkpoint_every,
            progress=session.progress,
        )
        trained.save(session.folder / "training.npz")
    with session.stage("testing and drawing"), jax.enable_x64(False):
        batch = task.batch(keys[2], _TEST_TRIALS, command.trial_steps or None)
        accuracy = float(task.accuracy(networks.run(trained.network, batch.inputs)[1], batch))
        course = save_training(session.folder / "training.png", trained)
        trials = save_trials(
            session.folder / "trials.png", trained.network, batch, probabilities=task.loss == "cross_entropy"
        )
    rows = _rows(trained.history)
    session.write_table(HEADER, rows)
    facts: dict[str, Any] = {"task": command.task, "accuracy": accuracy, "stopped": trained.stopped}
    facts |= {"steps": trained.num_steps, "best_step": trained.best_step}
    session.write_results(facts)
    session.write_arrays(
        loss=trained.history.loss,
        evaluated=trained.history.evaluated,
        held_out_loss=trained.history.held_out_loss,
        held_out_accuracy=trained.history.held_out_accuracy,
        recurrent_weights=trained.network.recurrent_weights,
    )
    session.write_manifest()
    measure = " ".join((type(task).accuracy.__doc__ or "").split()).rstrip(".")
    text = [
        f"{trained.network!r}",
        (
            f"{trained.stopped} after {trained.num_steps} steps of {trained.data}; best on held-out trials at step "
            f"{trained.best_step}."
        ),
        f"Accuracy on {_TEST_TRIALS} fresh trials: {accuracy:.4f} ({measure[:1].lower()}{measure[1:]}).",
    ]
    items = [
        Figure(course, "Loss and accuracy over training; recurrent weights and their eigenvalues."),
        Figure(trials, "Three trials: inputs above, outputs (lines) and targets (pale) below."),
        Table(HEADER, rows[:: max(1, len(rows) // _MOST_ROWS)]),
    ]
    write_report(session, f"Training on {command.task}", [Section("Training", text, items)])
    print(f"{trained.stopped} after {trained.num_steps} steps: accuracy {accuracy:.4f} on {_TEST_TRIALS} fresh trials")
    print(f"its fixed points: fisherjax fixed-points --network {path} --out {session.folder}-fixed-points")
    say_where(session)


def _network(command: Train, task: tasks.Task, key: Any) -> networks.RecurrentNetwork:
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
    return KINDS[command.kind](task.num_inputs, command.units, task.num_outputs, key=key, **options)


def _rows(history: training.TrainingHistory) -> list[list[object]]:
    columns = (history.evaluated, history.held_out_loss, history.held_out_accuracy)
    return [
        [int(step), float(loss), float(np.round(accuracy, 6))] for step, loss, accuracy in zip(*columns, strict=True)
    ]
