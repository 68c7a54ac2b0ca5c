"""Fisher information through time: one type for theory and measurement."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, is_traced, require, warn
from fisherjax._types import Result, Stimulus
from fisherjax.connectivity import GainMatrix, population_sizes
from fisherjax.networks import RateNetwork


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
    model_error: Float[Array, " T"] | None = None
    """Relative size of what an approximation leaves out, by its own estimate; None where there is no such estimate."""

    @property
    def retention(self) -> Float[Array, "T *KK"]:
        """Total information relative to that of the first step."""
        return self.total / self.total[0]

    def first_non_finite(self) -> float | None:
        """First time at which the total is NaN or infinite, None if it is finite throughout."""
        finite = np.isfinite(np.asarray(self.total)).reshape(self.total.shape[0], -1).all(axis=1)
        return None if finite.all() else float(self.times[int(np.argmin(finite))])


def as_draws(weights: object) -> Float[Array, "draws N N"]:
    """One weight matrix or several, as several."""
    stack = as_real("weights", weights, "N N", "draws N N", hint="rows = to, columns = from")
    require(stack.size > 0, f"weights must hold at least one network of at least one unit, got shape {stack.shape}")
    return stack if stack.ndim == 3 else stack[None]


def pulse(network: RateNetwork, stimulus: Stimulus) -> Array:
    """A stimulus with one entry for each column of a network's input vector, in its float type."""
    columns = network.input_vector.shape[1:]
    hint = "one entry for each column of input_vector"
    return as_real("stimulus", stimulus, " ".join(map(str, columns)), dtype=network.weights.dtype, hint=hint)


def sizes_of(gain_matrix: GainMatrix | None, num_units: int) -> tuple[int, ...]:
    """Units of each population of a structure; one population without it."""
    if gain_matrix is None:
        return (num_units,)
    check_instance("gain_matrix", gain_matrix, GainMatrix, "make one with connectivity.homogeneous(gain)")
    return population_sizes(gain_matrix, num_units)


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
    """Return the curve, NaN from its first failure on; warn of the time at which that is, and why it happens."""
    step = None if is_traced(curve.total) else curve.first_non_finite()
    if step is not None:
        warn(f"Fisher information is not finite from time {step:g} on: {reason}")
    return curve if step is None and not is_traced(curve.total) else _ended(curve)


@jax.jit
def _ended(curve: FisherCurve) -> FisherCurve:
    """A recursion that has broken goes on, and may look finite again: from the first failure on all is NaN."""
    steps = curve.total.shape[0]
    broken = jnp.cumsum(~jnp.isfinite(curve.total).reshape(steps, -1).all(axis=1)) > 0

    def cut(values: Array | None) -> Array | None:
        if values is None:
            return None
        return jnp.where(broken.reshape(steps, *[1] * (values.ndim - 1)), jnp.nan, values)

    return dataclasses.replace(
        curve,
        by_population=cut(curve.by_population),
        total=cut(curve.total),
        standard_error=cut(curve.standard_error),
        by_population_error=cut(curve.by_population_error),
    )
