"""The gain at which a network in discrete time becomes chaotic."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar
from fisherjax._runtime import full_precision
from fisherjax._theory import (
    as_structure,
    crossing,
    ordered_below,
    structure_or_one,
    told,
    unless_silent,
    variance_from_above,
)
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._stationary import growth_rate

_WIDEST = 9.2  # range of log gain that is searched


@full_precision
def critical_gain(
    *, noise_std: Scalar, nonlinearity: NonlinearityLike = "tanh", gain_matrix: GainMatrix | None = None
) -> Float[Array, ""]:
    """Gain at which x(t+1) = J φ(x(t)) + σ ξ(t) becomes chaotic: λ(g_c) = 0, λ = ½ ln ρ(G ∘ E[φ′²]).

    The gains of `gain_matrix` are scaled by one factor, which is returned. For continuous time see
    `dmft.critical_gain`.

    Parameters
    ----------
    noise_std
        σ ≥ 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.

    Returns
    -------
    Scalar, differentiable in the noise and in the structure. NaN where there is no such gain: for a nonlinearity
    whose activity grows without bound first, or that never becomes chaotic within 10⁴ + 10⁴ σ times the gain below
    which no network can; a RuntimeWarning says so.

    Raises
    ------
    ValueError
        If `noise_std` is negative.
    """
    phi = as_nonlinearity(nonlinearity)
    shape = structure_or_one(gain_matrix)
    check_scalar("noise_std", noise_std, minimum=0.0)
    return told(_critical(shape, as_structure(shape, noise_std).noise_std[0], phi))


@jax.jit(static_argnums=2)
def _critical(shape: GainMatrix, sigma: Array, phi: Nonlinearity) -> Float[Array, ""]:
    def growth(log_factor: Array, parameters: tuple[GainMatrix, Array]) -> Array:
        structure, sigma = parameters
        scaled = GainMatrix(structure.gains * jnp.exp(log_factor), structure.fractions)
        return growth_rate(scaled, variance_from_above(scaled.variance_gain, sigma**2, phi), phi)

    lower = ordered_below(phi, shape.variance_gain)
    critical = crossing(growth, (shape, sigma), lower, lower + _WIDEST + jnp.log1p(sigma))
    return unless_silent(phi, shape.variance_gain, sigma, critical)
