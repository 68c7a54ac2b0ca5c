"""An objective over a family under constraints, as functions of a point in the unit box."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_callable, check_instance, check_kind, require, told
from fisherjax._runtime import SmallProgram
from fisherjax._types import Record
from fisherjax.connectivity import Family, GainMatrix
from fisherjax.connectivity import spectral_radius as weight_spectral_radius
from fisherjax.meanfield import diffusion_operator

from ._constraints import Budget, Constraint, MaximumGain
from ._objectives import MemoryObjective

Objective = Callable[[GainMatrix], Float[Array, ""]]


class Problem(eqx.Module):
    """Maximize `objective(family.build(parameters))` with parameters in the family's box."""

    family: Family
    objective: Any
    constraints: tuple[Constraint, ...]

    def gain_matrix(self, unit: Float[Array, " d"]) -> GainMatrix:
        """The gain matrix at a point of the unit box, on the budget if there is one."""
        low, high = (jnp.asarray(bound, unit.dtype) for bound in self.family.bounds)
        built = self.family.build(low + (high - low) * unit)
        budget = self._budget()
        return built if budget is None else budget.rescale(built)

    def value(self, unit: Float[Array, " d"]) -> Float[Array, ""]:
        """The objective at a point of the unit box."""
        return self.objective(self.gain_matrix(unit))

    def excesses(self, gain_matrix: GainMatrix) -> Float[Array, " c"]:
        """Excess of every inequality constraint."""
        limits = [c.excess(gain_matrix) for c in self.constraints if not isinstance(c, Budget)]
        return jnp.stack(limits) if limits else jnp.zeros(0, gain_matrix.gains.dtype)

    def fitness(self, unit: Float[Array, " d"]) -> Float[Array, ""]:
        """What a search minimizes: −value; any infeasible point ranks below every feasible one.

        Feasible values are squashed into (−1, 1), infeasible points get 1 plus their violation (Deb
        2000); anything not finite is the worst. Only the order matters to the searches used.
        """
        gain_matrix = self.gain_matrix(unit)
        value = self.objective(gain_matrix)
        violation = jnp.sum(jnp.maximum(self.excesses(gain_matrix), 0))
        fitness = jnp.where(violation > 0, 1 + violation, -value / (1 + jnp.abs(value)))
        return jnp.where(jnp.isfinite(value) & jnp.isfinite(violation), fitness, jnp.inf)

    @staticmethod
    def holds(excesses: Float[Array | np.ndarray, " c"]) -> Bool[Array, ""]:
        """Whether all constraints hold to rounding."""
        return jnp.all(excesses <= 1e3 * jnp.finfo(excesses.dtype).eps)

    def coarse(self) -> "Problem":
        """The same problem with the objective's cheap variant where it has one."""
        cheap = self.objective.coarse() if isinstance(self.objective, MemoryObjective) else self.objective
        return Problem(self.family, cheap, self.constraints)

    def _budget(self) -> Budget | None:
        return next((c for c in self.constraints if isinstance(c, Budget)), None)


def make_problem(family: Family, objective: Objective, constraints: tuple[Constraint, ...]) -> Problem:
    """Check the parts of a problem and put them together.

    Raises
    ------
    TypeError
        If one of them is of the wrong kind, or the objective returns no real number that has a gradient.
    ValueError
        If a budget is infeasible, there are two, or the objective does not fit the family.
    """
    check_instance("family", family, Family, "for instance connectivity.ToeplitzFamily(5)")
    check_callable("objective", objective)
    check_kind("constraints", constraints, (tuple, list), "a tuple of constraints such as (Budget(1.0),)")
    for constraint in constraints:
        check_instance("constraints", constraint, Constraint, "each one, such as optimize.Budget(1.0)")
    _check_objective(family, objective)
    budgets = [c for c in constraints if isinstance(c, Budget)]
    require(len(budgets) <= 1, f"constraints must hold at most one Budget, got {len(budgets)}")
    for budget in budgets:
        budget.check_feasible(family)
        # the smallest possible largest gain on the budget is that of equal gains
        for limit in (c for c in constraints if isinstance(c, MaximumGain)):
            require(
                float(limit.limit) ** 2 >= float(budget.limit),
                f"the budget of {float(budget.limit):g} is infeasible with gains of at most {float(limit.limit):g}: "
                f"even equal gains need {float(budget.limit) ** 0.5:g}",
            )
    return Problem(family, objective, tuple(constraints))


