"""Line and ring attractors: fixed or slow points that lie along a curve on which the state can drift."""

from typing import Any, Literal

import networkx as nx
import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from fisherjax._arrays import check_finite
from fisherjax._errors import check_scalar, check_share, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar

from ._jacobian import jacobians
from ._modes import growth, modes_of
from ._step import StepLike, setting_of

_FEWEST_POINTS = 5
_CHAIN_SHARE = 0.9  # of the points that the longest path must hold
_LONGEST_GAP = 0.25  # of the curve, beyond which points are islands
_EDGE = 1e-7
_RESOLVED = 100  # times √ε of the points' size: a shorter curve is one point seen several times


class AttractorManifold(Record):
    """What fixed or slow points form together.

    Parameters
    ----------
    kind
        "line", "ring", or "points" where they form no curve along which a marginal mode runs.
    order
        The points along the curve, as row numbers (M,); all rows if there is none.
    coordinate
        Arc length of each (M,), from one end, or from an arbitrary point of a ring.
    length
        Of the curve; of a ring, once around.
    alignment
        Mean |cos| between the slowest mode's eigenvector and the curve's tangent: 1 where the state drifts along it.
    leading_eigenvalues
        Eigenvalue of the mode nearest to neutral at each point (M,).
    """

    kind: str
    order: Int[np.ndarray, " M"]
    coordinate: Float[np.ndarray, " M"]
    length: float
    alignment: float
    leading_eigenvalues: Complex[np.ndarray, " M"]


@full_precision
def attractor_manifold(
    step: StepLike, points: Any, inputs: ArrayLike | None = None, *, marginal: Scalar = 0.1, min_alignment: Scalar = 0.8
) -> AttractorManifold:
    """Tell whether points lie on a line or ring attractor.

    A curve is found as the longest path of the minimum spanning tree of the points: it must hold nearly all of them
    and have no large gap, and be longer than the rounding of points found several times. A ring is a curve whose ends
    are neighbors. It is an attractor if at each point the mode nearest to neutral has |λ − 1| ≤ `marginal` and points
    along the curve, and the others decay. The test is one of shape, for a sample of points that covers the curve; it
    is no proof.

    Parameters
    ----------
    step
        A `Network`, a function F(x, u) or F(x), or a `networks.Flow`.
    points
        Fixed or slow points (K, N), at least 5: `FixedPoints.points`, or with `.slow_points` below them; or a tree of
        arrays with the leading axis K.
    inputs
        Input that is held, (I,) or the `input_shape` of a network, or None.
    marginal
        Largest |λ − 1| (|λ|, of a flow) of a mode along the curve.
    min_alignment
        Least alignment of that mode with the curve.

    Raises
    ------
    ValueError
        If there are fewer than 5 points, shapes do not match, or a number is out of range.
    """
    check_scalar("marginal", marginal, minimum=0.0)
    check_share("min_alignment", min_alignment)
    system, states, given, _ = setting_of("points", step, points, inputs)
    require(len(states) >= _FEWEST_POINTS, f"points must hold at least {_FEWEST_POINTS} states, got {len(states)}")
    cloud, slopes = np.asarray(states), np.asarray(jacobians(system, states, given))
    check_finite("the Jacobians of step at points", slopes)
    path, steps, ring = _longest_path(cloud)
    leading, directions, decaying = _slowest_modes(slopes, is_flow=system.is_flow)
    length = float(steps.sum())
    largest = float(steps.max(initial=0.0))
    resolved = length > _RESOLVED * float(np.finfo(cloud.dtype).eps) ** 0.5 * float(np.abs(cloud).max())
    is_curve = resolved and len(path) >= _CHAIN_SHARE * len(cloud) and largest <= _LONGEST_GAP * length
    alignment = _alignment(cloud[path], directions[path], ring=ring)
    neutral = np.abs(leading[path] - (not system.is_flow)) <= float(marginal)
    drifting = neutral.mean() >= _CHAIN_SHARE and decaying[path].mean() >= _CHAIN_SHARE
    kind: Literal["line", "ring", "points"] = "points"
    if is_curve and drifting and alignment >= float(min_alignment):
        kind = "ring" if ring else "line"
    if kind == "points":
        path, steps = np.arange(len(cloud)), np.zeros(max(len(cloud) - 1, 0))
        length = 0.0
    elif ring:
        length += float(np.linalg.norm(cloud[path[0]] - cloud[path[-1]]))
    return AttractorManifold(kind, path, np.concatenate([[0.0], np.cumsum(steps)]), length, alignment, leading[path])


def _longest_path(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Rows along the longest path of the minimum spanning tree, the lengths of its edges, whether its ends meet."""
    distances = squareform(pdist(cloud))
    farthest = float(distances.max())
    # SciPy takes an edge below 1e-8 for none: lengths in units of the longest, and none of zero
    tree = minimum_spanning_tree(np.maximum(distances / (farthest or 1.0), _EDGE))
    along = dijkstra(tree, directed=False)
    first = int(np.argmax(along[0]))
    last = int(np.argmax(along[first]))
    path = np.asarray(nx.shortest_path(nx.from_scipy_sparse_array(tree), first, last))
    steps = distances[path[:-1], path[1:]]
    return path, steps, len(path) > 3 and bool(distances[first, last] <= 3 * steps.max(initial=0.0))


def _slowest_modes(jacobians: np.ndarray, *, is_flow: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each point: eigenvalue nearest to neutral, its right eigenvector, whether all other modes decay."""
    values, directions, decaying = [], [], []
    for matrix in jacobians:
        modes = modes_of(matrix, 1.0, is_flow=is_flow)
        index = int(np.argmin(np.abs(modes.eigenvalues - (not is_flow))))
        others = np.delete(modes.eigenvalues, index)
        values.append(modes.eigenvalues[index])
        directions.append(np.real(modes.right[:, index]))
        decaying.append(bool(np.all(growth(others, is_flow=is_flow) < 0)))
    return np.asarray(values), np.asarray(directions), np.asarray(decaying)


def _alignment(curve: np.ndarray, directions: np.ndarray, *, ring: bool) -> float:
    if len(curve) < 3:
        return 0.0
    tangents = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0) if ring else np.gradient(curve, axis=0)
    lengths = np.linalg.norm(tangents, axis=1) * np.linalg.norm(directions, axis=1)
    cosine = np.abs(np.sum(tangents * directions, axis=1)) / np.where(lengths > 0, lengths, 1)
    return float(cosine.mean())
