"""Objectives, constraints, search and ascent."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize

from fisherjax import connectivity as cn
from fisherjax import fisher, optimize
from fisherjax.optimize import _evolve

SMALL = {"population_size": 24, "num_generations": 50, "num_restarts": 1, "refine_steps": 30}
FAMILY, BUDGET = cn.FreeFamily(2), optimize.Budget(1.0)
OBJECTIVE = optimize.LogFisher(4, noise_std=0.3)


@pytest.fixture(scope="module")
def optimum():
    """One search that several tests look at; programs for the same shapes are shared by the others."""
    return optimize.maximize(FAMILY, OBJECTIVE, key=jax.random.key(3), constraints=(BUDGET,), **SMALL)


FAMILIES = [
    cn.HomogeneousFamily(2),
    cn.ToeplitzFamily(3),
    cn.SymmetricToeplitzFamily(3),
    cn.GeneralizedToeplitzFamily(3),
    cn.CirculantFamily(3),
    cn.FeedforwardChainFamily(3),
    cn.FreeFamily(2),
    cn.BlockFamily(3, groups=(0, 0, 1)),
    cn.WithFractions(cn.ToeplitzFamily(3)),
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_gradient_of_the_objective_matches_central_differences(family):
    objective = optimize.LogFisher(4, stimulus=0.4, noise_std=0.2)
    low, high = family.bounds
    parameters = jnp.asarray(low + (high - low) * np.linspace(0.2, 0.6, family.num_parameters))
    both = jax.jit(jax.value_and_grad(lambda x: objective(family.build(x))))
    _, gradient = both(parameters)

    def value(x):
        return float(both(x)[0])

    parameters = np.asarray(parameters)
    for index, step in enumerate(1e-4 * np.eye(family.num_parameters)):
        # fourth-order central difference: its own error is below the 1e-6 that is asserted
        near = value(parameters + step) - value(parameters - step)
        far = value(parameters + 2 * step) - value(parameters - 2 * step)
        difference = (8 * near - far) / (12 * 1e-4)
        np.testing.assert_allclose(gradient[index], difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", [optimize.LogFisher, optimize.IntegratedMemory, optimize.Retention])
def test_objectives_are_what_they_say(kind, two_populations):
    curve = fisher.meanfield_curve(two_populations, stimulus=0.3, noise_std=0.2, num_steps=5)
    expected = {
        optimize.LogFisher: jnp.log(curve.total[-1]),
        optimize.IntegratedMemory: jnp.log(curve.total.sum()),
        optimize.Retention: jnp.log(curve.total[-1] / curve.total[0]),
    }
    objective = kind(5, stimulus=0.3, noise_std=0.2)
    np.testing.assert_allclose(objective(two_populations), expected[kind], rtol=1e-13)
    np.testing.assert_allclose(objective.coarse()(two_populations), expected[kind], atol=1e-8)


def test_readout_counts_only_its_populations(two_populations):
    curve = fisher.meanfield_curve(two_populations, stimulus=0.3, noise_std=0.2, num_steps=5)
    objective = optimize.LogFisher(5, stimulus=0.3, noise_std=0.2, readout=(1,))
    np.testing.assert_allclose(objective(two_populations), jnp.log(curve.by_population[-1, 1]), rtol=1e-13)


def test_maximize_finds_what_scipy_finds(optimum):
    """Two populations, a budget: the optimum against scipy's local search from many starts."""
    value = jax.jit(lambda x: OBJECTIVE(BUDGET.rescale(FAMILY.build(jnp.abs(x) + 1e-12))))
    rng = np.random.default_rng(0)
    best = max(
        -minimize(lambda x: -float(value(x)), rng.uniform(0.1, 3, 4), method="Nelder-Mead").fun for _ in range(6)
    )
    assert float(optimum.value) >= best - 1e-6
    assert float(optimum.gain_matrix.mean_synaptic_budget) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(OBJECTIVE(optimum.gain_matrix), optimum.value, rtol=1e-13)


def test_history_is_monotone_in_the_search_and_ends_at_the_value(optimum):
    search = np.asarray(optimum.history.value[: optimum.history.num_generations])
    assert np.all(np.diff(search) >= -1e-8)
    assert float(optimum.value) >= float(optimum.history.value.max()) - 1e-8
    assert 50 < len(optimum.history.alignment) == len(optimum.history.value) <= 50 + 30
    assert optimum.num_evaluations == 24 * 50


