"""Fisher information through time: one type for theory and measurement."""

import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import is_traced, require
from fisherjax._types import Result, as_float


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

    def first_non_finite(self) -> float | None:
        """First time at which the total is NaN or infinite, None if it is finite throughout."""
        finite = jnp.isfinite(self.total).reshape(self.total.shape[0], -1).all(axis=1)
        return None if bool(finite.all()) else float(self.times[jnp.argmin(finite)])


def as_draws(weights: object) -> Float[Array, "draws N N"]:
    """One weight matrix or several, as several."""
    stack = as_float(weights)
    require(stack.ndim in {2, 3}, f"weights must have shape (N, N) or (draws, N, N), got {stack.shape}")
    return stack if stack.ndim == 3 else stack[None]


@jax.jit(static_argnames=("form", "scalar"))
def mean_curve(
    values: Float[Array, "draws T groups K K"],
    form: str,
    *,
    scalar: bool,
    errors: Float[Array, "draws T groups K K"] | None = None,
) -> FisherCurve:
    """Mean over weight draws; its error is over draws if there are several, else that of the only one, if known.

    The first group is all units, the others are the populations.
    """
    draws = len(values)
    error = None if errors is None else errors[0]
    if draws > 1:
        error = jnp.std(values, axis=0, ddof=1) / math.sqrt(draws)
    value = jnp.mean(values, axis=0)
    if scalar:
        value, error = value[..., 0, 0], None if error is None else error[..., 0, 0]
    return FisherCurve(
        times=jnp.arange(1, value.shape[0] + 1, dtype=value.dtype),
        by_population=value[:, 1:],
        total=value[:, 0],
        standard_error=None if error is None else error[:, 0],
        form=form,
        by_population_error=None if error is None else error[:, 1:],
    )


def warn_if_not_finite(curve: FisherCurve, reason: str) -> FisherCurve:
    """Return the curve; warn of the first time at which it is not finite, and why that happens."""
    if not is_traced(curve.total):
        step = curve.first_non_finite()
        if step is not None:
            message = f"Fisher information is not finite from time {step:g} on: {reason}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
    return curve
