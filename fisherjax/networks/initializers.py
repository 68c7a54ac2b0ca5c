"""Initial weights. Each function returns an `Initializer`; any ``jax.nn.initializers`` function serves as well."""

import abc
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import check_choice, check_scalar, require, told
from fisherjax._memory_gain import memory_gain
from fisherjax._types import ArrayLike, Key, Scalar

from ._balance import balanced_weights
from ._pattern import Pattern
from ._weights import Matrix, impose

__all__ = [
    "Initializer",
    "InitializerLike",
    "as_initializer",
    "balanced",
    "from_weights",
    "gaussian",
    "glorot",
    "orthogonal",
    "spectral_radius",
    "uniform",
]


class Initializer(eqx.Module):
    """A law of initial weights that knows which connections exist and which signs are fixed."""

    @abc.abstractmethod
    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        """Weights (to, from) that obey the pattern."""

    def radius_of(self, drawn: float) -> float:
        """The spectral radius for weights of low rank, whose nearest matrix to the drawn one has radius `drawn`."""
        return drawn


InitializerLike: TypeAlias = str | Initializer | Callable[..., Any]
"""A name, an `Initializer`, or a function ``(key, (in, out), dtype)`` as in ``jax.nn.initializers``."""


class _Plain(Initializer):
    """A function ``(key, shape, dtype)`` as in ``jax.nn.initializers``, which takes (in, out) matrices."""

    function: Callable[..., Any] = eqx.field(static=True)

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        with jax.numpy_dtype_promotion("standard"):
            try:
                drawn = self.function(key, shape[::-1], dtype)
            except TypeError as error:
                raise TypeError("an initializer must be a function of (key, (in, out), dtype)") from error
        wanted = f"{shape[1]} {shape[0]}"
        return impose(as_real("the weights (in, out) of an initializer", drawn, wanted, dtype=dtype).T, pattern)


class _Gaussian(Initializer):
    gain: float = eqx.field(static=True)

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        drawn = jax.random.normal(key, shape, dtype) * (self.gain / np.sqrt(_fan_in(shape, pattern, dtype)))
        return impose(drawn, pattern)


class _Uniform(Initializer):
    bound: float | None = eqx.field(static=True)

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        bound = 1 / np.sqrt(_fan_in(shape, pattern, dtype)) if self.bound is None else self.bound
        return impose(jax.random.uniform(key, shape, dtype, minval=-1, maxval=1) * bound, pattern)


class _Balanced(Initializer):
    gain: float = eqx.field(static=True)

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        return balanced_weights(impose(jax.random.normal(key, shape, dtype), pattern), pattern, self.gain)

    def radius_of(self, drawn: float) -> float:
        """At most the gain: |M| |L|ᵀ is not balanced, however its start was."""
        return min(drawn, self.gain)


class _SpectralRadius(Initializer):
    radius: float = eqx.field(static=True)
    base: Initializer

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:
        require(shape[0] == shape[1], f"a spectral radius needs square weights, got shape {shape}")
        weights = self.base(key, shape, dtype, pattern)
        drawn = float(np.max(np.abs(np.linalg.eigvals(np.asarray(weights, np.float64)))))
        require(drawn > 0, "spectral_radius: the weights of its base have radius 0 and cannot be scaled to another")
        return weights * (self.radius / drawn)

    def radius_of(self, drawn: float) -> float:  # noqa: ARG002
        """As asked."""
        return self.radius


class _Given(Initializer):
    weights: np.ndarray

    def __call__(self, key: Key, shape: tuple[int, int], dtype: Any, pattern: Pattern) -> Matrix:  # noqa: ARG002
        require(self.weights.shape == shape, f"weights must have shape {shape}, got {self.weights.shape}")
        values = self.weights
        if pattern.signs is not None:
            require(not np.any(values * pattern.signs < 0), "the given weights break the signs that Dale's law fixes")
        if pattern.mask is not None:
            require(not np.any(values[~pattern.mask]), "the given weights are not zero where there is no connection")
        return jnp.asarray(values, dtype)


def gaussian(gain: Scalar = 1.0) -> Initializer:
    """W_ij ~ N(0, g²/K_i), K_i the number of connections onto unit i; spectral radius ≈ g for large N.

    Where signs are fixed it is |W_ij| with that sign, and one eigenvalue grows with √N: take `balanced` there, or
    `spectral_radius`.
    """
    return _Gaussian(_positive("gain", gain))


