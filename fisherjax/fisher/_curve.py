"""Fisher information through time: one type for theory and measurement."""

import warnings

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import is_traced
from fisherjax._types import Result


class FisherCurve(Result):
    """Fisher information about the stimulus in the state of a network at times 1…T.

    Units are 1/θ². For a vector stimulus with K entries every value is a (K, K) matrix.

    `form` says which information it is: ``"independent"`` adds the information of single units and
    ignores their noise correlations, Σ_i (∂m_i)²/Σ_ii; ``"linear"`` counts them, ∂mᵀ Σ⁻¹ ∂m, and is what
    the best linear read-out reaches; ``"total"`` adds the covariance term of a Gaussian.
    In the independent form populations add up to the total; in the others each population is read out alone.
    """

    times: Float[Array, " T"]
    by_population: Float[Array, "T P *KK"]
    total: Float[Array, "T *KK"]
    standard_error: Float[Array, "T *KK"] | None = None
    """Standard error of `total`, one standard deviation; None for theory."""
    form: str = eqx.field(static=True, default="independent")
    by_population_error: Float[Array, "T P *KK"] | None = None

    @property
    def retention(self) -> Float[Array, "T *KK"]:
        """Total information relative to that of the first step."""
        return self.total / self.total[0]

    def first_non_finite(self) -> int | None:
        """First time at which the total is NaN or infinite, None if it is finite throughout."""
        finite = jnp.isfinite(self.total).reshape(self.total.shape[0], -1).all(axis=1)
        return None if bool(finite.all()) else int(self.times[jnp.argmin(finite)])


def warn_if_not_finite(curve: FisherCurve, reason: str) -> FisherCurve:
    """Return the curve; warn of the first time at which it is not finite, and why that happens."""
    if not is_traced(curve.total):
        step = curve.first_non_finite()
        if step is not None:
            message = f"Fisher information is not finite from time {step} on: {reason}"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
    return curve
