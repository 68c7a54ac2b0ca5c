"""Images and times for a convolutional recurrent network, checked."""

from collections.abc import Iterable
from typing import Any

from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, require, told

from ._network import ConvolutionalRNN

NETWORK = "such as vision.ConvolutionalRNN or vision.load_checkpoint make one"


def as_pictures(name: str, images: Any, network: ConvolutionalRNN) -> Float[Array, "n height width colors"]:
    """At least one image of the network's size, as floats (n, height, width, colors)."""
    pictures = as_real(name, images, "n " + " ".join(map(str, network.architecture.image_shape)))
    require(len(pictures) > 0, f"{name} must hold at least one image, got shape {pictures.shape}")
    return pictures


def as_picture(name: str, image: Any, network: ConvolutionalRNN) -> Float[Array, "height width colors"]:
    """One image of the network's size, as floats (height, width, colors)."""
    return as_real(name, image, " ".join(map(str, network.architecture.image_shape)))


def as_times(name: str, times: Any, most: int) -> tuple[int, ...]:
    """Steps in rising order within 1 … `most`, at least one."""
    if isinstance(times, str | bytes) or not isinstance(times, Iterable):
        raise TypeError(f"{name} must be a list of steps, got {told(times)}")
    steps = tuple(check_integer(name, step, minimum=1) for step in times)
    rising = list(steps) == sorted(set(steps))
    require(bool(steps) and rising and steps[-1] <= most, f"{name} must rise within 1…{most}, got {list(steps)}")
    return steps
