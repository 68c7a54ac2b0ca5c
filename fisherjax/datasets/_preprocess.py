"""From pixels to stimuli: gray values, contrast normalization, whitening."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_instance, check_integer, check_scalar, is_traced, require
from fisherjax._types import ArrayLike, Record, Scalar

_FLAT = 4.0  # in units of rounding: less is no contrast
LUMINANCE = (0.2125, 0.7154, 0.0721)  # of linear red, green and blue (ITU-R BT.709)


class Whitening(Record):
    """An affine map x → W (x − mean) after which pixels are uncorrelated with variance one."""

    mean: Float[Array, " D"]
    matrix: Float[Array, "K D"]
    """W: symmetric (D, D) for ZCA, its rows the leading principal components over their deviations for PCA."""


def intensities(images: ArrayLike) -> Float[Array, "..."]:
    """Pixel values as floats: whole numbers as in files become [0, 1], floats and Booleans are left as they are.

    Whole numbers from 0 to 255, of any type, are bytes and are divided by 255; 16-bit ones (uint16 with a value above
    255) are divided by 65535.

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    ValueError
        If a value is not finite; if whole numbers are neither of these, or wider than a byte and none is above 1, which
        may be black and white or nearly black.
    """
    return _scaled(*_pixels(images))


def gray(images: ArrayLike) -> Float[Array, "*n height width"]:
    """Luminance Y = .2125 R + .7154 G + .0721 B of color images (…, height, width, 3).

    Raises
    ------
    ValueError
        If the last axis does not hold three channels.
    """
    pixels, kind = _pixels(images)
    shape = pixels.shape
    hint = "; channels are last here: numpy.moveaxis(images, -3, -1)" if len(shape) > 2 and shape[-3] == 3 else ""
    require(len(shape) >= 3 and shape[-1] == 3, f"images must have shape (…, height, width, 3), got {shape}{hint}")
    values = _scaled(pixels, kind)
    return values @ jnp.asarray(LUMINANCE, values.dtype)


def normalize_contrast(images: ArrayLike, *, offset: Scalar = 1e-4) -> Float[Array, "n *shape"]:
    """Each image less its mean, over √(variance + offset): global contrast normalization.

    Parameters
    ----------
    images
        (n, …); bytes are divided by 255.
    offset
        Variance below which an image is nearly left alone, so that flat ones do not become noise.

    Raises
    ------
    ValueError
        If a value is not finite or the offset is negative.
    """
    check_scalar("offset", offset, minimum=0.0)
    values = _several(images)
    axes = tuple(range(1, values.ndim))
    # by its largest entry, so that no square overflows
    largest = jnp.max(jnp.abs(values), axis=axes, keepdims=True)
    centered = (values - jnp.mean(values, axis=axes, keepdims=True)) / jnp.where(largest > 0, largest, 1)
    # twice, since the mean of a flat image is its value only up to rounding
    centered = centered - jnp.mean(centered, axis=axes, keepdims=True)
    flat = jnp.max(jnp.abs(centered), axis=axes, keepdims=True) <= _FLAT * jnp.finfo(values.dtype).eps
    relative = jnp.sqrt(jnp.asarray(offset, values.dtype)) / jnp.where(flat, 1, largest)
    scale = jnp.sqrt(jnp.mean(centered**2, axis=axes, keepdims=True) + relative**2)
    return jnp.where(flat, 0, centered / jnp.where(flat, 1, scale))


def fit_whitening(
    images: ArrayLike, *, method: str = "zca", num_components: int | None = None, regularization: Scalar = 1e-2
) -> Whitening:
    r"""Fit the map that whitens images, by default the one that changes them least (ZCA).

    With the covariance C = U Λ Uᵀ of the n images and a regularization r relative to its mean eigenvalue λ̄,

    .. math::
        W_{ZCA} = U (Λ + r \bar λ)^{-1/2} U^T, \qquad W_{PCA} = (Λ_K + r \bar λ)^{-1/2} U_K^T.

    Parameters
    ----------
    images
        (n, …), at least two; bytes are divided by 255.
    method
        ``"zca"``, or ``"pca"``, whose result has `num_components` entries instead of pixels.
    num_components
        K of PCA; all min(n − 1, D) by default.
    regularization
        r ≥ 0. At 0 directions without variance are left out.

    Raises
    ------
    ValueError
        If there are fewer than two images, all are alike, or an option is out of range.

    References
    ----------
    Bell & Sejnowski (1997), The independent components of natural scenes are edge filters, Vision Res. 37.
    """
    check_choice("method", method, ("zca", "pca"))
    check_scalar("regularization", regularization, minimum=0.0)
    flat = _flat(images)
    require(len(flat) >= 2, f"images must hold at least two images, got {len(flat)}")
    largest = min(len(flat) - 1, flat.shape[1])
    count = largest if num_components is None else check_integer("num_components", num_components, minimum=1)
    require(method == "pca" or num_components is None, "num_components is for method='pca'")
    require(count <= largest, f"num_components must be at most {largest} (images − 1, pixels), got {count}")
    if not is_traced(flat):
        rounding = _FLAT * float(jnp.finfo(flat.dtype).eps) * float(jnp.max(jnp.abs(flat)))
        spread = float(jnp.max(jnp.ptp(flat, axis=0)))
        require(spread > rounding, "images must differ from each other, but all are the same up to rounding")
    mean = jnp.mean(flat, axis=0)
    covariance = (flat - mean).T @ (flat - mean) / (len(flat) - 1)
    variances, directions = jnp.linalg.eigh(covariance)
    floor = jnp.asarray(regularization, flat.dtype) * jnp.mean(variances)
    least = jnp.finfo(flat.dtype).eps * flat.shape[1] * variances[-1]
    kept = jnp.maximum(variances, 0) + floor
    scale = jnp.where(kept > least, 1 / jnp.sqrt(jnp.maximum(kept, least)), 0)
    if method == "zca":
        return Whitening(mean, (directions * scale) @ directions.T)
    return Whitening(mean, (directions * scale)[:, ::-1][:, :count].T)


def whiten(images: ArrayLike, whitening: Whitening) -> Float[Array, "n K"]:
    """Whitened images as rows, by a map from `fit_whitening`; ZCA rows reshape to images.

    Raises
    ------
    ValueError
        If the images have another number of pixels.
    """
    check_instance("whitening", whitening, Whitening, "datasets.fit_whitening makes one")
    flat = _flat(images).astype(whitening.matrix.dtype)
    pixels = whitening.mean.shape[0]
    require(flat.shape[1] == pixels, f"images must have {pixels} pixels like those of the fit, got {flat.shape[1]}")
    return (flat - whitening.mean) @ whitening.matrix.T


def _pixels(images: Any) -> tuple[Array, Any]:
    """Finite numbers, and the type in which they came; bytes become float32, which holds them all."""
    kind = getattr(images, "dtype", None)
    values = as_real("images", images, dtype=jnp.float32 if kind == np.uint8 else None)
    return values, np.asarray(images).dtype if kind is None else kind


def _scaled(values: Array, kind: Any) -> Array:
    if not jnp.issubdtype(kind, jnp.integer):
        return values
    if kind == np.uint8 or is_traced(values) or values.size == 0:
        return values / 255
    least, most = float(jnp.min(values)), float(jnp.max(values))
    deep = kind == np.uint16 and most > 255
    require(
        least >= 0 and (most <= 255 or deep),
        f"images must be bytes (0 to 255), 16-bit (uint16) or floats, got {kind} from {least:g} to {most:g}",
    )
    require(
        most != 1,
        f"images hold only 0 and 1 as {kind}: for black and white make them Booleans or floats, for bytes uint8",
    )
    return values / (65535 if deep else 255)


def _several(images: ArrayLike) -> Float[Array, "n *shape"]:
    values, kind = _pixels(images)
    require(
        values.ndim >= 2 and values.size > 0, f"images must have shape (n, …) with pixels in each, got {values.shape}"
    )
    return _scaled(values, kind)


def _flat(images: ArrayLike) -> Float[Array, "n D"]:
    values = _several(images)
    return values.reshape(values.shape[0], -1)
