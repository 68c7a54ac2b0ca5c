"""Jacobians, certificates and transients of a convolutional recurrent network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fisherjax._linalg import _krylov
from fisherjax.vision import (
    Architecture,
    ConvolutionalRNN,
    respond,
    spectral_penalty,
    stability_certificate,
    trajectory_spectrum,
)
from fisherjax.vision import transient_growth as growth_of
from fisherjax.vision._convolution_spectrum import convolution_matrix
from fisherjax.vision._spectra import jacobian_product

PLAN = Architecture((4, 4, 1), 3, (2, 2, 3, 3), alpha=(0.2, 0.3, 0.4, 0.5))


@pytest.fixture(scope="module")
def network():
    drawn = ConvolutionalRNN(PLAN, key=jax.random.key(2), recurrent_gain=1.2)
    keys = jax.random.split(jax.random.key(3), 4)
    biases = tuple(0.3 * jax.random.normal(k, b.shape) for k, b in zip(keys, drawn.biases, strict=True))
    return eqx.tree_at(lambda n: n.biases, drawn, biases)


@pytest.fixture(scope="module")
def image():
    return jax.random.normal(jax.random.key(4), PLAN.image_shape)


def dense_jacobian(network, state, drive):
    flat, unravel = ravel_pytree(state)
    return np.asarray(jax.jacfwd(lambda r: ravel_pytree(network.advance(unravel(r), drive))[0])(flat))


def area_jacobian(network, area, state, drive):
    """(1 − α) I + α D W, D from the sign of the current that makes the next state."""
    alpha = PLAN.alpha[area]
    moved = network.advance(state, drive)[area]
    active = np.ravel(np.asarray((moved - (1 - alpha) * state[area]) > 0))
    matrix = convolution_matrix(network.recurrent[area].weights, PLAN.area_shapes[area][:2])
    return (1 - alpha) * np.eye(len(active)) + alpha * active[:, None] * np.asarray(matrix)


def matched(found, expected):
    from scipy.optimize import linear_sum_assignment

    cost = np.abs(np.asarray(found)[:, None] - np.asarray(expected)[None])
    return cost[linear_sum_assignment(cost)].max()


def test_eigenvalues_are_the_union_over_areas(network, image, key, num_programs):
    at = (3, 12)
    found = trajectory_spectrum(network, image, at=at, key=key, blank_steps=6, image_steps=10, tolerance=1e-10)
    compiled = num_programs(_krylov._applied)
    trajectory_spectrum(network, 2 * image, at=(2, 15), key=key, blank_steps=6, image_steps=10)
    assert num_programs(_krylov._applied) == compiled  # other images, states and times compile nothing
    response = respond(network, image, blank_steps=6, image_steps=10, areas="all", at=at)
    for index, step in enumerate(at):
        state = tuple(area[index] for area in response.activity)
        drive = network.drive(image) if step >= 6 else None
        union = np.concatenate([np.linalg.eigvals(area_jacobian(network, j, state, drive)) for j in range(4)])
        whole = np.linalg.eigvals(dense_jacobian(network, state, drive))
        assert matched(whole, union) < 1e-7  # the chain is not normal: rounding moves eigenvalues by its condition
        leading = union[np.argsort(-np.abs(union), kind="stable")]
        values = found.eigenvalues[index][~np.isnan(found.eigenvalues[index])]
        np.testing.assert_allclose(np.abs(values), np.abs(leading[: len(values)]), rtol=1e-8)
        assert found.converged[index, : len(values)].all()
        assert found.residuals[index, : len(values)].max() < 1e-10
        np.testing.assert_allclose(found.spectral_radius[index], np.abs(leading[0]), rtol=1e-8)


def test_product_is_the_jacobian(network, image, key):
    state = respond(network, image, blank_steps=2, image_steps=3).state
    drive = network.drive(image)
    vector = jax.random.normal(key, (PLAN.num_units,))
    matrix = dense_jacobian(network, state, drive)
    np.testing.assert_allclose(jacobian_product(network, state, drive)(vector), matrix @ vector, atol=1e-12)


def test_transient_growth_is_the_norm_of_the_product(network, image, key):
    found = growth_of(network, image, steps=(1, 4), key=key, blank_steps=3, image_steps=2, offset_steps=3, start=2)
    product = np.eye(PLAN.num_units)
    norms = []
    for step in range(2, 6):
        state = respond(network, image, blank_steps=3, image_steps=2, offset_steps=3, areas="all", at=(step,)).activity
        drive = network.drive(image) if 3 <= step < 5 else None
        product = dense_jacobian(network, tuple(area[0] for area in state), drive) @ product
        norms.append(np.linalg.norm(product, 2))
    np.testing.assert_allclose(found.growth, [norms[0], norms[3]], rtol=1e-8)
    worst = np.concatenate([np.ravel(area) for area in found.perturbation])
    np.testing.assert_allclose([np.linalg.norm(worst), np.linalg.norm(product @ worst)], [1, norms[3]], rtol=1e-6)


def test_certificate_bounds_every_jacobian(network, image):
    found = stability_certificate(network)
    for area in range(4):
        shape = PLAN.area_shapes[area][:2]
        matrix = np.asarray(convolution_matrix(network.recurrent[area].weights, shape))
        assert np.linalg.norm(matrix, 2) <= found.singular[area]
        assert np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1] <= found.symmetric[area]
        # whichever units are active
        rng, alpha = np.random.default_rng(area), PLAN.alpha[area]
        for share in (0.2, 0.5, 0.8, 1.0):
            active = rng.random(len(matrix)) < share
            jacobian = (1 - alpha) * np.eye(len(matrix)) + alpha * active[:, None] * matrix
            assert np.abs(np.linalg.eigvals(jacobian)).max() <= found.jacobian_radius[area] + 1e-12
            assert np.linalg.norm(jacobian, 2) <= found.contraction[area] + 1e-12
    assert not found.globally_stable.any()  # drawn with a gain of 1.2
    small = stability_certificate(ConvolutionalRNN(PLAN, key=jax.random.key(0), recurrent_gain=0.2))
    assert small.globally_stable.all()
    assert small.locally_stable.all()


def test_a_certified_network_forgets_where_it_began(image, key):
    network = ConvolutionalRNN(PLAN, key=jax.random.key(0), recurrent_gain=0.2)
    found = stability_certificate(network)
    ends = []
    for seed in range(2):
        keys = jax.random.split(jax.random.fold_in(key, seed), 4)
        start = tuple(3 * jax.random.normal(k, s) for k, s in zip(keys, PLAN.area_shapes, strict=True))
        ends.append(respond(network, image, blank_steps=0, image_steps=200, initial_state=start).state)
    assert found.contraction.max() ** 200 < 1e-8
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert np.abs(a).max() > 1e-3


def test_penalty_is_zero_when_certified_and_has_its_gradient(network):
    small = ConvolutionalRNN(PLAN, key=jax.random.key(0), recurrent_gain=0.2)
    assert float(spectral_penalty(small)) == 0
    expected = np.sum(np.maximum(stability_certificate(network).singular - 0.9, 0) ** 2)
    np.testing.assert_allclose(spectral_penalty(network, limit=0.9), expected)
    slope = eqx.filter_jit(eqx.filter_grad(spectral_penalty))(network).recurrent[1].scale
    way = jnp.asarray([0.6, -0.8])
    ends = [
        spectral_penalty(eqx.tree_at(lambda n: n.recurrent[1].scale, network, network.recurrent[1].scale + shift * way))
        for shift in (1e-6, -1e-6)
    ]
    np.testing.assert_allclose(slope @ way, (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, x, k: stability_certificate(None), TypeError, "must be a ConvolutionalRNN"),
        (lambda n, x, k: trajectory_spectrum(n, x, at=(300,), key=k), ValueError, "within 1…200"),
        (lambda n, x, k: trajectory_spectrum(n, x, at=(3,), key=1), TypeError, "key"),
        (lambda n, x, k: growth_of(n, x, steps=(101,), key=k), ValueError, r"got 100 \+ \[101\]"),
        (lambda n, x, k: growth_of(n, x, steps=(4, 2), key=k), ValueError, "steps must rise"),
        (lambda n, x, k: spectral_penalty(n, limit=-1.0), ValueError, "limit"),
    ],
)
def test_wrong_arguments(as_user, network, image, key, call, error, message):
    with pytest.raises(error, match=message):
        call(network, image, key)


def test_feedback_has_no_certificate(key):
    plan = Architecture((4, 4, 1), 3, (2, 2), feedback=True)
    with pytest.raises(ValueError, match="no chain of areas: nothing is certified"):
        stability_certificate(ConvolutionalRNN(plan, key=key))