def test_inequality_constraints_bind_and_hold(key):
    """Without a budget the weight radius is what limits; the optimum sits on it, and never above."""
    limits = (optimize.WeightRadius(0.8), optimize.MaximumGain(3.0))
    optimum = optimize.maximize(cn.ToeplitzFamily(3), optimize.LogFisher(6), key=key, constraints=limits, **SMALL)
    assert bool(optimum.feasible)
    assert np.all(np.asarray(optimum.excesses) <= 1e-12)
    assert float(cn.spectral_radius(optimum.gain_matrix)) == pytest.approx(0.8, rel=2e-2)
    radius = optimize.DiffusionRadius(0.9, noise_std=0.1)
    assert float(radius.excess(optimum.gain_matrix)) == pytest.approx(
        float(radius.measure(optimum.gain_matrix)) / 0.9 - 1
    )


def test_cma_es_by_the_same_call(optimum, key):
    by_cma = optimize.maximize(FAMILY, OBJECTIVE, algorithm="cma-es", key=key, constraints=(BUDGET,), **SMALL)
    assert float(by_cma.value) == pytest.approx(float(optimum.value), abs=1e-5)


def test_any_function_of_the_gain_matrix_is_an_objective(key):
    """Maximize −Σ(g − 1.3)²: the optimum is known."""
    optimum = optimize.maximize(cn.FreeFamily(2), lambda matrix: -jnp.sum((matrix.gains - 1.3) ** 2), key=key, **SMALL)
    np.testing.assert_allclose(optimum.gain_matrix.gains, 1.3, atol=1e-5)
    assert optimum.history.alignment is None


def test_non_finite_values_are_the_worst(key):
    """Half of the box is NaN; the search must end in the other half, whatever the first population held."""

    def objective(matrix):
        gain = matrix.gains[0, 0]
        return jnp.where(gain > 2.5, jnp.nan, gain)

    optimum = optimize.maximize(cn.HomogeneousFamily(1), objective, key=key, **SMALL)
    assert 2.49 < float(optimum.value) <= 2.5


def test_search_is_reproducible_and_compiles_once(optimum, key, num_programs):
    def run(noise_std, run_key):
        objective = optimize.LogFisher(4, noise_std=noise_std)
        arguments = {key: value for key, value in SMALL.items() if key != "refine_steps"}
        return optimize.evolve(FAMILY, objective, key=run_key, constraints=(BUDGET,), **arguments)

    first = run(0.3, key)
    count = num_programs(_evolve._generations)
    np.testing.assert_array_equal(first.path, run(0.3, key).path)
    assert not np.array_equal(first.path, run(0.2, jax.random.key(5)).path)
    assert num_programs(_evolve._generations) == count


def test_reflection_stays_in_the_box():
    points = jnp.asarray([-0.2, 0.0, 0.3, 1.0, 1.25, 2.4, -3.1])
    np.testing.assert_allclose(_evolve.reflect(points), [0.2, 0.0, 0.3, 1.0, 0.75, 0.4, 0.9], atol=1e-12)


def test_refine_accepts_any_optax_optimizer():
    start = cn.block([[0.5, 1.0], [1.2, 0.4]])
    ascent = optimize.refine(FAMILY, OBJECTIVE, start, constraints=(BUDGET,), num_steps=40, optimizer=optax.adam(0.05))
    assert float(ascent.value) > float(OBJECTIVE(BUDGET.rescale(start))) + 0.05


def test_optimum_saves_and_loads(tmp_path, optimum):
    loaded = optimize.Optimum.load(optimum.save(tmp_path / "optimum"))
    np.testing.assert_array_equal(loaded.gain_matrix.gains, optimum.gain_matrix.gains)
    np.testing.assert_array_equal(loaded.history.value, optimum.history.value)
    assert loaded.num_evaluations == optimum.num_evaluations


