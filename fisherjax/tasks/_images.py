"""Images seen pixel by pixel, as trials for a recurrent network."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_key, require, told
from fisherjax._types import ArrayLike, Key

from ._batch import TaskBatch


def sequential_images(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    pixels_per_step: int = 1,
    key: Key | None = None,
    blank_steps: int = 0,
    num_classes: int | None = None,
) -> TaskBatch:
    """Images, row by row as a sequence of pixels, and their classes to say at the end.

    Parameters
    ----------
    images
        (n, height, width) or (n, height, width, channels), as they shall be seen: whole numbers are taken from 0…255
        to 0…1. Any set of images: ``datasets.digits()``, ``datasets.mnist()``, your own.
    labels
        Classes (n,), whole numbers from 0.
    pixels_per_step
        Pixels that come at once; what is missing in the last step is zero. A row of a picture at a time is its width.
    key
        JAX random key of a permutation of the pixels, the same for all images; None for none.
    blank_steps
        Steps without input after the last pixels, at the last of which the class is asked for.
    num_classes
        Classes that there are; by default one more than the largest label.

    Returns
    -------
    TaskBatch of all images: inputs (T, n, pixels per step · channels), targets (T, n, classes) that hold the class at
    every moment, and a mask (T, n) that counts the last one. For `training.fit` and `fisher.linear_decodability`.

    Raises
    ------
    TypeError, ValueError
        If images or labels are of another kind or shape, there are none, or a number is out of range.

    References
    ----------
    Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of rectified linear units.
    """
    whole = getattr(images, "dtype", np.asarray(images).dtype).kind in "iu"
    shown = as_real("images", images, "n height width", "n height width channels", dtype=jnp.result_type(float))
    pixels, blanks = (
        check_integer("pixels_per_step", pixels_per_step, minimum=1),
        check_integer("blank_steps", blank_steps, minimum=0),
    )
    known = np.asarray(labels)
    if known.dtype.kind not in "iu":
        raise TypeError(f"labels must be whole numbers, one class for each image, got {told(labels)}")
    require(known.shape == shown.shape[:1], f"labels must have shape {shown.shape[:1]}, got {known.shape}")
    require(known.size > 0, "images must hold at least one")
    require(int(known.min()) >= 0, f"labels must be at least 0, got {int(known.min())}")
    classes = int(known.max()) + 1 if num_classes is None else check_integer("num_classes", num_classes, minimum=1)
    require(int(known.max()) < classes, f"labels must be below num_classes={classes}, got {int(known.max())}")
    flat = (shown / 255 if whole else shown).reshape(len(known), -1, *shown.shape[3:])
    flat = flat.reshape(*flat.shape[:2], -1)
    if key is not None:
        flat = jnp.take(flat, jax.random.permutation(check_key("key", key), flat.shape[1]), axis=1)
    inputs = _steps(flat, pixels, blanks)
    targets = jnp.broadcast_to(jax.nn.one_hot(known, classes, dtype=inputs.dtype), (len(inputs), len(known), classes))
    mask = jnp.zeros(inputs.shape[:2], inputs.dtype).at[-1].set(1)
    return TaskBatch(inputs, targets, mask)


def _steps(flat: Float[Array, "n pixels channels"], pixels: int, blanks: int) -> Float[Array, "T n I"]:
    """So many pixels at a time, and then nothing."""
    count, length, channels = flat.shape
    steps = -(-length // pixels)
    filled = jnp.pad(flat, ((0, 0), (0, steps * pixels - length), (0, 0)))
    inputs = jnp.swapaxes(filled.reshape(count, steps, pixels * channels), 0, 1)
    return jnp.pad(inputs, ((0, blanks), (0, 0), (0, 0)))
