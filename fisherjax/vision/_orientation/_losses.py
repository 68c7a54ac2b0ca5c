"""What training minimizes: how far outputs are from what they should be at an angle."""

import math
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import optax
from jax.scipy.special import i0e
from jaxtyping import Array, Float

from ._network import direction, encoded

AngleLoss = Literal["cosine", "squared", "root", "angle", "von-mises"]

_LEAST = 1e-12  # squared length below which that of an output has no slope


def angle_loss(
    loss: str, encoding: str, symmetry: int, outputs: Float[Array, "trials outputs"], angles: Float[Array, " trials"]
) -> Float[Array, ""]:
    """Mean loss of outputs at these angles; `train_angle_network` has the table."""
    if loss in _OF_OUTPUTS:
        return _OF_OUTPUTS[loss](outputs, encoded(angles, encoding, symmetry))
    return _OF_DIRECTIONS[loss](direction(outputs, encoding, symmetry), encoded(angles, "vector", symmetry), symmetry)


def _squared(outputs: Array, targets: Array) -> Array:
    return jnp.mean(jnp.sum((outputs - targets) ** 2, axis=1))


def _root(outputs: Array, targets: Array) -> Array:
    return jnp.mean(_length(outputs - targets))


def _cosine(vectors: Array, targets: Array, _: int) -> Array:
    return 1 - jnp.mean(optax.cosine_similarity(vectors, targets, epsilon=1e-8))


def _angle(vectors: Array, targets: Array, symmetry: int) -> Array:
    along = jnp.sum(vectors * targets, axis=1)
    across = vectors[:, 1] * targets[:, 0] - vectors[:, 0] * targets[:, 1]
    # the angle of a vector of length zero has no slope
    short = along**2 + across**2 < _LEAST
    error = jnp.arctan2(jnp.where(short, 0, across), jnp.where(short, 1, along)) / symmetry
    return jnp.mean(error**2)


def _von_mises(vectors: Array, targets: Array, _: int) -> Array:
    length = _length(vectors)
    # log I₀(κ) = log(e^{−κ} I₀(κ)) + κ, which does not overflow
    normalizer = math.log(2 * math.pi) + jnp.log(i0e(length)) + length
    return jnp.mean(normalizer - jnp.sum(vectors * targets, axis=1))


def _length(vectors: Array) -> Array:
    return jnp.sqrt(jnp.maximum(jnp.sum(vectors**2, axis=1), _LEAST))


_OF_OUTPUTS: dict[str, Callable[[Array, Array], Array]] = {"squared": _squared, "root": _root}
_OF_DIRECTIONS: dict[str, Callable[[Array, Array, int], Array]] = {
    "cosine": _cosine,
    "angle": _angle,
    "von-mises": _von_mises,
}
