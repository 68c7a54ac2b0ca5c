"""The index of a fixed point, and which networks keep a ball."""

import numpy as np
from jaxtyping import Complex, Int

from fisherjax.networks import GRU, LSTM, RNN, ContinuousRNN, FlowNetwork, RateNetwork
from fisherjax.nonlinearities._erf_mixture import ErfMixture

from ._step import StepLike


def indices(eigenvalues: Complex[np.ndarray, "K N"], marginal: float, *, is_flow: bool) -> Int[np.ndarray, " K"]:
    """Sign det(1 − J) of a map, sign det(−J) of a flow, from the eigenvalues of J.

    Complex pairs multiply to a positive number: it is −1 to the number of real λ above 1 (above 0, for a flow). Where
    an eigenvalue lies within `marginal` of that, or is NaN, the sign is not known: 0.
    """
    away = eigenvalues - (0 if is_flow else 1)
    beyond = np.sum((np.imag(away) == 0) & (np.real(away) > 0), axis=1)
    known = np.all(np.abs(away) > marginal, axis=1)
    return np.where(known, 1 - 2 * (beyond % 2), 0)


def keeps_a_ball(step: StepLike) -> bool:
    """Whether the step is known to map some closed ball into itself, or the velocity to point inward on one.

    So it is with bounded nonlinearities (tanh, erf, logistic): the new state is then bounded, or a weighted mean of
    the old one and something bounded. Of a user's function nothing is known.
    """
    if isinstance(step, RateNetwork | FlowNetwork | RNN | ContinuousRNN):
        return isinstance(step.nonlinearity, ErfMixture)
    return isinstance(step, GRU | LSTM)
