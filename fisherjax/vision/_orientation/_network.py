"""A small feed-forward network whose outputs encode an angle, and how they are encoded and decoded."""

import math
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_key
from fisherjax._types import Key, Record
from fisherjax.nonlinearities import Nonlinearity, ThresholdLinear, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

Encoding = Literal["vector", "population", "scalar"]

_TUNED = 8  # outputs of a population
_POWER = 6  # of its tuning ((1 + cos)/2)^6, whose harmonics end at 6: none is taken for the first by eight outputs
_FIRST = 99 / 512  # ⟨((1 + cos x)/2)^6 cos x⟩
_NUM_OUTPUTS: dict[str, int] = {"vector": 2, "population": _TUNED, "scalar": 1}


class AngleNetwork(Record):
    """Layers size² → size → 20 → outputs, with a nonlinearity between them; the outputs encode an angle.

    Parameters
    ----------
    weights, biases
        Of the three layers.
    nonlinearity
        φ of the hidden units.
    encoding, symmetry
        What the outputs stand for, as of `decode_angle`.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    nonlinearity: Nonlinearity = eqx.field(static=True, default=ThresholdLinear())
    encoding: str = eqx.field(static=True, default="vector")
    symmetry: int = eqx.field(static=True, default=2)

    @property
    def size(self) -> int:
        """Side of the images it reads."""
        return math.isqrt(self.weights[0].shape[1])

    def __call__(self, image: Float[Array, "size size"]) -> Float[Array, " outputs"]:
        """Output for one image."""
        state = image.ravel()
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            state = self.nonlinearity(weights @ state + biases)
        return self.weights[-1] @ state + self.biases[-1]


def angle_network(
    *,
    key: Key,
    size: int = 21,
    hidden: int = 20,
    nonlinearity: NonlinearityLike = "relu",
    encoding: Encoding = "vector",
    symmetry: int = 2,
) -> AngleNetwork:
    """Build an untrained `AngleNetwork`, weights and biases uniform within ±1/√(fan in).

    Parameters
    ----------
    key
        JAX random key.
    size
        Side D of the images; layers are D² → D → `hidden` → outputs.
    hidden
        Units of the second hidden layer.
    nonlinearity
        φ of the hidden units: a name, a smooth function, or a `Nonlinearity`.
    encoding, symmetry
        What the outputs stand for, as of `decode_angle`: two, eight or one of them.

    Raises
    ------
    ValueError
        If a size is below 1, or a word unknown.
    TypeError
        If `key` is not a JAX key.
    """
    size = check_integer("size", size, minimum=2)
    hidden = check_integer("hidden", hidden, minimum=1)
    phi = as_nonlinearity(nonlinearity)
    check_choice("encoding", encoding, get_args(Encoding))
    symmetry = check_integer("symmetry", symmetry, minimum=1)
    widths = (size * size, size, hidden, _NUM_OUTPUTS[encoding])
    weights, biases = [], []
    for layer_key, inputs, outputs in zip(jax.random.split(check_key("key", key), 3), widths, widths[1:], strict=False):
        bound = 1 / math.sqrt(inputs)
        weight_key, bias_key = jax.random.split(layer_key)
        weights.append(jax.random.uniform(weight_key, (outputs, inputs), minval=-bound, maxval=bound))
        biases.append(jax.random.uniform(bias_key, (outputs,), minval=-bound, maxval=bound))
    return AngleNetwork(tuple(weights), tuple(biases), phi, encoding, symmetry)


def decode_angle(
    output: Float[Array, "*trials outputs"], *, encoding: Encoding = "vector", symmetry: int = 2
) -> Float[Array, "*trials"]:
    r"""Angle in [0, 2π/k) that outputs stand for; a stimulus that is turned by 2π/k is the same (k the symmetry).

    ========== ======================================================= =================================
    encoding   outputs that stand for θ                                decoded as
    ========== ======================================================= =================================
    vector     (cos kθ, sin kθ)                                        atan2/k
    population ((1 + cos(kθ − 2πj/8))/2)⁶, j = 0…7                     the same of the population vector
    scalar     θ in [0, 2π/k), which jumps where the circle closes     itself, modulo 2π/k
    ========== ======================================================= =================================

    So (cos 2θ, sin 2θ) for orientations, k = 2, and (cos θ, sin θ) for pictures, k = 1.

    Parameters
    ----------
    output
        z (*trials, outputs).
    encoding
        "vector", "population" or "scalar".
    symmetry
        k.

    Raises
    ------
    ValueError
        If there are not as many outputs as the encoding has, or it is unknown.
    """
    check_choice("encoding", encoding, get_args(Encoding))
    symmetry = check_integer("symmetry", symmetry, minimum=1)
    output = as_real("output", output, f"... {_NUM_OUTPUTS[encoding]}")
    across, up = jnp.moveaxis(direction(output, encoding, symmetry), -1, 0)
    return jnp.mod(jnp.arctan2(up, across) / symmetry, 2 * math.pi / symmetry)


def encoded(angles: Float[Array, "*angles"], encoding: str, symmetry: int) -> Float[Array, "*angles outputs"]:
    """What the outputs should be at these angles."""
    phase = symmetry * angles
    if encoding == "vector":
        return jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    if encoding == "scalar":
        return jnp.mod(angles, 2 * math.pi / symmetry)[..., None]
    return ((1 + jnp.cos(phase[..., None] - _preferred().astype(phase.dtype))) / 2) ** _POWER


def direction(output: Float[Array, "*trials outputs"], encoding: str, symmetry: int) -> Float[Array, "*trials 2"]:
    """The vector that outputs point along; of length one where they are as they should be."""
    if encoding == "vector":
        return output
    if encoding == "scalar":
        phase = symmetry * output[..., 0]
        return jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    preferred = _preferred()
    axes = np.stack([np.cos(preferred), np.sin(preferred)], axis=1) / (_FIRST * _TUNED)
    return output @ jnp.asarray(axes, output.dtype)


def _preferred() -> Float[np.ndarray, " 8"]:
    return 2 * np.pi * np.arange(_TUNED) / _TUNED
