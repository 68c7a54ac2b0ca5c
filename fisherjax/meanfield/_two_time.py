"""Covariance between the states at two times in discrete time, from an initial condition."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer
from fisherjax._runtime import full_precision
from fisherjax._theory import Structure, TwoTimeCorrelation, as_structure, symmetric
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

_LONGEST = 4000


@full_precision
def two_time_correlation(
    gain: Scalar | GainMatrix,
    *,
    num_steps: int,
    initial_variance: Scalar | Float[Array | np.ndarray, " P"],
    noise_std: Scalar | Float[Array | np.ndarray, " P"] = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
) -> TwoTimeCorrelation:
    """Solve Δ_p(t+1, s+1) = Σ_q G_pq E[φ(x_t)φ(x_s)]_q + σ_p² δ_ts with Δ_p(t, 0) = 0 for t > 0.

    This is x(t+1) = J φ(x(t)) + σ ξ(t) from initial states that are independent Gaussians of zero mean, independent of
    the weights. For continuous time see `dmft.two_time_correlation`.

    Parameters
    ----------
    gain
        g, or a `GainMatrix`.
    num_steps
        Number of steps, at most 4000.
    initial_variance
        Δ(0, 0) ≥ 0; one number, or one per population.
    noise_std
        σ ≥ 0; one number, or one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Returns
    -------
    TwoTimeCorrelation at times 0…num_steps, differentiable in gain, noise and initial variance.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    phi = as_nonlinearity(nonlinearity)
    structure = as_structure(gain, noise_std)
    count = check_integer("num_steps", num_steps, minimum=1, maximum=_LONGEST) + 1
    dtype, populations = structure.total_gain.dtype, structure.total_gain.shape[0]
    start = as_real("initial_variance", initial_variance, "", str(populations), dtype=dtype, minimum=0.0)
    values = _rows(phi, structure, jnp.broadcast_to(start, structure.intensity.shape), count)
    times = jnp.arange(count, dtype=dtype)
    return TwoTimeCorrelation(times, values if isinstance(gain, GainMatrix) else values[..., 0])


@jax.jit(static_argnums=(0, 3))
def _rows(phi: Nonlinearity, structure: Structure, start: Array, count: int) -> Float[Array, "T T P"]:
    """Rows of the map: the next is this one, through φ, shifted by a step."""

    def advance(carry: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], Array]:
        row, variance = carry
        own = jnp.broadcast_to(variance[index], variance.shape)
        # at equal times the pair is one variable, and the formula for pairs is singular
        moments = phi.overlap(own, variance, row).at[index].set(phi.second_moment(variance[index]))
        # the initial state is independent of the weights: no later one is correlated with it
        following = jnp.roll(moments @ structure.total_gain.T, 1, axis=0).at[0].set(0)
        # times beyond are not known yet; noise is white, and adds to equal times alone
        following = jnp.where(jnp.arange(count)[:, None] <= index + 1, following, 0)
        following = following.at[index + 1].add(structure.intensity)
        return (following, variance.at[index + 1].set(following[index + 1])), following

    first = jnp.zeros((count, len(start)), start.dtype).at[0].set(start)
    # of times to come the variance is not known yet, and not used
    variance = jnp.ones_like(first).at[0].set(start)
    _, rows = jax.lax.scan(advance, (first, variance), jnp.arange(count - 1))
    return symmetric(jnp.concatenate([first[None], rows]))
