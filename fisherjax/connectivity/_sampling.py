"""From structure to one network: block-Gaussian weights and the law of their spectrum."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Complex, Float, Int

from fisherjax import _linalg, _runtime
from fisherjax._arrays import check_float_type
from fisherjax._errors import check_choice, check_key, require
from fisherjax._types import Key, Weights

from ._gain_matrix import GainMatrix, check_gain_matrix, population_index

ENSEMBLES = ("gaussian", "orthogonal")


def sample_weights(
    gain_matrix: GainMatrix,
    num_units: int,
    *,
    key: Key,
    ensemble: str = "gaussian",
    dtype: DTypeLike | None = None,
    devices: _runtime.Devices = None,
) -> Weights:
    """Draw the weights of one network: J_ij ~ N(M_{p(i)q(j)} / N, g²_{p(i)q(j)} / N), independent.

    Parameters
    ----------
    gain_matrix
        Structure; the weights are differentiable in its gains and means at a fixed key.
    ensemble
        ``"gaussian"``; or ``"orthogonal"``, for one population without means: J = g O with O uniform among orthogonal
        matrices (Haar).
    num_units
        Number of units N; population sizes are exact and sum to N.
    key
        JAX random key. The same key gives the same weights.
    dtype
        Float type; that of the gains by default.
    devices
        Divide the rows among devices, where they are also drawn, for weights that do not fit one: a number, ``"all"``,
        or what `fisherjax.device_mesh` takes.

    Returns
    -------
    Weights (N, N), rows = to, columns = from.

    Raises
    ------
    TypeError
        If `key` is not a JAX key.
    ValueError
        If a population would be left without a unit, the rows cannot be divided evenly, or the ensemble has no such
        structure.

    Examples
    --------
    >>> import jax
    >>> from fisherjax import connectivity
    >>> weights = connectivity.sample_weights(connectivity.homogeneous(1.2), 500, key=jax.random.key(0))
    >>> print(weights.shape, f"{500**0.5 * weights.std():.1f}")
    (500, 500) 1.2
    """
    key = check_key("key", key)
    orthogonal = check_ensemble(ensemble, check_gain_matrix(gain_matrix, means=True)) == "orthogonal"
    require(not orthogonal or devices is None, "devices must be None for orthogonal weights, which are drawn whole")
    index = population_index(gain_matrix, num_units)
    kind = gain_matrix.gains.dtype if dtype is None else check_float_type("dtype", dtype)
    means = None if gain_matrix.centered else gain_matrix.means
    mesh = _runtime.device_mesh(devices)
    if orthogonal:
        return gain_matrix.gains[0, 0].astype(kind) * jax.random.orthogonal(key, num_units, dtype=kind)
    if mesh is None:
        return _draw(key, gain_matrix.gains, means, index, kind, divided=False)
    require(
        num_units % mesh.size == 0,
        f"num_units={num_units} rows cannot be divided evenly among {mesh.size} devices; take a multiple",
    )
    with _runtime.on_devices(mesh):
        return _draw(key, gain_matrix.gains, means, index, kind, divided=True)


def check_ensemble(ensemble: str, gain_matrix: GainMatrix) -> str:
    """The ensemble, if the structure has weights of it.

    Raises
    ------
    ValueError
        If there is none of that name, or it is not known for such a structure.
    """
    check_choice("ensemble", ensemble, ENSEMBLES)
    count = gain_matrix.num_populations
    require(
        ensemble == "gaussian" or count == 1,
        f"ensemble='orthogonal' is known for one population, got {count}: what blocks of orthogonal matrices or chains "
        "keep is not derived; use ensemble='gaussian'",
    )
    require(
        ensemble == "gaussian" or gain_matrix.centered,
        "ensemble='orthogonal' has no means: they are of the Gaussian ensemble",
    )
    return ensemble


@jax.jit(static_argnames=("dtype", "divided"))
def _draw(
    key: Key,
    gains: Float[Array, "P P"],
    means: Float[Array, "P P"] | None,
    index: Int[Array, " N"],
    dtype: DTypeLike,
    *,
    divided: bool,
) -> Weights:
    count = len(index)
    deviations = (gains / jnp.sqrt(jnp.asarray(count, gains.dtype))).astype(dtype)
    weights = jax.random.normal(key, (count, count), dtype) * deviations[index][:, index]
    if means is not None:
        weights += (means / count).astype(dtype)[index][:, index]
    return _runtime.spread(weights, _runtime.AXES) if divided else weights


def spectral_radius(gain_matrix: GainMatrix) -> Float[Array, ""]:
    """Radius of the eigenvalue disc of the weights as N → ∞: √ρ(G), G_pq = g_pq² f_q; see also `spectral_outliers`.

    References
    ----------
    Aljadeff, Renfrew & Stern (2015), Eigenvalues of block structured asymmetric random matrices,
    J. Math. Phys. 56, 103502.

    Examples
    --------
    >>> from fisherjax import connectivity
    >>> print(f"{connectivity.spectral_radius(connectivity.homogeneous(1.5, 4)):.2f}")
    1.50
    """
    return _radius(check_gain_matrix(gain_matrix, means=True))


@jax.jit
def _radius(gain_matrix: GainMatrix) -> Float[Array, ""]:
    # relative to the largest, whose squares neither overflow nor vanish
    largest = jnp.max(gain_matrix.gains)
    relative = gain_matrix.gains / jnp.where(largest > 0, largest, 1)
    return largest * jnp.sqrt(_linalg.spectral_radius(relative**2 * gain_matrix.fractions))


def spectral_outliers(gain_matrix: GainMatrix) -> Complex[Array, " P"]:
    """Eigenvalues of the weights outside the disc, which their means make as N → ∞: those of M_pq f_q.

    At most P of them, the largest first; NaN for those within the disc of `spectral_radius`, where they are lost.

    References
    ----------
    Tao (2013), Outliers in the spectrum of iid matrices with bounded rank perturbations, Probab. Theory Relat. Fields
    155, 231–263.
    """
    values = jnp.linalg.eigvals(check_gain_matrix(gain_matrix, means=True).mean_gain)
    values = values[jnp.argsort(-jnp.abs(values))]
    return jnp.where(jnp.abs(values) > spectral_radius(gain_matrix), values, jnp.nan)


def weight_initializer(gain_matrix: GainMatrix) -> Callable[[Key, tuple[int, int], DTypeLike], Float[Array, "from to"]]:
    """Start a trainable network from a structure: ``networks.RNN(…, recurrent_initializer=weight_initializer(g))``.

    Returns
    -------
    A function ``(key, (from, to), dtype)`` as in ``jax.nn.initializers``; it draws `sample_weights`, transposed.

    Raises
    ------
    ValueError
        When it is called: if the shape is not square, or as `sample_weights`.
    """
    check_gain_matrix(gain_matrix, means=True)

    def draw(key: Key, shape: tuple[int, int], dtype: DTypeLike) -> Float[Array, "from to"]:
        require(shape[0] == shape[1], f"a gain matrix gives square recurrent weights, asked for shape {shape}")
        return sample_weights(gain_matrix, shape[0], key=key, dtype=dtype).T

    return draw
