"""Many stimuli through time, simulated and predicted, one step after the other."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._linalg import centered_gram, dimension_of_gram
from fisherjax._runtime import spread
from fisherjax._types import Key, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield._overlaps import overlap_steps
from fisherjax.networks import Network
from fisherjax.networks._protocol import Reading, reading
from fisherjax.nonlinearities._registry import NonlinearityLike, coarse_nonlinearity
from fisherjax.simulate._trajectories import noisy_step, ready

from ._distances import squares_of_gram, starting_overlap
from ._expected import ExpectedDistances, expected_step
from ._scatter import no_fluctuation


class Step(NamedTuple):
    """One time of the simulation, one entry per network."""

    squares: list[Float[Array, "S S"]]
    means: list[Float[Array, "S N"]]
    participation: list[Float[Array, ""]]


def simulated_steps(
    networks: Sequence[Network],
    patterns: Float[Array, "S N"],
    key: Key,
    num_steps: int,
    num_trials: int,
    *,
    inputs: Float[Array, "S T ..."] | None = None,
    read: Reading = "state",
) -> Iterator[Step]:
    """Steps from initial states, the next one already on its way while the caller works on the last."""
    states = [jnp.broadcast_to(patterns[:, None], (len(patterns), num_trials, patterns.shape[1])) for _ in networks]
    waiting = None
    for time in range(num_steps):
        measured = []
        for index, network in enumerate(networks):
            step_key = jax.random.fold_in(jax.random.fold_in(key, time), index)
            given = None if inputs is None else inputs[:, time, None]
            states[index], *measures = _advance(network, states[index], step_key, given, read)
            measured.append(measures)
        if waiting is not None:
            yield waiting
        waiting = Step(*(list(column) for column in zip(*measured, strict=True)))
    if waiting is not None:
        yield waiting


@eqx.filter_jit
def _advance(
    network: Network, states: Float[Array, "S n N"], key: Key, given: Array | None, read: Reading
) -> tuple[Array, Array, Array, Array]:
    network = ready(network)
    states = spread(noisy_step(network, spread(states, "batch"), key, given), "batch")
    means = jnp.mean(reading(network, read)(states), axis=1)
    gram = centered_gram(means)
    return states, *spread((squares_of_gram(means, gram), means, dimension_of_gram(gram)))


def predicted_steps(
    gain_matrix: GainMatrix,
    patterns: Array | np.ndarray,
    original: Array,
    noise_std: Scalar,
    num_steps: int,
    num_trials: int,
    nonlinearity: NonlinearityLike,
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
