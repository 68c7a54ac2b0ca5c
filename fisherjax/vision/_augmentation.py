"""Random changes of the images that a network learns from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, check_instance, check_integer, check_key, check_scalar, require
from fisherjax._types import Key


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
    area
        Of pictures from files: a part of the whole picture is shown in place of its center, of an area that is at
        least this share of it, at random, and of an aspect within 3/4 to 4/3; .08 is usual for ImageNet, 1 is for none.

    References
    ----------
    Zhang, Cisse, Dauphin & Lopez-Paz (2018), mixup: beyond empirical risk minimization, ICLR.
    """

    flip: bool = False
    crop: int = 0
    mixup: float = 0.0
    area: float = 1.0


def augment(
    images: Float[Array, "n height width colors"], targets: Float[Array, "n K"], *, key: Key, augmentation: Augmentation
) -> tuple[Float[Array, "n height width colors"], Float[Array, "n K"]]:
    """Augmented images and their class probabilities, each image by its own draw; possible inside jit."""
    check_augmentation(augmentation)
    images, targets = as_real("images", images, "n height width colors"), as_real("targets", targets, "n classes")
    require(len(images) == len(targets), f"there are {len(images)} images but {len(targets)} targets")
    key = check_key("key", key)
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
        of_class, of_image = share[:, None].astype(targets.dtype), share[:, None, None, None]
        images = of_image * images + (1 - of_image) * images[partner]
        targets = of_class * targets + (1 - of_class) * targets[partner]
    return images, targets


def check_augmentation(augmentation: Augmentation) -> None:
    """Refuse what is no `Augmentation`, or one whose numbers are out of range."""
    check_instance("augmentation", augmentation, Augmentation, "for instance vision.Augmentation(flip=True)")
    check_flag("augmentation: flip", augmentation.flip)
    check_integer("augmentation: crop", augmentation.crop, minimum=0)
    check_scalar("augmentation: mixup", augmentation.mixup, minimum=0.0)
    check_scalar("augmentation: area", augmentation.area, minimum=0.0, strict=True)
    require(augmentation.area <= 1, f"augmentation: area must be at most 1, got {augmentation.area}")
