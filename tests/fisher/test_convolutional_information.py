"""Fisher information through a convolutional recurrent network: dense covariances, simulation, singular vectors."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fisherjax import fisher
from fisherjax.networks import Architecture, ConvolutionalRNN, in_precision

PLAN = Architecture((4, 4, 1), 3, (2, 2, 3, 3), blank_steps=3, image_steps=6, alpha=(0.3, 0.4, 0.3, 0.5))


@pytest.fixture(scope="module")
def network():
    drawn = ConvolutionalRNN(PLAN, key=jax.random.key(2), recurrent_gain=0.8, noise_std=0.01)
    biases = tuple(0.5 + jax.random.uniform(jax.random.key(j), b.shape) for j, b in enumerate(drawn.biases))
    return eqx.tree_at(lambda n: n.biases, drawn, biases)


def grating(angle):
    axis = jnp.linspace(-1.5, 1.5, 4)
    return jnp.cos(2 * (axis[:, None] * jnp.cos(angle) + axis[None, :] * jnp.sin(angle)))[..., None]


def test_information_is_that_of_the_dense_recursion(network):
    """Σ ← J Σ Jᵀ + Q and μ' ← J μ' + ∂F/∂s, all written down."""
    found = fisher.convolutional_information(network, grating, 0.4, at=(2, 5, 9), area=2)
    flat, unravel = ravel_pytree(network.initial_state())
    size = len(flat)
    noise = np.concatenate(
        [np.full(np.prod(shape), 2 * alpha * 1e-4) for shape, alpha in zip(PLAN.area_shapes, PLAN.alpha, strict=True)]
    )

    def step(values, angle, on):
        drive = network.drive(grating(angle)) if on else None
        return ravel_pytree(network.step(unravel(values), drive))[0]

    jitted = jax.jit(step, static_argnums=2)
    jacobians = jax.jit(jax.jacfwd(step, (0, 1)), static_argnums=2)
    starts = np.cumsum([0, *(np.prod(shape) for shape in PLAN.area_shapes)])
    means = np.zeros((3, size))
    for unit in range(starts[2], starts[3]):
        means[(unit - starts[2]) % 3, unit] = 1 / 4
    covariance, slope, angle = np.zeros((size, size)), np.zeros(size), jnp.asarray(0.4)
    for count in range(1, 10):
        on = count > 3
        matrix, direct = (np.asarray(part) for part in jacobians(flat, angle, on))
        slope = matrix @ slope + direct
        covariance = matrix @ covariance @ matrix.T + np.diag(noise)
        flat = jitted(flat, angle, on)
        if count in {2, 5, 9}:
            place = [2, 5, 9].index(count)
            expected = means @ covariance @ means.T
            np.testing.assert_allclose(found.covariance[place], expected, rtol=1e-9, atol=1e-18)
            np.testing.assert_allclose(found.slope[place], means @ slope, rtol=1e-9, atol=1e-14)
            information = (means @ slope) @ np.linalg.solve(expected, means @ slope)
            np.testing.assert_allclose(found.information[place], information, rtol=1e-8, atol=1e-12)
    assert found.information[0] == 0  # before the image, or before it has come so far
    assert found.information[2] > found.information[1] > 0


def test_simulation_agrees(network, key):
    theory = fisher.convolutional_information(network, grating, 0.4, at=(9,))
    response = fisher.channel_means(network, grating, step=9)
    measured = fisher.estimate(response, 0.4, key=key, num_trials=3000)
    assert abs(float(measured.value) - theory.information[0]) < 4 * float(measured.standard_error)
    assert float(measured.standard_error) < 0.1 * theory.information[0]


def test_simulation_at_many_times_agrees_with_one_at_a_time(network, key):
    """The same noise, the same derivatives: each time is what `estimate` gives alone."""
    measured = fisher.simulated_convolutional_information(network, grating, 0.4, at=(5, 9), key=key, num_trials=300)
    for step, found in zip((5, 9), measured, strict=True):
        response = fisher.channel_means(network, grating, step=step)
        alone = fisher.estimate(response, 0.4, key=key, num_trials=300, error="influence", check=False)
        np.testing.assert_allclose(found.value, alone.value, rtol=1e-9)
        np.testing.assert_allclose(found.standard_error, alone.standard_error, rtol=1e-9)
    quiet = network.replaced(noise_std=0.0)
    with pytest.raises(ValueError, match="without noise"):
        fisher.simulated_convolutional_information(quiet, grating, 0.4, at=(5,), key=key, num_trials=30)


def test_observation_noise_adds_to_the_covariance(network):
    bare = fisher.convolutional_information(network, grating, 0.4, at=(9,))
    noisy = fisher.convolutional_information(network, grating, 0.4, at=(9,), observation_noise_std=0.2)
    np.testing.assert_allclose(noisy.covariance[0] - bare.covariance[0], 0.04 * np.eye(3), atol=1e-15)
    assert 0 < noisy.information[0] < bare.information[0]


def test_eigendistortions_are_singular_vectors(key):
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(100, 75)))
    image = jnp.asarray(np.random.default_rng(1).normal(size=(5, 5, 3)))

    def response(picture):
        return jnp.tanh(matrix @ picture.reshape(-1) / 20)

    slope = np.asarray(jax.jacfwd(response)(image)).reshape(100, 75)
    _, values, vectors = np.linalg.svd(slope)
    most, least = fisher.eigendistortions(response, image, key=key)
    np.testing.assert_allclose([most.information, least.information], values[[0, -1]] ** 2, rtol=1e-6)
    for found, vector in ((most, vectors[0]), (least, vectors[-1])):
        np.testing.assert_allclose(abs(np.ravel(found.direction) @ vector), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": (9,), "noise": 0.0}, "without noise the information is infinite"),
        ({"at": (10,)}, "at must rise within 1…9"),
        ({"at": (3, 2)}, "at must rise within 1…9"),
        ({"at": (3,), "area": 4}, "area must be within 0…3, got 4"),
    ],
)
def test_wrong_arguments(as_user, network, options, message):
    options = dict(options)
    quiet = eqx.tree_at(lambda n: n.noise_std, network, jnp.asarray(options.pop("noise", 0.1)))
    with pytest.raises(ValueError, match=message):
        fisher.convolutional_information(quiet, grating, 0.4, **options)
    with pytest.raises(ValueError, match="step must be within the response, got 10"):
        fisher.channel_means(network, grating, step=10)


def test_a_result_saved_before_its_class_moved_is_found_in_its_package(tmp_path):
    kept = fisher.Eigendistortion(np.ones((2, 2, 1)) / 2, 3.0)
    data = kept.to_bytes()
    with np.load(io.BytesIO(data)) as archive:
        entries = dict(archive)
    (place,) = (name for name, entry in entries.items() if entry.dtype.kind == "U")
    for elsewhere in ("fisherjax.fisher._convolutional", "fisherjax.fisher._no_longer_there"):
        told = str(entries[place]).replace(type(kept).__module__, elsewhere)
        np.savez(tmp_path / "old.npz", **{**entries, place: np.array(told)})
        found = fisher.Eigendistortion.load(tmp_path / "old.npz")
        np.testing.assert_array_equal(found.direction, kept.direction)
        assert found.information == kept.information


@pytest.mark.parametrize(
    ("image_of", "error", "message"),
    [
        (lambda s: jnp.where(s > 0.4, 1.0, 0.0) * grating(0.3), ValueError, "image_of jumps near 0.4"),
        (lambda s: jnp.round(10 * s) / 10 * grating(0.3), None, ""),  # flat here
        (lambda s: jnp.sin(1e3 * s) * grating(0.3), None, ""),  # fast, and smooth
        (lambda s: jnp.nan * s * grating(0.3), ValueError, r"image_of\(value\) must be finite"),
        (lambda s: grating(s)[:3], ValueError, r"image_of must return an image of shape \(4, 4, 1\), got \(3, 4, 1\)"),
        (lambda s: jnp.ones((4, 4, 1), int), TypeError, "image_of must return floats"),
        (lambda s: np.sin(s) * grating(0.3), TypeError, "image_of cannot be traced by JAX.*use jax.numpy"),
        (lambda s: grating(s, 2), TypeError, "image_of, called with shape.*raised TypeError"),
        (3, TypeError, "image_of must be a function"),
    ],
    ids=["jump", "flat", "fast", "nan", "size", "integers", "numpy", "arguments", "number"],
)
def test_images_that_have_no_derivative_are_refused(as_user, network, image_of, error, message):
    from fisherjax.fisher._image_of import check_image_of

    if error is None:
        assert float(check_image_of(network, image_of, 0.4)) == pytest.approx(0.4)
        return
    with pytest.raises(error, match=message):
        fisher.convolutional_information(network, image_of, 0.4, at=(5,))


def test_noise_too_small_for_float32_squares_keeps_its_information(network):
    """I is proportional to 1/σ², also where σ² is no number of float32: the covariance is put together in float64."""
    small = [in_precision(each, jnp.float32) for each in (network, network.replaced(noise_std=1e-25))]

    def image_of(angle):
        return jnp.cos(2 * jnp.linspace(-1.5, 1.5, 16, dtype=jnp.float32) + angle).reshape(4, 4, 1)

    usual, tiny = (fisher.convolutional_information(each, image_of, 0.4, at=(9,)).information[0] for each in small)
    np.testing.assert_allclose(tiny * 1e-50, usual * 1e-4, rtol=1e-5)


def test_a_singular_covariance_has_no_information(network):
    from fisherjax.fisher._convolutional import _information

    assert np.isnan(_information(np.ones(2), np.ones((2, 2))))
    assert np.isnan(_information(np.ones(2), np.diag([1.0, 0.0])))
    np.testing.assert_allclose(_information(np.array([1.0, 2.0]), np.diag([1e-30, 1e30])), 1e30)


def test_least_noticeable_distortion_is_measured_and_not_a_difference(key):
    """J with singular values 1 and 1e-10: λ_max − λ_max (1 − 1e-20) has no digit, ‖J v‖² has all of them."""
    scales = jnp.asarray([1.0, 1e-10])
    _, least = fisher.eigendistortions(lambda image: scales * image[0, :, 0], jnp.zeros((1, 2, 1)), key=key)
    np.testing.assert_allclose(least.information, 1e-20, rtol=1e-3)
    most, least = fisher.eigendistortions(lambda image: 0 * image.reshape(-1), jnp.zeros((9, 9, 1)), key=key)
    assert most.information == least.information == 0
