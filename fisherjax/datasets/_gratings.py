"""Noisy oriented gratings, differentiable in the angle at a fixed key, and their exact moments."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_key, check_scalar
from fisherjax._types import ArrayLike, Key, Scalar

_DISC = 6.0  # pixels at a squared radius of at least this are outside
_TABLE = 4097


def gratings(
    angles: ArrayLike,
    *,
    key: Key,
    size: int = 101,
    frequency: Scalar = 5.0,
    noise_variance: Scalar = 20.0,
    noise_probability: Scalar = 0.8,
) -> Float[Array, "*angles size size"]:
    r"""Draw noisy gratings, one per angle, each with its own noise.

    On the grid x, y ∈ linspace(−π, π, size),

    .. math::
        \text{pixel} = \operatorname{clip}\big(\cos(f (y \cos θ + x \sin θ)) + m ε, -1, 1\big),
        \qquad m ∼ \text{Bernoulli}(q), \quad ε ∼ N(0, s^2),

    and 0 outside the disc x² + y² < 6. At a fixed key the noise is fixed, so that images can be
    differentiated in the angle.

    Parameters
    ----------
    angles
        θ in radians, any shape; a grating at θ + π is the same.
    key
        JAX random key.
    size
        Side of an image in pixels.
    frequency
        f, in radians per unit of length.
    noise_variance
        s² ≥ 0.
    noise_probability
        q in [0, 1], share of pixels with noise.

    Returns
    -------
    Intensities in [−1, 1], (*angles, size, size).

    Raises
    ------
    ValueError
        If an angle is not finite or an option is out of range.
    TypeError
        If `key` is not a JAX key, or what should be numbers is something else.
    """
    key = check_key("key", key)
    theta = _checked(angles, size, frequency, noise_variance, noise_probability)
    options = [jnp.asarray(value, theta.dtype) for value in (frequency, noise_variance, noise_probability)]
    keys = jax.random.split(key, theta.shape) if theta.ndim else key
    draw = _grating
    for _ in range(theta.ndim):
        draw = jax.vmap(draw, in_axes=(0, 0, None, None, None, None))
    return draw(theta, keys, size, *options)


def grating_moments(
    angles: ArrayLike,
    *,
    size: int = 101,
    frequency: Scalar = 5.0,
    noise_variance: Scalar = 20.0,
    noise_probability: Scalar = 0.8,
) -> tuple[Float[Array, "*angles size size"], Float[Array, "*angles size size"]]:
    """Exact mean and variance of every pixel of `gratings`; pixels are independent.

    With them the linear Fisher information of the images is Σ (d mean/dθ)²/variance over the pixels in the
    disc: the most that any linear read-out of the image can reach.

    Parameters and errors are those of `gratings`.
    """
    theta = _checked(angles, size, frequency, noise_variance, noise_probability)
    spread = jnp.sqrt(jnp.asarray(noise_variance, theta.dtype))
    share = jnp.asarray(noise_probability, theta.dtype)
    return _moments(theta, jnp.asarray(frequency, theta.dtype), spread, share, size)


@functools.partial(jax.jit, static_argnames="size", inline=True)
def _moments(theta: Array, frequency: Array, spread: Array, share: Array, size: int) -> tuple[Array, Array]:
    wave = _wave(theta, size, frequency)
    safe = jnp.where(spread > 0, spread, 1)
    low, high = (-1 - wave) / safe, (1 - wave) / safe
    below, above = norm.cdf(low), norm.cdf(-high)
    inside, drop = 1 - below - above, norm.pdf(high) - norm.pdf(low)
    first = above - below + wave * inside - safe * drop
    edge = high * norm.pdf(high) - low * norm.pdf(low)
    second = above + below + wave**2 * inside - 2 * wave * safe * drop + safe**2 * (inside - edge)
    first, second = (jnp.where(spread > 0, a, b) for a, b in ((first, wave), (second, wave**2)))
    mean = (1 - share) * wave + share * first
    square = (1 - share) * wave**2 + share * second
    disc = jnp.asarray(_disc(size), theta.dtype)
    return mean * disc, (square - mean**2) * disc


def grating_angles(
    num_angles: int, *, key: Key, concentration: Scalar = 0.0, location: Scalar = 0.0, symmetry: int = 2
) -> Float[Array, " num_angles"]:
    """Draw angles in [0, 2π/k): a von Mises variable modulo 2π/k, uniform at concentration 0; k = 2 for orientations.

    Parameters
    ----------
    num_angles
        How many.
    key
        JAX random key.
    concentration
        κ ≥ 0 of the von Mises law on the circle of 2π.
    location
        Its mode in radians.
    symmetry
        k ≥ 1.

    Raises
    ------
    ValueError
        If the concentration is negative, or the symmetry is below 1.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_angles = check_integer("num_angles", num_angles, minimum=1)
    check_scalar("concentration", concentration, minimum=0.0)
    check_scalar("location", location)
    symmetry = check_integer("symmetry", symmetry, minimum=1)
    uniform = jax.random.uniform(key, (num_angles,))
    kappa = jnp.asarray(concentration, uniform.dtype)
    # by inversion of the distribution function on a fine table
    grid = jnp.linspace(-math.pi, math.pi, _TABLE, dtype=uniform.dtype)
    density = jnp.exp(kappa * (jnp.cos(grid) - 1)) / i0e(kappa)
    cumulative = jnp.concatenate([jnp.zeros(1, uniform.dtype), jnp.cumsum((density[1:] + density[:-1]) / 2)])
    angle = jnp.interp(uniform, cumulative / cumulative[-1], grid)
    return jnp.mod(angle + jnp.asarray(location, uniform.dtype), 2 * math.pi / symmetry)


