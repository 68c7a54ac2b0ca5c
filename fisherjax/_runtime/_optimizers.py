"""What makes a step of a gradient: optimizers by name, learning rates by number or schedule."""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax._errors import check_choice, check_instance, check_scalar, require
from fisherjax._types import Scalar

from ._checkpoint import digest

OptimizerLike: TypeAlias = str | optax.GradientTransformation
"""A name, or an optax transformation, which brings its own learning rate."""

Rate: TypeAlias = Scalar | Callable[[Any], Any]
"""A step size, or a schedule: a function of the step."""

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
    """The name or the transformation; ValueError for an unknown name, TypeError for anything else."""
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


def optimizer_fingerprint(transformation: optax.GradientTransformationExtraArgs, trained: Any) -> str:
    """Of what it does with a gradient of ones in its first step, and of its state."""
    ones = jax.tree.map(jnp.ones_like, trained)
    with jax.numpy_dtype_promotion("standard"):
        return digest(transformation.update(ones, transformation.init(trained), trained, value=jnp.ones(())))


def check_gradient_norm(norm: Any) -> float:
    """`max_gradient_norm` as a number above 0, or infinity for no limit."""
    if not (isinstance(norm, float | np.floating) and norm == math.inf):
        check_scalar("max_gradient_norm", norm, minimum=0.0, strict=True)
    return float(norm)


def check_rate(learning_rate: Any, num_steps: int) -> None:
    """Refuse a learning rate that is no number or, as a schedule, not finite at some step."""
    if not callable(learning_rate):
        check_scalar("learning_rate", learning_rate, minimum=0.0)
        return
    try:
        rates = rates_of(learning_rate, np.arange(num_steps), jnp.zeros(()).dtype)
    except Exception as error:
        # a user's function may raise anything
        raise ValueError(
            f"learning_rate must be a number or a schedule: a function that jax.vmap can take, of the step; it raised "
            f"{type(error).__name__}"
        ) from error
    require(rates.shape == (num_steps,), f"learning_rate must give one number for a step, got shape {rates.shape[1:]}")
    for step in np.flatnonzero(~np.isfinite(rates))[:1]:
        raise ValueError(f"learning_rate must be finite, its schedule gives {rates[step]} at step {step}")


def rates_of(learning_rate: Rate | None, steps: np.ndarray, dtype: Any) -> np.ndarray:
    """The learning rate at given steps; NaN where an optimizer brings its own."""
    if not callable(learning_rate):
        return np.full(len(steps), np.nan if learning_rate is None else float(learning_rate), dtype)
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(learning_rate)(jnp.asarray(steps))).astype(dtype)
