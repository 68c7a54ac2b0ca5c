"""Fisher information through a convolutional recurrent network: dense covariances, simulation, singular vectors."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from platforms import rounding

from fisherjax import fisher, vision
from fisherjax.fisher._eigendistortions import Eigendistortion
from fisherjax.networks import in_precision
from fisherjax.vision import Architecture, ConvolutionalRNN
from fisherjax.vision._respond import ChannelMeans

PLAN = Architecture((4, 4, 1), 3, (2, 2, 3, 3), blank_steps=3, image_steps=6, alpha=(0.3, 0.4, 0.3, 0.5))


@pytest.fixture(scope="module")
def network():
    drawn = ConvolutionalRNN(PLAN, key=jax.random.key(2), recurrent_gain=0.8, noise_std=0.01)
    biases = tuple(0.5 + jax.random.uniform(jax.random.key(j), b.shape) for j, b in enumerate(drawn.biases))
    return eqx.tree_at(lambda n: n.biases, drawn, biases)


def grating(angle):
    axis = jnp.linspace(-1.5, 1.5, 4)
    return jnp.cos(2 * (axis[:, None] * jnp.cos(angle) + axis[None, :] * jnp.sin(angle)))[..., None]


def asked(network, image_of=grating, area=-1, **settings):
    shown = vision.shown(network, image_of)
    usual = {"stimulus": 0.4, "num_steps": shown.num_steps, "protocol": shown}
    return {**usual, "read": vision.channel_means(network, area), **settings}


def test_all_areas_at_once_are_each_alone(network, as_user):
    settings = asked(network, area="all", at=(5, 9))
    found = fisher.linearized_curve(network, **settings)
    assert found.by_population.shape == (2, 4)
    alone = fisher.linearized_curve(network, **asked(network, area=2, at=(5, 9)))
    np.testing.assert_allclose(found.by_population[:, 2], alone.total, rtol=1e-8)
    # all areas together know at least what the best of them does
    assert (np.asarray(found.total) >= np.asarray(found.by_population).max(axis=1) * (1 - 1e-9)).all()
    with pytest.raises(ValueError, match="area must be 'all' or the number of one, got 'last'"):
        vision.channel_means(network, "last")


def test_information_is_that_of_the_dense_recursion(network):
    """Σ ← J Σ Jᵀ + Q and μ' ← J μ' + ∂F/∂s, all written down; backwards from the means and forwards of the state."""
    settings = asked(network, area=2, at=(2, 5, 9))
    found = fisher.linearized_curve(network, **settings)
    forward = fisher.linearized_curve(network, **settings, form="total")  # which needs the covariance of the state
    flat, unravel = ravel_pytree(network.silence())
    size = len(flat)
    noise = np.concatenate(
        [np.full(np.prod(shape), 2 * alpha * 1e-4) for shape, alpha in zip(PLAN.area_shapes, PLAN.alpha, strict=True)]
    )

    def step(values, angle, on):
        drive = network.drive(grating(angle)) if on else None
        return ravel_pytree(network.advance(unravel(values), drive))[0]

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
            information = (means @ slope) @ np.linalg.solve(expected, means @ slope)
            terms = count * 9 * sum(PLAN.channels[2:])  # at every step, those of the convolutions of a unit
            error = rounding(terms, np.linalg.cond(covariance))
            np.testing.assert_allclose(found.total[place], information, rtol=error, atol=1e-12)
            assert float(forward.total[place]) >= float(found.total[place]) * (1 - error)
    assert found.times.tolist() == [2, 5, 9]
    assert found.total[0] == 0  # before the image, or before it has come so far
    assert found.total[2] > found.total[1] > 0


def test_simulation_agrees(network, key):
    settings = asked(network, at=(5, 9))
    theory = fisher.linearized_curve(network, **settings)
    measured = fisher.simulated_curve(network, **settings, key=key, num_trials=2000)
    assert np.all(np.abs(measured.total - theory.total) < 4 * measured.standard_error)
    assert np.all(measured.standard_error < 0.1 * theory.total)


def test_a_curve_at_some_times_is_that_of_all_of_them(network, key):
    settings = asked(network)
    settings["key"], settings["num_trials"] = key, 40
    everywhere = fisher.simulated_curve(network, **settings)
    somewhere = fisher.simulated_curve(network, **settings, at=(5, 9))
    np.testing.assert_allclose(somewhere.total, everywhere.total[jnp.array([4, 8])], rtol=1e-9)
    with pytest.raises(ValueError, match="network has noise_std 0"):
        fisher.simulated_curve(network.replaced(noise_std=0.0), **settings)


def test_observation_noise_adds_to_the_covariance(network):
    """Means of three channels, one at a time: I = μ'²/S, so that 1/I grows by σ_obs²/μ'²."""
    settings = asked(network, at=(9,), form="independent")
    noisy = eqx.tree_at(lambda n: n.observation_noise_std, network, jnp.asarray(0.2))
    loud = eqx.tree_at(lambda n: n.observation_noise_std, network, jnp.asarray(0.2 * 2**0.5))
    inverse = []
    for each in (network, noisy, loud):
        one = {**settings, "read": FirstChannel(vision.channel_means(network))}
        inverse.append(1 / float(fisher.linearized_curve(each, **one).total[0]))
    assert inverse[1] > inverse[0] > 0
    np.testing.assert_allclose(inverse[2] - inverse[1], inverse[1] - inverse[0], rtol=1e-9)


class FirstChannel(eqx.Module):
    means: ChannelMeans

    def __call__(self, state):
        return self.means(state)[..., :1]


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
        ({"at": (9,), "noise": 0.0}, "network has noise_std 0"),
        ({"at": (10,)}, "at must rise within 1…9"),
        ({"at": (3, 2)}, "at must rise within 1…9"),
        ({"at": (3,), "num_steps": 4}, r"protocol must return inputs of shape \(4, 4, 4, 1\), one for each step, got"),
        ({"read": lambda state: state[0]}, r"read must return a vector \(O,\), got shape \(\)"),
        ({"read": "outputs"}, "read must be 'state' or 'output'.*did you mean 'output'"),
        ({"protocol": "puls"}, "protocol must be 'pulse', 'sustained' or a function.*did you mean 'pulse'"),
        ({"protocol": "sustained"}, r"stimulus must have shape \(4, 4, 1\) to be the input of this ConvolutionalRNN"),
    ],
)
def test_wrong_arguments(as_user, network, options, message):
    options = dict(options)
    quiet = eqx.tree_at(lambda n: n.noise_std, network, jnp.asarray(options.pop("noise", 0.1)))
    with pytest.raises(ValueError, match=message):
        fisher.linearized_curve(quiet, **{**asked(network), **options})
    with pytest.raises(ValueError, match="area must be at most 3, got 4"):
        vision.channel_means(network, 4)


def test_a_result_saved_before_its_class_moved_is_found_in_its_package(tmp_path):
    kept = Eigendistortion(np.ones((2, 2, 1)) / 2, 3.0)
    data = kept.to_bytes()
    with np.load(io.BytesIO(data)) as archive:
        entries = dict(archive)
    (place,) = (name for name, entry in entries.items() if entry.dtype.kind == "U")
    for elsewhere in ("fisherjax.fisher._convolutional", "fisherjax.fisher._no_longer_there"):
        told = str(entries[place]).replace(type(kept).__module__, elsewhere)
        np.savez(tmp_path / "old.npz", **{**entries, place: np.array(told)})
        found = Eigendistortion.load(tmp_path / "old.npz")
        np.testing.assert_array_equal(found.direction, kept.direction)
        assert found.information == kept.information


@pytest.mark.parametrize(
    ("image_of", "error", "message"),
    [
        (lambda s: jnp.where(s > 0.4, 1.0, 0.0) * grating(0.3), ValueError, "protocol jumps near 0.4"),
        (lambda s: jnp.round(10 * s) / 10 * grating(0.3), None, ""),  # flat here
        (lambda s: jnp.sin(1e3 * s) * grating(0.3), None, ""),  # fast, and smooth
        (lambda s: jnp.nan * s * grating(0.3), ValueError, r"protocol\(stimulus\) must be finite"),
        (lambda s: grating(s)[:3], ValueError, r"protocol must return inputs .*got \(9, 3, 4, 1\)"),
        (lambda s: jnp.ones((4, 4, 1), int), TypeError, "protocol must return floats"),
        (lambda s: np.sin(s) * grating(0.3), TypeError, "protocol cannot be traced by JAX.*use jax.numpy"),
        (lambda s: grating(s, 2), TypeError, "protocol, called with shape.*raised TypeError"),
        (3, TypeError, "image_of must be a function"),
    ],
    ids=["jump", "flat", "fast", "nan", "size", "integers", "numpy", "arguments", "number"],
)
def test_images_that_have_no_derivative_are_refused(as_user, network, image_of, error, message):
    from fisherjax.fisher._curve import check_entry

    if error is None:
        shown = vision.shown(network, image_of)
        assert float(check_entry(network, shown, 0.4, shown.num_steps)) == pytest.approx(0.4)
        return
    with pytest.raises(error, match=message):
        fisher.linearized_curve(network, **asked(network, image_of))


def test_noise_too_small_for_float32_squares_keeps_its_information(network):
    """I is proportional to 1/σ², also where σ⁴ is no number of float32: covariances are told in units of the noise."""
    small = [in_precision(each, jnp.float32) for each in (network, network.replaced(noise_std=1e-15))]
    settings = asked(network, image_of=fine_grating, at=(9,))
    for form in ("linear", "total"):  # backwards, and forwards
        usual, tiny = (fisher.linearized_curve(each, **settings, form=form).total[0] for each in small)
        np.testing.assert_allclose(float(tiny) * 1e-30, float(usual) * 1e-4, rtol=1e-3)


def fine_grating(angle):
    return jnp.cos(2 * jnp.linspace(-1.5, 1.5, 16, dtype=jnp.float32) + angle).reshape(4, 4, 1)


def test_a_singular_covariance_has_no_information(network):
    """The same mean twice: its covariance has no inverse, and a number would be rounding."""
    with pytest.warns(RuntimeWarning, match="singular to rounding"):
        curve = fisher.linearized_curve(network, **asked(network, at=(9,), read=Twice(vision.channel_means(network))))
    assert np.isnan(curve.total[0])


class Twice(eqx.Module):
    means: ChannelMeans

    def __call__(self, state):
        return jnp.repeat(self.means(state)[..., :1], 2, axis=-1)


def test_least_noticeable_distortion_is_measured_and_not_a_difference(key):
    """J with singular values 1 and 1e-10: λ_max − λ_max (1 − 1e-20) has no digit, ‖J v‖² has all of them."""
    scales = jnp.asarray([1.0, 1e-10])
    _, least = fisher.eigendistortions(lambda image: scales * image[0, :, 0], jnp.zeros((1, 2, 1)), key=key)
    np.testing.assert_allclose(least.information, 1e-20, rtol=1e-3)
    most, least = fisher.eigendistortions(lambda image: 0 * image.reshape(-1), jnp.zeros((9, 9, 1)), key=key)
    assert most.information == least.information == 0


def test_distortions_in_single_precision_with_fewer_responses_than_pixels(key):
    """λ_max is then hit many times over, and was asked for to more digits than float32 has."""
    slopes = np.random.default_rng(1).normal(size=(64, 256)) / 16
    slopes = slopes.astype(np.float32)
    with jax.enable_x64(False):
        most, least = fisher.eigendistortions(lambda image: slopes @ image.ravel(), jnp.zeros((16, 16, 1)), key=key)
    np.testing.assert_allclose(most.information, np.linalg.norm(slopes, 2) ** 2, rtol=1e-5)
    assert 0 <= least.information < 1e-6 * most.information
