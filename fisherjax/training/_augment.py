"""Random changes of training images that leave their class as it is, or mix classes in known shares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import Key, as_float


class Augmentation(NamedTuple):
    """What is done to every image of a batch, anew at every step.

    Parameters
    ----------
    flip
        Whether to mirror every other image, left to right.
    crop
        Pixels by which an image is shifted at most along each axis; zeros come in.
    mixup
        a of the Beta(a, a) law of the share λ in λ x_i + (1 − λ) x_k, targets likewise; 0 for none.

    References
    ----------
    Zhang, Cisse, Dauphin & Lopez-Paz (2018), mixup: beyond empirical risk minimization, ICLR.
    """

    flip: bool = False
    crop: int = 0
    mixup: float = 0.0


def augment(
    images: Float[Array, "n height width colours"],
    targets: Float[Array, "n K"],
    *,
    key: Key,
    augmentation: Augmentation,
) -> tuple[Float[Array, "n height width colours"], Float[Array, "n K"]]:
    """Augmented images and their class probabilities, each image by its own draw; possible inside jit.

    Raises
    ------
    ValueError
        If the crop is negative or the mixup is.
    """
    check_integer("crop", augmentation.crop, minimum=0)
    check_scalar("mixup", augmentation.mixup, minimum=0.0)
    flip_key, crop_key, share_key, partner_key = jax.random.split(key, 4)
    if augmentation.flip:
        mirrored = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    if augmentation.crop:
        margin = augmentation.crop
        padded = jnp.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        corners = jax.random.randint(crop_key, (len(images), 2), 0, 2 * margin + 1)
        cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))
        images = cut(padded, corners)
    if augmentation.mixup:
        share = jax.random.beta(share_key, augmentation.mixup, augmentation.mixup, (len(images),), images.dtype)
        partner = jax.random.permutation(partner_key, len(images))
        images = _mixed(images, images[partner], share[:, None, None, None])
        targets = _mixed(targets, targets[partner], share[:, None].astype(targets.dtype))
    return images, targets


def _mixed(one: Array, other: Array, share: Array) -> Array:
    return share * one + (1 - share) * other


def class_probabilities(labels: object, num_classes: int, num_images: int) -> Float[Array, "n K"]:
    """Labels as probabilities: integers as ones in their class, probabilities (n, K) as they are.

    Raises
    ------
    ValueError
        If a label is out of range, there are not as many as images, or probabilities are negative or sum to another
        number than one.
    """
    array = np.asarray(labels)
    require(array.ndim in {1, 2}, f"labels must be integers (n,) or probabilities (n, K), got shape {array.shape}")
    require(len(array) == num_images, f"there are {num_images} images but {len(array)} labels")
    if array.ndim == 1:
        require(
            array.dtype.kind in "iu",
            f"labels (n,) must be integers, got {array.dtype}; probabilities have shape (n, {num_classes})",
        )
        lowest, highest = int(array.min()), int(array.max())
        require(
            lowest >= 0 and highest < num_classes,
            f"labels must be within 0…{num_classes - 1}, the classes of the network, got {lowest}…{highest}",
        )
        return jax.nn.one_hot(array, num_classes)
    require(array.shape[1] == num_classes, f"labels must have {num_classes} columns, got {array.shape[1]}")
    require(
        bool(array.min() >= 0 and np.allclose(array.sum(axis=1), 1, atol=1e-4)),
        "labels (n, K) must be probabilities: not negative, of sum one",
    )
    return as_float(array).astype(jnp.zeros(()).dtype)
