"""Another image that a response does not tell from a given one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, check_integer, check_key, check_scalar, float_output_of, require
from fisherjax._runtime import fit_parameters
from fisherjax._types import ArrayLike, Key, Record, Scalar


class Metamer(Record):
    """An image, or movie, with the response of another.

    Parameters
    ----------
    image
        The metamer.
    original
        What it is one of.
    discrepancy
        ‖f(x) − f(x₀)‖/‖f(x₀)‖ that is left.
    loss
        The square of it at every step (steps,).
    """

    image: Float[np.ndarray, "*T height width colors"]
    original: Float[np.ndarray, "*T height width colors"]
    discrepancy: float
    loss: Float[np.ndarray, " steps"]

    @property
    def distance(self) -> float:
        """Root mean square difference of the two, in standard deviations of the original's pixels."""
        return float(np.sqrt(np.mean((self.image - self.original) ** 2)) / np.std(self.original))


def metamer(
    response: Callable[[Any], Array],
    image: Float[Array | np.ndarray, "*T height width colors"],
    *,
    key: Key,
    start: ArrayLike | None = None,
    num_steps: int = 2000,
    learning_rate: Scalar = 0.03,
) -> Metamer:
    r"""Change an image, by gradient, until a response to it is that to another.

    Adam on ‖f(x) − f(x₀)‖²/‖f(x₀)‖² from noise of the image's own mean and deviation, with a step size that falls to
    zero along a cosine. What the two have not in common is what the response does not tell.

    Parameters
    ----------
    response
        From an image (height, width, colors), or a movie with time first, to a vector, differentiable: a layer, an
        area's activity, logits.
    image
        x₀.
    key
        JAX random key of the noise to start from.
    start
        Where to start instead, of the image's shape.
    num_steps, learning_rate
        Steps of Adam, and its step size in standard deviations of the image's pixels.

    Raises
    ------
    ValueError
        If the image is flat, not finite, or has no response; shapes do not match, or a number is out of range.
    TypeError
        If `key` is not a JAX key, or `response` gives no floats.

    References
    ----------
    Freeman & Simoncelli (2011), Metamers of the ventral stream, Nat. Neurosci. 14, 1195–1201.
    Feather, Leclerc, Mądry & McDermott (2023), Model metamers reveal divergent invariances, Nat. Neurosci. 26.
    """
    check_callable("response", response)
    picture = as_real("image", image, "... height width colors")
    check_integer("num_steps", num_steps, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    float_output_of("response", response, picture)
    deviation = float(jnp.std(picture))
    require(deviation > 0, "image must not be flat: noise of its deviation is where the search starts")
    target = response(picture)
    size = float(jnp.sum(target**2))
    require(size > 0, "response to the image is zero: everything that is not seen would be its metamer")
    noise_key, fit_key = jax.random.split(check_key("key", key))
    drawn = jnp.mean(picture) + deviation * jax.random.normal(noise_key, picture.shape, picture.dtype)
    begin = drawn if start is None else as_real("start", start, dtype=picture.dtype)
    require(begin.shape == picture.shape, f"start must have the image's shape {picture.shape}, got {begin.shape}")
    rate = optax.cosine_decay_schedule(float(learning_rate) * deviation, num_steps)  # pyright: ignore[reportArgumentType]
    discrepancy = jax.tree_util.Partial(_discrepancy, response, target, jnp.asarray(size, target.dtype))
    fit = fit_parameters(begin, discrepancy, fit_key, num_steps=num_steps, learning_rate=rate, title="metamer")
    left = float(jnp.sqrt(discrepancy(fit.last, fit_key)))
    return Metamer(np.asarray(fit.last), np.asarray(picture), left, np.asarray(fit.loss))


def _discrepancy(response: Callable[[Any], Array], target: Array, size: Array, image: Array, _: Key) -> Array:
    return jnp.sum((response(image) - target) ** 2) / size
