"""From what a user writes for a nonlinearity to the object that computes with it."""

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from fisherjax._errors import require, suggest, told

from ._erf_mixture import Erf, Logistic, Tanh
from ._linear import Identity, ThresholdLinear
from ._nonlinearity import Nonlinearity
from ._piecewise import PiecewiseSmooth
from ._regularity import regularity
from ._smooth import SmoothFunction

NonlinearityLike: TypeAlias = str | Nonlinearity | Callable[..., Any]
"""φ: a name, a `Nonlinearity`, or a function of single numbers that JAX can differentiate."""


def rectified_tanh(x: jax.Array) -> jax.Array:
    """max(0, tanh x)."""
    return jnp.maximum(jnp.tanh(x), 0)


_BY_NAME: dict[str, Callable[[], Nonlinearity]] = {
    "tanh": Tanh,
    "erf": Erf,
    "relu": ThresholdLinear,
    "threshold-linear": ThresholdLinear,
    "logistic": Logistic,
    "sigmoid": Logistic,
    "identity": Identity,
    "linear": Identity,
    "softplus": lambda: PiecewiseSmooth(jax.nn.softplus),
    "retanh": lambda: PiecewiseSmooth(rectified_tanh, kinks=(0.0,)),
}

# what else these are called; said, not accepted
_ALSO_CALLED = {
    "expit": "logistic", "id": "identity", "none": "identity", "rectified-linear": "relu", "rectifier": "relu",
    "rectify": "relu", "ramp": "relu", "hyperbolic-tangent": "tanh", "error-function": "erf",
    "threshold_linear": "threshold-linear", "rectified-tanh": "retanh", "rectified_tanh": "retanh",
}  # fmt: skip

# functions whose moments are known in closed form; the error function without a factor has slope 2/√π
_KNOWN: tuple[tuple[tuple[Any, ...], Callable[[], Nonlinearity]], ...] = (
    ((jnp.tanh, np.tanh, jax.lax.tanh, jax.nn.tanh, math.tanh), Tanh),
    ((jax.nn.relu,), ThresholdLinear),
    ((jax.nn.sigmoid, jax.lax.logistic, jax.scipy.special.expit, scipy.special.expit), Logistic),
    ((jax.lax.erf, jax.scipy.special.erf, scipy.special.erf, math.erf), lambda: Erf(2 / math.sqrt(math.pi))),
    ((jax.nn.identity,), Identity),
    ((rectified_tanh,), _BY_NAME["retanh"]),
)

_COARSE_NODES = 8


def as_nonlinearity(nonlinearity: Any) -> Nonlinearity:
    """Turn a name, a function or a `Nonlinearity` into a `Nonlinearity`.

    Parameters
    ----------
    nonlinearity
        A name: ``"tanh"``; ``"erf"``, with slope 1 at zero; ``"relu"`` or ``"threshold-linear"``, max(0, x);
        ``"logistic"`` or ``"sigmoid"``, 1/(1 + e^−x); ``"identity"`` or ``"linear"``, x; ``"softplus"``, log(1 + e^x);
        ``"retanh"``, max(0, tanh x). Or an elementwise continuous function that JAX can differentiate, which may have
        up to twelve kinks; or a `Nonlinearity`, for instance ``ThresholdLinear(0.5)``.

    Raises
    ------
    ValueError
        If the name is not known; if the function jumps, is not a number somewhere, or grows or varies too quickly.
    TypeError
        If it is neither a name nor a function of single numbers that JAX can differentiate.

    Examples
    --------
    >>> from fisherjax import nonlinearities
    >>> print(nonlinearities.as_nonlinearity("tanh"))
    Tanh()
    """
    if isinstance(nonlinearity, Nonlinearity):
        return nonlinearity
    if isinstance(nonlinearity, str):
        return _named(nonlinearity)
    for functions, make in _KNOWN:
        if any(nonlinearity is function for function in functions):
            return make()
    if inspect.isclass(nonlinearity) or not callable(nonlinearity):
        hint = f"; write {nonlinearity.__name__}()" if inspect.isclass(nonlinearity) else ""
        raise TypeError(f"nonlinearity must be a name or a function, got {told(nonlinearity)}{hint}")
    seen = regularity(nonlinearity)
    if seen is None:
        return SmoothFunction(nonlinearity)  # pyright: ignore[reportArgumentType]
    return PiecewiseSmooth(nonlinearity, *seen)  # pyright: ignore[reportArgumentType]


def coarse_nonlinearity(nonlinearity: Any) -> Nonlinearity:
    """The same nonlinearity with moments to 2e-9 instead of rounding, at a quarter of the cost, where there is one."""
    phi = as_nonlinearity(nonlinearity)
    return type(phi)(num_nodes=_COARSE_NODES) if isinstance(phi, Tanh | Logistic) else phi


def _named(name: str) -> Nonlinearity:
    if name in _BY_NAME:
        return _BY_NAME[name]()
    also = _ALSO_CALLED.get(name.lower().replace(" ", "-"))
    hint = f"; did you mean {also!r}?" if also else suggest(name, _BY_NAME)
    raise ValueError(f"nonlinearity must be one of {', '.join(_BY_NAME)} or a function; got {told(name)}{hint}")


def check_smooth(what: str, phi: Nonlinearity, instead: str = "") -> None:
    """Refuse a nonlinearity with a kink, for what there is no theory of it, with what to use instead.

    Raises
    ------
    ValueError
        If φ has a kink.
    """
    kinks = phi.kinks if isinstance(phi, PiecewiseSmooth) else ()
    if isinstance(phi, ThresholdLinear):
        kinks = (phi.threshold,)
    where = f"it has a kink at {kinks[0]:g}" if kinks else ""
    require(not kinks, f"{what} needs a smooth nonlinearity, but {where}{'; ' if instead else ''}{instead}")