def _checked(
    angles: ArrayLike, size: int, frequency: Scalar, noise_variance: Scalar, noise_probability: Scalar
) -> Array:
    theta = as_real("angles", angles)
    check_integer("size", size, minimum=2)
    check_scalar("frequency", frequency)
    check_scalar("noise_variance", noise_variance, minimum=0.0)
    check_scalar("noise_probability", noise_probability, minimum=0.0, maximum=1.0)
    return theta


def _disc(size: int) -> np.ndarray:
    axis = np.linspace(-np.pi, np.pi, size)
    return axis[None, :] ** 2 + axis[:, None] ** 2 < _DISC


def _wave(theta: Array, size: int, frequency: Array) -> Float[Array, "*angles size size"]:
    """cos(a + b) = cos a cos b − sin a sin b, a matrix product of one-dimensional waves in y and in x."""
    axis = frequency * jnp.linspace(-math.pi, math.pi, size, dtype=theta.dtype)
    down, across = axis * jnp.cos(theta)[..., None], axis * jnp.sin(theta)[..., None]
    left = jnp.stack([jnp.cos(down), -jnp.sin(down)], axis=-1)
    right = jnp.stack([jnp.cos(across), jnp.sin(across)], axis=-2)
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _grating(theta: Array, key: Key, size: int, frequency: Array, variance: Array, probability: Array) -> Array:
    disc = _disc(size)
    rows, columns = np.nonzero(disc)
    # one uniform number says whether a pixel of the disc is noisy and, by inversion, how much
    level = jax.random.uniform(key, rows.shape, theta.dtype) - (1 - probability)
    noisy = level > 0
    inside = 1 - jnp.finfo(theta.dtype).eps
    centered = jnp.clip(2 * level / jnp.where(probability > 0, probability, 1) - 1, -inside, inside)
    noise = jnp.where(noisy, jnp.sqrt(2 * variance) * jax.lax.erf_inv(jnp.where(noisy, centered, 0)), 0)
    place = np.zeros((size, size), int)
    place[rows, columns] = np.arange(len(rows))
    pixels = jnp.clip(_wave(theta, size, frequency) + noise[place], -1, 1)
    return jnp.where(disc, pixels, 0)
