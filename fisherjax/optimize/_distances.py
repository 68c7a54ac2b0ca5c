"""Geometry as an objective: structures whose networks keep the distances between stimuli."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_scalar, require
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.geometry import pairwise_distances, predicted_correlation
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, coarse_nonlinearity


class DistancesKept(eqx.Module):
    """Predicted correlation of distances between stimuli with those between the states they lead to at T.

    As measured in single noisy trials of N units (`geometry.predicted_correlation`), so that a signal that
    vanishes in the noise counts as lost. Cost grows with the square of the number of stimuli: about 30 are enough.

    Parameters
    ----------
    patterns
        Initial states (S, n) of the units of the stimulated population, S ≥ 3; for instance
        ``initial_patterns(images, homogeneous(1.0), n, key=key)``.
    step
        T.
    noise_std
        σ > 0.
    num_units, num_trials
        N, and trials averaged.
    population
        Which population sees the stimuli.
    nonlinearity
        φ; moments to 2e-9.

    Raises
    ------
    ValueError
        If there are fewer than three patterns, all are equally far apart, or a number is out of range.
    TypeError
        If an argument is not of its kind.
    """

    overlap: Float[Array, "S S"]
    original: Float[Array, "S S"]
    noise_std: Float[Array, ""]
    step: int = eqx.field(static=True)
    num_units: int = eqx.field(static=True)
    num_trials: int = eqx.field(static=True)
    population: int = eqx.field(static=True)
    nonlinearity: Nonlinearity = eqx.field(static=True)

    def __init__(
        self,
        patterns: Shaped[Array | np.ndarray, "S n"],
        step: int = 10,
        *,
        noise_std: Scalar = 0.1,
        num_units: int = 1000,
        num_trials: int = 1,
        population: int = 0,
        nonlinearity: NonlinearityLike = "tanh",
    ):
        """Validate, and keep only overlaps and distances."""
        states = as_real("patterns", patterns, "stimuli units")
        require(len(states) >= 3, f"patterns must hold at least three stimuli, got shape {states.shape}")
        check_scalar("noise_std", noise_std, minimum=0.0, strict=True)
        self.step = check_integer("step", step, minimum=1)
        self.num_units = check_integer("num_units", num_units, minimum=1)
        self.num_trials = check_integer("num_trials", num_trials, minimum=1)
        self.population = check_integer("population", population, minimum=0)
        self.nonlinearity = coarse_nonlinearity(nonlinearity)
        response = self.nonlinearity(states)
        self.overlap = response @ response.T / states.shape[1]
        self.original = pairwise_distances(patterns).astype(states.dtype)
        self.noise_std = jnp.asarray(noise_std, states.dtype)
        pairs = np.triu_indices(len(states), 1)
        distances = np.asarray(self.original)[pairs]
        spread, rounding = np.ptp(distances), 32 * np.finfo(distances.dtype).eps * distances.max()
        require(bool(spread > rounding), "patterns must have distances that differ, but all are equal")

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        """The correlation at T, the value to maximize."""
        check_instance("gain_matrix", gain_matrix, GainMatrix)
        count = gain_matrix.num_populations
        require(self.population < count, f"population must be below {count}, got {self.population}")
        dtype = gain_matrix.gains.dtype
        start = jnp.zeros((count, *self.overlap.shape), dtype).at[self.population].set(self.overlap.astype(dtype))
        return predicted_correlation(
            gain_matrix,
            start,
            self.original.astype(dtype),
            noise_std=self.noise_std.astype(dtype),
            num_steps=self.step,
            num_units=self.num_units,
            num_trials=self.num_trials,
            nonlinearity=self.nonlinearity,
        )[-1]
