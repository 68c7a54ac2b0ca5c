"""The course of a descent: what is recorded on the way, and what is saved to go on from."""

import dataclasses
import os
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fisherjax._errors import require
from fisherjax._types import Record

from ._checkpoint import check_settings, digest, read_checkpoint


class TrainingHistory(Record):
    """Training step by step, and on held-out data every so often.

    Parameters
    ----------
    loss
        Loss on the batch of every step, penalties included (steps,).
    accuracy
        On the batch of every step (steps,): share of counted moments at which the largest output is that of the class.
        NaN where targets are no classes, for a `Task`, which says itself what is accurate, and for images.
    learning_rate
        Step size of every step (steps,); NaN where a user's optimizer keeps its own.
    gradient_norm
        Norm of the gradient before clipping (steps,).
    evaluated
        Number of steps done before each evaluation (evaluations,).
    held_out_loss, held_out_accuracy
        Without penalties (evaluations,); accuracy is NaN where neither a task nor classes say what it is.
    """

    loss: Float[np.ndarray, " steps"]
    accuracy: Float[np.ndarray, " steps"]
    learning_rate: Float[np.ndarray, " steps"]
    gradient_norm: Float[np.ndarray, " steps"]
    evaluated: Int[np.ndarray, " evaluations"]
    held_out_loss: Float[np.ndarray, " evaluations"]
    held_out_accuracy: Float[np.ndarray, " evaluations"]


class Checkpoint(Record):
    """State of a descent between two steps.

    Parameters
    ----------
    model, previous, best
        Now, at the last finite loss before it, and where held-out loss was lowest, None before any evaluation.
    optimizer
        Leaves of the optimizer's state.
    memory
        What the last batch hands to the next, such as the states in which its trials ended.
    step
        Steps done.
    bad_step
        First step whose loss was not finite, −1 if there is none.
    best_score, best_step, evaluations_since_best
        Lowest held-out loss, where it was, and how many evaluations ago.
    history
        All steps so far.
    settings
        Everything that the course of the descent depends on.
    data
        Fingerprint of the data that were used so far.
    start
        Digest of the model before the first step.
    """

    model: Any
    previous: Any
    best: Any
    optimizer: tuple[Any, ...]
    memory: Any
    step: int
    bad_step: int
    best_score: float
    best_step: int
    evaluations_since_best: int
    history: TrainingHistory
    settings: dict[str, Any]
    data: str
    start: str

    @property
    def network(self) -> Any:
        """The best model where held-out data say which it is, else the last."""
        return self.model if self.best is None else self.best


class TrainingProgress(NamedTuple):
    """What a callback is told at every evaluation."""

    step: int
    network: Any
    loss: float
    learning_rate: float
    held_out_loss: float
    held_out_accuracy: float
    steps_per_second: float


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; the one before it if it is broken, with a warning.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it cannot be read, is truncated, or is something else, and so is the one before it.
    """
    checkpoint = read_checkpoint(Checkpoint, path)
    if checkpoint is None:
        raise FileNotFoundError(f"there is no checkpoint {path}")
    return checkpoint


def check_same_run(checkpoint: Checkpoint, model: Any, settings: dict[str, Any], path: os.PathLike[str]) -> None:
    """Refuse a checkpoint of another model or of other settings, and say which field differs.

    Raises
    ------
    ValueError
        If anything differs that would change the course of the descent.
    """
    different = _first_difference(model, checkpoint.model, "network")
    require(different is None, f"checkpoint {path} is of another network: {different}")
    require(
        checkpoint.start == digest(model),
        f"checkpoint {path} is of a run that started from other weights; give it another file or remove it",
    )
    check_settings(checkpoint.settings, settings, path)


def _first_difference(ours: Any, stored: Any, path: str) -> str | None:
    """Where two models differ in kind, shape or fixed setting, in words; None if only their numbers may differ."""
    if isinstance(ours, eqx.Module | tuple):
        if type(ours) is not type(stored):
            return f"{path} is a {type(stored).__name__} there and a {type(ours).__name__} here"
        mine, theirs = _parts(ours, path), _parts(stored, path)
        if len(mine) != len(theirs):
            return f"{path} has {len(theirs)} parts there and {len(mine)} here"
        differences = (_first_difference(part, theirs[name], name) for name, part in mine.items())
        return next((difference for difference in differences if difference is not None), None)
    if isinstance(ours, jax.Array | np.ndarray):
        there = getattr(stored, "shape", None)
        if there != ours.shape:
            return f"{path} has shape {there} there and {ours.shape} here"
        if stored.dtype != ours.dtype:
            return f"{path} is {stored.dtype} there and {ours.dtype} here"
        if not jnp.issubdtype(ours.dtype, jnp.inexact) and not np.array_equal(ours, stored):
            return f"{path} holds other values there than here"
        return None
    return None if ours == stored else f"{path} is {stored!r} there and {ours!r} here"


def _parts(tree: Any, path: str) -> dict[str, Any]:
    """Fields of a module or items of a tuple, by where they are."""
    if isinstance(tree, tuple):
        return {f"{path}[{number}]": part for number, part in enumerate(tree)}
    names = [field.name for field in dataclasses.fields(tree)]
    return {f"{path}.{name}".removeprefix("network."): getattr(tree, name) for name in names}
