"""Stage 1: global search by evolution strategies from evosax, several restarts at once."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import check_choice, check_flag, check_integer, check_key
from fisherjax._runtime import Devices, SmallProgram, on_devices, progress_bar, spread, spread_map, stop_if_requested
from fisherjax._types import Key
from fisherjax.connectivity import Family

from ._checkpoint import Save, SearchState, leaves_of, with_leaves
from ._constraints import Constraint
from ._problem import Objective, Problem, make_problem

ALGORITHMS = ("differential-evolution", "cma-es")
_CHUNK = 25


class Search(NamedTuple):
    """Best points of a search in the unit box, for R restarts."""

    best: Float[Array, "R d"]
    fitness: Float[Array, " R"]
    path: Float[Array, "G R d"]
    """Best point so far after every generation."""
    num_evaluations: int
    interrupted: bool


def evolve(
    family: Family,
    objective: Objective,
    *,
    key: Key,
    constraints: tuple[Constraint, ...] = (),
    algorithm: str = "differential-evolution",
    population_size: int = 64,
    num_generations: int = 200,
    num_restarts: int = 2,
    progress: bool = False,
    devices: Devices = None,
) -> Search:
    """Search the family's box for the global maximum; see `maximize` for the parameters.

    The first generation is drawn at random. Differential evolution is best/1/bin with the differential weight
    dithered in [0.5, 1] and crossover rate 0.9. Points that leave the box are reflected at it. The objective's coarse
    variant is used.

    Raises
    ------
    TypeError, ValueError
        As `maximize`.

    References
    ----------
    Storn & Price (1997), J. Global Optim. 11, 341–359; Lange (2023), evosax, GECCO companion.
    """
    key, progress = check_key("key", key), check_flag("progress", progress)
    settings = SearchSettings(algorithm, population_size, num_generations, num_restarts)
    settings.check()
    problem = make_problem(family, objective, constraints)
    with on_devices(devices):
        searched = search(problem, settings, key=key, progress=progress)
    best_restart(searched)
    return searched


def best_restart(searched: Search) -> int:
    """Index of the best restart.

    Raises
    ------
    ValueError
        If none has a feasible point where the objective is finite.
    KeyboardInterrupt
        If the search was interrupted before it had one.
    """
    winner = int(jnp.argmin(searched.fitness))
    best = float(searched.fitness[winner])
    if best < 1:
        return winner
    if searched.interrupted:
        raise KeyboardInterrupt
    reason = "the objective was finite" if np.isinf(best) else "all constraints held"
    raise ValueError(f"no point was found where {reason}; widen the family's bounds or loosen the constraints")


class SearchSettings(NamedTuple):
    """Size of a search."""

    algorithm: str
    population_size: int
    num_generations: int
    num_restarts: int

    def check(self) -> None:
        """ValueError or TypeError if one of them makes no sense."""
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_integer("population_size", self.population_size, minimum=4)
        check_integer("num_generations", self.num_generations, minimum=1)
        check_integer("num_restarts", self.num_restarts, minimum=1)


def search(
    problem: Problem,
    settings: SearchSettings,
    *,
    key: Key,
    progress: bool = False,
    state: SearchState | None = None,
    save: Save | None = None,
) -> Search:
    """`evolve` of a problem, from a state that an earlier run saved if there is one."""
    settings.check()
    algorithm, population_size, num_generations, num_restarts = settings
    problem = problem.coarse()
    start_key, run_key = jax.random.split(check_key("key", key))
    start = (algorithm, population_size, problem.family.num_parameters, jax.random.split(start_key, num_restarts))
    # evosax mixes float types; strict promotion is for our own code
    with jax.numpy_dtype_promotion("standard"):
        if state is None:
            strategy, paths = _start(*start), []
        else:
            strategy, paths = with_leaves(eqx.filter_eval_shape(_start, *start), state.leaves), [state.path]
        done, interrupted = sum(map(len, paths)), False
        with progress_bar("evolving", num_generations, enabled=progress) as advance:
            advance(done)
            try:
                while done < num_generations:
                    stop_if_requested()
                    length = min(_CHUNK, num_generations - done)
                    steps = np.arange(done, done + length)
                    strategy, path = _generations(problem, algorithm, population_size, strategy, run_key, steps)
                    paths.append(path)
                    done += length
                    if save is not None:
                        save(SearchState(leaves_of(strategy), jnp.concatenate(paths)))
                    advance(length, note=f"best {_value(strategy.best_fitness):.4f}")
            except KeyboardInterrupt:
                interrupted = True
    path = jnp.concatenate(paths) if paths else strategy.best_solution[None]
    evaluations = done * population_size * num_restarts
    return Search(strategy.best_solution, strategy.best_fitness, path, evaluations, interrupted)


def _value(fitness: Array) -> float:
    """Undo the squashing of feasible values, for display."""
    best = float(jnp.min(fitness))
    return -best / (1 - abs(best)) if abs(best) < 1 else float("nan")


@functools.cache
def _algorithm(name: str, population_size: int, num_dims: int) -> Any:
    """One instance per shape: evosax compiles anew for each."""
    from evosax.algorithms import CMA_ES, DifferentialEvolution  # noqa: PLC0415

    # an instance keeps arrays: made while tracing, they must still be concrete
    kinds = {"differential-evolution": DifferentialEvolution, "cma-es": CMA_ES}
    with jax.ensure_compile_time_eval():
        return kinds[name](population_size=population_size, solution=jnp.zeros(num_dims))


def _parameters(name: str, strategy: Any) -> Any:
    defaults = strategy.default_params
    if name == "cma-es":
        return defaults.replace(std_init=0.25)
    return defaults.replace(differential_weight_min=0.5, differential_weight_max=1.0)


def reflect(points: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Fold any point into the unit box as by mirrors at its faces."""
    return 1 - jnp.abs(1 - jnp.mod(points, 2))


