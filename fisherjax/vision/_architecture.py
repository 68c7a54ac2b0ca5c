"""Sizes and time constants of a convolutional recurrent network, checked before anything is drawn."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import check_choice, check_flag, check_integer, check_kind, require, suggest
from fisherjax._types import ArrayLike, Record

ImageShape = tuple[int, int, int]


class Phases(NamedTuple):
    """Steps of a blank screen, with an image, and of a blank screen again."""

    blank_steps: int
    image_steps: int
    offset_steps: int


class Architecture(Record):
    """What a `ConvolutionalRNN` is made of: one entry of every tuple per area.

    Parameters
    ----------
    image_shape
        Height, width and color channels of the images.
    num_classes
        K.
    channels
        Channels of every area; their number d, the depth, is even: areas come in pairs that share a map.
    strides
        Stride of the convolution that leads to every area; 2 at areas 2, 4, … by default.
    alpha
        dt/τ in (0, 1], of all areas or of each: the step of Euler's rule over the time constant.
    blank_steps, image_steps
        Steps without and then with the image when the network is called.
    stem_channels
        Channels of p, what areas 0 and 1 see of the image; those of area 0 by default.
    stem_kernel, stem_stride
        Side (odd) and stride of the convolution that makes p.
    stem_pooling
        Whether p is pooled after it: means over 3 × 3 in steps of 2, zeros of the margin counted.
    feedback
        Whether every area but the last also hears the next one.

    Raises
    ------
    ValueError
        If the depth is odd, a size is no multiple of its strides (the message says where), α is outside (0, 1], …
    """

    image_shape: ImageShape = eqx.field(static=True)
    num_classes: int = eqx.field(static=True)
    channels: tuple[int, ...] = eqx.field(static=True)
    strides: tuple[int, ...] = eqx.field(static=True)
    alpha: tuple[float, ...] = eqx.field(static=True)
    blank_steps: int = eqx.field(static=True)
    image_steps: int = eqx.field(static=True)
    stem_channels: int = eqx.field(static=True)
    stem_kernel: int = eqx.field(static=True)
    stem_stride: int = eqx.field(static=True)
    stem_pooling: bool = eqx.field(static=True)
    feedback: bool = eqx.field(static=True)

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        channels: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        alpha: float | Sequence[float] | np.ndarray = 0.2,
        blank_steps: int = 100,
        image_steps: int = 100,
        stem_channels: int | None = None,
        stem_kernel: int = 3,
        stem_stride: int = 1,
        stem_pooling: bool = False,
        feedback: bool = False,
    ):
        """Fill in what follows from the rest, then check that it fits together."""
        sizes = (("image_shape", image_shape), ("channels", channels), ("strides", () if strides is None else strides))
        for name, value in sizes:
            check_kind(name, value, (Sequence, np.ndarray), "a list of whole numbers", but=str)
        depth = len(channels)
        require(depth >= 2 and depth % 2 == 0, f"channels must name an even number of areas (they come in pairs that "
                f"share a map), got {depth}")  # fmt: skip
        require(len(image_shape) == 3, f"image_shape must be (height, width, colors), got {tuple(image_shape)}")
        sides = zip(("height", "width", "colors"), image_shape, strict=True)
        height, width, colors = (check_integer(f"image {name}", size, minimum=1) for name, size in sides)
        self.image_shape = (height, width, colors)
        self.num_classes = check_integer("num_classes", num_classes, minimum=1)
        self.channels = tuple(check_integer("channels", size, minimum=1) for size in channels)
        usual = [2 if area and area % 2 == 0 else 1 for area in range(depth)]
        strides = usual if strides is None else strides
        self.strides = tuple(check_integer("strides", size, minimum=1) for size in strides)
        require(len(self.strides) == depth, f"strides must name {depth} areas, got {len(self.strides)}")
        self.alpha = _alphas(alpha, depth)
        self.blank_steps = check_integer("blank_steps", blank_steps, minimum=0)
        self.image_steps = check_integer("image_steps", image_steps, minimum=1)
        stem_channels = self.channels[0] if stem_channels is None else stem_channels
        self.stem_channels = check_integer("stem_channels", stem_channels, minimum=1)
        self.stem_kernel = check_integer("stem_kernel", stem_kernel, minimum=1)
        require(self.stem_kernel % 2 == 1, f"stem_kernel must be odd, got {stem_kernel}")
        self.stem_stride = check_integer("stem_stride", stem_stride, minimum=1)
        self.stem_pooling = check_flag("stem_pooling", stem_pooling)
        self.feedback = check_flag("feedback", feedback)
        self._check_maps()

    @property
    def depth(self) -> int:
        """Number of areas d."""
        return len(self.channels)

    @property
    def stem_shape(self) -> ImageShape:
        """Height, width and channels of p."""
        step = self.stem_stride * (2 if self.stem_pooling else 1)
        return self.image_shape[0] // step, self.image_shape[1] // step, self.stem_channels

    @property
    def area_shapes(self) -> tuple[ImageShape, ...]:
        """Height, width and channels of every area's map."""
        height, width, _ = self.stem_shape
        shapes = []
        for channels, stride in zip(self.channels, self.strides, strict=True):
            height, width = height // stride, width // stride
            shapes.append((height, width, channels))
        return tuple(shapes)

    @property
    def num_units(self) -> int:
        """N, units of all areas together."""
        return sum(math.prod(shape) for shape in self.area_shapes)

    def check_images(self, images: ArrayLike) -> Array:
        """Images as an array of floats (*batch, height, width, colors).

        Raises
        ------
        ValueError
            If they have another shape, are whole numbers, or are not finite.
        TypeError
            If they are no numbers.
        """
        array, shape = as_real("images", images), self.image_shape
        require(
            array.ndim >= 3 and array.shape[-3:] == shape,
            f"images must be (…, {', '.join(map(str, shape))}) = (…, height, width, colors), got {array.shape}",
        )
        kind = np.asarray(images).dtype if not hasattr(images, "dtype") else images.dtype  # pyright: ignore[reportAttributeAccessIssue]
        require(
            jnp.issubdtype(kind, jnp.floating),
            f"images must be floats, got {kind}; standardize them first, e.g. images/255 − mean over images",
        )
        return array

    def as_pictures(self, name: str, images: ArrayLike) -> Float[Array, "n height width colors"]:
        """At least one image of this size (n, height, width, colors); whole numbers become floats."""
        pictures = as_real(name, images, "n " + " ".join(map(str, self.image_shape)))
        require(len(pictures) > 0, f"{name} must hold at least one image, got shape {pictures.shape}")
        return pictures

    def as_picture(self, name: str, image: ArrayLike) -> Float[Array, "height width colors"]:
        """One image of this size (height, width, colors); whole numbers become floats."""
        return as_real(name, image, " ".join(map(str, self.image_shape)))

    def phases(self, blank_steps: int | None, image_steps: int | None, offset_steps: int) -> Phases:
        """Lengths of the phases, those of the architecture where nothing is said.

        Raises
        ------
        TypeError, ValueError
            If one is no whole number or negative, or there is no step at all.
        """
        phases = Phases(
            check_integer("blank_steps", self.blank_steps if blank_steps is None else blank_steps, minimum=0),
            check_integer("image_steps", self.image_steps if image_steps is None else image_steps, minimum=0),
            check_integer("offset_steps", offset_steps, minimum=0),
        )
        require(sum(phases) > 0, "blank_steps + image_steps + offset_steps must be positive")
        return phases

    def needs_projection(self, area: int) -> bool:
        """Whether the connection that skips area `area − 1` on its way to `area` changes shape, and so has weights.

        It starts at area − 2, or at p for area 1; p is always projected.
        """
        return area == 1 or self.strides[area - 1] != 1 or self.channels[area - 1] != self.channels[area - 2]

    def _check_maps(self) -> None:
        for side, name in ((0, "height"), (1, "width")):
            size = self.image_shape[side]
            steps = [("the stem", self.stem_stride)]
            if self.stem_pooling:
                steps.append(("the pooling of the stem", 2))
            steps += [(f"area {area}", stride) for area, stride in enumerate(self.strides)]
            for where, stride in steps:
                require(
                    size % stride == 0,
                    f"an image {name} of {self.image_shape[side]} gives {where} a map of {size}, which its stride "
                    f"{stride} does not divide; take a multiple of {math.prod(stride for _, stride in steps)}",
                )
                size //= stride
        shapes = self.area_shapes
        require(
            shapes[-1] == shapes[-2],
            f"the last two areas are read out together and must share a shape, got {shapes[-2]} and {shapes[-1]}",
        )


