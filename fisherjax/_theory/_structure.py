"""What mean-field theory needs of a network: the total gains between populations, and their noise."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, check_finite
from fisherjax._errors import check_scalar
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix


class Structure(NamedTuple):
    """G, P × P, and the noise σ of every population."""

    total_gain: Float[Array, "P P"]
    noise_std: Float[Array, " P"]

    @property
    def intensity(self) -> Float[Array, " P"]:
        """s₂ = σ²."""
        return self.noise_std**2


def as_structure(gain: Scalar | GainMatrix, noise_std: Any) -> Structure:
    """Total gains and noise of every population, checked.

    Raises
    ------
    TypeError
        If `gain` is neither a real number nor a `GainMatrix`, or `noise_std` does not hold real numbers.
    ValueError
        If one of them is negative or not finite, or `noise_std` has neither one entry nor one per population.
    """
    if isinstance(gain, GainMatrix):
        total_gain = gain.variance_gain
    else:
        check_scalar("gain", gain, minimum=0.0)
        total_gain = as_real("gain", gain, "").reshape(1, 1) ** 2
    check_finite("the square of gain", total_gain)
    populations = total_gain.shape[0]
    noise_std = as_real("noise_std", noise_std, "", str(populations), dtype=total_gain.dtype, minimum=0.0)
    check_finite("the square of noise_std", noise_std**2)
    return Structure(total_gain, jnp.broadcast_to(noise_std, (populations,)))


def structure_or_one(gain_matrix: Any, dtype: Any = None) -> GainMatrix:
    """A user's structure, or one population of gain 1 where there is none; TypeError if it is something else."""
    return GainMatrix(jnp.ones((1, 1), dtype)) if gain_matrix is None else check_gain_matrix(gain_matrix)
