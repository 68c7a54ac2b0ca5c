"""A small feed-forward network that reads the orientation of an image."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_key
from fisherjax._types import Key, Record


class AngleNetwork(Record):
    """Layers size² → size → 20 → 2 with ReLU between them; the output points along (cos 2θ, sin 2θ)."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @property
    def size(self) -> int:
        """Side of the images it reads."""
        return math.isqrt(self.weights[0].shape[1])

    def __call__(self, image: Float[Array, "size size"]) -> Float[Array, "2"]:
        """Output for one image."""
        state = image.ravel()
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            state = jax.nn.relu(weights @ state + biases)
        return self.weights[-1] @ state + self.biases[-1]


def angle_network(*, key: Key, size: int = 21, hidden: int = 20) -> AngleNetwork:
    """Build an untrained `AngleNetwork`, weights and biases uniform within ±1/√(fan in).

    Parameters
    ----------
    key
        JAX random key.
    size
        Side D of the images; layers are D² → D → `hidden` → 2.
    hidden
        Units of the second hidden layer.

    Raises
    ------
    ValueError
        If a size is below 1.
    TypeError
        If `key` is not a JAX key.
    """
    size = check_integer("size", size, minimum=2)
    hidden = check_integer("hidden", hidden, minimum=1)
    widths = (size * size, size, hidden, 2)
    weights, biases = [], []
    for layer_key, inputs, outputs in zip(jax.random.split(check_key("key", key), 3), widths, widths[1:], strict=False):
        bound = 1 / math.sqrt(inputs)
        weight_key, bias_key = jax.random.split(layer_key)
        weights.append(jax.random.uniform(weight_key, (outputs, inputs), minval=-bound, maxval=bound))
        biases.append(jax.random.uniform(bias_key, (outputs,), minval=-bound, maxval=bound))
    return AngleNetwork(tuple(weights), tuple(biases))


def decode_angle(output: Float[Array, "*trials 2"]) -> Float[Array, "*trials"]:
    """Orientation in [0, π) that an output points to, ½ atan2(y, x)."""
    output = as_real("output", output, "... 2")
    return jnp.mod(jnp.arctan2(output[..., 1], output[..., 0]) / 2, math.pi)
