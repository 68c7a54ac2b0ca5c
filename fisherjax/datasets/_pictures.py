"""A user's own picture as a network expects it, and a Gabor patch whose parameters can be differentiated."""

import dataclasses
import math
import os
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import Result, Scalar

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean intensity of ImageNet's red, green and blue."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviations."""

_MODES = {1: "L", 3: "RGB"}


class Preprocessing(Result):
    """What is done to a picture before a network sees it: shrink, cut out the centre, standardise.

    The picture is shrunk (bilinear, antialiased) until it just covers `image_shape` times resize/shorter side: for
    square images, until its shorter side has `resize` pixels. The centre of `image_shape` is cut out, and intensities
    in [0, 1] become (x − mean)/std per colour. The defaults are those of networks trained on ImageNet, the published
    CordsNet among them. A picture's orientation tag is obeyed; what is transparent becomes white.

    Parameters
    ----------
    image_shape
        Height, width and colours (1 or 3) that the network expects.
    resize
        Length of the shorter side before the cut; 256/224 of the shorter side of `image_shape` by default.
    mean, std
        Per colour.
    invert
        Whether to swap dark and bright, for networks that know bright strokes on black.

    Raises
    ------
    ValueError
        If a number is out of range or there is not one mean and std per colour.
    """

    image_shape: tuple[int, int, int] = eqx.field(static=True)
    resize: int = eqx.field(static=True)
    mean: tuple[float, ...] = eqx.field(static=True)
    std: tuple[float, ...] = eqx.field(static=True)
    invert: bool = eqx.field(static=True)

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (224, 224, 3),
        *,
        resize: int | None = None,
        mean: Any = IMAGENET_MEAN,
        std: Any = IMAGENET_STD,
        invert: bool = False,
    ):
        height, width, colours = (check_integer("image_shape", side, minimum=1) for side in image_shape)
        shorter = min(height, width)
        self.image_shape = (height, width, colours)
        self.resize = round(shorter * 256 / 224) if resize is None else check_integer("resize", resize, minimum=shorter)
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.invert = bool(invert)
        require(colours in _MODES, f"pictures have 1 or 3 colours, this network expects {colours}")
        require(
            len(self.mean) == len(self.std) == colours,
            f"mean and std need {colours} numbers each, got {len(self.mean)} and {len(self.std)}",
        )
        require(min(self.std) > 0, f"std must be positive, got {self.std}")

    def __call__(self, picture: str | os.PathLike[str] | np.ndarray) -> Float[np.ndarray, "height width colours"]:
        """The picture as the network expects it, float32.

        Parameters
        ----------
        picture
            A file that Pillow can read (PNG, JPEG, …), or intensities (height, width) or (height, width, 3) as uint8.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        IsADirectoryError, PermissionError
            If it is a folder, or may not be read.
        ValueError
            If it is no picture, is damaged, or has more than 16 bits per pixel.
        """
        height, width, colours = self.image_shape
        whole = _opened(picture).convert(_MODES[colours])
        across, down = whole.size
        scale = self.resize / min(height, width)
        factor = max(scale * height / down, scale * width / across)
        # whole pixels, rounded down as is usual; 1e-6 since a ratio of integers may fall short of one
        sides = (max(width, int(across * factor + 1e-6)), max(height, int(down * factor + 1e-6)))
        small = np.asarray(whole.resize(sides, resample=2), np.float32).reshape(*sides[::-1], colours) / 255
        top, left = round((sides[1] - height) / 2), round((sides[0] - width) / 2)
        cut = small[top : top + height, left : left + width]
        cut = 1 - cut if self.invert else cut
        return (cut - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)

    def inverted(self) -> "Preprocessing":
        """The same with dark and bright swapped."""
        return dataclasses.replace(self, invert=not self.invert)

    def intensities(self, image: Float[Array | np.ndarray, "height width colours"]) -> np.ndarray:
        """Back to intensities within [0, 1], to look at."""
        return np.clip(np.asarray(image) * np.array(self.std) + np.array(self.mean), 0, 1)


def _opened(picture: Any) -> Any:
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415

    if isinstance(picture, np.ndarray):
        require(
            picture.dtype == np.uint8 and (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)),
            f"a picture must be uint8 (height, width) or (height, width, 3), got {picture.dtype} {picture.shape}",
        )
        return Image.fromarray(picture)
    try:
        with Image.open(picture) as opened:
            return _plain(ImageOps.exif_transpose(opened), picture)
    except UnidentifiedImageError as error:
        raise ValueError(f"{picture} is not a picture that can be read") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        # a damaged file fails in as many ways as there are formats
        raise ValueError(f"{picture} cannot be read: {error}") from error


def _plain(image: Any, name: object) -> Any:
    """Eight bits per colour and nothing transparent: on white, as viewers show it."""
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I"):
        deep = np.asarray(image)
        require(
            bool(deep.min() >= 0 and deep.max() < 2**16), f"{name} has more than 16 bits per pixel; make it 8 or 16"
        )
        return Image.fromarray(np.round(deep / 257).astype(np.uint8))
    require(image.mode != "F", f"{name} holds floating point numbers of unknown range; make it 8 or 16 bits per pixel")
    if "A" in image.getbands() or "transparency" in image.info:
        whole = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    return image.copy()


def gabor(
    image_shape: tuple[int, int, int],
    *,
    angle: Scalar = 0.6,
    contrast: Scalar = 1.0,
    position: Scalar = 0.0,
    cycles: Scalar = 2.0,
    width: Scalar = 0.2,
) -> Float[Array, "height width colours"]:
    r"""A Gabor patch; every parameter can be differentiated.

    .. math:: c \, e^{-(x^2 + y^2)/(2w^2)} \cos\big(2π k (x \cos θ + y \sin θ)\big),

    x and y from the middle of the patch in units of the shorter side of the image.

    Parameters
    ----------
    image_shape
        Height, width and colours; all colours are alike.
    angle
        θ in radians.
    contrast
        c, in the units of the images that the network was trained on (standard deviations, where those are
        standardised).
    position
        How far the patch is right of the centre, in pixels.
    cycles
        k, cycles over the shorter side.
    width
        w, as a share of the shorter side.

    Raises
    ------
    ValueError
        If the width is not positive.
    """
    height, across, colours = (check_integer("image_shape", side, minimum=1) for side in image_shape)
    check_scalar("width", width, minimum=0.0, strict=True)
    theta, c, shift, k, w = (jnp.asarray(one, float) for one in (angle, contrast, position, cycles, width))
    side = min(height, across)
    x = (jnp.arange(across, dtype=theta.dtype)[None, :] - (across - 1) / 2 - shift) / side
    y = (jnp.arange(height, dtype=theta.dtype)[:, None] - (height - 1) / 2) / side
    envelope = jnp.exp(-(x**2 + y**2) / (2 * w**2))
    wave = c * envelope * jnp.cos(2 * math.pi * k * (x * jnp.cos(theta) + y * jnp.sin(theta)))
    return jnp.broadcast_to(wave[..., None], (height, across, colours))
