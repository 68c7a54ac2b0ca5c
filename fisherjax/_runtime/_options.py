"""How to descend: options with the words that all share, optimizers by name, learning rates by number or schedule."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax._errors import (
    as_path,
    check_callable,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_scalar,
    require,
)
from fisherjax._types import Scalar, npz_path

from ._checkpoint import digest
from ._course import TrainingProgress

Callback: TypeAlias = Callable[[TrainingProgress], Any]
"""Called after every chunk; True ends the descent."""

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


@dataclasses.dataclass(frozen=True)
class Options:
    """How to descend, whatever is minimized: checked, with the words that all share. `training.fit` explains them."""

    num_steps: int
    batch_size: int = 64
    learning_rate: Rate | None = None  # 1e-3 for a named optimizer, else the optimizer's own
    optimizer: OptimizerLike | None = None  # "adam"
    max_gradient_norm: Any = 1.0
    accumulate: int = 1
    evaluate_every: int = 50
    keep_best: bool = True
    patience: int | None = None
    target_accuracy: Any = None
    target_loss: Any = None
    callback: Callback | None = None
    checkpoint: Any = None
    checkpoint_every: int = 1
    progress: bool = False

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("num_steps", "batch_size", "accumulate", "evaluate_every", "checkpoint_every"):
            keep(name, check_integer(name, getattr(self, name), minimum=1))
        keep("max_gradient_norm", _gradient_norm(self.max_gradient_norm))
        optimizer = "adam" if self.optimizer is None else _as_optimizer(self.optimizer)
        keep("optimizer", optimizer)
        if isinstance(optimizer, str):
            keep("learning_rate", 1e-3 if self.learning_rate is None else self.learning_rate)
            _check_rate(self.learning_rate, self.num_steps)
        both = "give either learning_rate or an optimizer of optax, which brings its own rate"
        require(isinstance(optimizer, str) or self.learning_rate is None, both)
        for name in ("keep_best", "progress"):
            keep(name, check_flag(name, getattr(self, name)))
        if self.patience is not None:
            keep("patience", check_integer("patience", self.patience, minimum=1))
        for name in ("target_accuracy", "target_loss"):
            if getattr(self, name) is not None:
                check_scalar(name, getattr(self, name))
                keep(name, float(getattr(self, name)))
        if self.callback is not None:
            check_callable("callback", self.callback)
        if self.checkpoint is not None:
            keep("checkpoint", npz_path(as_path("checkpoint", self.checkpoint)))

    @property
    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """What makes a step of a gradient."""
        assert self.optimizer is not None  # noqa: S101
        return clipped(self.max_gradient_norm, self.optimizer)

    def described(self, trained: Any) -> dict[str, Any]:
        """What the course of a descent depends on."""
        named = isinstance(self.optimizer, str)
        rate = self.learning_rate
        return {
            "batch_size": self.batch_size,
            "optimizer": self.optimizer if named else _fingerprint(self.transformation, trained),
            "learning_rate": "schedule" if callable(rate) else 0.0 if rate is None else float(rate),
            "max_gradient_norm": str(self.max_gradient_norm),
            "accumulate": self.accumulate,
            "evaluate_every": self.evaluate_every,
        }


def _as_optimizer(optimizer: OptimizerLike) -> OptimizerLike:
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


def _fingerprint(transformation: optax.GradientTransformationExtraArgs, trained: Any) -> str:
    """Of what it does with a gradient of ones in its first step, and of its state."""
    ones = jax.tree.map(jnp.ones_like, trained)
    with jax.numpy_dtype_promotion("standard"):
        return digest(transformation.update(ones, transformation.init(trained), trained, value=jnp.ones(())))


def _gradient_norm(norm: Any) -> float:
    """`max_gradient_norm` as a number above 0, or infinity for no limit."""
    if not (isinstance(norm, float | np.floating) and norm == math.inf):
        check_scalar("max_gradient_norm", norm, minimum=0.0, strict=True)
    return float(norm)


def _check_rate(learning_rate: Any, num_steps: int) -> None:
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


_RATES = 1024  # steps at once: a schedule is compiled anew for each number of them


def rates_of(learning_rate: Rate | None, steps: np.ndarray, dtype: Any) -> np.ndarray:
    """The learning rate at given steps; NaN where an optimizer brings its own."""
    if not callable(learning_rate):
        return np.full(len(steps), np.nan if learning_rate is None else float(learning_rate), dtype)
    padded = np.pad(steps, (0, -len(steps) % _RATES), mode="edge")
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(learning_rate)(jnp.asarray(padded))).astype(dtype)[: len(steps)]
