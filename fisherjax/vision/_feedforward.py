"""The feed-forward network with batch normalization that training starts from, and its folding into plain weights."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_integer
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record

from ._architecture import Architecture
from ._convolution import Maps, as_convolution, convolve
from ._network import ConvolutionalRNN, check_network

_EPSILON = 1e-5
_MOMENTUM = 0.1


class BatchNorm(Record):
    """Batch normalization per channel: scale (x − mean)/√(variance + 1e-5) + shift.

    Parameters
    ----------
    scale, shift
        Learned (C,).
    mean, variance
        Running averages (C,), of a tenth of every batch in training.
    """

    scale: Float[Array, " C"]
    shift: Float[Array, " C"]
    mean: Float[Array, " C"]
    variance: Float[Array, " C"]

    def __init__(self, num_channels: int):
        """The identity."""
        check_integer("num_channels", num_channels, minimum=1)
        self.scale, self.variance = jnp.ones(num_channels), jnp.ones(num_channels)
        self.shift, self.mean = jnp.zeros(num_channels), jnp.zeros(num_channels)

    def __call__(self, maps: Maps) -> Maps:
        """By the running averages."""
        gain, offset = self.affine()
        return maps * gain + offset

    def affine(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Factor and offset that it comes to."""
        gain = self.scale / jnp.sqrt(self.variance + _EPSILON)
        return gain, self.shift - self.mean * gain

    def over_batch(self, maps: Float[Array, "batch height width C"]) -> tuple[Maps, "BatchNorm"]:
        """By the averages of the batch; and itself with the running averages moved on."""
        mean, variance = jnp.mean(maps, axis=(0, 1, 2)), jnp.var(maps, axis=(0, 1, 2))
        normalized = (maps - mean) / jnp.sqrt(variance + _EPSILON) * self.scale + self.shift
        count = maps.size // maps.shape[-1]
        unbiased = variance * (count / max(count - 1, 1))
        moved = eqx.tree_at(
            lambda norm: (norm.mean, norm.variance),
            self,
            (self.mean + _MOMENTUM * (mean - self.mean), self.variance + _MOMENTUM * (unbiased - self.variance)),
        )
        return normalized, moved


class FeedforwardCNN(Record):
    """The feed-forward network with the areas and connections of a `ConvolutionalRNN`.

    x_j = ρ(N(W_j * N(V_j * u_j))) with u_0 = p, u_1 = x_0 + K * p, u_j = x_{j−1} + S x_{j−2}, and two batch
    normalizations N; read out from the mean over space of x_{d−1} + x_{d−2}.

    Parameters
    ----------
    weights
        Stem, W, V, K, S and read-out, as a `ConvolutionalRNN` whose biases are not used.
    drive_norms, area_norms
        N after V and after W of every area.
    """

    weights: ConvolutionalRNN
    drive_norms: tuple[BatchNorm, ...]
    area_norms: tuple[BatchNorm, ...]

    def __init__(self, architecture: Architecture, *, key: Key):
        """Draw the weights.

        Raises
        ------
        ValueError
            If the architecture has feedback.
        """
        check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
        if architecture.feedback:
            raise ValueError("a feed-forward network has no feedback; add it to the recurrent one")
        self.weights = ConvolutionalRNN(architecture, key=key, recurrent_gain=2**0.5)
        self.drive_norms = tuple(BatchNorm(channels) for channels in architecture.channels)
        self.area_norms = tuple(BatchNorm(channels) for channels in architecture.channels)

    @property
    def architecture(self) -> Architecture:
        """That of its weights."""
        return self.weights.architecture

    def __call__(self, images: Maps) -> Float[Array, "*batch K"]:
        """Logits, by the running averages."""
        return self.evaluate(images, training=False)[0]

    def evaluate(self, images: Maps, *, training: bool) -> tuple[Float[Array, "*batch K"], "FeedforwardCNN"]:
        """Logits, and the network with its running averages moved on if it is training (then in reverse mode only)."""
        drive_norms, area_norms = list(self.drive_norms), list(self.area_norms)

        def normalized(norms: list[BatchNorm], area: int, maps: Array) -> Array:
            if not training:
                return norms[area](maps)
            maps, norms[area] = norms[area].over_batch(maps)
            return maps

        def through(area: int, source: Array) -> Array:
            weights = self.weights
            drive = normalized(drive_norms, area, weights.feedforward[area](source, reverse_mode=training))
            return jax.nn.relu(normalized(area_norms, area, weights.recurrent[area](drive, reverse_mode=training)))

        activity = _chain(self.weights, images, through, reverse_mode=training)
        logits = self.weights.output(_features(activity))
        norms = (tuple(drive_norms), tuple(area_norms))
        return logits, eqx.tree_at(lambda cnn: (cnn.drive_norms, cnn.area_norms), self, norms)


