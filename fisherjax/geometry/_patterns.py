"""How stimuli become initial patterns of a network."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import check_choice, check_integer, check_key, check_positive, require
from fisherjax._linalg import less_first, magnitude
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix, population_sizes

PROJECTIONS = ("random", "identity", "crop")


@full_precision
def initial_patterns(
    images: ArrayLike,
    gain_matrix: GainMatrix,
    num_units: int,
    *,
    key: Key,
    amplitude: Scalar = 1.0,
    population: int = 0,
    projection: str = "random",
) -> Float[Array, "S N"]:
    """Turn images into initial states of one population; zero elsewhere.

    The images are centered on their mean image, projected to the size of the population, and scaled to a root
    mean square of `amplitude`. Distances between stimuli are those of the result.

    Parameters
    ----------
    images
        (S, …), any shape per image and any scale of its numbers.
    gain_matrix, num_units
        Structure and N, which fix how many units the population has.
    key
        JAX random key of the random projection; the others do not use it.
    amplitude
        Root mean square of the stimulated units over images.
    population
        Which population sees the images.
    projection
        ``"random"``: by a Gaussian matrix, which keeps distances to 1/√(units). ``"identity"``: one unit per
        number of the image, the other units of the population zero. ``"crop"``: the same with the central part
        of images (S, height, width[, channels]) that has no more numbers than the population has units.

    Raises
    ------
    ValueError
        If there are fewer than two images, all are alike, or the population is too small for the projection.
    TypeError
        If `key` is not a JAX key, or another argument is not what it should be.
    """
    key = check_key("key", key)
    check_positive(amplitude=amplitude)
    check_choice("projection", projection, PROJECTIONS)
    sizes = population_sizes(check_gain_matrix(gain_matrix, means=True), num_units)
    population = check_integer("population", population, minimum=0)
    require(population < len(sizes), f"population must be below {len(sizes)}, got {population}")
    dtype, units = gain_matrix.gains.dtype, sizes[population]
    values = as_real("images", images) if isinstance(images, jax.Array) else host_real("images", images)
    require(values.ndim >= 2 and len(values) >= 2, f"images must hold at least two images, got shape {values.shape}")
    values = _centre_crop(values, units) if projection == "crop" else values
    flat = less_first("images", values.reshape(values.shape[0], -1), dtype=dtype)
    require(
        projection == "random" or flat.shape[1] <= units,
        f"population {population} has {units} units, fewer than the {flat.shape[1]} numbers of an image: raise "
        "num_units, or use projection='random' or 'crop'",
    )
    patterns, size = _entering(flat, key, amplitude, sizes, population, random=projection == "random")
    require(float(size) > 0, "images must differ from each other, but all are the same")
    return patterns


@jax.jit(static_argnames=("sizes", "population", "random"))
def _entering(
    flat: Float[Array, "S pixels"],
    key: Key,
    amplitude: Scalar,
    sizes: tuple[int, ...],
    population: int,
    *,
    random: bool,
) -> tuple[Float[Array, "S N"], Float[Array, ""]]:
    """Centered images on the units of one population, and their root mean square before it was made `amplitude`."""
    units, dtype = sizes[population], flat.dtype
    flat = flat - flat[:1]
    flat /= magnitude(flat)
    projected = flat - jnp.mean(flat, axis=0)
    if random:
        projected = projected @ jax.random.normal(key, (flat.shape[1], units), dtype)
    else:
        projected = jnp.pad(projected, ((0, 0), (0, units - flat.shape[1])))
    size = jnp.sqrt(jnp.mean(projected**2))
    scaled = projected * (jnp.asarray(amplitude, dtype) / size)
    first = sum(sizes[:population])
    return jnp.pad(scaled, ((0, 0), (first, sum(sizes) - first - units))), size


def _centre_crop(images: Array | np.ndarray, units: int) -> Array | np.ndarray:
    """The largest central square part of images with at most so many numbers."""
    require(images.ndim in {3, 4}, f"projection='crop' needs images (S, height, width[, channels]), got {images.shape}")
    channels = images.shape[3] if images.ndim == 4 else 1
    side = min(math.isqrt(units // channels), *images.shape[1:3])
    require(side >= 1, f"the population has {units} units, fewer than the {channels} channels of one pixel")
    top, left = ((extent - side) // 2 for extent in images.shape[1:3])
    return images[:, top : top + side, left : left + side]


def sparse_pairs(
    patterns: Shaped[Array | np.ndarray, "S N"], num_coordinates: int, *, key: Key, amplitude: Scalar = 1.0
) -> Float[Array, "2*S N"]:
    """Each pattern, and after all of them each one changed in a few random coordinates among those that are driven.

    Parameters
    ----------
    patterns
        Patterns (S, N); coordinates that are zero in all of them are never changed.
    num_coordinates
        How many coordinates change.
    key
        JAX random key.
    amplitude
        Length of the change, in units of the root mean square of a driven coordinate.

    Returns
    -------
    (2S, N): pattern s and pattern S + s are the pair.

    Raises
    ------
    ValueError
        If fewer coordinates are driven.
    TypeError
        If `key` is not a JAX key.
    """
    states = as_real("patterns", patterns, "stimuli units")
    num_coordinates = check_integer("num_coordinates", num_coordinates, minimum=1)
    check_positive(amplitude=amplitude)
    driven = np.flatnonzero(np.any(np.asarray(states) != 0, axis=0))
    count = driven.size
    require(num_coordinates <= count, f"num_coordinates={num_coordinates}, but only {count} coordinates are driven")
    place_key, value_key = jax.random.split(check_key("key", key))
    rows = jnp.arange(len(states))[:, None]
    keys = jax.random.split(place_key, len(states))
    chosen = jnp.stack([jax.random.permutation(k, count)[:num_coordinates] for k in keys])
    values = jax.random.normal(value_key, chosen.shape, states.dtype)
    size = jnp.sqrt(jnp.mean(states[:, driven] ** 2)) * jnp.asarray(amplitude, states.dtype)
    values *= size / jnp.linalg.norm(values, axis=1, keepdims=True)
    return jnp.concatenate([states, states.at[rows, driven[chosen]].add(values)])