LOG = optimize.LogFisher(3)
TOO_STRONG = cn.FreeFamily(2, low=2.0)
BAD = [
    (lambda k: optimize.maximize("toeplitz", LOG, key=k), TypeError, "family must be a Family"),
    (lambda k: optimize.maximize(cn.FreeFamily(2), 3.0, key=k), TypeError, "objective must be a function"),
    (lambda k: optimize.maximize(cn.FreeFamily(2), LOG, key=k, constraints=(1.0,)), TypeError, "constraints must be a"),
    (lambda k: optimize.maximize(cn.FreeFamily(2), LOG, key=0), TypeError, "key must be a JAX random key"),
    (lambda k: optimize.maximize(cn.FreeFamily(2), LOG, key=k, algorithm="magic"), ValueError, "algorithm must be"),
    (lambda k: optimize.maximize(cn.FreeFamily(2), LOG, key=k, population_size=2), ValueError, "population_size"),
    (lambda k: optimize.Budget(-1.0), ValueError, "limit must be above 0"),
    (
        lambda k: optimize.maximize(
            cn.FreeFamily(2), LOG, key=k, constraints=(optimize.Budget(4.0), optimize.MaximumGain(1.0))
        ),
        ValueError,
        "the budget of 4 is infeasible with gains of at most 1",
    ),
    (
        lambda k: optimize.maximize(TOO_STRONG, LOG, key=k, constraints=(optimize.WeightRadius(0.1),), **SMALL),
        ValueError,
        "no point was found where all constraints held",
    ),
    (lambda k: optimize.LogFisher(0), ValueError, "step must be at least 1"),
    (lambda k: optimize.LogFisher(3, noise_std=0.0), ValueError, "noise_std must be above 0"),
    (lambda k: optimize.LogFisher(3, readout=(4,))(cn.homogeneous(1.0)), ValueError, "readout names population 4"),
    (lambda k: optimize.LogFisher(3, readout=(-1,)), ValueError, "readout must be at least 0"),
    (lambda k: optimize.LogFisher(3, readout=(0.7,)), TypeError, "readout must be an integer"),
    (lambda k: optimize.LogFisher(3, readout=()), ValueError, "readout must name at least one"),
    (lambda k: optimize.LogFisher(3, readout=(1, 1)), ValueError, "readout must name each population once"),
    (lambda k: optimize.LogFisher(3, input_pattern="first"), TypeError, "input_pattern must be an array of real"),
    (
        lambda k: optimize.maximize(FAMILY, optimize.LogFisher(3, readout=(4,)), key=k),
        ValueError,
        "readout names population 4, but there are only 2",
    ),
    (
        lambda k: optimize.maximize(FAMILY, optimize.LogFisher(3, input_pattern=np.ones(3)), key=k),
        ValueError,
        r"input_pattern must have shape \(2",
    ),
    (lambda k: optimize.maximize(FAMILY, LOG, key=k, constraints=BUDGET), TypeError, "constraints must be a tuple"),
    (lambda k: optimize.maximize(FAMILY, LOG, key=k, optimizer="adam"), TypeError, "optimizer must be a Gradient"),
    (lambda k: optimize.maximize(FAMILY, LOG, key=k, num_generations=0), ValueError, "num_generations must be at"),
    (lambda k: optimize.maximize(FAMILY, LOG, key=k, refine_steps=-1), ValueError, "refine_steps must be at least 0"),
    (lambda k: optimize.maximize(FAMILY, LOG, key=k, checkpoint=3), TypeError, "checkpoint must be a str or PathLike"),
    (lambda k: optimize.refine(FAMILY, LOG, cn.homogeneous(1.0, 3)), ValueError, "initial must be a member"),
    (lambda k: optimize.refine(FAMILY, LOG, cn.homogeneous(99.0, 2)), ValueError, "initial must lie within the family"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("objective", "error", "message"),
    [
        (
            lambda matrix: matrix.gains,
            ValueError,
            r"objective must return one real number, got an array of shape \(2, 2",
        ),
        (lambda matrix: (matrix.gains[0, 0], 0), TypeError, "objective must return one real number, got"),
        (lambda matrix: jax.lax.complex(matrix.gains, matrix.gains)[0, 0], TypeError, "has a gradient, got complex128"),
        (lambda matrix: jnp.sum(matrix.gains > 1), TypeError, "has a gradient, got int64"),
        (lambda matrix: float(matrix.gains[0, 0]), TypeError, "objective must be made of jax.numpy operations"),
        (lambda matrix: np.linalg.norm(np.asarray(matrix.gains)), TypeError, "objective must be made of jax.numpy"),
    ],
)
def test_what_cannot_be_climbed_is_refused_before_the_search(objective, error, message, key, as_user):
    for call in (optimize.maximize, optimize.evolve):
        with pytest.raises(error, match=message):
            call(FAMILY, objective, key=key)


def test_an_objective_that_is_nowhere_finite_is_no_optimum(key):
    for call in (optimize.maximize, optimize.evolve):
        with pytest.raises(ValueError, match="no point was found where the objective was finite"):
            call(
                cn.HomogeneousFamily(1),
                lambda matrix: jnp.nan * matrix.gains[0, 0],
                key=key,
                population_size=4,
                num_generations=2,
                num_restarts=1,
            )


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_named(call, error, message, key, as_user):
    with pytest.raises(error, match=message):
        call(key)
