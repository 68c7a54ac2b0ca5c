"""Stage 2: gradient ascent through the exact objective, in coordinates without bounds."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, require
from fisherjax.connectivity import Family, GainMatrix
from fisherjax.numerics import progress_bar

from ._constraints import Constraint
from ._problem import Objective, Problem, assess, make_problem

_CHUNK = 10
_MARGIN = 1e-4  # distance from the faces of the box at which the ascent starts
_PENALTIES = (1e1, 1e2, 1e3, 1e4)


class Ascent(NamedTuple):
    """Best feasible point of a gradient ascent, and the path to it, in the unit box."""

    best: Float[Array, " d"]
    value: Float[Array, ""]
    path: Float[Array, "S d"]
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
    grows in four rounds; the best feasible point is returned. L-BFGS by default; see `maximize`.

    References
    ----------
    Nocedal & Wright (2006), Numerical Optimization, chapters 7 and 17.
    """
    problem = make_problem(family, objective, constraints)
    low, high = (jnp.asarray(bound, initial.gains.dtype) for bound in family.bounds)
    unit = (jnp.asarray(family.parameters(initial)) - low) / (high - low)
    return ascend(problem, unit, num_steps=num_steps, optimizer=optimizer, progress=progress)


def ascend(
    problem: Problem,
    unit: Float[Array, " d"],
    *,
    num_steps: int,
    optimizer: optax.GradientTransformation | None = None,
    progress: bool = False,
) -> Ascent:
    """`refine` from a point of the unit box."""
    num_steps = check_integer("num_steps", num_steps, minimum=0)
    _, value, multipliers = assess(problem, unit)
    require(bool(jnp.isfinite(value)), "the ascent must start where the objective is finite")
    transform = _default_optimizer() if optimizer is None else optax.with_extra_args_support(optimizer)
    best, interrupted, path = unit, False, [unit[None]]
    best_value = jnp.where(problem.holds(multipliers), value, -jnp.inf)
    multipliers = jnp.zeros_like(multipliers)
    free = jnp.arcsin(2 * jnp.clip(unit, _MARGIN, 1 - _MARGIN) - 1)
    rounds = _PENALTIES if multipliers.size else (1.0,)
    bar = progress_bar("ascending the gradient", num_steps * len(rounds), enabled=progress)
    # optax mixes integer types; strict promotion is for our own code
    with bar as advance, jax.numpy_dtype_promotion("standard"):
        try:
            for penalty in rounds:
                state = transform.init(free)
                terms = (multipliers, jnp.asarray(penalty, free.dtype))
                for first in range(0, num_steps, _CHUNK):
                    length = min(_CHUNK, num_steps - first)
                    free, state, visited, values = _ascend(problem, transform, terms, free, state, length)
                    index = int(jnp.argmax(values))
                    if float(values[index]) > float(best_value):
                        best, best_value = visited[index], values[index]
                    path.append(visited)
                    advance(length, note=f"best {float(best_value):.6f}")
                *_, excess = assess(problem, _to_unit(free))
                multipliers = jnp.maximum(multipliers + penalty * excess, 0)
        except KeyboardInterrupt:
            interrupted = True
    return Ascent(best, best_value, jnp.concatenate(path), interrupted)


def _to_unit(free: Float[Array, " d"]) -> Float[Array, " d"]:
    return (1 + jnp.sin(free)) / 2


@functools.cache
def _default_optimizer() -> optax.GradientTransformationExtraArgs:
    """One instance, so that a second ascent finds the first one's compiled program."""
    return optax.lbfgs()


@eqx.filter_jit
def _ascend(
    problem: Problem, transform: Any, terms: tuple[Array, Array], free: Array, state: Any, length: int
) -> tuple[Array, Any, Array, Array]:
    multipliers, penalty = terms

    def loss(free: Array) -> Array:
        gain_matrix = problem.gain_matrix(_to_unit(free))
        pressure = jnp.maximum(problem.excesses(gain_matrix) + multipliers / penalty, 0)
        return -problem.objective(gain_matrix) + penalty / 2 * jnp.sum(pressure**2)

    def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], tuple[Array, Array]]:
        free, state = carry
        value, gradient = jax.value_and_grad(loss)(free)
        updates, state = transform.update(gradient, state, free, value=value, grad=gradient, value_fn=loss)
        moved: Any = optax.apply_updates(free, updates)
        # a line search that ran into non-finite values must not carry them on
        free = jnp.where(jnp.all(jnp.isfinite(moved)), moved, free)
        unit = _to_unit(free)
        return (free, state), (unit, problem.feasible_value(unit))

    (free, state), (units, values) = jax.lax.scan(step, (free, state), length=length)
    return free, state, units, values
