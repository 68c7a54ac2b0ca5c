"""Optimizers by name; each follows a gradient by its own rule, scaled by the learning rate of the step."""

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import optax

from fisherjax._errors import check_choice, check_instance

OptimizerLike: TypeAlias = str | optax.GradientTransformation
"""A name, or an optax transformation, which brings its own learning rate."""

_BY_NAME: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": optax.scale_by_adam,
    "adamw": lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4)),
    "nadam": lambda: optax.scale_by_adam(nesterov=True),
    "amsgrad": optax.scale_by_amsgrad,
    "lion": optax.scale_by_lion,
    "rmsprop": optax.scale_by_rms,
    "momentum": lambda: optax.trace(0.9),
    "sgd": optax.identity,
}

OPTIMIZERS = tuple(_BY_NAME)


def as_optimizer(optimizer: OptimizerLike) -> OptimizerLike:
    """The name or the transformation, checked.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If it is neither.
    """
    if isinstance(optimizer, str):
        return check_choice("optimizer", optimizer.lower(), OPTIMIZERS)
    hint = f"for instance optax.sgd(0.1), or one of the names {', '.join(OPTIMIZERS)}"
    return check_instance("optimizer", optimizer, optax.GradientTransformation, hint)


@functools.lru_cache(maxsize=64)
def clipped(norm: float, optimizer: OptimizerLike) -> optax.GradientTransformationExtraArgs:
    """Clipping, then the optimizer; the same object for the same arguments, so that nothing is compiled twice."""
    steps = _BY_NAME[optimizer]() if isinstance(optimizer, str) else optimizer
    whole = steps if math.isinf(norm) else optax.chain(optax.clip_by_global_norm(norm), steps)
    return optax.with_extra_args_support(whole)
