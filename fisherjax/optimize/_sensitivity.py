"""What an optimum hangs on: stiff and sloppy directions of its gains, gains at their bounds, the price of noise."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, require
from fisherjax._types import Record
from fisherjax.fisher._structured import structure_prices

from ._objectives import MemoryObjective
from ._problem import Problem, evaluate, member, radii_along, values_along

_STEP = 1e-4  # of the box, for differences of gradients
_AT_BOUND = 1e-4  # of the box: a gain this close to a bound lies on it
_POINTS = 12  # on either side of the optimum
_FLAT = 1e-9  # of the largest: a direction that does not change the gains at all


class Sensitivity(Record):
    """How an objective changes about an optimum, along M directions in which its gains can move.

    Distances are those of gain matrices, (Σ_pq f_p f_q Δg_pq²)^½, on whose scale the root of the synaptic budget is the
    size of the matrix itself.
    """

    directions: Float[np.ndarray, "M P P"]
    """Change of the gains per unit of distance; the stiffest first."""
    curvature: Float[np.ndarray, " M"]
    """−d²/ds² of the objective along each; of ln F, a loss of ½ curvature s²."""
    reach: Float[np.ndarray, "M 2"]
    """Distances, backward and forward, at which `loss` is lost; infinite where that is beyond a bound or the path."""
    loss: float
    distances: Float[np.ndarray, "M S"]
    """Where the following are given, along each direction."""
    value: Float[np.ndarray, "M S"]
    weight_spectral_radius: Float[np.ndarray, "M S"]
    diffusion_spectral_radius: Float[np.ndarray, "M S"] | None
    alignment: Float[np.ndarray, "M S"] | None
    bound_slopes: Float[np.ndarray, " d"]
    """Slope of the objective in every parameter that lies on a bound other than zero, 0 for the others."""
    price: Float[np.ndarray, "T P"] | None
    """τ, the price of the noise of a unit of each population at times 1…T − 1, in the linear form."""


def sensitivity(problem: Problem, unit: Float[Array, " d"], *, loss: float) -> Sensitivity:
    """The directions about a point of the unit box, by differences of exact gradients."""
    check_scalar("loss", loss, minimum=0.0, strict=True)
    require(loss < 1, f"loss must be a share below 1, got {loss:g}")
    place = np.asarray(unit, np.float64)
    slope = np.asarray(_slope(problem, unit))
    # gains count by their squares: from zero one can go either way
    least = np.where(problem.family.bounds[0] == 0, -np.inf, 0.0)
    free = (place > least + _AT_BOUND) & (place < 1 - _AT_BOUND)
    require(bool(free.any()), "all parameters of the optimum lie on their bounds: it cannot be moved within the family")
    directions, moves, curvature = _directions(problem, place, np.flatnonzero(free))
    paths = [_path(problem, place, least, move, bent, loss) for move, bent in zip(moves, curvature, strict=True)]
    distances, value, radius, *others = (np.stack(part) for part in zip(*paths, strict=True))
    operator, alignment = others or (None, None)
    price, objective = None, problem.objective
    if isinstance(objective, MemoryObjective) and objective.form == "linear":
        price = np.asarray(structure_prices(*objective.question(member(problem, unit), at=(objective.step,))))
    return Sensitivity(
        directions=directions,
        curvature=curvature,
        reach=np.stack([_reach(s, v, loss) for s, v in zip(distances, value, strict=True)]),
        loss=float(loss),
        distances=distances,
        value=value,
        weight_spectral_radius=radius,
        diffusion_spectral_radius=operator,
        alignment=alignment,
        bound_slopes=np.where(free, 0, slope),
        price=price,
    )


def _slope(problem: Problem, unit: Float[Array, " d"]) -> Float[Array, " d"]:
    return evaluate(problem, unit).slope


@eqx.filter_jit
def _weighted_gains(problem: Problem, unit: Float[Array, " d"]) -> Float[Array, " n"]:
    """Gains on the scale of distances."""
    matrix = problem.gain_matrix(unit)
    root = jnp.sqrt(matrix.fractions)
    return (root[:, None] * matrix.gains * root).reshape(-1)


def _directions(problem: Problem, place: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes of the gains (M, P, P) and of the unit box (M, d) per unit of distance; curvatures, stiffest first."""
    eye = np.eye(len(place))

    def along(function: Callable[..., Array], index: int) -> np.ndarray:
        sides = [np.asarray(function(problem, jnp.asarray(place + sign * _STEP * eye[index]))) for sign in (1, -1)]
        return (sides[0] - sides[1]) / (2 * _STEP)

    hessian = np.stack([along(_slope, index)[free] for index in free.tolist()])
    speeds = np.stack([along(_weighted_gains, index) for index in free.tolist()])
    # a shape that only grows is, on a budget, the same matrix: its direction has no length
    lengths, axes = np.linalg.eigh(speeds @ speeds.T)
    kept = lengths > _FLAT * lengths.max()
    whitened = axes[:, kept] / np.sqrt(lengths[kept])
    curvature, turned = np.linalg.eigh(-whitened.T @ (hessian + hessian.T) @ whitened / 2)
    order = np.argsort(-curvature)
    moves = np.zeros((len(order), len(place)))
    moves[:, free] = (whitened @ turned).T[order]
    matrix = member(problem, jnp.asarray(place))
    root = np.sqrt(np.asarray(matrix.fractions))
    changes = (moves[:, free] @ speeds).reshape(-1, *matrix.gains.shape) / (root[:, None] * root)
    return changes, moves, curvature[order]


def _path(
    problem: Problem, place: np.ndarray, least: np.ndarray, move: np.ndarray, curvature: float, loss: float
) -> tuple:
    """Distances along a direction, as far as thrice where the loss is expected or a bound is met, and what is there."""
    expected = 3 * np.sqrt(-2 * np.log(1 - loss) / max(curvature, 1e-6))
    sides = []
    for sign in (-1, 1):
        with np.errstate(divide="ignore"):
            room = np.where(sign * move > 0, 1 - place, place - least) / np.abs(move)
        most = min(expected, 0.999 * float(np.min(room[move != 0])))
        sides.append(sign * most * np.arange(1, _POINTS + 1) / _POINTS)
    steps = np.concatenate([sides[0][::-1], [0.0], sides[1]])
    units = jnp.asarray(place + steps[:, None] * move)
    start = np.asarray(_weighted_gains(problem, jnp.asarray(place)))
    moved = [np.asarray(_weighted_gains(problem, unit)) - start for unit in units]
    distances = np.sign(steps) * np.linalg.norm(moved, axis=1)
    return distances, values_along(problem, units), *map(np.asarray, radii_along(problem, units))


def _reach(distances: np.ndarray, value: np.ndarray, loss: float) -> np.ndarray:
    """Where the objective has fallen by ln(1 − loss), before and after the optimum."""
    middle, reach = len(distances) // 2, []
    for side in (slice(middle, None, -1), slice(middle, None)):
        fallen = value[middle] - value[side]
        beyond = np.flatnonzero(fallen >= -np.log(1 - loss))
        if not beyond.size:
            reach.append(np.inf)
            continue
        last = beyond[0]
        share = (-np.log(1 - loss) - fallen[last - 1]) / (fallen[last] - fallen[last - 1])
        reach.append(abs(distances[side][last - 1] + share * (distances[side][last] - distances[side][last - 1])))
    return np.array(reach)