def _check_objective(family: Family, objective: Objective) -> None:
    """Refuse an objective that cannot be climbed: its value for a member of the family must be one real number."""
    low, high = (np.asarray(bound, np.float64) for bound in family.bounds)
    require(
        bool(np.isfinite(low).all() and np.isfinite(high).all() and (high > low).all()),
        f"family must have finite bounds, each upper one above the lower, got {low.tolist()} and {high.tolist()}",
    )
    member = jax.ShapeDtypeStruct(low.shape, jnp.result_type(float))
    try:
        value = jax.eval_shape(lambda point: objective(family.build(point)), member)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise TypeError(
            "objective must be made of jax.numpy operations, of which a gradient can be taken; it asks for the numbers "
            "of a traced GainMatrix (float(…), np.…, if …)"
        ) from error
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(f"objective must return one real number, got {told(value)}")
    require(value.shape == (), f"objective must return one real number, got an array of shape {value.shape}")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"objective must return a real number that has a gradient, got {value.dtype}")


class Evaluation(NamedTuple):
    """What is known of a point of the unit box: objective, excess of every inequality constraint, their slopes."""

    value: Float[Array, ""]
    excesses: Float[Array, " c"]
    slope: Float[Array, " d"]
    excess_slopes: Float[Array, "c d"]


@SmallProgram
def evaluate(problem: Problem, unit: Float[Array, " d"]) -> Evaluation:
    """Values and exact slopes: the one program, which takes long to compile, for all that is asked of single points."""

    def excesses(unit: Array) -> Array:
        return problem.excesses(problem.gain_matrix(unit))

    value, slope = jax.value_and_grad(problem.value)(unit)
    return Evaluation(value, excesses(unit), slope, jax.jacrev(excesses)(unit))


@eqx.filter_jit
def member(problem: Problem, unit: Float[Array, " d"]) -> GainMatrix:
    """The gain matrix at a point."""
    return problem.gain_matrix(unit)


class History(Record):
    """The best point so far at every step of a search (S steps), generations first, then iterations of the ascent."""

    value: Float[Array, " S"]
    weight_spectral_radius: Float[Array, " S"]
    diffusion_spectral_radius: Float[Array, " S"] | None
    alignment: Float[Array, " S"] | None
    """cos(l, u), overlap of the input with the slow mode of the diffusion operator."""
    num_generations: int = eqx.field(static=True)


def values_along(problem: Problem, units: Float[Array, "S d"]) -> Float[np.ndarray, " S"]:
    """The exact objective along a path of points."""
    distinct, place = np.unique(np.asarray(units), axis=0, return_inverse=True)
    # the best point stays for many steps
    return np.array([evaluate(problem, jnp.asarray(unit)).value for unit in distinct])[place.reshape(-1)]


@eqx.filter_jit
def radii_along(problem: Problem, units: Float[Array, "S d"]) -> tuple[Array, ...]:
    """Spectral radius of the weights and, of an objective of memory, of the operator, and alignment, along a path."""

    def traced(unit: Float[Array, " d"]) -> tuple[Array, ...]:
        gain_matrix = problem.gain_matrix(unit)
        basic = (weight_spectral_radius(gain_matrix),)
        objective = problem.objective
        if not isinstance(objective, MemoryObjective):
            return basic
        operator = diffusion_operator(
            gain_matrix,
            noise_std=objective.noise_std,
            nonlinearity=objective.nonlinearity,
            bias=objective.bias,
            bias_std=objective.bias_std,
        )
        alignment = operator.alignment(objective.input_pattern)
        return (*basic, alignment.spectral_radius, alignment.input_overlap)

    return jax.lax.map(traced, units)
