"""Pieces of pictures in a round window, turned by any angle, in noise: differentiable in the angle at a fixed key."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import as_path, check_integer, check_key, check_scalar, check_share, require, suggest, told
from fisherjax._types import ArrayLike, Key, Record, Scalar

from ._offline import PHOTOGRAPHS, photograph
from ._pictures import Preprocessing
from ._sources import SUFFIXES

_OFFSETS = (-1, 0, 1)  # of the pixels that a quadratic spline reaches


class TurnedPictures(Record):
    """Pictures, random pieces of which are shown turned by an angle; called with angles and a key, it draws images.

    Parameters
    ----------
    pictures
        Square, gray, of mean zero and standard deviation one each.
    noise_std
        Standard deviation of the noise of a pixel.
    size
        Side of the images, and diameter of the window, in pixels.
    symmetry
        Turned by 2π/symmetry a picture is the same.
    title
        What they are, for reports.
    """

    pictures: Float[Array, "pictures side side"]
    noise_std: Float[Array, ""]
    size: int = eqx.field(static=True)
    symmetry: int = eqx.field(static=True)
    title: str = eqx.field(static=True)

    def __call__(self, angles: ArrayLike, *, key: Key) -> Float[Array, "*angles size size"]:
        """One image for each angle (radians, counterclockwise), each of its own piece and with its own noise.

        Raises
        ------
        ValueError
            If an angle is not finite.
        TypeError
            If `key` is not a JAX key, or the angles are no numbers.
        """
        theta, key = as_real("angles", angles), check_key("key", key)
        keys = jax.random.split(key, theta.shape) if theta.ndim else key
        draw = self._draw
        for _ in range(theta.ndim):
            draw = jax.vmap(draw)
        return draw(theta, keys)

    def _draw(self, theta: Float[Array, ""], key: Key) -> Float[Array, "size size"]:
        choice_key, place_key, noise_key = jax.random.split(key, 3)
        count, side, _ = self.pictures.shape
        choice = jax.random.randint(choice_key, (), 0, count)
        disc, right, up = _window(self.size)
        right, up = jnp.asarray(right, theta.dtype), jnp.asarray(up, theta.dtype)
        middle = (self.size - 1) / 2 + (side - self.size) * jax.random.uniform(place_key, (2,), theta.dtype)
        # what is seen at a place of the turned piece was at that place turned back; rows count downward
        columns = middle[0] + jnp.cos(theta) * right + jnp.sin(theta) * up
        rows = middle[1] + jnp.sin(theta) * right - jnp.cos(theta) * up
        seen = _smooth(self.pictures, choice, rows, columns)
        noise = self.noise_std.astype(theta.dtype) * jax.random.normal(noise_key, seen.shape, theta.dtype)
        place = np.cumsum(disc).reshape(disc.shape) - 1
        return jnp.where(disc, (seen + noise)[place], 0)


def turned_pictures(
    pictures: Any = "photographs", *, size: int = 21, window: Scalar = 0.75, noise_std: Scalar = 0.5, symmetry: int = 1
) -> TurnedPictures:
    r"""Make stimuli of pictures: a random piece of a random picture, turned by θ in a round window, in pixel noise.

    With p a picture, c the place of the window's middle, R(θ) a rotation and x the pixels of the disc,

    .. math:: \text{pixel}(x) = p\big(c + R(-θ) x\big) + σ ε, \qquad ε ∼ N(0, 1),

    and 0 outside the disc, so that no corner tells the angle. A picture is taken as the smooth function that quadratic
    B-splines make of its pixels: at a fixed key, which decides picture, place and noise, images can be differentiated
    in the angle, and no interpolation stands between a turn and its inverse.

    Parameters
    ----------
    pictures
        "photographs", the five that `photograph` has; the path of a picture, or of a folder of pictures at any depth;
        or a list of paths and of uint8 arrays (height, width) or (height, width, 3). The largest central square of
        each is used, in gray, with mean 0 and standard deviation 1.
    size
        Side of the images in pixels.
    window
        Diameter of the window as a share of the side of a picture, in (0, 1]; at 1 there is only one piece.
    noise_std
        σ > 0, in standard deviations of a picture.
    symmetry
        k, if turned by 2π/k every picture is the same: then angles are told only up to that.

    Returns
    -------
    TurnedPictures, to be called as ``stimuli(angles, key=key)``.

    Raises
    ------
    OSError
        If there is no such file or folder, or it may not be read.
    ValueError
        If a number is out of range, a picture cannot be read or has one intensity everywhere, or there is none.
    TypeError
        If `pictures` is something else.
    """
    size = check_integer("size", size, minimum=3)
    share = check_share("window", window)
    require(share > 0, "window must be above 0, got 0")
    check_scalar("noise_std", noise_std, minimum=0.0, strict=True)
    symmetry = check_integer("symmetry", symmetry, minimum=1)
    side = max(size, round(size / share))
    named, title = _listed(pictures)
    square = Preprocessing((side, side, 1), resize=side, mean=(0.0,), std=(1.0,))
    return TurnedPictures(
        pictures=jnp.stack([_standardized(square(picture)[..., 0], name) for name, picture in named]),
        noise_std=jnp.asarray(noise_std, float),
        size=size,
        symmetry=symmetry,
        title=title,
    )


def _listed(pictures: Any) -> tuple[list[tuple[str, Any]], str]:
    """Every picture with what messages call it, and a title for all of them."""
    if isinstance(pictures, str) and pictures == "photographs":
        return [(name, photograph(name)) for name in PHOTOGRAPHS], "photographs"
    if isinstance(pictures, str | os.PathLike):
        path = as_path("pictures", pictures).expanduser()
        if not path.exists():
            raise FileNotFoundError(
                f"pictures {path} does not exist{suggest(str(pictures), ('photographs',))}: name a picture or a folder "
                "of pictures, or 'photographs'"
            )
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        require(bool(files), f"{path} holds no picture ({', '.join(sorted(SUFFIXES))})")
        return [(str(file), file) for file in files], path.name
    if not isinstance(pictures, Sequence):
        raise TypeError(f"pictures must be 'photographs', a path, or a list of pictures, got {told(pictures)}")
    require(len(pictures) > 0, "pictures must hold at least one")
    count = len(pictures)
    title = "one picture" if count == 1 else f"{count} pictures"
    return [(f"pictures[{index}]", _one(index, picture)) for index, picture in enumerate(pictures)], title


def _one(index: int, picture: Any) -> Any:
    if not isinstance(picture, str | Path | np.ndarray | jax.Array):
        raise TypeError(f"pictures[{index}] must be a path or a uint8 array, got {told(picture)}")
    return picture


def _standardized(picture: Float[np.ndarray, "side side"], name: str) -> Float[Array, "side side"]:
    spread = float(picture.std())
    require(spread > 0, f"{name} has the same intensity everywhere: it has no angle")
    return jnp.asarray((picture - picture.mean()) / spread)


def _window(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pixels are in the disc, and how far these are to the right of its middle and above it."""
    radius = (size - 1) / 2
    right, up = np.meshgrid(np.arange(size) - radius, radius - np.arange(size))
    disc = right**2 + up**2 <= radius**2
    return disc, right[disc], up[disc]


def _smooth(
    pictures: Float[Array, "pictures side side"], choice: Array, rows: Array, columns: Array
) -> Float[Array, " places"]:
    """Σ pixel · B(row − i) B(column − j), B the quadratic B-spline; beyond the border the outermost pixel goes on."""
    last = pictures.shape[1] - 1
    (nearest_row, row_weights), (nearest_column, column_weights) = _spline(rows), _spline(columns)
    total = jnp.zeros_like(rows)
    for down, row_weight in zip(_OFFSETS, row_weights, strict=True):
        for across, column_weight in zip(_OFFSETS, column_weights, strict=True):
            row, column = jnp.clip(nearest_row + down, 0, last), jnp.clip(nearest_column + across, 0, last)
            total += row_weight * column_weight * pictures[choice, row, column].astype(rows.dtype)
    return total


def _spline(places: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """The nearest pixel along an axis, and the weights of the one before it, of itself, and of the one after it."""
    nearest = jnp.round(jax.lax.stop_gradient(places))
    beyond = places - nearest
    return nearest.astype(int), ((0.5 - beyond) ** 2 / 2, 0.75 - beyond**2, (0.5 + beyond) ** 2 / 2)
