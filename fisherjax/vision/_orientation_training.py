"""A network trained to tell the orientation of noisy gratings."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_integer, check_key, check_scalar
from fisherjax._runtime import fit_parameters
from fisherjax._types import Key, Record, Scalar
from fisherjax.datasets import gratings
from fisherjax.datasets._gratings import grating_angles

from ._orientation import AngleNetwork, angle_network


class AngleTraining(Record):
    """A trained network and the loss of each step, 1 − cosine of the angle between output and target."""

    network: AngleNetwork
    loss: Float[Array, " steps"]


def train_angle_network(
    *,
    key: Key,
    size: int = 21,
    num_steps: int = 4000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    concentration: Scalar = 0.0,
    location: Scalar = 0.0,
) -> AngleTraining:
    """Train D² → D → 20 → 2 (ReLU) on fresh gratings to point along (cos 2θ, sin 2θ).

    Loss 1 − cosine, Adam. At D = 21 it takes seconds; D = 101 is the size of the original study.

    Parameters
    ----------
    key
        JAX random key.
    size
        Side D of the images.
    num_steps, batch_size, learning_rate
        Steps of Adam, fresh images in each, step size.
    concentration, location
        κ and mode of the von Mises law of the training angles, taken modulo π; uniform by default.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If `key` is not a JAX key.
    """
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_scalar("concentration", concentration, minimum=0.0)
    check_scalar("location", location)
    start_key, fit_key = jax.random.split(check_key("key", key))
    kappa, mode = (jnp.asarray(x, float) for x in (concentration, location))  # pyright: ignore[reportArgumentType]
    network = angle_network(key=start_key, size=size)
    loss = jax.tree_util.Partial(_loss, batch_size, size, kappa, mode)
    fit = fit_parameters(network, loss, fit_key, learning_rate=learning_rate, num_steps=num_steps, title="gratings")
    return AngleTraining(fit.last, jnp.asarray(fit.loss))


def _loss(
    batch_size: int, size: int, concentration: Array, location: Array, network: AngleNetwork, batch_key: Key
) -> Float[Array, ""]:
    """1 − cosine over a fresh batch."""
    angle_key, image_key = jax.random.split(batch_key)
    angles = grating_angles(batch_size, key=angle_key, concentration=concentration, location=location)
    outputs = jax.vmap(network)(gratings(angles, key=image_key, size=size))
    targets = jnp.stack([jnp.cos(2 * angles), jnp.sin(2 * angles)], axis=1)
    return 1 - jnp.mean(optax.cosine_similarity(outputs, targets, epsilon=1e-8))


def respond_to_gratings(network: AngleNetwork) -> Callable[[Array, Key], Float[Array, "2"]]:
    """The network's noisy response to a grating as a function of angle and key, for `fisher.estimate`."""
    check_instance("network", network, AngleNetwork, "vision.angle_network(key=key)")

    def respond(angle: Array, key: Key) -> Float[Array, "2"]:
        return network(gratings(angle, key=key, size=network.size))

    return respond
