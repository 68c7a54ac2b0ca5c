"""Distances between states, measured and predicted, and how stimuli become initial patterns."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_finite, check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Scalar
from fisherjax.connectivity import GainMatrix, population_sizes
from fisherjax.meanfield import pattern_overlaps
from fisherjax.numerics import as_nonlinearity


def pairwise_distances(states: Float[Array | np.ndarray, "*batch S N"]) -> Float[Array, "*batch S S"]:
    """Euclidean distances between all pairs of S states of N numbers, with a zero diagonal.

    Raises
    ------
    ValueError
        If `states` has fewer than two axes or holds NaN.
    """
    states = jnp.asarray(states)
    require(states.ndim >= 2, f"states must have shape (…, S, N), got {states.shape}")
    check_finite("states", states)
    centred = states - jnp.mean(states, axis=-2, keepdims=True)
    gram = jnp.einsum("...in,...jn->...ij", centred, centred, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.diagonal(gram, axis1=-2, axis2=-1)
    squared = squares[..., :, None] + squares[..., None, :] - 2 * gram
    off_diagonal = 1 - jnp.eye(states.shape[-2], dtype=states.dtype)
    return jnp.sqrt(jnp.maximum(squared, 0)) * off_diagonal


def initial_patterns(
    images: object,
    gain_matrix: GainMatrix,
    num_units: int,
    *,
    key: Key,
    amplitude: Scalar = 1.0,
    population: int = 0,
) -> Float[Array, "S N"]:
    """Turn images into initial states of one population, by a random projection; zero elsewhere.

    The images are flattened, centred on their mean image, and projected by a Gaussian random matrix,
    which keeps distances to 1/√(units). The result is scaled to a root mean square of `amplitude`.

    Parameters
    ----------
    images
        (S, …), any shape per image.
    gain_matrix, num_units
        Structure and N, which fix how many units the population has.
    key
        JAX random key of the projection.
    amplitude
        Root mean square of the stimulated units over images.
    population
        Which population sees the images.

    Raises
    ------
    ValueError
        If there are fewer than two images, or all are alike.
    """
    key = check_key("key", key)
    check_scalar("amplitude", amplitude, minimum=0.0, strict=True)
    sizes = population_sizes(gain_matrix, num_units)
    population = check_integer("population", population, minimum=0)
    require(population < len(sizes), f"population must be below {len(sizes)}, got {population}")
    dtype = gain_matrix.gains.dtype
    flat = jnp.asarray(images).astype(dtype)
    require(flat.ndim >= 2 and flat.shape[0] >= 2, f"images must hold at least two images, got shape {flat.shape}")
    flat = flat.reshape(flat.shape[0], -1)
    check_finite("images", flat)
    centred = flat - jnp.mean(flat, axis=0)
    projected = centred @ jax.random.normal(key, (flat.shape[1], sizes[population]), dtype)
    size = jnp.sqrt(jnp.mean(projected**2))
    require(float(size) > 0, "images must differ from each other, but all are the same")
    first = sum(sizes[:population])
    patterns = jnp.zeros((flat.shape[0], num_units), dtype)
    scaled = projected * (jnp.asarray(amplitude, dtype) / size)
    return patterns.at[:, first : first + sizes[population]].set(scaled)


def predicted_distances(
    gain_matrix: GainMatrix,
    patterns: Float[Array | np.ndarray, "S N"],
    *,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: object = "tanh",
    num_trials: int | None = None,
) -> Float[Array, "T S S"]:
    r"""Predict the distances between the states that patterns lead to, from the overlap recursion.

    .. math::
        d_{ab}^2(t) = N Σ_p f_p \{C_{aa} + C_{bb} − 2 C_{ab} + (V_a + V_b)/n\},
        \qquad C_{ab}^+ = Σ_q G_{pq} E[φ(x_a) φ(x_b)]

    for states averaged over n trials with independent noise.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    patterns
        Initial states x(0) of all units, (S, N), units in blocks of populations.
    noise_std
        σ, at least 0.
    num_steps
        Number of steps T.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    num_trials
        n, trials averaged; None for noise-averaged states, 1 for single noisy trials.

    Returns
    -------
    Distances (T, S, S) at times 1…T; zero diagonal.
    """
    phi = as_nonlinearity(nonlinearity)
    states = jnp.asarray(patterns).astype(gain_matrix.gains.dtype)
    require(states.ndim == 2, f"patterns must have shape (S, N), got {states.shape}")
    check_finite("patterns", states)
    units = states.shape[1]
    edges = np.concatenate([[0], np.cumsum(population_sizes(gain_matrix, units))])
    response = phi(states)
    groups = [response[:, low:high] for low, high in itertools.pairwise(edges)]
    start = jnp.stack([group @ group.T / group.shape[1] for group in groups])
    overlaps = pattern_overlaps(gain_matrix, start, noise_std=noise_std, num_steps=num_steps, nonlinearity=phi)
    own = jnp.diagonal(overlaps.overlap, axis1=-2, axis2=-1)
    spread = 0 if num_trials is None else (overlaps.variance - own) / check_integer("num_trials", num_trials, minimum=1)
    each = own + spread
    squared = each[..., :, None] + each[..., None, :] - 2 * overlaps.overlap
    total = units * jnp.einsum("p,tpab->tab", gain_matrix.fractions, squared)
    return jnp.sqrt(jnp.maximum(total, 0)) * (1 - jnp.eye(states.shape[0], dtype=states.dtype))
