"""A function from a parameter to an image, looked at before information about the parameter is computed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_callable, check_scalar, is_traced, require, told
from fisherjax._functions import output_of
from fisherjax._types import Scalar
from fisherjax.networks import ConvolutionalRNN

ImageOf = Callable[[Any], Array]

_JUMP = 1e-4  # of the image: a smaller step in it is rounding


def check_image_of(network: ConvolutionalRNN, image_of: ImageOf, value: Scalar) -> Float[Array, ""]:
    """The parameter as an array, after a look at the image there: its size, its type, whether it jumps.

    Raises
    ------
    TypeError
        If `image_of` is no function, cannot be traced, or gives anything but floats.
    ValueError
        If the image has another size, is not finite, or jumps at the value.
    """
    check_callable("image_of", image_of)
    check_scalar("value", value)
    parameter, shape = jnp.asarray(value, network.leak.dtype), network.architecture.image_shape
    given: Any = output_of("image_of", image_of, parameter)
    found = getattr(given, "shape", None)
    require(
        found == shape,
        f"image_of must return an image of shape {shape}, got {told(given) if found is None else found}",
    )
    if not jnp.issubdtype(given.dtype, jnp.floating):
        raise TypeError(f"image_of must return floats, which have a derivative, got {given.dtype}")
    if not is_traced(value):
        _check_smooth(image_of, parameter)
    return parameter


def _check_smooth(image_of: ImageOf, value: Array) -> None:
    """Refuse an image that is not finite, or whose change is another than its derivative says however near."""
    image, slope = (np.asarray(part, np.float64) for part in jax.jvp(image_of, (value,), (jnp.ones_like(value),)))
    check_finite("image_of(value)", image)
    check_finite("the derivative of image_of", slope)
    eps = float(jnp.finfo(value.dtype).eps)
    step = eps ** (1 / 3) * max(abs(float(value)), 1.0)
    excess = []
    for near in (step, step / 8):
        low, high = (np.asarray(image_of(value + jnp.asarray(s * near, value.dtype)), np.float64) for s in (-1, 1))
        excess.append(np.linalg.norm(high - low - 2 * near * slope))
    # what a kink or a curve leaves shrinks with the step, a jump does not
    size = max(np.linalg.norm(image), np.linalg.norm(high), np.linalg.norm(low))
    jumps = excess[1] > 0.5 * excess[0] and excess[1] > _JUMP * size
    require(
        not jumps,
        f"image_of jumps near {float(value):g}: its derivative does not say how it changes, and the information "
        "about a parameter would be wrong; smooth the image, or measure with fisher.estimate(method='common')",
    )
