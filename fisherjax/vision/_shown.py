"""Images as a protocol, and areas as a reading: a convolutional network asked as any other."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_callable, check_integer

from ._architecture import Architecture
from ._network import ConvolutionalRNN, check_network


class Shown(eqx.Module):
    """A protocol: a blank screen, the image of a parameter, and a blank screen again; θ ↦ images (T, H, W, C).

    Made by `shown`. Its `num_steps` is that of the curve.
    """

    image_of: Callable[[Any], Array]
    blank_steps: int = eqx.field(static=True)
    image_steps: int = eqx.field(static=True)
    offset_steps: int = eqx.field(static=True)

    @property
    def num_steps(self) -> int:
        """T, steps of all three phases."""
        return self.blank_steps + self.image_steps + self.offset_steps

    def __call__(self, theta: Array) -> Float[Array, "T height width colors"]:
        """The images of all steps."""
        image = self.image_of(theta)
        time = jnp.arange(self.num_steps)
        on = (time >= self.blank_steps) & (time < self.blank_steps + self.image_steps)
        return jnp.where(on[:, None, None, None], image, jnp.zeros_like(image))


def shown(
    network: ConvolutionalRNN,
    image_of: Callable[[Any], Array],
    *,
    blank_steps: int | None = None,
    image_steps: int | None = None,
    offset_steps: int = 0,
) -> Shown:
    """The protocol that shows a network the image of a parameter.

    Parameters
    ----------
    network
        Whose architecture says for how long, unless told otherwise.
    image_of
        From the parameter θ, () or (K,), to an image (height, width, colors), differentiable.
    blank_steps, image_steps, offset_steps
        Steps of a blank screen before, of the image, and of a blank screen after.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no step at all.
    TypeError
        If `network` is none, or `image_of` is no function.
    """
    plan = check_network(network).architecture
    check_callable("image_of", image_of)
    return Shown(image_of, *plan.phases(blank_steps, image_steps, offset_steps))


class ChannelMeans(eqx.Module):
    """A reading: means over space of one area's maps, one number per channel. Made by `channel_means`."""

    architecture: Architecture = eqx.field(static=True)
    area: int = eqx.field(static=True)

    def __call__(self, state: Float[Array, "*trials S"]) -> Float[Array, "*trials channels"]:
        """The means of a flat state."""
        shapes = self.architecture.area_shapes
        sizes = [height * width * channels for height, width, channels in shapes]
        first = sum(sizes[: self.area])
        part = state[..., first : first + sizes[self.area]]
        return jnp.mean(part.reshape(*state.shape[:-1], -1, shapes[self.area][2]), axis=-2)


def channel_means(network: ConvolutionalRNN, area: int = -1) -> ChannelMeans:
    """What reads the means over space of one area; the last by default.

    Raises
    ------
    ValueError
        If there is no such area.
    TypeError
        If `network` is none, or the area is no whole number.
    """
    plan = check_network(network).architecture
    check_integer("area", area, minimum=-plan.depth, maximum=plan.depth - 1)
    return ChannelMeans(plan, area % plan.depth)