def _alphas(alpha: float | Sequence[float] | np.ndarray, depth: int) -> tuple[float, ...]:
    values = host_real("alpha", alpha)
    require(values.shape in {(), (depth,)}, f"alpha must be one number or {depth}, one per area, got {values.size}")
    given = tuple(np.broadcast_to(values, (depth,)).tolist())
    for share in given:
        require(0 < share <= 1, f"alpha = dt/τ must be in (0, 1], got {share:g}")
    return given


_WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)
_IMAGENET = {"stem_kernel": 7, "stem_stride": 2, "stem_pooling": True}
_SMALL_WIDTHS = (32, 32, 64, 64, 128, 128)
_PRESETS: dict[str, Any] = {f"R{depth}": ((224, 224, 3), 1000, _WIDTHS[:depth], _IMAGENET) for depth in (2, 4, 6, 8)}
_PRESETS |= {f"R{depth}-32": ((32, 32, 3), 10, _SMALL_WIDTHS[:depth], {}) for depth in (2, 4, 6)}
_PRESETS |= {f"R{depth}-28": ((28, 28, 1), 10, _SMALL_WIDTHS[:depth], {}) for depth in (2, 4, 6)}
_PRESETS |= {f"R{depth}-8": ((8, 8, 1), 10, (16, 16, 32, 32)[:depth], {}) for depth in (2, 4)}