@full_precision
def fold_batch_norm(cnn: FeedforwardCNN) -> ConvolutionalRNN:
    r"""The same feed-forward network without batch normalization: `feedforward_pass` of the result gives its outputs.

    N(W * N(V * u)) = W' * V' * u + b with V' = a₁ V, W' = a₂ W and, per unit, b = a₂ (W * c₁ 1) + c₂, where N(x) =
    a x + c. Since W sees zeros beyond the edge, where no c₁ is added, b depends on the place near edges.

    Returns
    -------
    A `ConvolutionalRNN` that holds the weights and biases; as a recurrent network it is not trained yet.
    """
    weights = check_instance("cnn", cnn, FeedforwardCNN).weights
    feedforward, recurrent, biases = [], [], []
    for area, (height, width, channels) in enumerate(weights.architecture.area_shapes):
        first_gain, first_offset = cnn.drive_norms[area].affine()
        second_gain, second_offset = cnn.area_norms[area].affine()
        lateral = weights.recurrent[area]
        offset = convolve(jnp.broadcast_to(first_offset, (height, width, channels)), lateral.kernel)
        biases.append(jnp.transpose(second_gain * offset + second_offset, (2, 0, 1)))
        before = weights.feedforward[area]
        feedforward.append(as_convolution(before.weights * first_gain[:, None, None, None], before.stride))
        recurrent.append(as_convolution(lateral.weights * second_gain[:, None, None, None]))
    return eqx.tree_at(
        lambda network: (network.feedforward, network.recurrent, network.biases),
        weights,
        (tuple(feedforward), tuple(recurrent), tuple(biases)),
    )


class FeedforwardPass(NamedTuple):
    """Activity of the folded network: V_j * u_j, W_j * V_j * u_j + b_j before rectification, and logits."""

    drives: tuple[Array, ...]
    currents: tuple[Array, ...]
    logits: Array


def feedforward_pass(network: ConvolutionalRNN, images: Maps) -> FeedforwardPass:
    """One pass of a folded network: x_j = ρ(W_j * V_j * u_j + b_j)."""
    check_network(network)
    drives, currents = [], []

    def through(area: int, source: Array) -> Array:
        drives.append(network.feedforward[area](source))
        bias = jnp.transpose(network.biases[area], (1, 2, 0))
        currents.append(network.recurrent[area](drives[-1]) + bias)
        return jax.nn.relu(currents[-1])

    activity = _chain(network, images, through)
    return FeedforwardPass(tuple(drives), tuple(currents), network.output(_features(activity)))


def _chain(
    weights: ConvolutionalRNN, images: Array, through: Callable[[int, Array], Array], *, reverse_mode: bool = False
) -> list[Array]:
    """Activity x of every area, each from the two before it."""
    seen = weights.project(images, reverse_mode=reverse_mode)
    activity: list[Array] = []
    for area in range(weights.architecture.depth):
        if area == 0:
            source = seen
        elif area == 1:
            source = activity[0] + weights.input_skip(seen, reverse_mode=reverse_mode)
        else:
            skip = weights.skips[area - 2]
            source = activity[-1] + (activity[-2] if skip is None else skip(activity[-2], reverse_mode=reverse_mode))
        activity.append(through(area, source))
    return activity


def _features(activity: list[Array]) -> Array:
    return jnp.mean(activity[-1] + activity[-2], axis=(-3, -2))
