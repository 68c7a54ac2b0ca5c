"""Products of theory and estimators ask for full float32, which GPUs do not give by default; all others for what the
user chose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from questions import MEMBERS

from fisherjax import _runtime, dynamics, fisher, geometry, meanfield, networks, simulate, tasks, training, vision
from fisherjax import connectivity as cn

HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
N = 6


def products(jaxpr):
    """All products and convolutions in a program and in what it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in {"dot_general", "conv_general_dilated"}:
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


LEVELS = {
    "float32": (jax.lax.Precision.HIGHEST, jnp.float32),
    "tensorfloat32": (jax.lax.Precision.HIGH, jnp.float32),
    "bfloat16": (jax.lax.Precision.DEFAULT, jnp.bfloat16),
}
PLAN = vision.Architecture((4, 4, 1), 2, (2, 2), stem_channels=2, stem_kernel=3, blank_steps=1, image_steps=2)
IMAGES = np.random.default_rng(0).standard_normal((2, 4, 4, 1)).astype(np.float32)
OWN = {"from_step", "from_flax"}  # products of the user's own, which ask for what is around them


def check(function, at, precision):
    """Every product in a program has the level, and the operands, that the argument names."""
    level, dtype = LEVELS[precision]
    found = list(products(jax.make_jaxpr(function)(at).jaxpr))
    assert found
    for equation in found:
        assert equation.params["precision"] == (level, level), equation
        assert {operand.aval.dtype for operand in equation.invars} == {jnp.dtype(dtype)}, equation


@pytest.mark.parametrize("precision", LEVELS)
@pytest.mark.parametrize("name", [name for name in MEMBERS if name not in OWN])
def test_products_of_simulations_are_those_asked_for(name, precision, key):
    asked = networks.in_precision(MEMBERS[name](key, 1.0), jnp.float32)
    settings = {"num_steps": 2, "num_trials": 2, "key": key, "precision": precision}
    start = jnp.zeros(asked.state_size, jnp.float32)
    check(lambda x: simulate.trajectories(asked, initial_state=x, **settings), start, precision)


@pytest.mark.parametrize("precision", LEVELS)
def test_so_are_those_of_responses_and_of_gradients_taken_outside(precision, key):
    plain = networks.in_precision(networks.GRU(2, 4, 2, key=key), jnp.float32)
    inputs = jnp.ones((3, 2, 2), jnp.float32)
    seeing = networks.in_precision(vision.ConvolutionalRNN(PLAN, key=key), jnp.float32)
    for reverse in (False, True):
        how = {"reverse_mode": reverse, "precision": precision}
        check(lambda x, how=how: networks.run(plain, x, **how), inputs, precision)
        check(lambda x, how=how: vision.respond(seeing, x, **how).logits, jnp.asarray(IMAGES), precision)
        if precision != "bfloat16":  # in it a slope that comes back is not rounded, its factor is
            check(jax.grad(lambda x, how=how: networks.run(plain, x, **how)[1].sum()), inputs, precision)


def test_so_are_those_of_training_and_evaluation(key, monkeypatch):
    """What the one loop of descent is begun within."""
    begun = []

    def descend(*_args, **_options):
        begun.append(_runtime.precision_here())
        raise StopIteration

    for module in ("training._fit", "vision._images"):
        monkeypatch.setattr(f"fisherjax.{module}.descend", descend)
    labels, options = np.zeros(2, int), {"key": key, "num_steps": 1}
    seeing = vision.ConvolutionalRNN(PLAN, key=key)
    for precision in LEVELS:
        with pytest.raises(StopIteration):
            training.fit(networks.RNN(1, 2, 1, key=key), tasks.integrator(), precision=precision, **options)
        with pytest.raises(StopIteration):
            vision.fine_tune(seeing, IMAGES, labels, precision=precision, **options)
    assert begun == [precision for precision in LEVELS for _ in range(2)]


def test_bfloat16_rounds_on_every_device(key, as_user):
    left, right = jax.random.normal(key, (2, 5, 5), jnp.float32)
    with _runtime.products_in("bfloat16"):
        found = _runtime.product(left, right)
    narrow = [np.asarray(part.astype(jnp.bfloat16).astype(jnp.float64)) for part in (left, right)]
    np.testing.assert_allclose(found, narrow[0] @ narrow[1], rtol=1e-5, atol=1e-5)
    assert found.dtype == jnp.float32
    with pytest.raises(ValueError, match="precision must be one of 'float32', 'tensorfloat32', 'bfloat16'; got 'half'"):
        vision.evaluate(vision.ConvolutionalRNN(PLAN, key=key), IMAGES, np.zeros(2, int), precision="half")
