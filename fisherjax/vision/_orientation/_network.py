"""A small feed-forward network that reads the orientation of noisy gratings, and its training."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import i0e
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_instance, check_integer, check_key, check_scalar
from fisherjax._runtime import fit_parameters
from fisherjax._types import Key, Record, Scalar
from fisherjax.datasets import gratings
from fisherjax.datasets._gratings import grating_angles

AngleLoss = Literal["cosine", "squared", "von-mises"]
Frozen = Literal["none", "first", "hidden"]

_FROZEN_LAYERS = {"none": 0, "first": 1, "hidden": 2}
_LEAST = 1e-12  # squared length below which that of an output has no slope


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


class AngleTraining(Record):
    """A trained network and the loss of each step."""

    network: AngleNetwork
    loss: Float[Array, " steps"]


def train_angle_network(
    *,
    key: Key,
    size: int = 21,
    num_steps: int = 4000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    loss: AngleLoss = "cosine",
    concentration: Scalar = 0.0,
    location: Scalar = 0.0,
    frozen: Frozen = "none",
) -> AngleTraining:
    r"""Train D² → D → 20 → 2 (ReLU) on fresh gratings to point along t = (cos 2θ, sin 2θ).

    Adam. At D = 21 it takes seconds; D = 101 is the size of the original study. Of an output z, the loss is

    ========== =============================== =====================================================
    cosine     1 − z·t / ‖z‖                   only the direction counts
    squared    ‖z − t‖²                        the length is pulled to one, and below where noise is large
    von-mises  log(2π I₀(‖z‖)) − z·t           −log p(2θ) of a von Mises law of mean direction z and κ = ‖z‖
    ========== =============================== =====================================================

    Parameters
    ----------
    key
        JAX random key.
    size
        Side D of the images.
    num_steps, batch_size, learning_rate
        Steps of Adam, fresh images in each, step size.
    loss
        "cosine", "squared" or "von-mises".
    concentration, location
        κ and mode of the von Mises law of the training angles, taken modulo π; uniform by default.
    frozen
        What keeps its random weights: "none", the "first" layer, or all "hidden" ones, so that only the read-out is
        trained.

    Raises
    ------
    ValueError
        If a number is out of range, or a word unknown.
    TypeError
        If `key` is not a JAX key.
    """
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_choice("loss", loss, get_args(AngleLoss))
    check_scalar("concentration", concentration, minimum=0.0)
    check_scalar("location", location)
    check_choice("frozen", frozen, _FROZEN_LAYERS)
    start_key, fit_key = jax.random.split(check_key("key", key))
    kappa, mode = (jnp.asarray(x, float) for x in (concentration, location))  # pyright: ignore[reportArgumentType]
    network = angle_network(key=start_key, size=size)
    expected = jax.tree_util.Partial(_batch_loss, loss, _FROZEN_LAYERS[frozen], batch_size, size, kappa, mode)
    fit = fit_parameters(network, expected, fit_key, learning_rate=learning_rate, num_steps=num_steps, title="gratings")
    return AngleTraining(fit.last, jnp.asarray(fit.loss))


def _batch_loss(
    loss: AngleLoss,
    num_frozen: int,
    batch_size: int,
    size: int,
    concentration: Array,
    location: Array,
    network: AngleNetwork,
    batch_key: Key,
) -> Float[Array, ""]:
    """Mean loss over a fresh batch."""
    angle_key, image_key = jax.random.split(batch_key)
    angles = grating_angles(batch_size, key=angle_key, concentration=concentration, location=location)
    # without a slope Adam does not move a weight at all
    kept = [jax.lax.stop_gradient(layers[:num_frozen]) for layers in (network.weights, network.biases)]
    network = AngleNetwork(kept[0] + network.weights[num_frozen:], kept[1] + network.biases[num_frozen:])
    outputs = jax.vmap(network)(gratings(angles, key=image_key, size=size))
    targets = jnp.stack([jnp.cos(2 * angles), jnp.sin(2 * angles)], axis=1)
    return _LOSSES[loss](outputs, targets)


def _cosine(outputs: Array, targets: Array) -> Array:
    return 1 - jnp.mean(optax.cosine_similarity(outputs, targets, epsilon=1e-8))


def _squared(outputs: Array, targets: Array) -> Array:
    return jnp.mean(jnp.sum((outputs - targets) ** 2, axis=1))


def _von_mises(outputs: Array, targets: Array) -> Array:
    length = jnp.sqrt(jnp.maximum(jnp.sum(outputs**2, axis=1), _LEAST))
    # log I₀(κ) = log(e^{−κ} I₀(κ)) + κ, which does not overflow
    normalizer = math.log(2 * math.pi) + jnp.log(i0e(length)) + length
    return jnp.mean(normalizer - jnp.sum(outputs * targets, axis=1))


_LOSSES: dict[str, Callable[[Array, Array], Array]] = {"cosine": _cosine, "squared": _squared, "von-mises": _von_mises}


def respond_to_gratings(network: AngleNetwork) -> Callable[[Array, Key], Float[Array, "2"]]:
    """The network's noisy response to a grating as a function of angle and key, for `fisher.estimate`."""
    check_instance("network", network, AngleNetwork, "vision.angle_network(key=key)")

    def respond(angle: Array, key: Key) -> Float[Array, "2"]:
        return network(gratings(angle, key=key, size=network.size))

    return respond
