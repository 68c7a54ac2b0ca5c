"""What the stages of training a convolutional recurrent network minimize."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fisherjax._runtime import precision_here
from fisherjax._types import Key, Record

from ._convolution import convolve, repeat
from ._feedforward import FeedforwardCNN, feedforward_pass
from ._network import ConvolutionalRNN
from ._respond import respond

_READ_SHARE = 0.3  # of the image steps, the last ones, on which logits are read
_RETURN_STEPS = 10


class FeedforwardObjective(NamedTuple):
    """Step 1: cross-entropy of the feed-forward network; batch normalization follows along."""

    def loss(
        self, model: FeedforwardCNN, images: Array, targets: Array, _key: Key, _step: Array
    ) -> tuple[Array, FeedforwardCNN]:
        """Mean over the batch, by its own averages."""
        logits, moved = model.evaluate(images, training=True)
        return jnp.mean(optax.softmax_cross_entropy(logits, targets)), moved

    def measure(self, model: FeedforwardCNN, images: Array, targets: Array) -> tuple[Array, Array]:
        """By the running averages."""
        logits = model(images)
        return optax.softmax_cross_entropy(logits, targets), _correct(logits, targets)

    def trainable(self, model: FeedforwardCNN) -> Any:
        """Weights and the scales and shifts of normalization."""
        fixed = (model.weights.noise_std, model.weights.leak, *model.weights.biases)  # N takes biases out again
        fixed += tuple(part for norm in (*model.drive_norms, *model.area_norms) for part in (norm.mean, norm.variance))
        return all_but(model, fixed)


class RecurrenceFit(Record):
    """Step 2: the network whose recurrent weights and biases are fitted, and the folded network that it shall equal."""

    network: ConvolutionalRNN
    target: ConvolutionalRNN


class RecurrenceObjective(NamedTuple):
    r"""Step 2: the steady state of each linear area, by its Neumann series, against the feed-forward currents.

    Σ_j mean((Σ_{k≤3} W_j^k (b_j + s_j) − y_j)²) + penalty · mean((W_j³ (b_j + s_j))²), where s_j = V_j * u_j and y_j
    are drive and current of area j in the folded feed-forward network.
    """

    penalty: float = 10.0

    def loss(
        self, model: RecurrenceFit, images: Array, targets: Array, _key: Key, _step: Array
    ) -> tuple[Array, RecurrenceFit]:
        """Mean over the batch."""
        return jnp.mean(self.measure(model, images, targets)[0]), model

    def measure(self, model: RecurrenceFit, images: Array, targets: Array) -> tuple[Array, Array]:
        """Nothing is classified: correctness is NaN."""
        wanted = feedforward_pass(jax.lax.stop_gradient(model.target), images)
        total = jnp.zeros(len(images), targets.dtype)
        kernels = model.network.kernels()
        for kernel, bias, drive, current in zip(
            kernels.recurrent, kernels.biases, wanted.drives, wanted.currents, strict=True
        ):
            term = series = bias + drive
            for _ in range(3):
                term = convolve(term, kernel, reverse_mode=True)
                series = series + term
            error, rest = series - current, term
            total += jnp.mean(error**2, axis=(1, 2, 3)) + self.penalty * jnp.mean(rest**2, axis=(1, 2, 3))
        return total, jnp.full(len(images), jnp.nan, targets.dtype)

    def trainable(self, model: RecurrenceFit) -> Any:
        """Recurrent weights and biases."""
        none = jax.tree.map(lambda _: False, model)
        where = (jax.tree.map(lambda _: True, part) for part in (model.network.recurrent, model.network.biases))
        return eqx.tree_at(lambda m: (m.network.recurrent, m.network.biases), none, tuple(where))


class RecurrentObjective(NamedTuple):
    """Steps 3 to 5 and direct training: cross-entropy late in the response, and the return to baseline after it.

    Cross-entropy is averaged over the last 30 % of the image steps with weights that rise in equal ratios from 1e-3
    to 1. Where there are blank steps after, `return_penalty` times the mean squared distance to the state before the
    image, over the last ten steps, is added. The slope of ρ below zero falls from `leak` by `leak_decrement` every
    `level_steps` steps of training.
    """

    blank_steps: int
    image_steps: int
    offset_steps: int = 0
    leak: float = 0.0
    leak_decrement: float = 0.0
    level_steps: int = 1
    return_penalty: float = 1e-3
    noisy: bool = False
    remat_every: int | None = None

    def at(self, model: ConvolutionalRNN, step: Array) -> ConvolutionalRNN:
        """The network with the leak of this step of training."""
        leak = self.leak - self.leak_decrement * (step // self.level_steps).astype(model.leak.dtype)
        return eqx.tree_at(lambda m: m.leak, model, jnp.clip(leak, 0, 1))

    def loss(
        self, model: ConvolutionalRNN, images: Array, targets: Array, key: Key, step: Array
    ) -> tuple[Array, ConvolutionalRNN]:
        """Mean over the batch."""
        moved = self.at(model, step)
        total, _ = self._losses(moved, images, targets, key if self.noisy else None)
        return jnp.mean(total), moved

    def measure(self, model: ConvolutionalRNN, images: Array, targets: Array) -> tuple[Array, Array]:
        """Without noise, by the leak that the model has."""
        return self._losses(model, images, targets, None)

    def trainable(self, model: ConvolutionalRNN) -> Any:
        """All weights and biases."""
        return all_but(model, (model.noise_std, model.leak))

    def _losses(self, network: ConvolutionalRNN, images: Array, targets: Array, key: Key | None) -> tuple[Array, Array]:
        onset, offset = self.blank_steps, self.blank_steps + self.image_steps
        returning = self.offset_steps > 0 and self.return_penalty > 0
        end = offset + self.offset_steps
        late = range(max(offset, end - _RETURN_STEPS) + 1, end + 1)
        recorded = (*((onset,) if onset else ()), *late)
        found = respond(
            network,
            images,
            blank_steps=self.blank_steps,
            image_steps=self.image_steps,
            offset_steps=self.offset_steps if returning else 0,
            areas="all" if returning else (),
            at=recorded if returning else None,
            key=key,
            remat_every=self.remat_every,
            reverse_mode=True,
            precision=precision_here(),
        )
        logits = found.logits[onset:offset]
        weights = reading_weights(self.image_steps)
        read = len(weights)
        losses = optax.softmax_cross_entropy(logits[-read:], targets)
        total = jnp.tensordot(jnp.asarray(weights, losses.dtype), losses, axes=1)
        if returning:
            total += self.return_penalty * _distance_to_baseline(found.activity, onset > 0)
        return total, _correct(logits[-1], targets)


def reading_weights(image_steps: int) -> Float[np.ndarray, " read"]:
    """Weights, of sum one, of the steps that count: the last 30 %, rising in equal ratios from 1e-3 to 1."""
    weights = np.logspace(-3, 0, max(1, round(_READ_SHARE * image_steps)))
    return weights / weights.sum()


def all_but(model: Any, fixed: tuple[Array, ...]) -> Any:
    """True for every array of the model but those in `fixed`, which are the model's own."""
    excluded = {id(leaf) for leaf in fixed}
    return jax.tree.map(lambda leaf: id(leaf) not in excluded, model)


def _correct(logits: Array, targets: Array) -> Array:
    return (jnp.argmax(logits, axis=-1) == jnp.argmax(targets, axis=-1)).astype(targets.dtype)


def _distance_to_baseline(activity: tuple[Array, ...], has_baseline: bool) -> Array:  # noqa: FBT001
    """Mean over units and late steps of (r − r before the image)², per image."""
    squares, count = jnp.zeros(activity[0].shape[1], activity[0].dtype), 0
    for area in activity:
        late = area[1:] - repeat(area[0], (len(area) - 1,), reverse_mode=True) if has_baseline else area
        squares += jnp.sum(late**2, axis=(0, 2, 3, 4))
        count += late[:, 0].size
    return squares / count
