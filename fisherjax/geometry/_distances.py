"""Distances between states, measured and predicted."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import check_instance, check_integer, check_not_negative, require
from fisherjax._linalg import centered_gram, less_first, magnitude
from fisherjax._runtime import Devices, full_precision, on_devices, spread
from fisherjax._types import ArrayLike, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix, population_sizes
from fisherjax.meanfield import pattern_overlaps
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._scatter import root, squares


@full_precision
def pairwise_distances(
    states: Shaped[Array | np.ndarray, "*batch S N"], *, devices: Devices = None
) -> Float[Array, "*batch S S"]:
    """Euclidean distances between all pairs of S states of N numbers, with a zero diagonal.

    The derivative of a distance that is zero counts as zero.

    Parameters
    ----------
    states
        (…, S, N).
    devices
        Divide the work by rows among devices, which then all hold the result: a number, ``"all"``, or what
        `fisherjax.device_mesh` takes.

    Raises
    ------
    ValueError
        If `states` has fewer than two axes or is not finite.
    TypeError
        If they are not real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fisherjax import geometry
    >>> print(geometry.pairwise_distances(np.eye(3)).shape)
    (3, 3)
    """
    array = less_first("states", states, "... stimuli units")
    with on_devices(devices):
        return _distances(array)


@jax.jit
def _distances(states: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    rows = (*(None,) * (states.ndim - 2), "batch")
    states = states - states[..., :1, :]
    scale = magnitude(states)
    scaled = spread(states / scale, *rows)
    return spread(scale * root(spread(squares_of_gram(scaled, centered_gram(scaled)), *rows)))


def squares_of_gram(states: Float[Array, "*batch S N"], gram: Float[Array, "*batch S S"]) -> Float[Array, "*batch S S"]:
    """Squared distances |x_a|² + |x_b|² − 2 x_a·x_b from scalar products of the centered states.

    Where two states are so near that this loses more than half the digits, all pairs are subtracted instead.
    """
    squares = jnp.diagonal(gram, axis1=-2, axis2=-1)
    sums = squares[..., :, None] + squares[..., None, :]
    off_diagonal = 1 - jnp.eye(gram.shape[-1], dtype=gram.dtype)
    squared = (sums - 2 * gram) * off_diagonal
    limit = jnp.sqrt(jnp.finfo(gram.dtype).eps).astype(gram.dtype)
    lost = jnp.any((squared < limit * sums) & (off_diagonal > 0))
    return jax.lax.cond(lost, lambda: _subtracted(states), lambda: squared)


def _subtracted(states: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    """Squared distances, one row of pairs at a time."""
    rows = jax.lax.map(
        lambda index: jnp.sum((states - states[..., index, :][..., None, :]) ** 2, axis=-1),
        jnp.arange(states.shape[-2]),
    )
    return jnp.moveaxis(rows, 0, -2)


@full_precision
def predicted_distances(
    gain_matrix: GainMatrix,
    patterns: Shaped[Array | np.ndarray, "S N"],
    *,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
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

    Raises
    ------
    ValueError
        If a shape does not match, or a number is out of range.
    TypeError
        If an argument is not of its kind.
    """
    check_gain_matrix(gain_matrix)
    check_not_negative(noise_std=noise_std)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    if num_trials is not None:
        num_trials = check_integer("num_trials", num_trials, minimum=1)
    phi = as_nonlinearity(nonlinearity)
    start = starting_overlap(gain_matrix, patterns, phi)
    moments = pattern_overlaps(gain_matrix, start, noise_std=noise_std, num_steps=num_steps, nonlinearity=phi)
    return mean_distances(gain_matrix, moments.variance, moments.overlap, jnp.shape(patterns)[1], num_trials)


@jax.jit(static_argnums=(3, 4))
def mean_distances(
    gain_matrix: GainMatrix,
    variance: Float[Array, "*T P S"],
    overlap: Float[Array, "*T P S S"],
    num_units: int,
    num_trials: int | None,
) -> Float[Array, "*T S S"]:
    """√E d² of states whose second moments per population are given."""
    units = num_units * gain_matrix.fractions
    return root(jnp.einsum("p,...pab->...ab", units, squares(variance, overlap, num_trials)))


@full_precision
def starting_overlap(gain_matrix: GainMatrix, patterns: ArrayLike, phi: Nonlinearity) -> Float[Array, "P S S"]:
    """Mean of φ(x_a) φ(x_b) over the units of each population, of given initial states (S, N).

    Raises
    ------
    ValueError
        If `patterns` has another shape or is not finite.
    TypeError
        If an argument is not of its kind.
    """
    dtype = check_gain_matrix(gain_matrix).gains.dtype
    check_instance("phi", phi, Nonlinearity, "make one with nonlinearities.as_nonlinearity('tanh')")
    states = as_real("patterns", patterns, "stimuli units", dtype=dtype)
    edges = np.concatenate([[0], np.cumsum(population_sizes(gain_matrix, states.shape[1]))])
    response = phi(states)
    groups = [response[:, low:high] for low, high in itertools.pairwise(edges)]
    return jnp.stack([group @ group.T / group.shape[1] for group in groups])


# of the largest distance: what distances computed in float32 from products may miss of symmetry and of zero
_ROUNDING = 1e-3


def as_distances(name: str, value: Any, *axes: str, square: bool = True) -> np.ndarray:
    """Distances on the host, of the named shapes; if `square`, those with two axes are symmetric, zero on the diagonal.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If the shape is another, or a number is not finite or no distance.
    """
    array = host_real(name, value, *axes)
    if array.size == 0:
        return array
    least, most = float(array.min()), float(array.max())
    require(least >= 0, f"{name} must be distances, at least 0, but its least entry is {least:g}")
    if square and array.ndim >= 2:
        allowed = _ROUNDING * most
        off = float(np.abs(array - np.swapaxes(array, -1, -2)).max())
        require(off <= allowed, f"{name} must be symmetric, but two of its entries differ by {off:g}")
        own = float(np.diagonal(array, axis1=-2, axis2=-1).max())
        require(own <= allowed, f"{name} must have zeros on its diagonal, but the largest there is {own:g}")
    return array


def varies(distances: Float[np.ndarray, "..."]) -> bool:
    """Whether distances differ by more than their own rounding."""
    if distances.size == 0:
        return False
    rounding = 32 * float(np.finfo(distances.dtype).eps) * np.abs(distances).max()
    return bool(np.ptp(distances) > rounding)
