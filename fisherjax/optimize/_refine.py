"""Stage 2: gradient ascent through the exact objective, in coordinates without bounds."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import check_flag, check_instance, check_integer, check_optional, is_traced, require
from fisherjax._runtime import digest, progress_bar, stop_if_requested
from fisherjax.connectivity import Family, GainMatrix

from ._checkpoint import AscentState, Save, leaves_of, with_leaves
from ._objectives import Constraint
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
    """`refine` from a point of the unit box, or from a state that an earlier run saved."""
    num_steps = check_integer("num_steps", num_steps, minimum=0)
    _, value, excess = assess(problem, unit)
    require(bool(jnp.isfinite(value)), "the objective must be finite where the ascent starts")
    transform = _default_optimizer() if optimizer is None else optax.with_extra_args_support(optimizer)
    if state is None:
        free = jnp.arcsin(2 * jnp.clip(unit, _MARGIN, 1 - _MARGIN) - 1)
        best_value = jnp.where(problem.holds(excess), value, -jnp.inf)
        state = AscentState(0, 0, free, (), jnp.zeros_like(excess), unit, best_value, unit[None])
    interrupted = False
    rounds = _PENALTIES if excess.size else (1.0,)
    bar = progress_bar("ascending the gradient", num_steps * len(rounds), enabled=progress)
    # optax mixes integer types; strict promotion is for our own code
    with bar as advance, jax.numpy_dtype_promotion("standard"):
        advance(state.round * num_steps + state.done)
        try:
            while state.round < len(rounds):
                stop_if_requested()
                before = len(state.path)
                state = _advanced(problem, transform, state, rounds[state.round], num_steps)
                if save is not None:
                    save(state)
                advance(len(state.path) - before, note=f"best {float(state.best_value):.6f}")
        except KeyboardInterrupt:
            interrupted = True
    return Ascent(state.best, state.best_value, state.path, interrupted)


def _advanced(problem: Problem, transform: Any, state: AscentState, penalty: float, num_steps: int) -> AscentState:
    """Some steps further in a penalty round, or into the next."""
    length = min(_CHUNK, num_steps - state.done)
    free, leaves, multipliers, path = state.free, state.leaves, state.multipliers, state.path
    best, best_value = state.best, state.best_value
    if length:
        optimizer = transform.init(free)
        optimizer = with_leaves(optimizer, leaves) if state.done else optimizer
        terms = (multipliers, jnp.asarray(penalty, free.dtype))
        free, optimizer, visited, values = _ascend(problem, transform, terms, free, optimizer, jnp.asarray(length))
        visited, values = visited[:length], values[:length]
        leaves, path = leaves_of(optimizer), jnp.concatenate([path, visited])
        index = int(jnp.argmax(values))
        if float(values[index]) > float(best_value):
            best, best_value = visited[index], values[index]
    done = state.done + length
    if done < num_steps:
        return AscentState(state.round, done, free, leaves, multipliers, best, best_value, path)
    if multipliers.size:
        multipliers = jnp.maximum(multipliers + penalty * assess(problem, _to_unit(free))[2], 0)
    return AscentState(state.round + 1, 0, free, (), multipliers, best, best_value, path)


def fingerprint(optimizer: optax.GradientTransformation, num_parameters: int) -> str:
    """Of what an optimizer does with the first step down a paraboloid, and of its state after it."""
    start = jnp.linspace(0.1, 1.0, num_parameters)

    def loss(point: Array) -> Array:
        return jnp.sum(point**2)

    transform = optax.with_extra_args_support(optimizer)
    with jax.numpy_dtype_promotion("standard"):
        known = {"value": loss(start), "grad": 2 * start, "value_fn": loss}
        return digest(jax.tree.leaves(transform.update(2 * start, transform.init(start), start, **known)))


def _to_unit(free: Float[Array, " d"]) -> Float[Array, " d"]:
    return (1 + jnp.sin(free)) / 2


@functools.cache
def _default_optimizer() -> optax.GradientTransformationExtraArgs:
    """One instance, so that a second ascent finds the first one's compiled program."""
    return optax.lbfgs()


@eqx.filter_jit
def _ascend(
    problem: Problem, transform: Any, terms: tuple[Array, Array], free: Array, state: Any, length: Array
) -> tuple[Array, Any, Array, Array]:
    """`length` steps, or as many as a chunk has; what stands in its rows beyond is where it ended.

    An evaluation takes long to compile: what a line search has found out is not computed again.
    """
    multipliers, penalty = terms

    def pressure_of(excesses: Array) -> Array:
        return penalty / 2 * jnp.sum(jnp.maximum(excesses + multipliers / penalty, 0) ** 2)

    def loss(free: Array) -> Array:
        gain_matrix = problem.gain_matrix(_to_unit(free))
        return -problem.objective(gain_matrix) + pressure_of(problem.excesses(gain_matrix))

    def feasible_value(free: Array, value: Array) -> Array:
        excesses = problem.excesses(problem.gain_matrix(_to_unit(free)))
        holds = problem.holds(excesses) & jnp.isfinite(value)
        return jnp.where(holds, pressure_of(excesses) - value, -jnp.inf)

    def climb(carry: tuple) -> tuple:
        free, state, value, gradient = carry
        updates, state = transform.update(gradient, state, free, value=value, grad=gradient, value_fn=loss)
        moved: Any = optax.apply_updates(free, updates)
        # a line search that ran into non-finite values must not carry them on
        sound = jnp.all(jnp.isfinite(moved))
        free = jnp.where(sound, moved, free)
        new_value, new_gradient = _seen_by_search(state) or jax.value_and_grad(loss)(free)
        return free, state, jnp.where(sound, new_value, value), jnp.where(sound, new_gradient, gradient)

    def step(carry: tuple, index: Array) -> tuple[tuple, tuple[Array, Array]]:
        carry = jax.lax.cond(index < length, climb, lambda at: at, carry)
        return carry, (_to_unit(carry[0]), feasible_value(carry[0], carry[2]))

    # the length of a chunk is no part of the program, which takes long to compile
    begun = (free, state, *jax.value_and_grad(loss)(free))
    (free, state, *_), (units, values) = jax.lax.scan(step, begun, jnp.arange(_CHUNK))
    return free, state, units, values


def _seen_by_search(state: Any) -> tuple[Array, Array] | None:
    """Loss and gradient where a line search has stopped, if the optimizer keeps them."""
    value, gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")
    return None if value is None or gradient is None else (value, gradient)
