"""A user's own picture as a network expects it."""

import dataclasses
import io
import math
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from fisherjax._arrays import host_real
from fisherjax._errors import as_path, check_flag, check_integer, check_regular, require, told
from fisherjax._types import Record

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean intensity of ImageNet's red, green and blue."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviations."""

_MODES = {1: "L", 3: "RGB"}
_COLOURS = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
_MOST_PIXELS = 10**8


class Place(NamedTuple):
    """Where a picture is: a file, or some bytes of an archive."""

    path: Path
    name: str  # what messages call it
    offset: int = -1  # −1 for the whole file
    size: int = 0

    @property
    def num_bytes(self) -> int:
        """Size of the picture as it is kept."""
        return self.path.stat().st_size if self.offset < 0 else self.size

    def opened(self) -> Any:
        """What Pillow reads."""
        if self.offset < 0:
            return self.path
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return io.BytesIO(stream.read(self.size))


class Part(NamedTuple):
    """A part of a picture: its share of the area, its aspect relative to the network's, and where it lies.

    `across` and `down` are from 0, at the left and upper edges, to 1. A part that would stick out is cut short.
    """

    area: float
    aspect: float
    across: float
    down: float

    def box(self, across: int, down: int, ratio: float) -> tuple[float, float, float, float]:
        """Edges (left, upper, right, lower) in a picture of this size, for a network of this width over height."""
        size, aspect = self.area * across * down, self.aspect * ratio
        width, height = min(across, math.sqrt(size * aspect)), min(down, math.sqrt(size / aspect))
        left, top = self.across * (across - width), self.down * (down - height)
        return left, top, left + width, top + height


class Preprocessing(Record):
    """What is done to a picture before a network sees it: shrink, cut out the center, standardize.

    The picture is shrunk (bilinear, antialiased) until it just covers `image_shape` times resize/shorter side: for
    square images, until its shorter side has `resize` pixels. The center of `image_shape` is cut out, and intensities
    in [0, 1] become (x − mean)/std per color. The defaults are those of networks trained on ImageNet, the published
    CordsNet among them. A picture's orientation tag is obeyed; what is transparent becomes white.

    Parameters
    ----------
    image_shape
        Height, width and colors (1 or 3) that the network expects.
    resize
        Length of the shorter side before the cut; 256/224 of the shorter side of `image_shape` by default.
    mean, std
        Per color.
    invert
        Whether to swap dark and bright, for networks that know bright strokes on black.

    Raises
    ------
    ValueError
        If a number is out of range or there is not one mean and std per color.
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
        height, width, colors = checked_shape(image_shape)
        shorter = min(height, width)
        self.image_shape = (height, width, colors)
        self.resize = round(shorter * 256 / 224) if resize is None else check_integer("resize", resize, minimum=shorter)
        self.invert = check_flag("invert", invert)
        require(colors in _MODES, f"pictures have 1 or 3 colors, this network expects {colors}")
        means, deviations = host_real("mean", mean, "colors"), host_real("std", std, "colors")
        require(
            len(means) == len(deviations) == colors,
            f"mean and std need {colors} numbers each, got {len(means)} and {len(deviations)}",
        )
        self.mean, self.std = tuple(map(float, means)), tuple(map(float, deviations))
        require(min(self.std) > 0, f"std must be positive, got {self.std}")

    def __call__(self, picture: str | os.PathLike[str] | np.ndarray) -> Float[np.ndarray, "height width colors"]:
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
            If it is no picture, is damaged, animated or too large, has more than 16 bits per pixel, or colors that
            are neither gray, RGB nor CMYK.
        """
        return np.asarray(self.standardized(self.pixels(picture)))

    def standardized(self, pixels: Any) -> Float[Array | np.ndarray, "*n height width colors"]:
        """Pixels of eight bits as the network expects them, (pixels/255 − mean)/std, float32; possible inside jit."""
        require(
            getattr(pixels, "dtype", None) == np.uint8 and pixels.shape[-3:] == self.image_shape,
            f"pixels must be uint8 (…, {', '.join(map(str, self.image_shape))}), got {told(pixels)}",
        )
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (pixels.astype(np.float32) / np.float32(255) - mean) / std

    def pixels(self, picture: Any, part: Part | None = None) -> UInt8[np.ndarray, "height width colors"]:
        """The same before it is standardized: the cut in eight bits, a quarter of the memory.

        Parameters
        ----------
        picture
            As for a call.
        part
            A part of the picture, which is shrunk or enlarged to `image_shape` in place of the center.

        Raises
        ------
        OSError, ValueError
            As a call.
        """
        height, width, colors = self.image_shape
        opened, name = _opened(picture)
        whole = opened.convert(_MODES[colors])
        across, down = whole.size
        if part is not None:
            box = part.box(across, down, width / height)
            cut = np.asarray(whole.resize((width, height), resample=2, box=box)).reshape(height, width, colors)
            return 255 - cut if self.invert else cut
        scale = self.resize / min(height, width)
        factor = max(scale * height / down, scale * width / across)
        # whole pixels, rounded down as is usual; 1e-6 since a ratio of integers may fall short of one
        sides = (max(width, int(across * factor + 1e-6)), max(height, int(down * factor + 1e-6)))
        require(
            sides[0] * sides[1] <= _MOST_PIXELS,
            f"{name} is too narrow: {across} × {down} pixels for {width} × {height}",
        )
        small = np.asarray(whole.resize(sides, resample=2)).reshape(*sides[::-1], colors)
        top, left = round((sides[1] - height) / 2), round((sides[0] - width) / 2)
        cut = small[top : top + height, left : left + width]
        return 255 - cut if self.invert else cut

    def inverted(self) -> "Preprocessing":
        """The same with dark and bright swapped."""
        return dataclasses.replace(self, invert=not self.invert)

    def intensities(self, image: Float[Array | np.ndarray, "height width colors"]) -> np.ndarray:
        """Back to intensities within [0, 1], to look at."""
        return np.clip(
            host_real("image", image, f"height width {self.image_shape[2]}") * np.array(self.std) + np.array(self.mean),
            0,
            1,
        )


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """Height, width and colors of an image; TypeError or ValueError for anything else."""
    if isinstance(image_shape, str) or not hasattr(image_shape, "__len__") or len(image_shape) != 3:
        raise TypeError(f"image_shape must be (height, width, colors), got {told(image_shape)}")
    height, width, colors = (check_integer("image_shape", side, minimum=1) for side in image_shape)
    return height, width, colors


