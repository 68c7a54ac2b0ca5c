"""Stage 2: gradient ascent through the exact objective, in coordinates without bounds."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jaxtyping import Array, Float

from fisherjax._errors import check_flag, check_instance, check_integer, check_optional, is_traced, require
from fisherjax._runtime import digest, progress_bar, stop_if_requested
from fisherjax.connectivity import Family, GainMatrix

from ._checkpoint import AscentState, Save
from ._constraints import Constraint
from ._problem import Evaluation, Objective, Problem, evaluate, make_problem

_KEEP = 10  # evaluations between checkpoints
_MARGIN = 1e-4  # distance from the faces of the box at which the ascent starts
_PENALTIES = (1e1, 1e2, 1e3, 1e4)


class Ascent(NamedTuple):
    """Best feasible point of a gradient ascent, and the best before and after every iteration, in the unit box."""

    best: Float[Array, " d"]
    value: Float[Array, ""]
    path: Float[Array, "S d"]
    values: Float[Array, " S"]
    interrupted: bool


def refine(
    family: Family,
    objective: Objective,
    initial: GainMatrix,
    *,
    constraints: tuple[Constraint, ...] = (),
    num_steps: int = 100,
    optimizer: optax.GradientTransformation | None = None,
    progress: bool = False,
) -> Ascent:
    """Improve a member of the family by gradient ascent on the exact objective.

    Each parameter is written as low + (high − low)(1 + sin u)/2, so that u is free and a face of the
    box is reached at finite u. Inequality constraints enter by an augmented Lagrangian whose penalty
    grows in four rounds; the best feasible point is returned. By default SciPy's L-BFGS, for at most `num_steps`
    iterations a round; see `maximize`.

    Raises
    ------
    TypeError
        If family, objective, initial, constraints or optimizer are of the wrong kind.
    ValueError
        If `initial` is no member within the family's bounds, the objective is not finite there, or no point of the
        ascent meets the constraints.

    References
    ----------
    Nocedal & Wright (2006), Numerical Optimization, chapters 7 and 17.
    """
    problem = make_problem(family, objective, constraints)
    check_optimizer(optimizer)
    check_flag("progress", progress)
    num_steps = check_integer("num_steps", num_steps, minimum=0)
    ascent = ascend(problem, _unit_of(family, initial), num_steps=num_steps, optimizer=optimizer, progress=progress)
    require(
        ascent.interrupted or bool(jnp.isfinite(ascent.value)),
        "constraints were met by no point of the ascent; start elsewhere, take more num_steps, or loosen them",
    )
    return ascent


def check_optimizer(optimizer: optax.GradientTransformation | None) -> None:
    """Refuse anything but an optax transformation, or None for the default."""
    hint = "for instance optax.adam(0.05)"
    check_optional(check_instance, "optimizer", optimizer, kind=optax.GradientTransformation, hint=hint)


def _unit_of(family: Family, initial: GainMatrix) -> Float[Array, " d"]:
    """Where a member of the family lies in the unit box."""
    check_instance("initial", initial, GainMatrix, "make one with connectivity.toeplitz or another structure")
    low, high = (jnp.asarray(bound, initial.gains.dtype) for bound in family.bounds)
    populations = jax.eval_shape(family.build, low).gains.shape[0]
    require(
        initial.num_populations == populations,
        f"initial must be a member of the family, of {populations} populations, got {initial.num_populations}",
    )
    unit = (jnp.asarray(family.parameters(initial)) - low) / (high - low)
    if not is_traced(unit):
        rounding = 1e3 * float(jnp.finfo(unit.dtype).eps)
        least, most = float(jnp.min(unit)), float(jnp.max(unit))
        require(
            least >= -rounding and most <= 1 + rounding,
            "initial must lie within the family's bounds, but a parameter lies outside; widen them (low=, high=)",
        )
    return jnp.clip(unit, 0, 1)


def ascend(
    problem: Problem,
    unit: Float[Array, " d"],
    *,
    num_steps: int,
    optimizer: optax.GradientTransformation | None = None,
    progress: bool = False,
    state: AscentState | None = None,
    save: Save | None = None,
) -> Ascent:
    """`refine` from a point of the unit box; what an earlier run has evaluated is not computed again."""
    num_steps = check_integer("num_steps", num_steps, minimum=0)
    path = _Path(problem, unit, state, save)
    start = path.at(np.asarray(unit))
    require(bool(np.isfinite(start.value)), "the objective must be finite where the ascent starts")
    free = np.arcsin(2 * np.clip(np.asarray(unit, float), _MARGIN, 1 - _MARGIN) - 1)
    climb = _by_scipy if optimizer is None else functools.partial(_by_optax, optax.with_extra_args_support(optimizer))
    multipliers, interrupted, visited = np.zeros(start.excesses.shape), False, [(path.best, path.best_value)]
    rounds = _PENALTIES if multipliers.size else (1.0,)
    with progress_bar("ascending the gradient", num_steps * len(rounds), enabled=progress) as advance:

        def moved(_: Any) -> None:
            visited.append((path.best, path.best_value))
            advance(1, note=f"best {path.best_value:.6f}")

        try:
            for finished, penalty in enumerate(rounds if num_steps else ()):
                free = climb(_Loss(path, multipliers, penalty), free, num_steps, moved)
                # it may end early
                advance((finished + 1) * num_steps + 1 - len(visited))
                if multipliers.size:
                    multipliers = np.maximum(multipliers + penalty * path.at(_to_unit(free)).excesses, 0)
        except KeyboardInterrupt:
            interrupted = True
    path.keep()
    points, values = (jnp.asarray(np.stack(part), unit.dtype) for part in zip(*visited, strict=True))
    best, value = (jnp.asarray(part, unit.dtype) for part in (path.best, path.best_value))
    return Ascent(best, value, points, values, interrupted)


class _Path:
    """The evaluations of an ascent, of which an earlier run may know the first, and the best feasible point so far."""

    def __init__(self, problem: Problem, unit: Float[Array, " d"], state: AscentState | None, save: Save | None):
        self.problem, self.save, self.dtype = problem, save, unit.dtype
        columns = () if state is None else dataclasses.astuple(state)
        self.log: list[tuple[np.ndarray, ...]] = list(zip(*columns, strict=True))
        self.asked = self.kept = 0
        self.best, self.best_value = np.asarray(unit), -np.inf
        self.worst = -np.inf  # finite loss

    def at(self, unit: Float[np.ndarray, " d"]) -> Evaluation:
        """Objective, excesses and their slopes at the next point."""
        point = np.asarray(unit, self.dtype)
        # another machine may round otherwise: then what was known is of no use
        if self.asked < len(self.log) and not np.array_equal(self.log[self.asked][0], point):
            del self.log[self.asked :]
        if self.asked == len(self.log):
            stop_if_requested()
            self.log.append((point, *jax.device_get(evaluate(self.problem, jnp.asarray(point)))))
        known = Evaluation(*self.log[self.asked][1:])  # pyright: ignore[reportArgumentType]
        self.asked += 1
        if np.isfinite(known.value) and known.value > self.best_value and bool(self.problem.holds(known.excesses)):
            self.best, self.best_value = point, float(known.value)
        if len(self.log) >= self.kept + _KEEP:
            self.keep()
        return known

    def keep(self) -> None:
        """Hand out what is known."""
        if self.save is not None and len(self.log) > self.kept:
            self.save(AscentState(*(np.stack(column) for column in zip(*self.log, strict=True))))
            self.kept = len(self.log)


class _Loss(NamedTuple):
    """The augmented Lagrangian of a penalty round, in free coordinates."""

    path: _Path
    multipliers: Float[np.ndarray, " c"]
    penalty: float

    def __call__(self, free: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        """Loss and slope; where they are not finite, more than all that were, and level."""
        value, excesses, slope, excess_slopes = self.path.at(_to_unit(free))
        pressed = np.maximum(excesses + self.multipliers / self.penalty, 0)
        loss = float(self.penalty / 2 * np.sum(pressed**2) - value)
        slope = (self.penalty * pressed @ excess_slopes - slope) * np.cos(free) / 2
        if not (np.isfinite(loss) and np.isfinite(slope).all()):
            return self.path.worst + 1, np.zeros_like(free)
        self.path.worst = max(self.path.worst, loss)
        return loss, slope


def _by_scipy(
    loss: _Loss, free: Float[np.ndarray, " d"], num_steps: int, moved: Callable[[Any], None]
) -> Float[np.ndarray, " d"]:
    """L-BFGS with a line search for the strong Wolfe conditions, until nothing is gained but rounding."""
    rounding = float(jnp.finfo(loss.path.dtype).eps)
    limits = {"maxiter": num_steps, "maxfun": 20 * num_steps, "ftol": 4 * rounding, "gtol": rounding**0.5 / 10}
    return scipy.optimize.minimize(loss, free, jac=True, method="L-BFGS-B", callback=moved, options=limits).x


def _by_optax(
    transform: optax.GradientTransformationExtraArgs,
    loss: _Loss,
    free: Float[np.ndarray, " d"],
    num_steps: int,
    moved: Callable[[Any], None],
) -> Float[np.ndarray, " d"]:
    point = jnp.asarray(free, loss.path.dtype)
    terms = (jnp.asarray(loss.multipliers, point.dtype), jnp.asarray(loss.penalty, point.dtype))
    # optax mixes integer types; strict promotion is for our own code
    with jax.numpy_dtype_promotion("standard"):
        state = transform.init(point)
        value, slope = loss(np.asarray(point))
        for _ in range(num_steps):
            known = (jnp.asarray(part, point.dtype) for part in (value, slope))
            new, state = _stepped(loss.path.problem, transform, terms, point, state, *known)
            # a line search that ran into non-finite values must not carry them on
            point = new if bool(jnp.isfinite(new).all()) else point
            value, slope = loss(np.asarray(point))
            moved(point)
    return np.asarray(point)


@eqx.filter_jit
def _stepped(
    problem: Problem, transform: Any, terms: tuple[Array, Array], free: Array, state: Any, value: Array, slope: Array
) -> tuple[Array, Any]:
    multipliers, penalty = terms

    def loss(free: Array) -> Array:
        gain_matrix = problem.gain_matrix((1 + jnp.sin(free)) / 2)
        pressed = jnp.maximum(problem.excesses(gain_matrix) + multipliers / penalty, 0)
        return penalty / 2 * jnp.sum(pressed**2) - problem.objective(gain_matrix)

    # a line search asks for more points than the path knows of
    updates, state = transform.update(slope, state, free, value=value, grad=slope, value_fn=loss)
    moved: Any = optax.apply_updates(free, updates)
    return moved, state


def fingerprint(optimizer: optax.GradientTransformation, num_parameters: int) -> str:
    """Of what an optimizer does with the first step down a paraboloid, and of its state after it."""
    start = jnp.linspace(0.1, 1.0, num_parameters)

    def loss(point: Array) -> Array:
        return jnp.sum(point**2)

    transform = optax.with_extra_args_support(optimizer)
    with jax.numpy_dtype_promotion("standard"):
        known = {"value": loss(start), "grad": 2 * start, "value_fn": loss}
        return digest(jax.tree.leaves(transform.update(2 * start, transform.init(start), start, **known)))


def _to_unit(free: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    return (1 + np.sin(free)) / 2
