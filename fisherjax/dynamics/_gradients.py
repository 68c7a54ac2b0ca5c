"""How gradients grow on their way back through one given network: products of its Jacobians along trials."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_key, require
from fisherjax._linalg import standard_normal
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.networks import Network
from fisherjax.networks._weights import resolved


class GradientSpectrum(Record):
    """Singular values of ∂x(T)/∂x(1) along trials, and the mean-square gain of gradients on their way."""

    log_singular_values: Float[np.ndarray, "n S"]
    """ln s of every trial, largest first; NaN where rounding beside the largest hides it, −∞ where nothing passes"""
    gain: Float[np.ndarray, " T"]
    """Mean over trials of |∂x(T)/∂x(t)|²/S for t = 1…T, at last 1; `meanfield.gradient_gain` predicts it"""

    @property
    def isometry(self) -> float:
        """Root mean square of ln s, 0 where gradients keep their length; what rounding hides counts as the smallest."""
        logs = self.log_singular_values
        least = np.nanmin(logs, axis=1, keepdims=True)
        return float(np.sqrt(np.mean(np.where(np.isnan(logs), least, logs) ** 2)))


@full_precision
def gradient_spectrum(network: Network, inputs: ArrayLike, *, key: Key | None = None) -> GradientSpectrum:
    r"""Growth of gradients through a network, along trials that begin at rest.

    .. math::
        \frac{∂x(T)}{∂x(t)} = J(T) ⋯ J(t + 1), \qquad J(k) = \frac{∂x(k)}{∂x(k − 1)}

    A criterion that people ask of initial networks. It does not rank them well: `fisher.linear_decodability` does.

    Parameters
    ----------
    network
        Any network.
    inputs
        Inputs of trials (T, n, \*I), two steps or more.
    key
        JAX random key of process noise; None for none.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or a trial or its Jacobians leave the floats.
    """
    check_instance("network", network, Network, "such as networks.RNN(2, 64, 1, key=key)")
    shape = network.input_shape
    require(shape is not None, f"inputs cannot enter: the step of this {type(network).__name__} takes no input")
    given = as_real("inputs", inputs, " ".join(["T", "n", *map(str, shape or ())]), dtype=network.dtype)
    require(len(given) >= 2, f"inputs must have at least two steps, got {len(given)}")
    key = None if key is None else check_key("key", key)
    values, scale, squares = (np.asarray(part, np.float64) for part in _products(network, given, key))
    require(bool(np.isfinite(values).all()), "inputs lead to trials whose states or Jacobians are not finite")
    size = values.shape[1]
    seen = values > size * float(jnp.finfo(network.dtype).eps) * values[:, :1]
    logs = np.log(values, out=np.full_like(values, np.nan), where=seen) + scale[:, None]
    logs[values[:, 0] == 0] = -np.inf  # nothing passes, as along a chain that ends
    return GradientSpectrum(logs, np.append(np.mean(squares, axis=0), 1.0))


@eqx.filter_jit
def _products(
    network: Network, inputs: Array, key: Key | None
) -> tuple[Float[Array, "n S"], Float[Array, " n"], Float[Array, "n times"]]:
    """Singular values, divided by e to what follows, and |∂x(T)/∂x(t)|²/S for t = 1…T − 1; a trial at a time."""
    ready = resolved(network)
    size = network.state_size
    start = ready.resting_state
    noise = None if key is None else standard_normal(key, (*inputs.shape[:2], size), start.dtype)

    def of_trial(given: tuple[Array, Array | None]) -> tuple[Array, Array, Array]:
        def forward(state: Array, now: tuple[Array, Array | None]) -> tuple[Array, Array]:
            after = ready.step(state, *now)
            return after, state

        def back(later: tuple[Array, Array], now: Any) -> tuple[tuple[Array, Array], Array]:
            product, scale = later
            state, *entering = now
            product = product @ jax.jacfwd(lambda x: ready.step(x, *entering))(state)
            norm = jnp.linalg.norm(product) / size**0.5
            scale += jnp.log(norm)
            return (product / jnp.where(norm > 0, norm, 1), scale), jnp.exp(2 * scale)

        before = jax.lax.scan(forward, start, given)[1]
        begun = (jnp.eye(size, dtype=start.dtype), jnp.zeros((), start.dtype))
        (product, scale), squares = jax.lax.scan(
            back, begun, jax.tree.map(lambda part: part[1:], (before, *given)), reverse=True
        )
        return jnp.linalg.svd(product, compute_uv=False), scale, squares

    trials = (jnp.swapaxes(inputs, 0, 1), None if noise is None else jnp.swapaxes(noise, 0, 1))
    return jax.lax.map(of_trial, trials)
