"""Principal components of states."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import Result, Scalar
from fisherjax.numerics import full_precision


class PrincipalComponents(Result):
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
        """Share of the total variance along each component."""
        return self.variances / jnp.where(self.total_variance > 0, self.total_variance, 1)

    def project(self, states: Float[Array | np.ndarray, "*batch N"]) -> Float[Array, "*batch K"]:
        """Coordinates along the components."""
        return (jnp.asarray(states) - self.mean) @ self.components.T

    def reconstruct(self, coordinates: Float[Array | np.ndarray, "*batch K"]) -> Float[Array, "*batch N"]:
        """States with given coordinates."""
        return jnp.asarray(coordinates) @ self.components + self.mean


@full_precision
def principal_components(states: object, num_components: int | None = None) -> PrincipalComponents:
    """Principal components of states, centred and sorted by variance.

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
    array = jnp.asarray(states)
    require(array.ndim >= 2, f"states must have shape (…, N), got {array.shape}")
    check_finite("states", array)
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
        If the share is not in (0, 1], or the components that were kept do not hold it.
    """
    check_scalar("share", share, minimum=0.0, strict=True)
    require(float(share) <= 1, f"share must be within (0, 1], got {float(share):g}")
    held = np.cumsum(np.asarray(components.explained, np.float64))
    enough = np.flatnonzero(held >= float(share) - 1e-12)
    require(
        enough.size > 0 or len(held) == len(components.mean),
        f"the {len(held)} components kept hold {held[-1]:.3g} of the variance, less than the share {float(share):g}",
    )
    return int(enough[0]) + 1 if enough.size else len(held)