def _opened(picture: Any) -> tuple[Any, str]:
    """A picture in eight bits, upright, without transparency, and what messages call it."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415

    if isinstance(picture, np.ndarray | jax.Array):
        pixels = np.asarray(picture)
        require(
            pixels.dtype == np.uint8
            and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))
            and pixels.size > 0,
            f"picture must be uint8 (height, width) or (height, width, 3), got {pixels.dtype} {pixels.shape}",
        )
        return Image.fromarray(pixels), "picture"
    if isinstance(picture, Place):
        path, source = Path(picture.name), picture.opened()
    else:
        path = source = as_path("picture", picture).expanduser()
        check_regular(path)
        path.open("rb").close()  # what the system says of a missing file or a folder goes to the caller
    try:
        # Pillow warns of large pictures, which are refused below. Not within catch_warnings, which changes what all
        # threads hear while this one reads
        warnings.filterwarnings("ignore", module=r"PIL\.")
        with Image.open(source) as opened:
            _check_opened(opened, path)
            return _plain(ImageOps.exif_transpose(opened), path), str(path)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} claims more than {_MOST_PIXELS // 10**6} million pixels; make it smaller") from error
    except _UnusableError as error:
        raise ValueError(str(error)) from error
    except MemoryError as error:
        raise ValueError(f"{path} is too large for the memory of this machine") from error
    except Exception as error:
        # a damaged file fails in as many ways as there are formats
        raise ValueError(f"{path} cannot be read: it is truncated or damaged") from error


class _UnusableError(Exception):
    """A picture that could be read, but not as one picture of known intensities; the message says why."""


def _check_opened(image: Any, path: Path) -> None:
    """What the header of a file says, before any pixel is unpacked."""
    across, down = image.size
    if across * down > _MOST_PIXELS:
        claimed = f"{across} × {down} pixels, more than {_MOST_PIXELS // 10**6} million"
        raise _UnusableError(f"{path} claims {claimed}; make it smaller")
    # cameras put a preview beside the photograph, which comes first
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    if frames > 1:
        raise _UnusableError(f"{path} holds {frames} pictures (an animation or pages); save one of them")
    if image.mode == "F":
        what = "holds floating point numbers of unknown range; make it 8 or 16 bits per pixel"
        raise _UnusableError(f"{path} {what}")
    if image.mode not in _COLOURS and not image.mode.startswith("I"):
        raise _UnusableError(f"{path} has colors in the form {image.mode}; save it as RGB")


def _plain(image: Any, path: Path) -> Any:
    """Eight bits per color and nothing transparent: on white, as viewers show it."""
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() >= 2**16:
            raise _UnusableError(f"{path} has more than 16 bits per pixel; make it 8 or 16")
        return Image.fromarray(np.round(deep / 257).astype(np.uint8))
    if {"A", "a"} & set(image.getbands()) or "transparency" in image.info:
        whole = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    return image.copy()
