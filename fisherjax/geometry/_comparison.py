"""Distances between many stimuli through time, predicted and simulated side by side."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_key
from fisherjax._types import Key, Result, Scalar
from fisherjax.connectivity import GainMatrix, sample_weights
from fisherjax.networks import RateNetwork
from fisherjax.simulate import trajectories

from ._distances import pairwise_distances, predicted_distances


class GeometryComparison(Result):
    """Distances between S stimuli before, and between the states that they lead to at times 1…T."""

    original: Float[Array | np.ndarray, "S S"]
    simulated: Float[Array | np.ndarray, "T S S"]
    predicted: Float[Array | np.ndarray, "T S S"]


def compare_geometry(
    gain_matrix: GainMatrix,
    patterns: Float[Array | np.ndarray, "S N"],
    *,
    noise_std: Scalar,
    num_steps: int,
    num_trials: int,
    num_draws: int,
    key: Key,
    nonlinearity: object = "tanh",
) -> GeometryComparison:
    """Predict distances between patterns, and simulate them in networks drawn from the structure.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    patterns
        Initial states (S, N), for instance from `initial_patterns`.
    noise_std
        σ, at least 0.
    num_steps, num_trials, num_draws
        Steps; trials over which each state is averaged; networks over which squared distances are.
    key
        JAX random key.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Returns
    -------
    GeometryComparison; the simulation runs in float32.
    """
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    squares = []
    for draw_key in jax.random.split(check_key("key", key), num_draws):
        weight_key, trial_key = jax.random.split(draw_key)
        units = patterns.shape[1]
        weights = sample_weights(gain_matrix, units, key=weight_key, dtype=jnp.float32)
        network = RateNetwork(weights, jnp.zeros(units), noise_std=noise_std, nonlinearity=nonlinearity)
        states = trajectories(
            network, num_steps=num_steps, num_trials=num_trials, key=trial_key, initial_pattern=patterns
        )
        squares.append(pairwise_distances(jnp.mean(states, axis=2)) ** 2)
    predicted = predicted_distances(
        gain_matrix,
        patterns,
        noise_std=noise_std,
        num_steps=num_steps,
        nonlinearity=nonlinearity,
        num_trials=num_trials,
    )
    simulated = jnp.sqrt(jnp.mean(jnp.stack(squares), axis=0))
    return GeometryComparison(pairwise_distances(patterns), simulated, predicted)
