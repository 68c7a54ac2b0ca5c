"""Many stimuli through time, simulated and predicted, one step after the other."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._types import Key, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield import overlap_steps
from fisherjax.networks import RateNetwork
from fisherjax.numerics import centred_gram, coarse_nonlinearity, dimension_of_gram, spread
from fisherjax.simulate import noisy_step

from ._distances import squares_of_gram, starting_overlap
from ._expected import ExpectedDistances, expected_step
from ._scatter import no_fluctuation


class Step(NamedTuple):
    """One time of the simulation, one entry per network."""

    squares: list[Float[Array, "S S"]]
    means: list[Float[Array, "S N"]]
    participation: list[Float[Array, ""]]


def simulated_steps(
    networks: list[RateNetwork], patterns: Array, key: Key, num_steps: int, num_trials: int
) -> Iterator[Step]:
    """Steps, the next one already on its way while the caller works on the last."""
    states = [jnp.broadcast_to(patterns[:, None], (len(patterns), num_trials, patterns.shape[1])) for _ in networks]
    waiting = None
    for time in range(num_steps):
        measured = []
        for index, network in enumerate(networks):
            step_key = jax.random.fold_in(jax.random.fold_in(key, time), index)
            states[index], *measures = _advance(network, states[index], step_key)
            measured.append(measures)
        if waiting is not None:
            yield waiting
        waiting = Step(*(list(column) for column in zip(*measured, strict=True)))
    if waiting is not None:
        yield waiting


@jax.jit
def _advance(network: RateNetwork, states: Float[Array, "S n N"], key: Key) -> tuple[Array, Array, Array, Array]:
    states = spread(noisy_step(network, spread(states, "batch"), key), "batch")
    means = jnp.mean(states, axis=1)
    gram = centred_gram(means)
    return states, *spread((squares_of_gram(means, gram), means, dimension_of_gram(gram)))


def predicted_steps(
    gain_matrix: GainMatrix,
    patterns: Array | np.ndarray,
    original: Array,
    noise_std: Scalar,
    num_steps: int,
    num_trials: int,
    nonlinearity: object,
) -> Iterator[ExpectedDistances]:
    """What the mean-field theory expects at each time."""
    phi = coarse_nonlinearity(nonlinearity)
    start = starting_overlap(gain_matrix, patterns, phi)
    stimuli, units = patterns.shape
    fluctuation, distances = no_fluctuation(gain_matrix, stimuli), original.astype(start.dtype)
    for variance, overlap in overlap_steps(
        gain_matrix, start, noise_std=noise_std, num_steps=num_steps, nonlinearity=phi
    ):
        expected, fluctuation = expected_step(
            gain_matrix, phi, distances, fluctuation, variance, overlap, units, num_trials
        )
        yield expected
