"""Small fits that are part of other computations: an expected loss, drawn anew at every step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ._descent import descend
from ._options import OptimizerLike, Options, Rate
from ._steps import Objective, Outcome


class Fit(NamedTuple):
    """Parameters after the last step, those with the lowest held-out loss, and the loss at every step."""

    last: Any
    best: Any
    loss: Float[np.ndarray, " steps"]


class _Expected(Objective):
    """A function loss(parameters, key), whose arrays, if it is a `Partial`, are arguments."""

    function: Callable[[Any, Array], Array]

    def loss(self, model: Any, item: Any, memory: Any, key: Any, step: Array) -> tuple[Array, Outcome]:  # noqa: ARG002
        return self.function(model, key), Outcome(model)


def fit_parameters(
    parameters: Any,
    loss: Callable[[Any, Array], Array],
    key: Array,
    *,
    num_steps: int,
    learning_rate: Rate | None = None,
    optimizer: OptimizerLike = "adam",
    held_out: Callable[[Any], Array] | None = None,
    evaluate_every: int = 100,
    title: str = "fitting",
) -> Fit:
    """Minimize an expected loss, keeping the best by a held-out loss.

    Parameters
    ----------
    parameters
        Pytree; its inexact arrays are fitted, all else is kept.
    loss
        ``loss(parameters, key)``, an unbiased draw of the loss (a random batch). The program is compiled once per
        function: give one that lasts, and what varies as arrays of a `Partial`.
    key
        JAX random key.
    num_steps, learning_rate, optimizer
        As in `training.fit`, without a limit of the gradient.
    held_out
        ``held_out(parameters)`` evaluated every `evaluate_every` steps to choose `best`; without it `best` is `last`.
    title
        What is fitted, for messages.
    """
    options = Options(
        num_steps, learning_rate=learning_rate, optimizer=optimizer, max_gradient_norm=np.inf,
        evaluate_every=min(evaluate_every, num_steps),
    )  # fmt: skip
    evaluate = None if held_out is None else lambda model: (float(_value(held_out, model)), float("nan"))
    descent = descend(title, parameters, _Expected(loss), options, key=key, evaluate=evaluate)
    return Fit(descent.last, descent.model, descent.history.loss)


@eqx.filter_jit
def _value(function: Callable[[Any], Array], model: Any) -> Array:
    return function(model)
