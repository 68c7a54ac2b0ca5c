"""Metamers: the response is met, what it does not tell stays as it was; eigendistortions of a movie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher

KEY = jax.random.key(0)
IMAGE = np.asarray(jax.random.normal(KEY, (4, 4, 1)))
SEEN = np.linalg.qr(np.asarray(jax.random.normal(jax.random.key(1), (16, 5))))[0].T


def response(image):
    return jnp.asarray(SEEN, image.dtype) @ image.reshape(-1)


def test_a_metamer_of_a_linear_response_differs_where_it_is_blind():
    start = np.asarray(jax.random.normal(jax.random.key(2), IMAGE.shape))
    found = fisher.metamer(response, IMAGE, key=KEY, start=start, num_steps=800, learning_rate=0.1)
    assert found.discrepancy < 1e-3
    np.testing.assert_allclose(response(jnp.asarray(found.image)), response(jnp.asarray(IMAGE)), atol=0.01)
    assert found.distance > 0.5
    assert found.loss[-1] < 1e-6 < found.loss[0]
    own = fisher.metamer(response, IMAGE, key=KEY, start=IMAGE, num_steps=3)
    assert own.discrepancy < 1e-6


def test_a_movie_has_metamers_and_eigendistortions():
    """A response to the sum over time sees a change of it, and no change that is gone again."""
    movie = np.asarray(jax.random.normal(KEY, (3, 4, 4, 1)))
    most, least = fisher.eigendistortions(lambda m: response(m.sum(axis=0)), movie, key=KEY)
    assert most.direction.shape == (3, 4, 4, 1)
    np.testing.assert_allclose(most.information, 3, rtol=1e-6)  # ‖Σ_t v‖² = 3 ‖v‖² where v is the same at all times
    np.testing.assert_allclose(most.direction, np.broadcast_to(most.direction[:1], movie.shape), atol=1e-6)
    assert least.information < 1e-9
    found = fisher.metamer(lambda m: response(m[-1]), movie, key=KEY, num_steps=300, learning_rate=0.1)
    assert found.image.shape == movie.shape
    assert found.discrepancy < 0.05


def test_the_float_type_is_the_image_s():
    """In float32, where JAX computes in float64 otherwise."""
    image = IMAGE.astype(np.float32)
    most, _ = fisher.eigendistortions(response, image, key=KEY)
    assert most.direction.dtype == np.float32
    np.testing.assert_allclose(most.information, 1, rtol=1e-5)
    assert fisher.metamer(response, image, key=KEY, num_steps=2).image.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((response, np.ones((4, 4, 1))), "image must not be flat"),
        ((lambda image: 0 * response(image), IMAGE), "response to the image is zero"),
    ],
)
def test_what_has_no_metamer_is_said(arguments, words):
    with pytest.raises(ValueError, match=words):
        fisher.metamer(*arguments, key=KEY)
    with pytest.raises(ValueError, match="start must have the image's shape"):
        fisher.metamer(response, IMAGE, key=KEY, start=np.ones((2, 2, 1)))
