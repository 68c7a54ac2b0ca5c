"""Spectra of convolutions and of large maps: dense matrices, identities and bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _linalg, networks, vision
from fisherjax._linalg import arnoldi, largest_symmetric
from fisherjax.vision import convolution_bounds, convolution_spectrum
from fisherjax.vision._convolution_spectrum import certified_bounds, convolution_matrix


def loop_matrix(weights, height, width, *, circular):
    """Entry by entry: out(o, y, x) = Σ w[o, i, a, b] in(i, y + a − m, x + b − m); units in the order (y, x, o)."""
    channels, _, side, _ = weights.shape
    matrix = np.zeros((height, width, channels, height, width, channels))
    for y in range(height):
        for x in range(width):
            for a in range(side):
                for b in range(side):
                    row, column = y + a - side // 2, x + b - side // 2
                    if circular or (0 <= row < height and 0 <= column < width):
                        matrix[y, x, :, row % height, column % width] += weights[:, :, a, b]
    return matrix.reshape(height * width * channels, -1)


def matched(found, expected):
    """Largest distance between two sets of complex numbers, each of one matched with one of the other."""
    from scipy.optimize import linear_sum_assignment

    cost = np.abs(np.asarray(found)[:, None] - np.asarray(expected)[None])
    return cost[linear_sum_assignment(cost)].max()


@pytest.mark.parametrize(
    ("channels", "side", "shape"), [(1, 3, (4, 5)), (3, 3, (5, 4)), (2, 5, (6, 5)), (2, 1, (3, 3))]
)
def test_circular_spectrum_is_that_of_the_matrix(channels, side, shape):
    weights = np.random.default_rng(channels).normal(size=(channels, channels, side, side))
    matrix = loop_matrix(weights, *shape, circular=True)
    found = convolution_spectrum(weights, shape)
    assert matched(found.eigenvalues, np.linalg.eigvals(matrix)) < 1e-12
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(matrix, compute_uv=False), rtol=0, atol=1e-12)
    assert found.spectral_radius == np.abs(found.eigenvalues).max()


def test_zero_padded_spectrum_is_that_of_the_matrix():
    weights = np.random.default_rng(3).normal(size=(2, 2, 3, 3))
    matrix = loop_matrix(weights, 4, 5, circular=False)
    np.testing.assert_allclose(convolution_matrix(weights, (4, 5)), matrix, atol=1e-14)
    found = convolution_spectrum(weights, (4, 5), padding="zero")
    assert matched(found.eigenvalues, np.linalg.eigvals(matrix)) < 1e-12


def test_bounds_hold_on_200_convolutions_and_are_near():
    rng = np.random.default_rng(11)
    ratios = []
    for draw in range(200):
        channels, side, shape = [(1, 3, (6, 5)), (2, 3, (4, 4)), (3, 3, (2, 6)), (2, 5, (5, 3)), (3, 1, (3, 3))][
            draw % 5
        ]
        weights = rng.normal(size=(channels, channels, side, side)) * rng.choice([1, rng.random()])
        if rng.random() < 0.3:
            weights = weights + np.flip(weights, (2, 3)).swapaxes(0, 1)  # symmetric maps come nearest to their bounds
        matrix = loop_matrix(weights, *shape, circular=False)
        bounds = convolution_bounds(weights, shape)
        singular, symmetric = np.linalg.norm(matrix, 2), np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1]
        assert singular <= bounds.singular * (1 + 1e-12)
        assert symmetric <= bounds.symmetric + 1e-12
        assert np.linalg.eigvals(matrix).real.max() <= bounds.symmetric + 1e-12
        ratios.append(singular / float(bounds.singular))
    assert np.median(ratios) > 0.75  # bounds that were always large would say nothing


def test_bounds_are_sharp_on_large_maps_and_exact_without_a_kernel():
    weights = np.random.default_rng(0).normal(size=(1, 1, 3, 3))
    ends = [float(convolution_spectrum(weights, (n, n), padding="zero").singular_values[0]) for n in (8, 24)]
    bounds = [float(convolution_bounds(weights, (n, n)).singular) for n in (8, 24)]
    assert bounds[1] / ends[1] - 1 < (bounds[0] / ends[0] - 1) / 3
    mixing = np.random.default_rng(1).normal(size=(4, 4, 1, 1))
    np.testing.assert_allclose(convolution_bounds(mixing, (3, 3)).singular, np.linalg.norm(mixing[:, :, 0, 0], 2))


def test_bounds_have_gradients():
    weights = jnp.asarray(np.random.default_rng(5).normal(size=(2, 2, 3, 3)))
    way = jnp.asarray(np.random.default_rng(6).normal(size=weights.shape))
    for part in ("singular", "symmetric"):

        def bound(w, part=part):
            return getattr(convolution_bounds(w, (5, 6)), part)

        slope = jnp.sum(jax.jit(jax.grad(bound))(weights) * way)
        difference = (bound(weights + 1e-6 * way) - bound(weights - 1e-6 * way)) / 2e-6
        np.testing.assert_allclose(slope, difference, rtol=1e-6)


@pytest.mark.parametrize("which", ["largest magnitude", "largest real part"])
@pytest.mark.parametrize("size", [5, 60, 200])
def test_arnoldi_finds_what_the_dense_solver_finds(key, which, size):
    matrix = np.random.default_rng(size).normal(size=(size, size)) / np.sqrt(size)
    found = arnoldi(lambda v: jnp.asarray(matrix) @ v, size, key=key, num_eigenvalues=5, which=which, tolerance=1e-9)
    values = np.linalg.eigvals(matrix)
    rank = np.abs(values) if which == "largest magnitude" else values.real
    expected = values[np.argsort(-rank, kind="stable")][: len(found.eigenvalues)]
    assert matched(found.eigenvalues, expected) < 1e-8
    assert found.converged.all()
    assert found.residuals.max() < 1e-9 * max(1, np.abs(found.eigenvalues).max())
    image = matrix @ found.eigenvectors
    np.testing.assert_allclose(
        np.linalg.norm(image - found.eigenvalues * found.eigenvectors, axis=0), found.residuals, atol=1e-12
    )
    # a complex eigenvalue never comes without its partner
    assert matched(found.eigenvalues, found.eigenvalues.conj()) < 1e-12
    assert len(found.eigenvalues) in {5, 6}


def test_arnoldi_says_when_it_has_not_converged(key):
    matrix = np.diag(1 + 1e-9 * np.arange(200.0)) + np.triu(np.random.default_rng(1).normal(size=(200, 200)), 1)
    with pytest.warns(RuntimeWarning, match="only 0 of 4 eigenvalues have converged"):
        found = arnoldi(
            lambda v: jnp.asarray(matrix) @ v, 200, key=key, num_eigenvalues=4, max_restarts=1, tolerance=1e-12
        )
    assert not found.converged.any()


def test_maps_that_vanish_have_zero_eigenvalues(key):
    """ARPACK itself refuses the zero map; a start of zero would converge to anything's eigenvalue zero."""
    found = arnoldi(lambda v: 0 * v, 100, key=key, num_eigenvalues=3)
    np.testing.assert_array_equal(found.eigenvalues[:3], 0)
    assert found.converged.all()
    largest, vector = largest_symmetric(lambda v: 0 * v, np.ones(100))
    assert largest == 0
    np.testing.assert_allclose(np.linalg.norm(vector), 1)


