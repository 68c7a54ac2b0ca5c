"""What can be said of the stability of a convolutional recurrent network for every image at once."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import Record, Scalar

from ._convolution_spectrum import certified_bounds, convolution_bounds
from ._network import ConvolutionalRNN, check_network


class StabilityCertificate(Record):
    r"""Sufficient conditions for stability, one entry per area; they hold for every image.

    With r ← (1 − α) r + α ρ(W r + …), 0 ≤ ρ' ≤ 1, D = diag ρ' and bounds σ ≥ σ_max(W), ω ≥ λ_max((W + Wᵀ)/2):

    - σ < 1: the step is a contraction by 1 − α(1 − σ). There is one fixed point per image, and all states go to it.
      Areas in a chain inherit it from those before.
    - An eigenvalue λ of D W is y*W y with ‖y‖ ≤ 1, hence Re λ ≤ max(ω, 0) and |λ| ≤ σ, and those of the Jacobian obey
      |1 − α + αλ|² ≤ (1 − α)² + 2α(1 − α) max(ω, 0) + α²σ². If that is below one, every fixed point is locally
      stable, how many there may be.

    Neither is necessary: a network without certificate may well be stable; look at `trajectory_spectrum`. With feedback
    the areas form no chain, and these bounds say nothing about the whole: none is given.

    Parameters
    ----------
    singular, symmetric
        σ and ω (d,), by `convolution_bounds`.
    contraction
        1 − α(1 − σ) (d,).
    jacobian_radius
        Bound of the spectral radius of the Jacobian (d,).
    globally_stable, locally_stable
        Which areas are certified (d,).
    """

    singular: Float[np.ndarray, " d"]
    symmetric: Float[np.ndarray, " d"]
    contraction: Float[np.ndarray, " d"]
    jacobian_radius: Float[np.ndarray, " d"]
    globally_stable: Bool[np.ndarray, " d"]
    locally_stable: Bool[np.ndarray, " d"]


@full_precision
def stability_certificate(network: ConvolutionalRNN) -> StabilityCertificate:
    """Certify the stability of every area of a network, with bounds in float64 that allow for their rounding.

    Raises
    ------
    ValueError
        If the network has feedback, or a leak above one.
    """
    check_network(network)
    require(not network.architecture.feedback, "a network with feedback is no chain of areas: nothing is certified")
    require(float(network.leak) <= 1, f"leak must be at most 1, got {float(network.leak):g}")
    bounds = [certified_bounds(recurrent.weights, shape[:2]) for recurrent, shape in _areas(network)]
    singular, symmetric = (np.array(column) for column in zip(*bounds, strict=True))
    alpha = np.array(network.architecture.alpha)
    contraction = 1 - alpha * (1 - singular)
    square = (1 - alpha) ** 2 + 2 * alpha * (1 - alpha) * np.maximum(symmetric, 0) + (alpha * singular) ** 2
    radius = np.minimum(np.sqrt(square), contraction)
    return StabilityCertificate(singular, symmetric, contraction, radius, singular < 1, radius < 1)


@full_precision
def spectral_penalty(network: ConvolutionalRNN, *, limit: Scalar = 1.0) -> Float[Array, ""]:
    """Σ over areas of max(0, σ − limit)², σ the certified bound of the largest singular value; differentiable.

    Zero where every area is certified to contract (limit ≤ 1). Add it to a loss to train stable networks.

    Raises
    ------
    ValueError
        If the limit is negative.
    """
    check_network(network)
    check_scalar("limit", limit, minimum=0.0)
    bounds = [convolution_bounds(recurrent.weights, shape[:2]).singular for recurrent, shape in _areas(network)]
    return jnp.sum(jax.nn.relu(jnp.stack(bounds) - jnp.asarray(limit, network.leak.dtype)) ** 2)


def _areas(network: ConvolutionalRNN) -> list[tuple]:
    return list(zip(network.recurrent, network.architecture.area_shapes, strict=True))
