"""The entry point: global search, then gradient ascent, one result."""

import functools
import os
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_flag, check_instance, check_integer, check_key, check_optional, require
from fisherjax._runtime import Devices, compiled_ahead, description, digest, key_words, on_devices
from fisherjax._types import Key, Record, npz_path
from fisherjax.connectivity import Family, GainMatrix

from ._checkpoint import Saver
from ._constraints import Constraint
from ._evolve import Search, SearchSettings, best_restart, search
from ._problem import History, Objective, Problem, evaluate, make_problem, member, radii_along, values_along
from ._refine import Ascent, ascend, check_optimizer, fingerprint
from ._sensitivity import Sensitivity, sensitivity


class Optimum(Record):
    """The best structure found, re-evaluated exactly, and how the search got there."""

    gain_matrix: GainMatrix
    value: Float[Array, ""]
    parameters: Float[Array, " d"]
    """Parameters in the family's box (with a budget: of the shape, before its common factor)."""
    history: History
    feasible: Bool[Array, ""]
    excesses: Float[Array, " c"]
    """Relative excess of every inequality constraint; at most 0 where it holds."""
    num_evaluations: int = eqx.field(static=True)
    interrupted: bool = eqx.field(static=True)

    def sensitivity(
        self, family: Family, objective: Objective, *, constraints: tuple[Constraint, ...] = (), loss: float = 0.1
    ) -> Sensitivity:
        """What the optimum hangs on: how far its gains can move before a share `loss` of e^objective is lost.

        Directions are those of the objective's second derivative on the family and its budget, stiffest first; gains
        that lie on a bound stay there, and it is told what leaving it would cost. In the linear form the price τ of the
        noise of every population and time says what limits information.

        Parameters
        ----------
        family, objective, constraints
            As they were maximized.
        loss
            Share of the information (of e^objective) that counts as lost, between 0 and 1.

        Raises
        ------
        TypeError, ValueError
            As `maximize`; if `loss` is no share, or nothing can be moved.
        """
        problem = make_problem(family, objective, constraints)
        low, high = (jnp.asarray(bound, self.parameters.dtype) for bound in family.bounds)
        require(self.parameters.shape == low.shape, f"family must be the one that was searched, got {family!r}")
        return sensitivity(problem, (self.parameters - low) / (high - low), loss=loss)


def maximize(
    family: Family,
    objective: Objective,
    *,
    key: Key,
    constraints: tuple[Constraint, ...] = (),
    algorithm: str = "differential-evolution",
    population_size: int = 64,
    num_generations: int = 200,
    num_restarts: int = 2,
    refine_steps: int = 100,
    optimizer: optax.GradientTransformation | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
    devices: Devices = None,
) -> Optimum:
    """Find the member of a family with the largest objective, in two stages.

    Stage 1 searches the family's box globally with an evolution strategy (several restarts in one
    compiled program); stage 2 climbs the gradient of the exact objective from the best point. The
    value reported is the exact objective at the returned matrix.

    Parameters
    ----------
    family
        Where to search, for instance ``ToeplitzFamily(5)``.
    objective
        What to maximize: `LogFisher`, `IntegratedMemory`, `Retention`, or any differentiable function
        of a `GainMatrix`. Where it is not finite a point counts as the worst.
    key
        JAX random key.
    constraints
        `Budget`, `WeightRadius`, `DiffusionRadius`, `MaximumGain`. A budget is met exactly by a common
        factor; the others by ranking feasible points first, then by an augmented Lagrangian.
    algorithm
        ``"differential-evolution"`` or ``"cma-es"``.
    population_size, num_generations, num_restarts
        Size of the search.
    refine_steps
        Iterations of stage 2 at most (per penalty round, where there are inequality constraints).
    optimizer
        An optax transformation for stage 2; SciPy's L-BFGS by default, which ends where nothing is to be gained.
    checkpoint
        File (.npz) to write every 25 generations and every 10 evaluations of the ascent. If it exists, the run goes on
        from there, to the same bits as if it had never stopped; a checkpoint of another run is refused.
    progress
        Whether to show bars on stderr.
    devices
        Divide the candidates of every generation among devices: a number, ``"all"``, or what
        `fisherjax.device_mesh` takes.

    Returns
    -------
    Optimum with `.gain_matrix`, `.value`, `.history`. Ctrl-C returns the best so far, `.interrupted` set.

    Raises
    ------
    TypeError
        If family, objective, constraints, optimizer or key are of the wrong kind, or the objective returns something
        that has no gradient.
    ValueError
        If a number is out of range, the budget is infeasible, no feasible point was found, or the checkpoint is broken
        or of another run.
    """
    key, progress = check_key("key", key), check_flag("progress", progress)
    settings = SearchSettings(algorithm, population_size, num_generations, num_restarts)
    settings.check()
    refine_steps = check_integer("refine_steps", refine_steps, minimum=0)
    check_optimizer(optimizer)
    check_optional(check_instance, "checkpoint", checkpoint, kind=(str, os.PathLike), hint="the path of a file")
    problem = make_problem(family, objective, constraints)
    known = {
        "problem": f"{description(problem)} {digest(eqx.filter(problem, eqx.is_array))}",
        "key": key_words(key),
        **settings._asdict(),
        "refine_steps": refine_steps,
        "optimizer": "L-BFGS" if optimizer is None else fingerprint(optimizer, family.num_parameters),
    }
    with on_devices(devices):
        middle = jnp.full(family.num_parameters, 0.5, float)  # of a known type: another is another program
        compiling = compiled_ahead(evaluate, problem, middle)

        @functools.cache
        def described() -> dict[str, Any]:
            compiling.result()
            # what a function closes over shows only in what it returns
            return {**known, "objective": digest([evaluate(problem, middle * share)[:2] for share in (1.0, 0.6)])}

        saver = Saver(None if checkpoint is None else npz_path(checkpoint), described)
        searched = search(problem, settings, key=key, progress=progress, state=saver.search, save=saver.keep)
        compiling.result()
        winner = best_restart(searched)
        ascent = ascend(
            problem,
            searched.best[winner],
            num_steps=0 if searched.interrupted else refine_steps,
            optimizer=optimizer,
            progress=progress,
            state=saver.ascent,
            save=None if searched.interrupted else saver.keep,
        )
        return _optimum(problem, searched, winner, ascent)


def _optimum(problem: Problem, search: Search, winner: int, ascent: Ascent) -> Optimum:
    best = ascent.best
    known = evaluate(problem, best)
    low, high = (jnp.asarray(bound, best.dtype) for bound in problem.family.bounds)
    generations = search.path[:, winner]
    values = jnp.concatenate([jnp.asarray(values_along(problem, generations)), ascent.values[1:]])
    radius, *others = radii_along(problem, jnp.concatenate([generations, ascent.path[1:]]))
    operator_radius, alignment = others or (None, None)
    return Optimum(
        gain_matrix=member(problem, best),
        value=known.value,
        parameters=low + (high - low) * best,
        history=History(values, radius, operator_radius, alignment, search.path.shape[0]),
        feasible=problem.holds(known.excesses),
        excesses=known.excesses,
        num_evaluations=search.num_evaluations,
        interrupted=search.interrupted or ascent.interrupted,
    )
