"""Training of networks that read angles: the images, the law of their angles, what is kept, and where it starts."""

import dataclasses
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import (
    check_choice,
    check_instance,
    check_integer,
    check_key,
    check_optional,
    check_scalar,
    require,
)
from fisherjax._runtime import fit_parameters
from fisherjax._types import Key, Record, Scalar
from fisherjax.datasets._gratings import grating_angles
from fisherjax.nonlinearities import as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._losses import AngleLoss, angle_loss
from ._network import AngleNetwork, Encoding, angle_network
from ._stimuli import Shown, Stimuli, as_stimuli

Frozen = Literal["none", "first", "hidden"]

_FROZEN_LAYERS = {"none": 0, "first": 1, "hidden": 2}


class AngleTraining(Record):
    """A trained network, the loss of each step, and the keys of its images (None where every step had fresh ones)."""

    network: AngleNetwork
    loss: Float[Array, " steps"]
    images: Array | None = None


def train_angle_network(
    *,
    key: Key,
    stimuli: Stimuli = "gratings",
    size: int | None = None,
    num_images: int | None = None,
    num_steps: int = 4000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    loss: AngleLoss = "cosine",
    encoding: Encoding | None = None,
    nonlinearity: NonlinearityLike | None = None,
    concentration: Scalar = 0.0,
    location: Scalar = 0.0,
    frozen: Frozen = "none",
    start: AngleNetwork | None = None,
) -> AngleTraining:
    r"""Train D² → D → 20 → outputs on turned images to tell the angle θ, with Adam.

    At D = 21 it takes seconds; D = 101 is the size of the original study. Of outputs z, which should be t(θ) and are
    decoded as θ̂ (`decode_angle`; u is the vector that they point along, k the symmetry), the loss is the mean of

    ========== ===================================== ================================================================
    cosine     1 − cos k(θ̂ − θ)                      only the direction counts; far errors weigh little
    angle      (θ̂ − θ)² on the circle, rad²          only the direction counts; far errors weigh most
    squared    ‖z − t‖²                              outputs become means, shorter where noise is large
    root       ‖z − t‖                               outputs become medians: single far errors weigh little
    von-mises  log(2π I₀(‖u‖)) − ‖u‖ cos k(θ̂ − θ)    −log p of a von Mises law whose concentration is the length
    ========== ===================================== ================================================================

    Parameters
    ----------
    key
        JAX random key.
    stimuli
        "gratings" (k = 2), "photographs" (k = 1) or what `datasets.turned_pictures` makes of your own pictures.
    size
        Side D of the images; that of `stimuli` or `start`, else 21, by default.
    num_images
        Training images; fresh ones in every step by default. An image is everything but its angle: the noise and, of
        pictures, which piece of which; so each is shown at all angles.
    num_steps, batch_size, learning_rate
        Steps of Adam, images in each, step size.
    loss
        "cosine", "angle", "squared", "root" or "von-mises".
    encoding
        "vector", "population" or "scalar", see `decode_angle`; "vector", or that of `start`, by default.
    nonlinearity
        φ of the hidden units; "relu", or that of `start`, by default.
    concentration, location
        κ and mode of the von Mises law of the training angles, taken modulo 2π/k; uniform by default.
    frozen
        What keeps its weights: "none", the "first" layer, or all "hidden" ones, so that only the read-out is trained.
    start
        A network to go on from, perhaps trained on other images or angles; random weights by default.

    Raises
    ------
    ValueError
        If a number is out of range, a word unknown, or `start` is of another size, encoding or nonlinearity.
    TypeError
        If `key` is not a JAX key, or an argument is something else.
    """
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    num_images = check_optional(check_integer, "num_images", num_images, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_scalar("concentration", concentration, minimum=0.0)
    check_scalar("location", location)
    check_choice("frozen", frozen, _FROZEN_LAYERS)
    start_key, fit_key = jax.random.split(check_key("key", key))
    shown = as_stimuli(stimuli, size, start)
    network = first_network(shown, start, encoding, nonlinearity, key=start_key)
    check_loss("loss", loss, network.encoding)
    images = None if num_images is None else jax.random.split(jax.random.fold_in(key, num_images), num_images)
    kappa, mode = (jnp.asarray(x, float) for x in (concentration, location))  # pyright: ignore[reportArgumentType]
    words = (loss, _FROZEN_LAYERS[frozen], batch_size)
    expected = jax.tree_util.Partial(_batch_loss, words, shown, images, kappa, mode)
    fit = fit_parameters(network, expected, fit_key, learning_rate=learning_rate, num_steps=num_steps, title="angles")
    return AngleTraining(fit.last, jnp.asarray(fit.loss), images)


def first_network(stimuli: Shown, start: Any, encoding: Any, nonlinearity: Any, *, key: Key) -> AngleNetwork:
    """The network that is trained: `start`, if it is given and fits, for the symmetry of these stimuli.

    Raises
    ------
    ValueError
        If a word is unknown, or `start` is of another size, encoding or nonlinearity.
    TypeError
        If `start` is no `AngleNetwork`.
    """
    size, symmetry = stimuli.size, stimuli.symmetry
    if start is None:
        encoding = "vector" if encoding is None else encoding
        nonlinearity = "relu" if nonlinearity is None else nonlinearity
        return angle_network(key=key, size=size, nonlinearity=nonlinearity, encoding=encoding, symmetry=symmetry)
    check_instance("start", start, AngleNetwork, "the network of vision.train_angle_network(key=key)")
    require(start.size == size, f"start reads images of side {start.size}, got size {size}")
    check_optional(check_choice, "encoding", encoding, choices=get_args(Encoding))
    other = f"start has the encoding {start.encoding!r}, got {encoding!r}"
    require(encoding in {None, start.encoding}, other)
    same = nonlinearity is None or as_nonlinearity(nonlinearity) == start.nonlinearity
    require(same, f"start has the nonlinearity {start.nonlinearity}, got {nonlinearity!r}")
    return dataclasses.replace(start, symmetry=symmetry)


def check_loss(name: str, loss: Any, encoding: str) -> None:
    """Refuse a loss that is unknown, or asks for what an encoding has not."""
    check_choice(name, loss, get_args(AngleLoss))
    lacking = loss == "von-mises" and encoding == "scalar"
    require(not lacking, f"{name} 'von-mises' needs a length, which the encoding 'scalar' has not; take 'cosine'")


def _batch_loss(
    words: tuple[str, int, int],
    stimuli: Shown,
    images: Array | None,
    concentration: Array,
    location: Array,
    network: AngleNetwork,
    batch_key: Key,
) -> Float[Array, ""]:
    """Mean loss over a batch."""
    loss, num_frozen, batch_size = words
    angle_key, image_key = jax.random.split(batch_key)
    law = {"concentration": concentration, "location": location, "symmetry": network.symmetry}
    angles = grating_angles(batch_size, key=angle_key, **law)
    if images is None:
        keys = jax.random.split(image_key, batch_size)
    else:
        keys = images[jax.random.randint(image_key, (batch_size,), 0, len(images))]
    # without a slope Adam does not move a weight at all
    kept = [jax.lax.stop_gradient(layers[:num_frozen]) for layers in (network.weights, network.biases)]
    network = dataclasses.replace(
        network, weights=kept[0] + network.weights[num_frozen:], biases=kept[1] + network.biases[num_frozen:]
    )
    outputs = jax.vmap(lambda angle, key: network(stimuli(angle, key=key)))(angles, keys)
    return angle_loss(loss, network.encoding, network.symmetry, outputs, angles)
