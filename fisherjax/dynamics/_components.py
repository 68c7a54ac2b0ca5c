"""Principal components of states."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_share, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar

_ROUNDING = 8  # times ε and the length of the mean


class PrincipalComponents(Record):
    """Directions of largest variance of a cloud of states, sorted, with the mean that was taken off.

    Parameters
    ----------
    mean
        (N,).
    components
        Orthonormal rows (K, N); the largest entry of each is positive.
    variances
        Along each (K,), descending.
    total_variance
        Over all directions.
    """

    mean: Float[Array, " N"]
    components: Float[Array, "K N"]
    variances: Float[Array, " K"]
    total_variance: Float[Array, ""]

    @property
    def explained(self) -> Float[Array, " K"]:
        """Share of the total variance along each component; NaN where the states do not vary beyond rounding."""
        return jnp.where(self._varies(), self.variances / self.total_variance, jnp.nan)

    def _varies(self) -> Array:
        """Whether there is more variance than the rounding of states of this length leaves."""
        rounding = _ROUNDING * jnp.finfo(self.mean.dtype).eps * jnp.linalg.norm(self.mean)
        return self.total_variance > rounding**2

    def project(self, states: Float[Array | np.ndarray, "*batch N"]) -> Float[Array, "*batch K"]:
        """Coordinates along the components."""
        return (jnp.asarray(states) - self.mean) @ self.components.T

    def reconstruct(self, coordinates: Float[Array | np.ndarray, "*batch K"]) -> Float[Array, "*batch N"]:
        """States with given coordinates."""
        return jnp.asarray(coordinates) @ self.components + self.mean


@full_precision
def principal_components(states: ArrayLike, num_components: int | None = None) -> PrincipalComponents:
    """Principal components of states, centered and sorted by variance.

    Parameters
    ----------
    states
        (…, N), such as trajectories (T, trials, N); all leading axes are samples.
    num_components
        K; all min(samples, N) by default.

    Raises
    ------
    ValueError
        If there are fewer than two samples, K is out of range, or a state is not finite.
    """
    array = as_real("states", states, "... N")
    require(array.ndim >= 2 and array.size > 0, f"states must have shape (…, N), got {array.shape}")
    samples = array.reshape(-1, array.shape[-1])
    most = min(samples.shape)
    require(len(samples) >= 2, f"states must hold at least two samples, got {len(samples)}")
    kept = most if num_components is None else check_integer("num_components", num_components, minimum=1)
    require(kept <= most, f"num_components must be at most {most}, got {kept}")
    mean = samples.mean(axis=0)
    _, lengths, directions = jnp.linalg.svd(samples - mean, full_matrices=False)
    variances = lengths**2 / (len(samples) - 1)
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), axis=1)[:, None], axis=1)
    directions = directions * jnp.where(largest < 0, -1, 1).astype(directions.dtype)
    return PrincipalComponents(mean, directions[:kept], variances[:kept], variances.sum())


def components_for_variance(components: PrincipalComponents, share: Scalar = 0.9) -> int:
    """How many components hold a share of the variance.

    Raises
    ------
    ValueError
        If the share is not in (0, 1], the components that were kept do not hold it, or there is no variance.
    TypeError
        If the share is no number, or `components` are none.
    """
    check_instance("components", components, PrincipalComponents, "from dynamics.principal_components(states)")
    require(check_share("share", share) > 0, "share must be above 0")
    require(bool(components._varies()), "components hold no variance: the states do not vary beyond rounding")
    held = np.cumsum(np.asarray(components.explained, np.float64))
    enough = np.flatnonzero(held >= float(share) - 1e-12)
    require(
        enough.size > 0 or len(held) == len(components.mean),
        f"the {len(held)} components kept hold {held[-1]:.3g} of the variance, less than the share {float(share):g}",
    )
    return int(enough[0]) + 1 if enough.size else len(held)
