"""Networks that read angles: they learn, their information is bounded by the image's, they can be saved."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fisherjax import datasets, fisher, vision
from fisherjax.vision._orientation._estimates import estimator_variance
from fisherjax.vision._orientation._losses import angle_loss
from fisherjax.vision._orientation._network import encoded
from fisherjax.vision._orientation._reading import read_fresh, read_training_images
from fisherjax.vision._orientation._stimuli import as_stimuli, image_information
from fisherjax.vision._orientation._training import AngleTraining

STRIPES = (40 * (np.add.outer(np.arange(16), 3 * np.arange(16)) // 8 % 6)).astype(np.uint8)
CORNER = (np.add.outer(np.arange(16), np.arange(16)) ** 2 // 4).astype(np.uint8)


def test_training_learns_and_information_stays_below_the_image_s(key, tmp_path):
    """Data processing: two outputs cannot hold more than the exact linear information of a Gaussian-like image."""
    trained = vision.train_angle_network(key=key, size=13, num_steps=600)
    assert float(jnp.mean(trained.loss[:20])) > 0.8
    assert float(jnp.mean(trained.loss[-50:])) < 0.55
    respond = vision.respond_to_angle(trained.network)
    found = fisher.estimate(respond, 0.6, key=key, num_trials=800)
    assert float(found.value) > 5 * float(found.standard_error)

    def moments(theta):
        return datasets.grating_moments(theta, size=13)

    (_, variance), (slope, _) = jax.jvp(moments, (0.6,), (1.0,))
    bound = float(jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0)))
    assert float(found.value) < bound
    loaded = AngleTraining.load(trained.save(tmp_path / "trained"))
    image = datasets.gratings(0.6, key=key, size=13)
    np.testing.assert_allclose(loaded.network(image), trained.network(image), rtol=1e-12)


def test_layers_and_decoding(key):
    network = vision.angle_network(key=key, size=9)
    assert [weights.shape for weights in network.weights] == [(9, 81), (20, 9), (2, 20)]
    assert network.size == 9
    angles = jnp.linspace(0, 3.1, 7)
    outputs = jnp.stack([jnp.cos(2 * angles), jnp.sin(2 * angles)], axis=1)
    np.testing.assert_allclose(vision.decode_angle(3 * outputs), angles, atol=1e-12)


@pytest.mark.parametrize("encoding", ["vector", "population", "scalar"])
@pytest.mark.parametrize("symmetry", [1, 3])
def test_what_outputs_should_be_is_decoded_exactly_and_has_no_loss(encoding, symmetry, key):
    """Also about the end of the circle, and a loss is least where outputs are as they should be."""
    period = 2 * np.pi / symmetry
    angles = jnp.array([0.0, 0.3, 0.999, 1.7]) % period
    right = encoded(angles, encoding, symmetry)
    decoded = vision.decode_angle(right, encoding=encoding, symmetry=symmetry)
    away = np.asarray(decoded - angles)
    np.testing.assert_allclose(away - period * np.round(away / period), 0, atol=1e-12)
    np.testing.assert_allclose(encoded(angles + period, encoding, symmetry), right, atol=1e-12)
    wrong = right + 0.2 * jax.random.normal(key, right.shape)
    for loss, least in (("cosine", 1e-8), ("angle", 1e-20), ("squared", 1e-20), ("root", 1e-5)):
        value, slope = jax.value_and_grad(lambda z, loss=loss: angle_loss(loss, encoding, symmetry, z, angles))(right)
        assert 0 <= float(value) + 1e-12 < least + 1e-12
        assert bool(jnp.isfinite(slope).all())
        assert float(angle_loss(loss, encoding, symmetry, wrong, angles)) > 1e-4
    if encoding == "scalar":
        # a turn too many is far for what compares outputs, and nothing for what compares directions
        assert float(angle_loss("root", encoding, symmetry, right + period, angles)) == pytest.approx(period)
        assert float(angle_loss("angle", encoding, symmetry, right + period, angles)) < 1e-20


def test_losses_against_their_definitions(key):
    """SciPy's von Mises density on the circle of 2θ; distances and angles by NumPy; no output, no slope."""
    outputs = 3 * jax.random.normal(key, (50, 2))
    angles = np.linspace(0, np.pi, 50)
    targets = np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    length, mean = np.hypot(*outputs.T), np.arctan2(outputs[:, 1], outputs[:, 0])
    away = np.linalg.norm(outputs - targets, axis=1)
    error = np.angle(np.exp(1j * (mean - 2 * angles))) / 2
    expected = {
        "von-mises": -scipy.stats.vonmises.logpdf(2 * angles, length, loc=mean).mean(),
        "squared": (away**2).mean(),
        "root": away.mean(),
        "angle": (error**2).mean(),
        "cosine": (1 - np.cos(2 * error)).mean(),
    }
    for loss, value in expected.items():
        np.testing.assert_allclose(angle_loss(loss, "vector", 2, outputs, jnp.asarray(angles)), value, rtol=1e-7)
        slope = jax.grad(lambda z, loss=loss: angle_loss(loss, "vector", 2, z, jnp.zeros(3)))(jnp.zeros((3, 2)))
        assert bool(jnp.isfinite(slope).all())


