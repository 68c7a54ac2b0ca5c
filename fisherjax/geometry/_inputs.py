"""What geometry checks beyond the general gate: structures and matrices of distances."""

from typing import Any

import numpy as np
from jaxtyping import Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_instance, require
from fisherjax.connectivity import GainMatrix

# of the largest distance: what distances computed in float32 from products may miss of symmetry and of zero
_ROUNDING = 1e-3


def check_structure(gain_matrix: Any) -> GainMatrix:
    """Return `gain_matrix` if it is one; TypeError otherwise."""
    return check_instance("gain_matrix", gain_matrix, GainMatrix, "make one with connectivity.homogeneous(gain)")


def as_distances(name: str, value: Any, *axes: str, square: bool = True) -> np.ndarray:
    """Distances on the host, of the named shapes; if `square`, those with two axes are symmetric, zero on the diagonal.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If the shape is another, or a number is not finite or no distance.
    """
    array = host_real(name, value, *axes)
    if array.size == 0:
        return array
    least, most = float(array.min()), float(array.max())
    require(least >= 0, f"{name} must be distances, at least 0, but its least entry is {least:g}")
    if square and array.ndim >= 2:
        allowed = _ROUNDING * most
        off = float(np.abs(array - np.swapaxes(array, -1, -2)).max())
        require(off <= allowed, f"{name} must be symmetric, but two of its entries differ by {off:g}")
        own = float(np.diagonal(array, axis1=-2, axis2=-1).max())
        require(own <= allowed, f"{name} must have zeros on its diagonal, but the largest there is {own:g}")
    return array


def varies(distances: Float[np.ndarray, "..."]) -> bool:
    """Whether distances differ by more than their own rounding."""
    if distances.size == 0:
        return False
    rounding = 32 * float(np.finfo(distances.dtype).eps) * np.abs(distances).max()
    return bool(np.ptp(distances) > rounding)
