"""Eigenvalues and singular values of a convolution as a linear map of maps: exact, or bounded."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_scalar, require, told
from fisherjax._runtime import full_precision
from fisherjax._types import Record, Scalar

from ._convolution import convolve
from ._network import ConvolutionalRNN, check_network

Padding = Literal["circular", "zero"]

_MARGIN = 8  # times ε and the number of terms that are added: more than rounding takes off a bound
_LARGEST_DENSE = 8192  # units of a map beyond which its matrix is not written down


class ConvolutionSpectrum(Record):
    """All eigenvalues and singular values of a convolution, the largest first.

    Parameters
    ----------
    eigenvalues
        By magnitude (C·H·W,).
    singular_values
        (C·H·W,).
    """

    eigenvalues: Complex[np.ndarray, " units"]
    singular_values: Float[np.ndarray, " units"]

    @property
    def spectral_radius(self) -> float:
        """Largest |λ|."""
        return float(np.abs(self.eigenvalues[0]))


@full_precision
def convolution_spectrum(
    weights: Float[Array | np.ndarray, "C C side side"], shape: tuple[int, int], *, padding: Padding = "circular"
) -> ConvolutionSpectrum:
    r"""Spectrum of a convolution of maps of `shape`, stride 1, with as many channels out as in.

    With circular padding a wave e^{i k·x} in all channels is mapped to the same wave, mixed by the C × C matrix

    .. math:: S(k) = Σ_d W_d e^{i k·d},

    d the offsets of the kernel and k the frequencies of the grid; the spectrum is the union over k, in
    O(HW C³) operations. With zero padding the (C·H·W)² matrix is written down.

    Parameters
    ----------
    weights
        W (out, in, side, side), side odd.
    shape
        H, W of the maps.
    padding
        "circular" or "zero".

    Raises
    ------
    ValueError
        If the weights are no square convolution, the kernel is larger than a circular map, or a zero-padded map has
        more than 8192 units (use `arnoldi` or `convolution_bounds`).
    """
    kernel, height, width = _checked(weights, shape)
    check_choice("padding", padding, ("circular", "zero"))
    if padding == "circular":
        require(min(height, width) >= kernel.shape[2], f"shape {(height, width)} is smaller than the kernel, "
                f"{kernel.shape[2]} × {kernel.shape[2]}: it would wrap onto itself")  # fmt: skip
        symbols = np.asarray(_symbols(kernel, height, width)).reshape(-1, *kernel.shape[:2])
        values, singular = np.linalg.eigvals(symbols).reshape(-1), np.linalg.svd(symbols, compute_uv=False).reshape(-1)
    else:
        matrix = np.asarray(convolution_matrix(kernel, (height, width)))
        values, singular = np.linalg.eigvals(matrix), np.linalg.svd(matrix, compute_uv=False)
    order = np.argsort(-np.abs(values), kind="stable")
    return ConvolutionSpectrum(values[order].astype(complex), -np.sort(-singular))


@full_precision
def convolution_matrix(
    weights: Float[Array | np.ndarray, "C C side side"], shape: tuple[int, int]
) -> Float[Array, "units units"]:
    """The matrix of a zero-padded convolution, rows = to, columns = from, units in the order (H, W, C).

    Raises
    ------
    ValueError
        If the weights are no square convolution, or there are more than 8192 units.
    """
    kernel, height, width = _checked(weights, shape)
    units = kernel.shape[0] * height * width
    require(
        units <= _LARGEST_DENSE,
        f"a map of shape {height} × {width} × {kernel.shape[0]} has {units} units, more than {_LARGEST_DENSE}: its "
        "matrix is not written down; use arnoldi, or convolution_bounds",
    )
    return _matrix(kernel, height, width)


class ConvolutionBounds(NamedTuple):
    """Certified bounds of a zero-padded convolution A, for maps of one shape.

    ``singular`` ≥ σ_max(A) ≥ |λ|; ``symmetric`` ≥ λ_max((A + Aᵀ)/2) ≥ Re λ.
    """

    singular: Float[Array, ""]
    symmetric: Float[Array, ""]


@full_precision
def convolution_bounds(
    weights: Float[Array | np.ndarray, "C C side side"], shape: tuple[int, int]
) -> ConvolutionBounds:
    """Upper bounds of the spectrum of a zero-padded convolution; differentiable in the weights.

    A zero-padded convolution is a circular one on a torus that is (side − 1)/2 longer per axis, restricted to maps
    that vanish on the margin and read out off the margin. Restriction can lower neither bound's left side below the
    truth: σ_max and the largest eigenvalue of the symmetric part of the torus, which are maxima over its frequencies,
    bound those of A. (A torus of n + side − 1 is usually quoted; half the margin is enough.) They are computed in the
    float type of the weights and hold but for its rounding; `stability_certificate` allows for that.

    Parameters
    ----------
    weights
        W (out, in, side, side), side odd.
    shape
        H, W of the maps.

    Raises
    ------
    ValueError
        If the weights are no square convolution.

    References
    ----------
    Sedghi, Gupta & Long (2019), The singular values of convolutional layers, ICLR, for circular padding.
    """
    return _bounds(*_checked(weights, shape))


@eqx.filter_jit
def _bounds(kernel: Array, height: int, width: int) -> ConvolutionBounds:
    margin = kernel.shape[2] // 2
    symbols = _symbols(kernel, height + margin, width + margin)
    # real weights: frequencies k and −k have conjugate symbols, so half of them tell all
    half = symbols[: (height + margin) // 2 + 1].reshape(-1, *kernel.shape[:2])
    adjoint = half.conj().swapaxes(-1, -2)
    squares = jnp.linalg.eigvalsh(jnp.matmul(adjoint, half, precision=jax.lax.Precision.HIGHEST))
    return ConvolutionBounds(
        jnp.sqrt(jnp.maximum(jnp.max(squares), jnp.finfo(squares.dtype).tiny)),
        jnp.max(jnp.linalg.eigvalsh((half + adjoint) / 2)),
    )


def _symbols(kernel: Array, height: int, width: int) -> Complex[Array, "height width C C"]:
    """S(k) at the frequencies of the grid, by transforming the few offsets of the kernel along each axis."""
    margin = kernel.shape[2] // 2
    offsets = np.arange(-margin, margin + 1)
    waves = [np.exp(2j * np.pi * np.outer(np.arange(n), offsets) / n) for n in (height, width)]
    dtype = np.result_type(kernel.dtype, np.complex64)
    down, across = (jnp.asarray(wave, dtype) for wave in waves)
    return jnp.einsum("ya,xb,oiab->yxoi", down, across, kernel.astype(dtype), precision=jax.lax.Precision.HIGHEST)


def _matrix(kernel: Array, height: int, width: int) -> Array:
    units = kernel.shape[0] * height * width
    impulses = jnp.eye(units, dtype=kernel.dtype).reshape(units, height, width, kernel.shape[0])
    with jax.default_matmul_precision("highest"):
        return convolve(impulses, jnp.transpose(kernel, (2, 3, 1, 0))).reshape(units, units).T


def certified_bounds(weights: Array, shape: tuple[int, int]) -> tuple[float, float]:
    """`convolution_bounds` in float64 on the host, raised by what its own rounding can take off."""
    kernel = np.asarray(weights, np.float64)
    channels, margin = kernel.shape[0], kernel.shape[2] // 2
    height, width = (side + margin for side in shape)
    offsets = np.arange(-margin, margin + 1)
    down, across = (np.exp(2j * np.pi * np.outer(np.arange(n), offsets) / n) for n in (height, width))
    largest, symmetric = 0.0, -np.inf
    for row in down[: height // 2 + 1]:  # a row of frequencies at a time, for the memory
        symbols = np.einsum("a,xb,oiab->xoi", row, across, kernel, optimize=True)
        adjoint = symbols.conj().swapaxes(-1, -2)
        largest = max(largest, float(np.linalg.norm(symbols, 2, axis=(1, 2)).max()))
        symmetric = max(symmetric, float(np.linalg.eigvalsh((symbols + adjoint) / 2).max()))
    rounding = _MARGIN * channels * kernel.shape[2] ** 2 * np.finfo(np.float64).eps * largest
    return largest + rounding, symmetric + rounding


def _checked(weights: Array | np.ndarray, shape: Any) -> tuple[Array, int, int]:
    """The weights of a square convolution, and height and width of its maps."""
    kernel = as_real("weights", weights, "C C side side")
    require(kernel.size > 0, f"weights must hold at least one channel, got shape {kernel.shape}")
    side = kernel.shape[2]
    require(side % 2 == 1, f"weights must have an odd side, so that a kernel has a middle; got {side}")
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise TypeError(f"shape must be the height and width of the maps, got {told(shape)}")
    height, width = (check_integer("shape", length, minimum=1) for length in shape)
    return kernel, height, width


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