def uniform(bound: Scalar | None = None) -> Initializer:
    """W_ij uniform within ±`bound`; within ±1/√K_i by default, K_i the number of connections onto unit i."""
    return _Uniform(None if bound is None else _positive("bound", bound))


def glorot() -> Initializer:
    """Uniform within ±√(6/(fan in + fan out))."""
    return _Plain(jax.nn.initializers.glorot_uniform())


def orthogonal(
    gain: Scalar | Literal["memory"] = 1.0,
    *,
    delay: int | None = None,
    noise_std: Scalar = 0.0,
    input_variance: Scalar | None = None,
) -> Initializer:
    """`gain` times a random orthogonal matrix; masks and signs are imposed on it afterwards.

    With ``gain="memory"`` it is `connectivity.memory_gain`, that with which tanh units keep what they heard over a
    `delay` under the process noise `noise_std`: somewhat above 1. `input_variance` is that of an input weight, 1/15 by
    default, as five inputs have it with `uniform`.

    Raises
    ------
    ValueError
        If the gain is neither a positive number nor ``"memory"``, or `delay` is missing, or given beside a number.
    """
    if isinstance(gain, str):
        require(gain == "memory", f"gain must be a positive number or 'memory', got {gain!r}")
        if delay is None:
            raise ValueError("delay must be given for gain='memory': the steps over which it is to remember")
        variance = _FIVE_INPUTS if input_variance is None else input_variance
        gain = memory_gain(delay, noise_std=noise_std, input_variance=variance)
    else:
        require(delay is None, "delay belongs to gain='memory'")
    return _Plain(jax.nn.initializers.orthogonal(_positive("gain", gain)))


_FIVE_INPUTS = 1 / 15


def balanced(gain: Scalar = 1.0) -> Initializer:
    """Excitation and inhibition cancel in every row, Σ_j W_ij = 0, and Σ_j W_ij² = g².

    Without it Dale's law gives the weights one eigenvalue of order √N, and the network saturates. The default wherever
    signs are fixed. The eigenvalues then fill a disc of radius √(1 − 2/π) g = 0.6 g.

    In a `MultiRegion` every source region cancels by itself. What only excites, as most projections between regions
    do, cannot cancel: weights between regions are weakened by a common factor where their means would otherwise have an
    eigenvalue above g/2. A row of one sign has Σ_j |W_ij| = g. Where all connections have one sign, or a mask leaves a
    larger eigenvalue, the spectral radius is g and a RuntimeWarning says so.

    References
    ----------
    Rajan & Abbott (2006), Eigenvalue spectra of random matrices for neural networks, Phys. Rev. Lett. 97, 188104.
    """
    return _Balanced(_positive("gain", gain))


def spectral_radius(radius: Scalar = 1.0, base: InitializerLike = "gaussian") -> Initializer:
    """Weights of another initializer scaled so that their largest |eigenvalue|, constraints imposed, is `radius`."""
    return _SpectralRadius(_positive("radius", radius), as_initializer("base", base))


def from_weights(weights: ArrayLike) -> Initializer:
    """Start from given weights (to, from), for instance those of `connectivity.sample_weights`.

    Raises
    ------
    ValueError
        If they are not finite; when a network is built: if their shape, zeros or signs do not fit its constraints.
    """
    return _Given(host_real("weights", weights, "to from"))


_BY_NAME: dict[str, Callable[[], Initializer]] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "glorot": glorot,
    "orthogonal": orthogonal,
    "balanced": balanced,
    "spectral-radius": spectral_radius,
}


def as_initializer(name: str, value: InitializerLike) -> Initializer:
    """Turn a name, an `Initializer` or a function ``(key, (in, out), dtype)`` into an `Initializer`.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If it is none of them.
    """
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        return _BY_NAME[check_choice(name, value, _BY_NAME)]()
    if callable(value):
        return _Plain(value)
    raise TypeError(f"{name} must be a name ({', '.join(_BY_NAME)}), an Initializer or a function, got {told(value)}")


def _positive(name: str, value: Scalar) -> float:
    check_scalar(name, value, minimum=0.0)
    return float(value)


def _fan_in(shape: tuple[int, int], pattern: Pattern, dtype: Any) -> np.ndarray:
    """Connections onto every unit, (to, 1)."""
    count = np.full((shape[0], 1), shape[1]) if pattern.mask is None else pattern.mask.sum(axis=1, keepdims=True)
    return np.maximum(count, 1).astype(dtype)
