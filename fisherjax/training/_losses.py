"""What a user may minimize: losses by name, or a function of outputs, targets and mask; penalties of their own."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import check_callable, check_choice, check_scalar, output_of, require, told
from fisherjax._types import Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import entrywise, has_labels
from fisherjax.tasks._task import weighted_mean

LossLike: TypeAlias = str | Callable[..., Any]
"""A name, or a function loss(outputs, targets, mask) → number."""

PenaltyLike: TypeAlias = Callable[..., Any]
"""A function penalty(network, states, outputs) → number; one with an argument `mask` is given that too."""

Penalties: TypeAlias = tuple[tuple[PenaltyLike, float], ...]

_OF_NUMBERS: dict[str, Callable[[Array, Array], Array]] = {
    "mse": lambda outputs, targets: (outputs - targets) ** 2,
    "mae": lambda outputs, targets: jnp.abs(outputs - targets),
    "huber": optax.huber_loss,
    "binary_cross_entropy": optax.sigmoid_binary_cross_entropy,
}
"""Losses of every output by itself."""

LOSSES = (*_OF_NUMBERS, "cross_entropy")

# what else these are called; said, not accepted
_ALSO_CALLED = {
    "mean_squared_error": "mse", "squared": "mse", "l2": "mse", "mean_absolute_error": "mae", "l1": "mae",
    "softmax_cross_entropy": "cross_entropy", "crossentropy": "cross_entropy", "ce": "cross_entropy",
    "nll": "cross_entropy", "categorical_crossentropy": "cross_entropy", "bce": "binary_cross_entropy",
    "smooth_l1": "huber",
}  # fmt: skip


def as_loss(loss: LossLike) -> LossLike:
    """The name of a loss as `LOSSES` has it, in which hyphens are underscores, or the function itself, hashable."""
    if isinstance(loss, str):
        name = loss.lower().replace("-", "_").replace(" ", "_")
        also = _ALSO_CALLED.get(name)
        require(also is None, f"loss must be one of {', '.join(LOSSES)} or a function, got {told(loss)}; did you mean "
                f"{also!r}?")  # fmt: skip
        return check_choice("loss", name, LOSSES)
    return hashable(check_callable("loss", loss))


def usual_loss(task: Any, loss: LossLike | None) -> LossLike | None:
    """The loss that is asked for, or a task's own; None where the targets decide."""
    if loss is not None:
        return as_loss(loss)
    return as_loss(task.loss) if isinstance(task, Task) else None


def as_penalties(penalties: Sequence[tuple[PenaltyLike, Scalar]]) -> Penalties:
    """Pairs of a function and its weight, checked."""
    if not isinstance(penalties, list | tuple):
        raise TypeError(f"penalties must be pairs (function, weight), got {told(penalties)}")
    pairs = []
    for number, pair in enumerate(penalties):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError(f"penalties must be pairs (function, weight), got {told(pair)}")
        check_callable(f"penalties[{number}]", pair[0])
        check_scalar(f"the weight of penalties[{number}]", pair[1], minimum=0.0)
        pairs.append((hashable(pair[0]), float(pair[1])))
    return tuple(pairs)


def hashable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, or itself in a wrapper that can be compared, where it holds arrays and cannot."""
    try:
        hash(function)
    except TypeError:
        return _Held(function)
    return function


class _Held:
    """A callable that holds arrays; equal to itself only."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __repr__(self) -> str:
        return repr(self.function)


def output_loss(outputs: Float[Array, "T batch O"], batch: TaskBatch, loss: LossLike) -> Float[Array, ""]:
    """Masked loss of outputs; for the named ones, what the mask leaves out may be anything, NaN included."""
    if not isinstance(loss, str):
        return _own_loss(loss, outputs, *batch[1:])
    wanted = outputs.shape[:2] if has_labels(batch) else outputs.shape
    require(
        wanted == batch.targets.shape, f"targets must have the shape of the outputs {wanted}, got {batch.targets.shape}"
    )
    # both sides: the slope of what is not counted must be zero, not zero times NaN
    outputs = jnp.where(entrywise(batch.mask, outputs) > 0, outputs, 0)
    targets = jnp.where(entrywise(batch.mask, batch.targets) > 0, batch.targets, 0)
    with jax.numpy_dtype_promotion("standard"):
        if loss != "cross_entropy":
            return weighted_mean(_OF_NUMBERS[loss](outputs, targets), batch.mask)
        if has_labels(batch):
            return weighted_mean(optax.softmax_cross_entropy_with_integer_labels(outputs, targets), batch.mask)
        return weighted_mean(optax.softmax_cross_entropy(outputs, targets), batch.mask)


def _own_loss(loss: Callable[..., Any], outputs: Array, targets: Array, mask: Array) -> Array:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.asarray(loss(outputs, targets, mask)).astype(outputs.dtype)


def penalty(
    function: PenaltyLike, network: RecurrentNetwork, states: Array, outputs: Array, batch: TaskBatch
) -> Float[Array, ""]:
    """What a user's penalty is; the mask is given to those that take it."""
    extra = {"mask": batch.mask} if _takes_mask(function) else {}
    with jax.numpy_dtype_promotion("standard"):
        return jnp.asarray(function(network, states, outputs, **extra)).astype(outputs.dtype)


def check_losses(loss: LossLike, penalties: Penalties, network: RecurrentNetwork, batch: TaskBatch) -> None:
    """Refuse a loss that does not fit the targets, and functions that give no number, from shapes alone."""
    numbered, steps = has_labels(batch), batch.inputs.shape[:2]
    if isinstance(loss, str):
        require(
            not numbered or loss == "cross_entropy",
            f"loss = {loss!r} needs targets (T, trials, O); classes, as whole numbers {batch.targets.shape}, go with "
            "loss = 'cross_entropy'",
        )
        require(
            batch.mask.ndim == 2 or loss != "cross_entropy",
            "loss = 'cross_entropy' is of all outputs together, so that its mask must be (T, trials), got "
            f"{batch.mask.shape}",
        )
    states, outputs = (
        jax.ShapeDtypeStruct((*steps, width), network.dtype) for width in (network.state_size, network.num_outputs)
    )
    values = {}
    if not isinstance(loss, str):
        own = functools.partial(_own_loss, loss)
        values["loss"] = output_of("loss", own, outputs, *batch[1:], hint="loss(outputs, targets, mask)")
    for number, (function, _) in enumerate(penalties):
        name, own = f"penalties[{number}]", functools.partial(penalty, function)
        values[name] = output_of(name, own, network, states, outputs, batch, hint="penalty(network, states, outputs)")
    for name, value in values.items():
        require(value.shape == (), f"{name} must give one number, got shape {value.shape}")


def _takes_mask(function: PenaltyLike) -> bool:
    try:
        return "mask" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions in C have none
        return False
