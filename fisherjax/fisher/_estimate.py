"""What an estimator returns, and the checks of data that all estimators share."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from fisherjax._errors import is_traced, require
from fisherjax._types import Result, as_float

_SHOWN = 5  # bad rows that a message lists


class FisherEstimate(Result):
    """Fisher information estimated from samples, 1/θ²; (K, K) matrices for K stimulus parameters.

    `naive` is the plug-in estimate whose bias was removed from `value`. Nothing is clipped: a `value` that
    is compatible with zero may be negative.
    """

    value: Float[Array, "*KK"]
    standard_error: Float[Array, "*KK"]
    interval: Float[Array, "2 *KK"]
    naive: Float[Array, "*KK"]
    method: str = eqx.field(static=True, default="direct")
    confidence: float = eqx.field(static=True, default=0.95)

    @property
    def relative_error(self) -> Float[Array, "*KK"]:
        """Standard error relative to the value; above one half, the value says little."""
        return self.standard_error / jnp.abs(self.value)


def scalar_if(scalar: bool, pair: tuple[Array, Array]) -> tuple[Array, Array]:  # noqa: FBT001
    """The single entry of (1, 1) matrices where the stimulus is a scalar."""
    return (pair[0][0, 0], pair[1][0, 0]) if scalar else pair


def normal_interval(value: Array, error: Array, confidence: float) -> Array:
    """Value ± z · error."""
    reach = ndtri(jnp.asarray((1 + confidence) / 2, value.dtype)) * error
    return jnp.stack([value - reach, value + reach])


def wilson_interval(value: Array, error: Array, growth: Array, confidence: float) -> Array:
    """All I with (Î − I)² ≤ z² Var(I), where the variance grows with the truth, d Var/dI = growth."""
    quantile = ndtri(jnp.asarray((1 + confidence) / 2, value.dtype))
    shift = quantile**2 * growth / 2
    reach = jnp.sqrt((quantile * error) ** 2 + shift**2)
    return jnp.stack([value + shift - reach, value + shift + reach])


def student_interval(value: Array, error: Array, confidence: float, freedom: int) -> Array:
    """Value ± t · error, t Student's quantile for an error that has few degrees of freedom itself."""
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return jnp.stack([value - reach, value + reach])


def as_responses(name: str, responses: object, ndims: tuple[int, ...] = (2,)) -> Array:
    """Responses as a float array (…, trials, units) without a bad value.

    Raises
    ------
    ValueError
        If there are too many or few axes, fewer than two trials, or a value that is not finite (with its rows).
    """
    array = as_float(responses)
    shapes = " or ".join("(" + ", ".join([*["K"] * (n - 2), "trials", "units"]) + ")" for n in ndims)
    hint = "; one unit is a column, responses[:, None]" if array.ndim == 1 else ""
    require(array.ndim in ndims, f"{name} must have shape {shapes}, got {array.shape}{hint}")
    require(
        array.shape[-2] >= 2,
        f"{name} has {array.shape[-2]} trial{'s' * (array.shape[-2] != 1)}: a covariance needs at least 2",
    )
    require(array.shape[-1] >= 1, f"{name} has no units: shape {array.shape}")
    if not is_traced(array):
        finite = np.isfinite(np.asarray(array)).all(axis=-1)
        rows = np.flatnonzero(~(finite if finite.ndim == 1 else finite.all(axis=0)))
        if rows.size:
            shown = ", ".join(map(str, rows[:_SHOWN])) + (", …" if rows.size > _SHOWN else "")
            raise ValueError(
                f"{name} holds NaN or infinite values in {rows.size} of {array.shape[-2]} rows (trials {shown}); "
                "remove those trials"
            )
    return array


def check_freedom(units: int, freedom: int, trials: str) -> None:
    """Refuse data with too few trials to invert a covariance and to know the bias of its inverse."""
    require(
        units < freedom - 1,
        f"p = {units} units need more than p + 1 = {units + 1} degrees of freedom, but there are ν = {freedom} "
        f"({trials}). Record more trials, read out fewer units (a subset or principal components), or use "
        "fisher.shuffled, fisher.decoder or shrinkage=… (biased)",
    )


def check_invertible(what: str, scatter: Array) -> None:
    """Refuse a covariance that cannot be inverted, saying which units are to blame."""
    if is_traced(scatter):
        return
    matrix = np.asarray(scatter, np.float64)
    variances = np.diagonal(matrix)
    silent = np.flatnonzero(variances <= 0)
    if silent.size:
        shown = ", ".join(map(str, silent[:_SHOWN])) + (", …" if silent.size > _SHOWN else "")
        raise ValueError(f"{what} is singular: units {shown} never vary (given the stimulus); leave them out")
    scale = np.sqrt(variances)
    least = float(np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0])
    tolerance = 10 * len(matrix) * float(jnp.finfo(scatter.dtype).eps)
    require(
        least > tolerance,
        f"{what} is singular to rounding (least eigenvalue of the correlation matrix {least:.1e}): some units are "
        "sums of others; read out fewer units or principal components",
    )
