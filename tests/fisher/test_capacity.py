"""Memory and information processing capacity: what is known of linear reservoirs, of shift registers, and of chance."""

import numpy as np
import pytest

from fisherjax import fisher


def run(weights, entry, inputs, function=np.tanh, noise=0.0, seed=1):
    rng, state, states = np.random.default_rng(seed), np.zeros(len(weights)), []
    for value in inputs:
        state = function(weights @ state + entry * value) + noise * rng.normal(size=len(weights))
        states.append(state)
    return np.array(states)


RNG = np.random.default_rng(0)
N, T = 12, 4000
WEIGHTS = 0.8 * np.linalg.qr(RNG.normal(size=(N, N)))[0]
ENTRY = RNG.normal(size=N)
UNIFORM = RNG.uniform(-1, 1, T)


def test_a_linear_reservoir_remembers_as_many_inputs_as_it_has_units():
    """Jaeger: the memory capacity of N independent linear units is N, and nothing else is computed."""
    found = fisher.processing_capacity(run(WEIGHTS, ENTRY, UNIFORM, lambda x: x), UNIFORM, max_delay=60, max_degree=2)
    assert found.rank == N
    assert abs(found.memory_capacity - N) < 4 * found.by_degree_error[0] + 0.02
    assert abs(found.by_degree[1]) < 4 * found.by_degree_error[1]
    assert found.memory[0] > 0.99


def test_a_shift_register_holds_its_inputs_and_their_products():
    """States u(t), u(t − 1), u(t − 2) and u(t)·u(t − 1): capacities are one where they should be, zero elsewhere."""
    lagged = [np.concatenate([np.zeros(lag), UNIFORM[: T - lag]]) for lag in range(3)]
    states = np.stack([*lagged, lagged[0] * lagged[1]], axis=1)
    found = fisher.processing_capacity(states, UNIFORM, max_delay=8, max_degree=2, washout=10)
    assert np.allclose(found.memory[:3], 1)
    assert np.abs(found.memory[3:]).max() < 0.02
    assert abs(found.total - 4) < 4 * found.total_error + 1e-6
    product = (found.degree == 2) & (found.capacity > 0.5)
    assert product.sum() == 1
    assert found.longest_delay[product].tolist() == [2]


def test_chance_has_no_capacity():
    """States that know nothing: thousands of targets sum to zero within their error, not to T⁻¹N times their number."""
    states = RNG.normal(size=(1500, 10))
    found = fisher.processing_capacity(states, UNIFORM[:1500], max_delay=30, max_degree=4)
    assert len(found.capacity) > 600
    assert abs(found.total) < 4 * found.total_error
    assert len(found.capacity) * 10 / 1400 > 20 * found.total_error / 4


def test_errors_are_those_of_other_inputs():
    totals, errors = [], []
    for seed in range(30):
        inputs = np.random.default_rng(seed).uniform(-1, 1, 1200)
        found = fisher.processing_capacity(
            run(WEIGHTS, ENTRY, inputs, noise=0.3, seed=seed), inputs, max_delay=15, max_degree=1
        )
        totals.append(found.memory_capacity)
        errors.append(float(found.by_degree_error[0]))
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / np.std(totals, ddof=1) < 1.6


def test_gaussian_inputs_have_polynomials_of_their_own():
    inputs = RNG.normal(size=T)
    states = run(WEIGHTS, ENTRY, inputs, lambda x: x)
    found = fisher.processing_capacity(states, inputs, max_delay=60, max_degree=2, distribution="gaussian")
    assert abs(found.total - N) < 4 * found.total_error + 0.05
    with pytest.raises(ValueError, match="do not look uniform"):
        fisher.processing_capacity(states, inputs)


def test_capacity_is_what_fisher_memory_allows():
    """Of a linear network with noise and Gaussian input of variance s² both are one: C_k = 1 − [(1 + s²J)⁻¹]_kk."""
    noise, inputs = 0.5, np.random.default_rng(3).normal(size=40_000)
    matrix = np.asarray(fisher.memory_matrix(WEIGHTS, ENTRY, noise_std=noise, num_steps=80))
    exact = 1 - np.diag(np.linalg.inv(np.eye(80) + matrix))
    states = run(WEIGHTS, ENTRY, inputs, lambda x: x, noise=noise)
    found = fisher.processing_capacity(states, inputs, max_delay=20, max_degree=1, distribution="gaussian")
    assert (np.abs(found.memory - exact[:20]) < 5 * found.memory_error + 1e-3).all()
    assert exact[0] - exact[19] > 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": UNIFORM[:-1]}, "inputs must be one for each of the 4000 steps"),
        ({"inputs": np.ones(T)}, "inputs never vary"),
        ({"inputs": np.repeat(UNIFORM[::2], 2)}, "inputs must be independent from step to step"),
        ({"max_delay": 200, "max_degree": 6}, "ask for .* targets, more than"),
        ({"states": RNG.normal(size=(130, 20)), "inputs": UNIFORM[:130]}, "20 states need at least 60 steps"),
        ({"distribution": "binary"}, "distribution must be one of"),
    ],
)
def test_wrong_reservoirs_are_refused(change, words):
    arguments = {"states": RNG.normal(size=(T, 3)), "inputs": UNIFORM, **change}
    with pytest.raises(ValueError, match=words):
        fisher.processing_capacity(arguments.pop("states"), arguments.pop("inputs"), **arguments)