@pytest.mark.parametrize("loss", ["cosine", "squared", "von-mises", "angle", "root"])
def test_every_loss_is_learned_and_frozen_layers_stay(key, loss):
    """Decoded angles are closer after training than before, and only what is not frozen has moved."""
    frozen = {"cosine": "none", "squared": "first", "von-mises": "hidden"}.get(loss, "none")
    trained = vision.train_angle_network(key=key, size=9, num_steps=400, loss=loss, frozen=frozen).network
    before = vision.angle_network(key=jax.random.split(key)[0], size=9)
    moved = [bool(np.any(a != b)) for a, b in zip(trained.weights, before.weights, strict=True)]
    assert moved == {"none": [True] * 3, "first": [False, True, True], "hidden": [False, False, True]}[frozen]
    angles = jnp.linspace(0, np.pi, 200, endpoint=False)
    images = datasets.gratings(angles, key=key, size=9)

    def error(network):
        away = vision.decode_angle(jax.vmap(network)(images)) - angles
        return float(jnp.mean(1 - jnp.cos(2 * away)))

    assert error(trained) < 0.9 * error(before)


def test_training_goes_on_from_a_base(key):
    """At no learning rate it is the base, for the symmetry of the new stimuli; frozen layers stay those of the base."""
    base = vision.angle_network(key=key, size=9, nonlinearity="softplus")
    pictures = datasets.turned_pictures([STRIPES, CORNER], size=9)
    still = vision.train_angle_network(
        key=key, stimuli=pictures, start=base, num_steps=1, batch_size=4, learning_rate=1e-30
    ).network
    assert (base.symmetry, still.symmetry) == (2, 1)
    assert still.nonlinearity == base.nonlinearity
    moved = vision.train_angle_network(
        key=key, stimuli=pictures, start=base, num_steps=3, batch_size=4, frozen="hidden", num_images=5
    )
    assert moved.images.shape == (5,)
    for first, second, third in zip(base.weights[:2], still.weights[:2], moved.network.weights[:2], strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)
    assert np.any(moved.network.weights[2] != base.weights[2])
    respond = vision.respond_to_angle(moved.network, pictures)
    np.testing.assert_array_equal(respond(0.3, key), moved.network(pictures(0.3, key=key)))


def read(network, stimuli, key, images=None):
    """Of fresh images, or of those of some keys."""
    options = {"robust": False, "relative_error": 0.2, "max_trials": 4000}
    if images is None:
        return read_fresh(network, stimuli, 4, 300, keys=tuple(jax.random.split(key)), **options)
    return read_training_images(network, images, stimuli, 4, **options)


@pytest.mark.filterwarnings("ignore:the target of")
def test_training_images_tell_more_only_if_they_were_learned(key):
    """Images that a network has not seen tell as much as fresh ones, at k standard errors; few that it has, far more.

    Its decoder cannot have less variance than the bound, at k standard errors.
    """
    shown = as_stimuli("gratings", 15)
    trained = vision.train_angle_network(key=key, size=15, num_steps=800, num_images=100, loss="squared")
    fresh = read(trained.network, shown, key)
    unseen = read(trained.network, shown, key, jax.random.split(jax.random.key(5), 100))
    seen = read(trained.network, shown, key, trained.images)
    error = np.hypot(fresh.profile.standard_error, unseen.profile.standard_error)
    assert float(np.max(np.abs(np.asarray(fresh.profile.value) - np.asarray(unseen.profile.value)) / error)) < 4
    assert np.asarray(unseen.profile.num_trials).tolist() == [100] * 4
    gain = np.asarray(seen.profile.value) - np.asarray(fresh.profile.value)
    assert gain.sum() > 2.5 * np.linalg.norm(seen.profile.standard_error)
    assert (gain > np.asarray(fresh.profile.value)).all()
    lacking = (fresh.decoder.bound - fresh.decoder.variance) / fresh.decoder.variance_error
    assert float(jnp.median(lacking)) < 3
    again = vision.respond_to_angle(trained.network)
    values = jax.vmap(lambda image: again(0.0, image))(trained.images)
    np.testing.assert_allclose(seen.means[0], jnp.mean(values, axis=0), rtol=1e-6)