def _fitness(unit: Float[Array, " d"], problem: Problem) -> Float[Array, ""]:
    return problem.fitness(unit)


@eqx.filter_jit
def _start(name: str, population_size: int, num_dims: int, keys: Key) -> Any:
    strategy = _algorithm(name, population_size, num_dims)
    parameters = _parameters(name, strategy)

    def begun(key: Key) -> Any:
        if name == "cma-es":
            return strategy.init(key, jax.random.uniform(key, (num_dims,), minval=0.2, maxval=0.8), parameters)
        # what is known of the first population is known after the first generation
        unknown = jnp.full(population_size, jnp.inf)
        return strategy.init(key, jax.random.uniform(key, (population_size, num_dims)), unknown, parameters)

    return jax.vmap(begun)(keys)


def _at_once(function: Callable[[Any], Any], items: Any) -> Any:
    return jax.vmap(function)(items)


@SmallProgram
def _generations(
    problem: Problem, name: str, population_size: int, state: Any, key: Key, steps: Int[Array, " g"]
) -> tuple[Any, Array]:
    strategy = _algorithm(name, population_size, problem.family.num_parameters)
    parameters = _parameters(name, strategy)

    def ask(inputs: tuple[Key, Any]) -> tuple[Array, Any]:
        return strategy.ask(*inputs, parameters)

    def tell(key: Key, told: Array, fitness: Array, state: Any) -> Any:
        state, _ = strategy.tell(key, told, fitness, state, parameters)
        return state.replace(best_solution=reflect(state.best_solution))

    def generation(state: Any, step: Int[Array, ""]) -> tuple[Any, Array]:
        ask_keys, tell_keys = jax.random.split(jax.random.fold_in(key, step), (2, len(state.best_fitness)))
        # on a CPU restarts ask one after the other: it costs nothing, and compiles in half the time
        drawn = None if name == "cma-es" else state.population
        asked, state = (jax.lax.map if jax.default_backend() == "cpu" else _at_once)(ask, (ask_keys, state))
        asked = asked if drawn is None else jnp.where(step == 0, drawn, asked)
        inside = reflect(asked)
        fitness = spread_map(_fitness, inside.reshape(-1, inside.shape[-1]), problem).reshape(inside.shape[:-1])
        # CMA-ES adapts to the steps it took, differential evolution keeps what was evaluated
        told = asked if name == "cma-es" else inside
        state = jax.vmap(tell)(tell_keys, told, fitness, state)
        return state, state.best_solution

    return spread(jax.lax.scan(generation, state, steps))
