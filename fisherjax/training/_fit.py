"""Training of a recurrent network on a task: what it minimizes on which trials, given to the one loop of descent."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._errors import check_choice, check_flag, check_instance, check_integer, check_key, require
from fisherjax._runtime import (
    PRECISIONS,
    Callback,
    Devices,
    Objective,
    OptimizerLike,
    Options,
    Outcome,
    Precision,
    Rate,
    TrainingHistory,
    descend,
    description,
    device_mesh,
    digest,
    key_words,
    on_devices,
    products_in,
)
from fisherjax._types import Key, Record, Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.networks._recurrent import trainable_filter
from fisherjax.tasks import Task
from fisherjax.tasks._batch import has_labels

from ._batches import Layout
from ._data import Trials, as_stream, held_out_trials
from ._loss import LossSettings, evaluate_network, loss_and_states, loss_settings
from ._losses import LossLike, PenaltyLike, usual_loss
from ._streams import Rule

N = TypeVar("N", bound=RecurrentNetwork)


class Training(Record, Generic[N]):
    """A trained network and how it came about.

    Parameters
    ----------
    network
        The network with the lowest held-out loss, or the last one where that was asked or nothing is held out.
    last_network
        The network after the last good step.
    history
        Losses and accuracies on the way.
    num_steps
        Steps done, those before a resume included.
    best_step
        Step of `network`.
    stopped
        Why it ended: "finished", "target reached", "no improvement", "callback", "data exhausted", "non-finite loss at
        step k", or what went wrong in the data, a callback or elsewhere after some steps.
    data
        Sizes as they were read, "64 steps × 20 trials": of given arrays all trials, else of one batch.
    """

    network: N
    last_network: N
    history: TrainingHistory
    num_steps: int
    best_step: int
    stopped: str
    data: str = ""

    def __repr__(self) -> str:
        losses = self.history.held_out_loss
        held_out = f", held-out loss {losses.min():.4g}" if len(losses) else ""
        data = f", trained on {self.data}" if self.data else ""
        return f"Training({self.stopped} after {self.num_steps} steps{held_out}{data}, network={self.network!r})"


def fit(
    network: N,
    task: Task | Trials | Iterable[Any],
    *,
    key: Key,
    num_steps: int = 1000,
    batch_size: int = 64,
    trial_steps: int | None = None,
    learning_rate: Rate | None = None,
    optimizer: OptimizerLike | None = None,
    max_gradient_norm: Scalar = 1.0,
    loss: LossLike | None = None,
    penalties: Sequence[tuple[PenaltyLike, Scalar]] = (),
    rate_penalty: Scalar = 0.0,
    weight_penalty: Scalar = 0.0,
    accumulate: int = 1,
    truncate: int | None = None,
    carry_state: bool = False,
    trainable: tuple[str, ...] | None = None,
    batch_first: bool | None = None,
    held_out: Trials | None = None,
    evaluate_every: int = 50,
    keep_best: bool = True,
    patience: int | None = None,
    target_accuracy: Scalar | None = None,
    target_loss: Scalar | None = None,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 500,
    unroll: int = 1,
    precision: Precision = "float32",
    progress: bool = False,
    devices: Devices = None,
) -> Training[N]:
    """Train a network by stochastic gradient descent through time.

    Minimizes Σ mask · ℓ(output, target) / Σ mask + penalties over fresh batches; what the mask leaves out may be
    anything, NaN included, in targets, inputs and, for the penalty on rates, states. The constraints of the network
    hold at every step, because they are part of how its weights are built. Steps run in compiled chunks of
    `evaluate_every`; after each, the held-out trials are evaluated, progress is shown, the callback is called.
    For a curriculum, call it again with ``training.network`` and the harder task.

    Parameters
    ----------
    network
        Where to start. With process or observation noise, training runs with noise.
    task
        What to train on, in one of these forms.

        - A `Task`.
        - Arrays (inputs (T, n, I), targets[, mask]) of n trials, as a tuple or a mapping of these names.
        - A list of trials (inputs (T, I), targets[, mask]), each of its own length.
        - An iterable of batches of arrays, such as a loader of data sets; it is begun again when it ends, an iterator
          or generator ends the training. Batches may differ in trials and steps: smaller ones are filled up under the
          mask.

        Targets are numbers (T, n, O), or classes as whole numbers from 0: one at every step (T, n), or one for a trial
        (n,), which is wanted where the mask counts, without a mask at the last step. The mask is the weight, at least
        0, of every moment (T, n), or of every output at every moment (T, n, O).
    key
        JAX random key: batches, noise and held-out trials.
    num_steps
        Training steps, those before a resume included.
    batch_size
        Trials per batch.
    trial_steps
        Time steps per trial of a `Task`; its own default if absent.
    learning_rate
        Step size, or an optax schedule of the step; 1e-3 by default.
    optimizer
        "adam" (the default), "adamw", "nadam", "amsgrad", "lion", "rmsprop", "momentum", "sgd"; or an optax
        transformation, which brings its own learning rate. Those that call the loss themselves (line searches, L-BFGS)
        are not supported.
    max_gradient_norm
        Gradients are scaled down to this global norm; ``math.inf`` for no limit.
    loss
        "mse", "mae" or "huber" of every output; "cross_entropy" of a softmax of the outputs, with classes or their
        probabilities as targets; "binary_cross_entropy" of a sigmoid of every output; or a function
        loss(outputs, targets, mask) → number, which JAX can differentiate. By default the task's own, "cross_entropy"
        where targets are classes as whole numbers, else "mse".
    penalties
        Pairs (function, weight) of what is added to the loss: function(network, states, outputs) → number, with states
        (T, n, S) and outputs (T, n, O). One that has a further argument `mask` is given the mask, so that it can leave
        out moments that only fill up a trial.
    rate_penalty, weight_penalty
        Factors of the mean squared rate, over the moments that the mask counts, and of the summed squared weights.
    accumulate
        Batches per step whose gradients are averaged, one at a time.
    truncate
        Steps that gradients flow back in time: a trial is cut into pieces of so many, states go on from piece to piece
        and gradients do not. All steps by default. It saves memory too: states within a piece are computed twice.
    carry_state
        Whether the batches of an iterable are pieces of longer trials: trial k of a batch starts in the state in which
        trial k of the batch before ended. Gradients do not cross. Where the iterable is begun again, trials start at
        rest.
    trainable
        Names of the parameters to train; the network's own choice by default.
    batch_first
        Whether trials come first in the arrays given, (n, T, ·), those of `held_out` too. By default time does, and a
        mask that would be padding only with trials first is asked about; False does not ask.
    held_out
        Trials for evaluation, as arrays or as a list of trials; 256 fresh ones of a `Task` by default, none for data.
    evaluate_every
        Steps per chunk.
    keep_best
        Whether to return the network of lowest held-out loss rather than the last.
    patience
        Stop after this many evaluations without a lower held-out loss.
    target_accuracy, target_loss
        Stop as soon as held-out accuracy or loss is as good. A `Task` says what is accurate; of other data with classes
        as targets it is the share of moments at which the largest output is that of the class.
    callback
        Called with a `TrainingProgress` after each chunk; training stops if it returns True, or raises.
    checkpoint
        File (.npz) to write every `checkpoint_every` steps and at the end. If it exists, the run goes on from there,
        to the same bits as if it had never stopped; a checkpoint of another run is refused. `num_steps` may be
        raised; what ended between two evaluations was evaluated there too, which `keep_best` and `patience` remember.
    checkpoint_every
        Steps between checkpoints, rounded up to whole chunks.
    unroll
        Time steps per iteration of the compiled loop over time.
    precision
        Of products, in gradients and evaluations too: ``"float32"``, in full on every device, ``"tensorfloat32"`` or
        ``"bfloat16"``, which accelerators do many times faster.
    progress
        Whether to show a bar with loss, learning rate and steps per second.
    devices
        Divide the trials of every batch among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes. A
        run resumes to the same bits on the same number of devices.

    Returns
    -------
    `Training`. A run in which something goes wrong after a step was made returns what is trained: an iterable that
    raises or yields what cannot be trained on, a callback that raises, a loss that stops being finite (then the last
    good state). It warns, and `stopped` says what happened and where. A checkpoint that cannot be written is told in a
    warning, and training goes on.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C came, once a checkpoint holds the last whole chunk; what is trained is its ``.result.model``.
    ValueError
        If a number is out of range, data are not finite where they count, widths of network and task differ, the loss
        does not fit the targets, a loss or penalty gives no number, or the checkpoint is of another run or broken.
    TypeError
        If `task`, `key` or another argument is of the wrong kind.
    """
    check_instance("network", network, RecurrentNetwork, "such as networks.RNN(2, 64, 1, key=key)")
    key = check_key("key", key)
    trainable_filter(network, trainable)  # refuses names that it does not know
    options = Options(
        num_steps=num_steps, batch_size=batch_size, learning_rate=learning_rate, optimizer=optimizer,
        max_gradient_norm=max_gradient_norm, accumulate=accumulate, evaluate_every=evaluate_every, keep_best=keep_best,
        patience=patience, target_accuracy=target_accuracy, target_loss=target_loss, callback=callback,
        checkpoint=checkpoint, checkpoint_every=checkpoint_every, progress=progress,
    )  # fmt: skip
    trial_steps = None if trial_steps is None else check_integer("trial_steps", trial_steps, minimum=1)
    carries = check_flag("carry_state", carry_state)
    batch_first = None if batch_first is None else check_flag("batch_first", batch_first)
    device_mesh(devices)  # refuses what are no devices
    check_choice("precision", precision, PRECISIONS)
    data_key, trial_key, noise_key, evaluation_key = jax.random.split(key, 4)
    layout = Layout(network.num_outputs, batch_first, usual_loss(task, loss))
    stream = as_stream(task, data_key, options.batch_size, trial_steps, network, layout, carries=carries)
    trials = held_out_trials(task, held_out, trial_key, trial_steps, network, layout)
    known = task if isinstance(task, Task) else None
    of_loss = loss_settings(
        network, stream.shapes, layout.loss, penalties, rate_penalty=rate_penalty, weight_penalty=weight_penalty,
        truncate=truncate, unroll=unroll, own_accuracy=known is not None,
    )  # fmt: skip
    same = trials is None or of_loss.kind == "cross_entropy" or has_labels(trials) == has_labels(stream.shapes)
    require(same, "held_out must have classes as targets where task has, and numbers where it has numbers")
    _check_targets(options, held_out=trials is not None, has_accuracy=known is not None or of_loss.classes)

    def evaluate(network: N) -> tuple[float, float]:
        loss, accuracy = evaluate_network(network, trials, evaluation_key, known, settings=of_loss)
        return float(loss), float(accuracy)

    settings = {
        "key": key_words(key),
        "task": type(task).__name__ if known is None else repr(task),
        "trial_steps": trial_steps,
        "loss": description(of_loss.kind),
        "penalties": (of_loss.rate_penalty, of_loss.weight_penalty, description(of_loss.penalties)),
        "truncate": of_loss.truncate,
        "carry_state": carries,
        "precision": precision,
        "trainable": tuple(network.trainable if trainable is None else trainable),
        "held_out": "" if trials is None or options.checkpoint is None else digest(trials),
    }
    with products_in(precision), on_devices(devices):
        descent = descend(
            "training", jax.tree.map(jnp.asarray, network), _TaskObjective(stream.rule, of_loss, trainable), options,
            key=noise_key, stream=stream, evaluate=None if trials is None else evaluate, settings=settings,
        )  # fmt: skip
    return Training(*descent, stream.sizes)


class _TaskObjective(Objective):
    """The loss of a network on the batches of a stream, whose trials start at rest or where those before ended."""

    rule: Rule
    settings: LossSettings  # a loss that holds arrays brings them as arguments
    names: tuple[str, ...] | None = eqx.field(static=True)

    def loss(
        self,
        model: RecurrentNetwork,
        item: Any,
        memory: Array | None,
        key: Key,
        step: Array,  # noqa: ARG002
    ) -> tuple[Array, Outcome]:
        start = self.rule.start(item, memory, model)
        value, states, accuracy = loss_and_states(model, self.rule.batch(item), key, self.settings, start)
        return value, Outcome(model, self.rule.end(item, states), accuracy)

    def trainable(self, model: RecurrentNetwork) -> Any:
        return trainable_filter(model, self.names)

    def memory(self, model: RecurrentNetwork, memory: Array | None, items: Any) -> Array | None:
        """States to go on from, those of new trials at rest; None where nothing is carried."""
        return self.rule.widened(items, memory, model)


def _check_targets(options: Options, *, held_out: bool, has_accuracy: bool) -> None:
    """Refuse what can never end the training."""
    require(
        options.target_accuracy is None or has_accuracy,
        "target_accuracy needs a Task, which says what is accurate, or classes as targets; for data use target_loss",
    )
    require(
        held_out or all(goal is None for goal in (options.patience, options.target_loss, options.target_accuracy)),
        "patience, target_loss and target_accuracy need held-out trials: give held_out=(inputs, targets)",
    )
