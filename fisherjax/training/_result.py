"""What training returns, and what it reports on the way."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fisherjax._types import Record
from fisherjax.networks import RecurrentNetwork


class TrainingHistory(Record):
    """Training step by step, and on held-out trials every so often.

    Parameters
    ----------
    loss
        Loss on the batch of every step, penalties included (steps,).
    accuracy
        On the batch of every step (steps,): share of counted moments at which the largest output is that of the class.
        NaN where targets are no classes, and for a `Task`, which says itself what is accurate.
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


class Training(Record):
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
        Why it ended: "finished", "target reached", "no improvement", "callback", "interrupted", "data exhausted",
        "non-finite loss at step k", or what went wrong in the data, a callback or elsewhere after some steps.
    data
        Sizes as they were read, "64 steps × 20 trials": of given arrays all trials, else of one batch.
    """

    network: RecurrentNetwork
    last_network: RecurrentNetwork
    history: TrainingHistory
    num_steps: int
    best_step: int
    stopped: str
    data: str = ""

    def __repr__(self) -> str:
        last = len(self.history.held_out_loss) - 1
        held_out = f", held-out loss {self.history.held_out_loss.min():.4g}" if last >= 0 else ""
        data = f", trained on {self.data}" if self.data else ""
        return f"Training({self.stopped} after {self.num_steps} steps{held_out}{data}, network={self.network!r})"


class TrainingProgress(NamedTuple):
    """What a callback is told at every evaluation."""

    step: int
    network: RecurrentNetwork
    loss: float
    learning_rate: float
    held_out_loss: float
    held_out_accuracy: float
    steps_per_second: float
