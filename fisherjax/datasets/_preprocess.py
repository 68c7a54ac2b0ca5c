"""From pixels to stimuli: grey values, contrast normalisation, whitening."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_choice, check_integer, check_scalar, require
from fisherjax._types import Result, Scalar, as_float

LUMINANCE = (0.2125, 0.7154, 0.0721)  # of linear red, green and blue (ITU-R BT.709)


class Whitening(Result):
    """An affine map x → W (x − mean) after which pixels are uncorrelated with variance one."""

    mean: Float[Array, " D"]
    matrix: Float[Array, "K D"]
    """W: symmetric (D, D) for ZCA, its rows the leading principal components over their deviations for PCA."""


def intensities(images: object) -> Float[Array, "..."]:
    """Pixel values as floats in [0, 1]: bytes are divided by 255, floats are left as they are."""
    array = jnp.asarray(images)
    return array.astype(jnp.float32) / 255 if array.dtype == jnp.uint8 else as_float(array)


def grey(images: object) -> Float[Array, "*n height width"]:
    """Luminance Y = .2125 R + .7154 G + .0721 B of colour images (…, height, width, 3).

    Raises
    ------
    ValueError
        If the last axis does not hold three channels.
    """
    values = intensities(images)
    require(
        values.ndim >= 3 and values.shape[-1] == 3, f"images must have shape (…, height, width, 3), got {values.shape}"
    )
    return values @ jnp.asarray(LUMINANCE, values.dtype)


def normalize_contrast(images: object, *, offset: Scalar = 1e-4) -> Float[Array, "n *shape"]:
    """Each image less its mean, over √(variance + offset): global contrast normalisation.

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
    values = intensities(images)
    check_finite("images", values)
    axes = tuple(range(1, values.ndim))
    centred = values - jnp.mean(values, axis=axes, keepdims=True)
    variance = jnp.mean(centred**2, axis=axes, keepdims=True)
    scale = jnp.sqrt(variance + jnp.asarray(offset, values.dtype))
    return jnp.where(scale > 0, centred / jnp.where(scale > 0, scale, 1), 0)


def fit_whitening(
    images: object, *, method: str = "zca", num_components: int | None = None, regularization: Scalar = 1e-2
) -> Whitening:
    r"""Fit the map that whitens images, by default the one that changes them least (ZCA).

    With the covariance C = U Λ Uᵀ of the n images and a regularisation r relative to its mean eigenvalue λ̄,

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
    mean = jnp.mean(flat, axis=0)
    covariance = (flat - mean).T @ (flat - mean) / (len(flat) - 1)
    variances, directions = jnp.linalg.eigh(covariance)
    require(float(variances[-1]) > 0, "images must differ from each other, but all are the same")
    floor = jnp.asarray(regularization, flat.dtype) * jnp.mean(variances)
    least = jnp.finfo(flat.dtype).eps * flat.shape[1] * variances[-1]
    kept = jnp.maximum(variances, 0) + floor
    scale = jnp.where(kept > least, 1 / jnp.sqrt(jnp.maximum(kept, least)), 0)
    if method == "zca":
        return Whitening(mean, (directions * scale) @ directions.T)
    return Whitening(mean, (directions * scale)[:, ::-1][:, :count].T)


def whiten(images: object, whitening: Whitening) -> Float[Array, "n K"]:
    """Whitened images as rows, by a map from `fit_whitening`; ZCA rows reshape to images.

    Raises
    ------
    ValueError
        If the images have another number of pixels.
    """
    flat = _flat(images).astype(whitening.matrix.dtype)
    pixels = whitening.mean.shape[0]
    require(flat.shape[1] == pixels, f"images must have {pixels} pixels like those of the fit, got {flat.shape[1]}")
    return (flat - whitening.mean) @ whitening.matrix.T


def _flat(images: object) -> Float[Array, "n D"]:
    values = intensities(images)
    require(values.ndim >= 2, f"images must have shape (n, …), got {values.shape}")
    check_finite("images", values)
    return values.reshape(values.shape[0], -1)