def test_certified_bounds_hold_in_float32_too():
    """Those of the certificate are computed in float64 from the weights as they are, and never below the truth."""
    rng = np.random.default_rng(2)
    for _ in range(10):
        weights = rng.normal(size=(3, 3, 1, 1)).astype(np.float32)  # the bound is exact where a kernel has no extent
        singular, symmetric = certified_bounds(jnp.asarray(weights), (3, 4))
        matrix = weights[:, :, 0, 0].astype(float)
        assert 0 <= singular - np.linalg.norm(matrix, 2) < 1e-12
        assert 0 <= symmetric - np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1] < 1e-12
    weights = rng.normal(size=(2, 2, 3, 3))
    usual = convolution_bounds(weights, (5, 6))
    np.testing.assert_allclose(certified_bounds(jnp.asarray(weights), (5, 6)), usual, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: convolution_spectrum(np.ones((2, 3, 3, 3)), (4, 4)), ValueError, r"shape \(C, C, side, side\)"),
        (lambda k: convolution_spectrum(np.ones((2, 2, 2, 2)), (4, 4)), ValueError, "odd side.*got 2"),
        (lambda k: convolution_spectrum(np.ones((2, 2, 5, 5)), (4, 4)), ValueError, "smaller than the kernel"),
        (lambda k: convolution_spectrum(np.ones((2, 2, 3, 3)), (4, 4), padding="same"), ValueError, "padding"),
        (lambda k: convolution_matrix(np.ones((64, 64, 3, 3)), (56, 56)), ValueError, "200704 units.*arnoldi"),
        (lambda k: arnoldi(lambda v: v, 3, key=k, num_eigenvalues=4), ValueError, "at most the size 3, got 4"),
        (lambda k: arnoldi(lambda v: v[:2], 3, key=k, num_eigenvalues=1), ValueError, r"must return \(3,\)"),
        (lambda k: arnoldi(lambda v: v / 0, 3, key=k, num_eigenvalues=1), ValueError, "not finite"),
        (lambda k: arnoldi(lambda v: v, 300, key=k, subspace=7), ValueError, "subspace"),
        (lambda k: arnoldi(lambda v: v, 3, key=k, which="smallest"), ValueError, "which"),
        (lambda k: arnoldi(lambda v: v, 3, key=1), TypeError, "key"),
    ],
)  # fmt: skip
def test_wrong_arguments(as_user, key, call, error, message):
    with pytest.raises(error, match=message):
        call(key)


def test_results_are_kept(key, tmp_path):
    found = arnoldi(lambda v: 2 * v, 5, key=key, num_eigenvalues=2)
    loaded = _linalg.Spectrum.load(found.save(tmp_path / "spectrum"))
    np.testing.assert_array_equal(loaded.eigenvalues, found.eigenvalues)


def test_a_network_in_float32_is_followed_in_float32(key):
    """Also where JAX computes in float64 otherwise."""
    plan = vision.Architecture((4, 4, 1), 3, (2, 2), blank_steps=1, image_steps=2)
    network = vision.ConvolutionalRNN(plan, key=key)
    single = networks.in_precision(network, np.float32)
    image = np.asarray(jax.random.normal(key, (4, 4, 1)))
    for one, other in zip(vision.spectrum(single, key=key), vision.spectrum(network, key=key), strict=True):
        np.testing.assert_allclose(np.abs(one.eigenvalues), np.abs(other.eigenvalues), rtol=1e-4)
    grown, exact = (vision.transient_growth(n, image, steps=[2], key=key).growth for n in (single, network))
    np.testing.assert_allclose(grown, exact, rtol=1e-4)
