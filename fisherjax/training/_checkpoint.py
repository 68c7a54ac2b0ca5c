"""Checkpoints of training: everything that the next step depends on, and a check that it is the same run."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import require
from fisherjax._runtime import check_settings, digest, read_checkpoint
from fisherjax._types import Record
from fisherjax.networks import RecurrentNetwork

from ._result import TrainingHistory


class Checkpoint(Record):
    """State of a training run between two steps.

    Parameters
    ----------
    network, previous_network, best_network
        Now, at the last finite loss before it, and where held-out loss was lowest.
    optimizer
        Leaves of the optimizer's state.
    step
        Steps done.
    bad_step
        First step whose loss was not finite, −1 if there is none.
    best_score, best_step, evaluations_since_best
        Lowest held-out loss, where it was, and how many evaluations ago.
    history
        All steps so far.
    settings
        Everything that the course of training depends on.
    data
        Fingerprint of the data that were used so far.
    start
        Digest of the network before the first step.
    carried
        States in which the last batch ended (batch, S), where batches go on from one another.
    """

    network: RecurrentNetwork
    previous_network: RecurrentNetwork
    best_network: RecurrentNetwork
    optimizer: tuple[Any, ...]
    step: int
    bad_step: int
    best_score: float
    best_step: int
    evaluations_since_best: int
    history: TrainingHistory
    settings: dict[str, Any]
    data: str
    start: str
    carried: Float[Array, "batch S"] | None = None


def load_checkpoint(path: str | Path) -> Checkpoint:
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


def check_same_run(
    checkpoint: Checkpoint, network: RecurrentNetwork, settings: dict[str, Any], path: str | Path
) -> None:
    """Refuse a checkpoint of another network or of other settings, and say which field differs.

    Raises
    ------
    ValueError
        If anything differs that would change the course of training.
    """
    different = first_difference(network, checkpoint.network, "network")
    require(different is None, f"checkpoint {path} is of another network: {different}")
    require(
        checkpoint.start == digest(network),
        f"checkpoint {path} is of a run that started from other weights; give it another file or remove it",
    )
    check_settings(checkpoint.settings, settings, path)


def first_difference(ours: Any, stored: Any, path: str) -> str | None:
    """Where two networks differ in kind, shape or fixed setting, in words; None if only their numbers may differ."""
    if isinstance(ours, eqx.Module):
        if type(ours) is not type(stored):
            return f"{path} is a {type(stored).__name__} there and a {type(ours).__name__} here"
        for field in dataclasses.fields(ours):
            name = f"{path}.{field.name}".removeprefix("network.")
            difference = first_difference(getattr(ours, field.name), getattr(stored, field.name), name)
            if difference is not None:
                return difference
        return None
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
