r"""How much the distances in one network of N units scatter about their mean, and what of it a correlation feels.

A distance is a sum over units, :math:`d_{ab}^2 = Σ_i (x_a - x_b)_i^2`. Given the overlaps one step before, the units
of population p are independent Gaussian numbers, over weights and noise alike, so that with mean u_p per unit

.. math:: \operatorname{Var} d_{ab}^2 = Σ_p 2 N_p u_p^2 + \operatorname{Var} E[d_{ab}^2 | \text{overlaps before}].

The first term is all there is at t = 1. For the second, follow the three fluctuations of a pair that decide about each
other, those of the means of x_a², x_b² and (x_a − x_b)² over units: a step multiplies their covariance from both sides
by the derivative of its map, and adds that of φ(x_a)², φ(x_b)² and (φ(x_a) − φ(x_b))² over N_p units.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity

_NODES = 9  # Gauss–Hermite nodes along each axis: fourth moments of φ to about 1e-3
_INNER_NODES = 5  # of the noise of single trials about it
_MOST_PAIRS = 128  # over which what is inherited is averaged: it moves a correlation by less than 0.001

Fluctuation = Float[Array, "pairs P 3 P 3"]


def chosen_pairs(stimuli: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """The pairs a < b over which scatter is averaged: all, or a part of them spread evenly."""
    rows, columns = np.triu_indices(stimuli, 1)
    part = np.linspace(0, len(rows) - 1, min(_MOST_PAIRS, len(rows))).round().astype(int)
    return rows[part], columns[part]


def no_fluctuation(gain_matrix: GainMatrix, stimuli: int) -> Fluctuation:
    """Of given initial patterns."""
    populations = gain_matrix.num_populations
    return jnp.zeros((len(chosen_pairs(stimuli)[0]), populations, 3, populations, 3), gain_matrix.gains.dtype)


def scatter_step(
    gain_matrix: GainMatrix,
    phi: Nonlinearity,
    original: Float[Array, "S S"],
    before: Fluctuation,
    variance: Float[Array, "P S"],
    overlap: Float[Array, "P S S"],
    num_units: int,
    num_trials: int | None,
) -> tuple[Float[Array, ""], Fluctuation]:
    """Variance over pairs that fluctuations add to distances at one time, and the fluctuations one step on.

    `before` are those of means of φ(x) one step before, `variance` and `overlap` the second moments now. Fluctuations
    common to all distances, or along the original ones, leave a correlation as it is; they are left out.
    """
    units = num_units * gain_matrix.fractions
    rows, columns = chosen_pairs(original.shape[-1])
    mixed = jnp.einsum("pq,rs,mqisj->mpirj", gain_matrix.variance_gain, gain_matrix.variance_gain, before)
    inherited = jnp.einsum("p,r,mpr->m", units, units, mixed[:, :, 2, :, 2])
    square = squares(variance, overlap, num_trials)
    mean = jnp.einsum("p,pab->ab", units, square)
    quarter = jnp.where(mean > 0, 1 / (4 * jnp.where(mean > 0, mean, 1)), 0)  # (∂d/∂d²)²
    added = jnp.einsum("p,pab->ab", 2 * units, square**2) * quarter
    stimuli = original.shape[-1]
    scatter = jnp.sum(added) / (stimuli * (stimuli - 1)) + jnp.mean(inherited * quarter[rows, columns])
    share = _harmless_share(units, original, square, root(quarter), jnp.sum(added) / 2)

    def of_population(moments: tuple[Array, Array]) -> tuple[Array, Array]:
        second, pairs = moments
        own = jnp.diagonal(pairs)
        parts = second[rows], second[columns], own[rows], own[columns], pairs[rows, columns]
        return _fresh(phi, num_trials, *parts), _slopes(phi, num_trials, *parts)

    fresh, slopes = jax.lax.map(of_population, (variance, overlap))
    after = jnp.einsum("pmki,mpirj,rmlj->mpkrl", slopes, mixed, slopes)
    alone = jnp.eye(gain_matrix.num_populations, dtype=units.dtype) / units
    return scatter * (1 - share), after + jnp.einsum("pr,pmkl->mpkrl", alone, fresh)


def squares(
    variance: Float[Array, "*T P S"], overlap: Float[Array, "*T P S S"], num_trials: int | None
) -> Float[Array, "*T P S S"]:
    """Mean squared difference per unit of states averaged over trials; zero on the diagonal."""
    own = jnp.diagonal(overlap, axis1=-2, axis2=-1)
    noise = jnp.zeros_like(own) if num_trials is None else (variance - own) / num_trials
    signal = jnp.maximum(own[..., :, None] + own[..., None, :] - 2 * overlap, 0)
    off_diagonal = 1 - jnp.eye(overlap.shape[-1], dtype=overlap.dtype)
    return (signal + noise[..., :, None] + noise[..., None, :]) * off_diagonal


def _harmless_share(
    units: Float[Array, " P"],
    original: Float[Array, "S S"],
    square: Float[Array, "P S S"],
    inverse: Float[Array, "S S"],
    total: Float[Array, ""],
) -> Float[Array, ""]:
    """Share of the scatter that moves all distances alike, or along the original ones; `inverse` is ∂d/∂d².

    Exact for what the last step adds, where Σ c_ab d_ab² is a quadratic form in units that are independent Gaussian,
    of variance 2 tr (LK)² with L the Laplacian of c; taken to be the same for what is inherited.
    """
    stimuli = original.shape[-1]
    off_diagonal = 1 - jnp.eye(stimuli, dtype=square.dtype)
    # centered scalar products of the states, from their distances
    products = -square / 2
    products -= jnp.mean(products, axis=-1, keepdims=True)
    products -= jnp.mean(products, axis=-2, keepdims=True)
    pairs = stimuli * (stimuli - 1) / 2
    along = (original - jnp.sum(original) / (2 * pairs)) * off_diagonal
    common = jnp.zeros((), square.dtype)
    for direction, size in ((off_diagonal, pairs), (along, jnp.sum(along**2) / 2)):
        weights = direction * inverse
        laplacian = jnp.diag(jnp.sum(weights, axis=1)) - weights
        image = laplacian @ products
        form = jnp.einsum("p,pab,pba->", 2 * units, image, image)
        common += form / jnp.where(size > 0, size, 1)
    return jnp.clip(common / jnp.where(total > 0, total, 1), 0, 1)


def _fresh(
    phi: Nonlinearity, num_trials: int | None, second_a: Array, second_b: Array, own_a: Array, own_b: Array, both: Array
) -> Float[Array, "pairs 3 3"]:
    """Covariance over units of r_a², r_b² and (r_a − r_b)², r the mean of φ(x) over trials."""
    (z, weights), (inner, inner_weights) = (_rule(count, both.dtype) for count in (_NODES, _INNER_NODES))
    if num_trials == 1:
        own_a, own_b = second_a, second_b
    # x_a = √c_aa z, x_b = its projection on x_a and an independent rest
    slope = both / jnp.where(own_a > 0, own_a, 1)
    rest = root(own_b - slope * both, own_b)
    x_a = (root(own_a, own_a)[:, None] * z)[:, :, None]
    x_b = slope[:, None, None] * x_a + rest[:, None, None] * z

    def mean_over_trials(x: Array, noise: Array) -> tuple[Array, Array]:
        """Mean and variance of r given x, the state without noise."""
        values = phi(x[..., None] + root(noise, noise)[:, None, None, None] * inner)
        mean = values @ inner_weights
        # what is left of the trials' noise is taken as Gaussian in the fourth moments
        left = 0.0 if num_trials is None else 1 / num_trials
        return mean, left * ((values - mean[..., None]) ** 2 @ inner_weights)

    if num_trials == 1:
        (a, c_a), (b, c_b) = ((phi(x), jnp.zeros_like(x)) for x in (x_a, x_b))
    else:
        (a, c_a), (b, c_b) = mean_over_trials(x_a, second_a - own_a), mean_over_trials(x_b, second_b - own_b)
    step, c = a - b, c_a + c_b
    of_a, of_b, of_step = a**2 + c_a, b**2 + c_b, step**2 + c

    def mean(values: Array) -> Array:
        values = jnp.broadcast_to(values, b.shape)
        return values.reshape(len(values), -1) @ jnp.outer(weights, weights).ravel()

    a_a, b_b = mean(of_a**2 + 4 * a**2 * c_a + 2 * c_a**2), mean(of_b**2 + 4 * b**2 * c_b + 2 * c_b**2)
    d_d = mean(of_step**2 + 4 * step**2 * c + 2 * c**2)
    a_b = mean(of_a * of_b)
    a_d = mean(of_a * of_step + 4 * a * step * c_a + 2 * c_a**2)
    b_d = mean(of_b * of_step - 4 * b * step * c_b + 2 * c_b**2)
    means = jnp.stack([mean(of_a), mean(of_b), mean(of_step)], axis=-1)
    together = jnp.stack([a_a, a_b, a_d, a_b, b_b, b_d, a_d, b_d, d_d], axis=-1).reshape(-1, 3, 3)
    return together - means[:, :, None] * means[:, None, :]


def _slopes(
    phi: Nonlinearity, num_trials: int | None, second_a: Array, second_b: Array, own_a: Array, own_b: Array, both: Array
) -> Float[Array, "pairs 3 3"]:
    """Derivative of the means of r_a², r_b², (r_a − r_b)² in those of the states that r = φ(x) comes from.

    The noise variance of single trials is held where the states are means over several: its own fluctuation is small.
    """
    left = 1.0 if num_trials is None else 1 - 1 / num_trials
    one = jnp.ones_like(both)

    def own(second: Array, noise: Array) -> Array:
        def moment(value: Array) -> Array:
            square = phi.second_moment(value)
            return square if num_trials == 1 else square - left * phi.spread(value, noise)

        return jax.jvp(moment, (second,), (one,))[1]

    slope_a, slope_b = own(second_a, second_a - own_a), own(second_b, second_b - own_b)
    zero = jnp.zeros_like(both)
    basis = jnp.stack([jnp.stack([one, zero, zero]), jnp.stack([zero, one, zero]), jnp.stack([zero, zero, one])])
    moments = second_a, second_b, both
    through_a, through_b, through_both = jax.vmap(lambda t: jax.jvp(phi.overlap, moments, tuple(t))[1])(basis)
    rows = [
        slope_a, zero, zero,
        zero, slope_b, zero,
        slope_a - 2 * through_a - through_both, slope_b - 2 * through_b - through_both, through_both,
    ]  # fmt: skip
    return jnp.stack(rows, axis=-1).reshape(-1, 3, 3)


def _rule(count: int, dtype: Any) -> tuple[Array, Array]:
    """Gauss–Hermite nodes and weights of a mean over N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return jnp.asarray(nodes, dtype), jnp.asarray(weights / weights.sum(), dtype)


def root(value: Array, scale: Array | float = 0.0) -> Array:
    """√value, and zero with a gradient of zero where the value is zero, or rounding of `scale`."""
    there = value > 4 * jnp.finfo(value.dtype).eps * scale
    return jnp.where(there, jnp.sqrt(jnp.where(there, value, 1)), 0)
