"""Fisher information in every layer of a model that has no time, from noise in its input and in its layers."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, check_scalar, float_output_of, output_of, require, told
from fisherjax._runtime import full_precision
from fisherjax._types import Record, Scalar, Stimulus


class LayerInformation(Record):
    """Linear Fisher information about a parameter of the input, in the input and in every layer.

    Parameters
    ----------
    names
        Of the layers.
    information
        Of each (L,), in 1/θ²; for K parameters (L, K, K).
    of_input
        Of the input itself under its noise, which no layer exceeds.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    information: Float[np.ndarray, "L *KK"]
    of_input: Float[np.ndarray, "*KK"]

    @property
    def share(self) -> Float[np.ndarray, " L"]:
        """Part of the input's information that is left in each layer; of several parameters the mean over them.

        That is tr(I_input⁻¹ I)/K, which does not depend on the units of the parameters.
        """
        whole = np.atleast_2d(self.of_input)
        parts = self.information.reshape(len(self.names), *whole.shape)
        return np.array([np.trace(np.linalg.solve(whole, part)) / len(whole) for part in parts])


@full_precision
def layer_information(
    layers: Callable[[Any], Any],
    input_of: Callable[[Any], Array],
    stimulus: Stimulus,
    *,
    input_noise_std: Scalar,
    unit_noise_std: Scalar = 0.0,
) -> LayerInformation:
    r"""Linear Fisher information in every layer of a feed-forward model, for small noise of its input.

    With a layer's activity a(x), its slope J = ∂a/∂x and x' = ∂x/∂θ,

    .. math:: I = (J x')^T (σ_{in}^2 J J^T + σ^2 1)^{+} J x',

    independent noise σ of every unit counted once, in the layer that is read. Of a linear layer it is exact; without
    unit noise it is at most that of the input, ‖x'‖²/σ_in², and falls from layer to layer.

    Parameters
    ----------
    layers
        From an input to the activities of all layers: a list, or a dictionary by name, of arrays of any shape. Of an
        Equinox model a loop over its layers, of a Flax model what ``capture_intermediates`` keeps.
    input_of
        From the parameter θ to the input, differentiable.
    stimulus
        θ, scalar, or (K,) for Fisher matrices.
    input_noise_std
        σ_in, of every number of the input.
    unit_noise_std
        σ.

    Returns
    -------
    LayerInformation

    Raises
    ------
    ValueError
        If a number is out of range, or a layer is empty.
    TypeError
        If a function cannot be traced, or gives something else.
    """
    check_callable("layers", layers)
    check_callable("input_of", input_of)
    check_scalar("input_noise_std", input_noise_std, minimum=0.0, strict=True)
    check_scalar("unit_noise_std", unit_noise_std, minimum=0.0)
    theta = as_real("stimulus", stimulus, dtype=jnp.result_type(float))
    require(theta.ndim <= 1, f"stimulus must be one number, or (K,), got shape {theta.shape}")
    shown = float_output_of("input_of", input_of, theta)
    names = tuple(_named(output_of("layers", layers, jax.ShapeDtypeStruct(shown.shape, shown.dtype))))
    noise = jnp.asarray([input_noise_std, unit_noise_std], theta.dtype)
    values, whole = _information(layers, input_of, theta, noise)
    shape = () if theta.ndim == 0 else (theta.size, theta.size)
    parts = np.stack([np.asarray(value).reshape(shape) for value in values])
    return LayerInformation(names, parts, np.asarray(whole).reshape(shape))


def _named(activities: Any) -> dict[str, Any]:
    """Layers by name, numbered if they have none."""
    if isinstance(activities, Mapping):
        named = {str(name): value for name, value in activities.items()}
    elif isinstance(activities, list | tuple):
        named = {f"layer {index}": value for index, value in enumerate(activities)}
    else:
        raise TypeError(f"layers must return a list or a dictionary of arrays, got {told(activities)}")
    for name, value in named.items():
        if not jnp.issubdtype(getattr(value, "dtype", jnp.dtype(int)), jnp.floating):
            raise TypeError(f"layers: {name} must be an array of floats, got {told(value)}")
        require(value.size > 0, f"layers: {name} has no units")
    require(bool(named), "layers must return at least one layer")
    return named


@eqx.filter_jit
def _information(
    layers: Callable[[Any], Any], input_of: Callable[[Any], Array], theta: Array, noise: Array
) -> tuple[list[Array], Array]:
    """Information of every layer (K, K), and of the input."""
    shown, slope = input_of(theta), jax.jacfwd(input_of)(theta)
    slope = slope.reshape(shown.size, -1)  # x' (d, K)

    def flat(vector: Array) -> list[Array]:
        return [value.reshape(-1) for value in _named(layers(vector.reshape(shown.shape))).values()]

    _, push = jax.linearize(flat, shown.reshape(-1))
    columns = jax.vmap(push, out_axes=1)(jnp.eye(shown.size, dtype=shown.dtype))  # J of every layer (p, d)
    return [_of_layer(jacobian, slope, noise) for jacobian in columns], slope.T @ slope / noise[0] ** 2


def _of_layer(jacobian: Array, slope: Array, noise: Array) -> Array:
    """By the smaller of JᵀJ and JJᵀ; directions that the layer does not see at all are left out."""
    units, inputs = jacobian.shape
    wide = units < inputs
    product = jacobian @ jacobian.T if wide else jacobian.T @ jacobian
    strength, directions = jnp.linalg.eigh(product)
    along = directions.T @ (jacobian @ slope if wide else slope)
    seen = strength > strength[-1] * len(strength) * jnp.finfo(strength.dtype).eps
    variance = jnp.where(seen, noise[0] ** 2 * strength + noise[1] ** 2, 1)
    weight = jnp.where(seen, (1 if wide else strength) / variance, 0)
    return (along * weight[:, None]).T @ along