def test_information_of_who_knows_the_piece(key):
    """With one piece and Gaussian noise it is the linear information of the images, at k standard errors."""
    pictures = datasets.turned_pictures([CORNER], size=9, window=1, noise_std=0.4)
    respond = lambda angle, key: pictures(angle, key=key)[np.nonzero(_disc())]  # noqa: E731
    exact = float(image_information(pictures, jnp.array([0.3]), key)[0])
    found = fisher.estimate(respond, 0.3, key=key, num_trials=1000, error="influence", check=False)
    assert abs(float(found.value) - exact) < 4 * float(found.standard_error)


def _disc():
    axis = np.arange(9) - 4
    return axis[:, None] ** 2 + axis**2 <= 16


def test_the_spread_of_a_study_is_that_of_its_estimates(key):
    """Exact derivatives have no bias by the step, and independent differences the largest spread."""
    network = vision.train_angle_network(key=key, size=9, num_steps=200).network
    respond = vision.respond_to_angle(jax.tree.map(lambda x: x.astype(jnp.float32), network))
    found = estimator_variance(respond, np.pi / 4, jax.random.split(key, 30), separations=(0.1,), num_trials=(60, 120))
    assert found.spread["direct"][0, 0] > found.spread["pathwise"][0, 0]
    ratio = found.spread_by_trials["pathwise"][0]
    assert ratio[1] < ratio[0]
    assert np.abs(found.bias["pathwise"][0, 0]) < 5 * found.bias["pathwise"][1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "abs"}, "loss must be one of"),
        ({"loss": "rot"}, "did you mean 'root'"),
        ({"frozen": "last"}, "frozen must be one of"),
        ({"encoding": "vectors"}, "encoding must be one of .*did you mean 'vector'"),
        ({"nonlinearity": "rectifier"}, "did you mean 'relu'"),
        ({"encoding": "scalar", "loss": "von-mises"}, "needs a length, which the encoding 'scalar' has not"),
        ({"stimuli": "grating"}, "stimuli must be 'gratings', .*did you mean 'gratings'"),
        ({"num_images": 0}, "num_images must be at least 1"),
        ({"start": "base", "size": 11}, "start reads images of side 9, got size 11"),
        ({"start": "base", "encoding": "scalar"}, "start has the encoding 'vector', got 'scalar'"),
        ({"start": "base", "nonlinearity": "tanh"}, "start has the nonlinearity"),
    ],
)
def test_unknown_ways_of_training_are_refused(key, options, message, as_user):
    base = vision.angle_network(key=key, size=9)
    with pytest.raises(ValueError, match=message):
        vision.train_angle_network(
            key=key, **{name: base if word == "base" else word for name, word in options.items()}
        )


def test_wrong_studies_are_refused(key, as_user):
    base = vision.angle_network(key=key, size=9)
    with pytest.raises(ValueError, match="losses must be one of"):
        vision.orientation_study(key=key, losses=("cosine", "abs"))
    with pytest.raises(ValueError, match="num_images must be at least 40"):
        vision.orientation_study(key=key, num_images=10)
    with pytest.raises(TypeError, match=r"stimuli must be .*turned_pictures"):
        vision.orientation_study(key=key, stimuli=[STRIPES])
    with pytest.raises(TypeError, match="start must be an AngleNetwork"):
        vision.train_angle_network(key=key, start="network.npz")
    with pytest.raises(ValueError, match="size must be that of stimuli, 9, got 11"):
        vision.train_angle_network(key=key, stimuli=datasets.turned_pictures([STRIPES], size=9), size=11)
    with pytest.raises(ValueError, match=r"output must have last axes \(..., 8\)"):
        vision.decode_angle(jnp.zeros((3, 2)), encoding="population")
    assert dataclasses.replace(base, symmetry=1).symmetry == 1