PRESETS = tuple(_PRESETS)


def architecture(name: str = "R8", *, num_classes: int | None = None, **changes: Any) -> Architecture:
    """One of the preset architectures, with changes.

    Parameters
    ----------
    name
        "R2", "R4", "R6" or "R8": CordsNet at 224 × 224 in color, 1000 classes. "R2-32", "R4-32", "R6-32" for images
        of 32 × 32 in color, "R2-28" … for 28 × 28 in gray, "R2-8" and "R4-8" for the digits of 8 × 8, 10 classes each.
    num_classes
        Another number of classes.
    **changes
        Any other argument of `Architecture`.

    Raises
    ------
    ValueError
        If there is no such preset, or as in `Architecture`.

    References
    ----------
    Soo, Battista, Radmard & Wang (2024), Recurrent neural network dynamical systems for biological vision, NeurIPS.

    Examples
    --------
    >>> from fisherjax import vision
    >>> print(vision.architecture("R2-8", image_steps=8).area_shapes)
    ((8, 8, 16), (8, 8, 16))
    """
    check_choice("name", name, PRESETS)
    known = [field.name for field in dataclasses.fields(Architecture)]
    for change in changes:
        if change not in known:
            raise TypeError(
                f"architecture has no setting {change!r}; known are {', '.join(known)}{suggest(change, known)}"
            )
    image_shape, classes, channels, options = _PRESETS[name]
    settings: dict[str, Any] = {"image_shape": image_shape, "channels": channels, **options, **changes}
    return Architecture(num_classes=classes if num_classes is None else num_classes, **settings)
