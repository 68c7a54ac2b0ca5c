"""Matrix products of theory and estimators ask for full float32, which GPUs do not give by default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _runtime, dynamics, fisher, geometry, meanfield, networks, simulate
from fisherjax import connectivity as cn

HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
N = 6


def products(jaxpr):
    """All matrix products in a program and in what it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for part in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def gain(x):
    return cn.GainMatrix(jnp.array([[0.7, 0.3], [0.4, 0.5]]) * x, np.array([0.5, 0.5]))


def rate(weights):
    return networks.RateNetwork(weights, np.ones(N), noise_std=0.3)


PULSE = {"stimulus": 0.4, "noise_std": 0.3, "num_steps": 3}
CASES = {
    "meanfield_curve": lambda x: fisher.meanfield_curve(gain(x[0, 0]), **PULSE).total,
    "operator": lambda x: meanfield.diffusion_operator(gain(x[0, 0]), noise_std=0.3).matrix,
    "closure_curve": lambda x: fisher.closure_curve(rate(x), stimulus=0.4, num_steps=3).total,
    "linearized_curve": lambda x: fisher.linearized_curve(rate(x), stimulus=0.4, num_steps=3).total,
    "memory_matrix": lambda x: fisher.memory_matrix(x, np.ones(N), noise_std=0.3, num_steps=3),
    "total_memory": lambda x: fisher.total_memory(x, np.ones(N), noise_std=0.3),
    "pathwise": lambda x: fisher.pathwise(jnp.tile(x, (4, 1)), jnp.tile(2 * x + 1, (4, 1))).value,
    "distances": geometry.pairwise_distances,
    "moments": lambda x: simulate.sensitivity_moments(
        networks.RateNetwork(x, np.ones(N), noise_std=0.3), stimulus=0.3, num_steps=2, num_trials=20,
        key=jax.random.key(0), covariance="full",
    ).mean,
    "trajectories": lambda x: simulate.trajectories(
        networks.RateNetwork(x, np.ones(N), noise_std=0.3), stimulus=0.3, num_steps=2, num_trials=2,
        key=jax.random.key(0),
    ),
    "jacobian": lambda x: dynamics.jacobian(lambda state: jnp.tanh(x @ state), jnp.ones((1, N))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_products_are_exact(name):
    found = list(products(jax.make_jaxpr(CASES[name])(jnp.eye(N) * 0.5 + 0.1).jaxpr))
    assert found or name == "meanfield_curve"
    for equation in found:
        assert equation.params["precision"] == HIGHEST, equation


def test_the_check_sees_a_product_that_is_not():
    found = list(products(jax.make_jaxpr(jax.jit(lambda x: jax.lax.map(lambda row: x @ row, x)))(jnp.eye(3)).jaxpr))
    assert len(found) == 1
    assert found[0].params["precision"] != HIGHEST
    wrapped = _runtime.full_precision(lambda x: x @ x)
    (one,) = products(jax.make_jaxpr(wrapped)(jnp.eye(3)).jaxpr)
    assert one.params["precision"] == HIGHEST
