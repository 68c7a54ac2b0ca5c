"""A recurrent network on top of an area: trials of pictures to train it on, and both as one network."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_class_numbers, host_real
from fisherjax._errors import check_choice, check_instance, check_integer, check_key, require
from fisherjax._types import ArrayLike, Key
from fisherjax.networks import RecurrentNetwork
from fisherjax.networks._network import Network, State
from fisherjax.tasks import TaskBatch

from ._convolution import AreaState
from ._course import course
from ._network import ConvolutionalRNN, check_network
from ._respond import ChannelMeans, channel_means

TASKS = ("delayed-match", "context", "category")
_AT_ONCE = 256  # trials


def picture_trials(
    network: ConvolutionalRNN,
    images: ArrayLike,
    labels: ArrayLike,
    task: str,
    *,
    key: Key,
    num_trials: int,
    area: int = -1,
    picture_steps: int = 10,
    delay_steps: int = 10,
    answer_steps: int = 5,
    rules: Sequence[Sequence[int]] | None = None,
) -> TaskBatch:
    r"""Trials in which a network sees pictures and an area's channel means are the inputs of a head.

    The convolutional network is as it is; `training.fit` trains a `networks.RNN` on the trials (loss
    ``"cross_entropy"``), and `vision.with_head` makes one network of the two. Answers are asked for during the last
    `answer_steps`, in which nothing is shown.

    ============== ==========================================================================================
    delayed-match  sample, delay, test: are they of the same class? Half of the trials match, with other images
    context        a picture and one of two cues, on all along: to which of two categories does it belong under
                   the rule that is cued?
    category       a picture, a delay: to which of two categories does it belong?
    ============== ==========================================================================================

    Parameters
    ----------
    network
        That sees; its state noise is left out.
    images, labels
        Floats (n, height, width, colors), standardized, and classes (n,).
    task
        Which.
    key
        JAX random key of the trials.
    num_trials
        n.
    area
        Whose channel means are the inputs; the last by default.
    picture_steps, delay_steps, answer_steps
        Steps of a picture, of a delay, and of the answer. The architecture's blank steps come first.
    rules
        Category, 0 or 1, of every class: two rules (2, K) for context, one (1, K) for category. By default classes
        are odd or even, and of the first half or the second.

    Returns
    -------
    TaskBatch
        Inputs (T, n, channels), for context with two cues more, (T, n, channels + 2); targets (T, n, 2), one at the
        right answer (match first); a mask (T, n) that counts the answer.

    Raises
    ------
    ValueError
        If `task` is misspelt, a number is out of range, shapes do not match, or a match has no two images.
    TypeError
        If `key` is not a JAX key, or an argument is something else.
    """
    plan = check_network(network).architecture
    check_choice("task", task, TASKS)
    pictures = plan.as_pictures("images", images)
    classes = np.asarray(as_class_numbers("labels", labels, len(pictures), plan.num_classes))
    count = check_integer("num_trials", num_trials, minimum=1)
    steps = [
        check_integer("picture_steps", picture_steps, minimum=1),
        check_integer("delay_steps", delay_steps, minimum=0),
        check_integer("answer_steps", answer_steps, minimum=1),
    ]
    categories = _categories(task, rules, plan.num_classes)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(check_key("key", key))).tolist())
    chosen, answers, cues = _drawn(task, classes, categories, count, rng)
    onset, (shown, delay, answered) = plan.blank_steps, steps
    length = onset + shown + delay + answered + (shown if task == "delayed-match" else 0)
    contrast = np.zeros((length, len(chosen)))
    contrast[onset : onset + shown, 0] = 1
    if task == "delayed-match":
        contrast[onset + shown + delay : onset + 2 * shown + delay, 1] = 1
    read = jax.tree_util.Partial(_means, channel_means(network, area), network)
    parts = []
    for begin in range(0, count, _AT_ONCE):
        some = chosen[:, begin : begin + _AT_ONCE]
        level = np.broadcast_to(contrast[..., None], (*contrast.shape, some.shape[1]))
        parts.append(course(network, pictures[some], jnp.asarray(level), None, read)[1])
    inputs = jnp.concatenate(parts, axis=1)
    rule = np.broadcast_to(np.eye(2)[cues], (length, count, 2)) if task == "context" else np.zeros((length, count, 0))
    inputs = jnp.concatenate([inputs, jnp.asarray(rule, inputs.dtype)], axis=-1)
    targets = jnp.broadcast_to(jax.nn.one_hot(answers, 2, dtype=inputs.dtype), (length, count, 2))
    mask = jnp.zeros((length, count), inputs.dtype).at[-answered:].set(1)
    return TaskBatch(inputs, targets, mask)


def _means(read: ChannelMeans, network: ConvolutionalRNN, _: AreaState, after: AreaState) -> Array:
    return read(network.flat(after))


def _categories(task: str, rules: Any, num_classes: int) -> np.ndarray:
    """Category of every class under each rule (rules, K)."""
    wanted = {"delayed-match": 0, "context": 2, "category": 1}[task]
    if rules is None:
        classes = np.arange(num_classes)
        return np.stack([classes % 2, classes >= num_classes / 2])[:wanted].astype(int)
    require(task != "delayed-match", "rules are for context and category: a delayed match has none")
    given = host_real("rules", rules, f"{wanted} {num_classes}").astype(int)
    require(bool(np.isin(given, (0, 1)).all()), "rules must hold categories 0 and 1")
    require(bool((given.min(axis=1) < given.max(axis=1)).all()), "rules must each have both categories")
    return given


def _drawn(
    task: str, classes: np.ndarray, categories: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of every trial (1 or 2, n), answers and cues (n,)."""
    first = rng.integers(0, len(classes), count)
    if task != "delayed-match":
        cues = rng.integers(0, len(categories), count)
        return first[None], categories[cues, classes[first]], cues
    members = [np.flatnonzero(classes == number) for number in range(classes.max() + 1)]
    present = [number for number, own in enumerate(members) if len(own)]
    require(len(present) > 1, "labels: a delayed match needs two classes at least")
    require(min(len(members[number]) for number in present) > 1, "labels: every class must have two images at least")
    match = rng.permutation(count) % 2 == 0
    second = np.empty(count, int)
    for trial, (image, same) in enumerate(zip(first, match, strict=True)):
        own = members[classes[image]]
        others = own[own != image] if same else members[rng.choice([n for n in present if n != classes[image]])]
        second[trial] = rng.choice(others)
    return np.stack([first, second]), np.where(match, 0, 1), np.zeros(count, int)


class NetworkWithHead(Network):
    """A convolutional recurrent network, and a recurrent network that is fed with an area's channel means."""

    network: Network
    head: RecurrentNetwork
    read: ChannelMeans
    cue: Float[Array, " cues"]

    @property
    def noise_std(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        parts = (self.network, self.head)
        return jnp.concatenate([jnp.broadcast_to(part.noise_std, (part.state_size,)) for part in parts])

    @property
    def observation_noise_std(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.head.observation_noise_std

    @property
    def state_size(self) -> int:
        """Units of all areas, and of the head after them."""
        return self.network.state_size + self.head.state_size

    @property
    def num_outputs(self) -> int:
        """Of the head."""
        return self.head.num_outputs

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """That of an image."""
        return self.network.input_shape

    @property
    def resting_state(self) -> Float[Array, " S"]:
        """Of both."""
        return jnp.concatenate([self.network.resting_state, self.head.resting_state])

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """The areas move, and the head sees where they came to."""
        size = self.network.state_size
        seen_noise, head_noise = (None, None) if noise is None else (noise[..., :size], noise[..., size:])
        seeing = self.network.step(state[..., :size], input, seen_noise)
        means = self.read(seeing)
        cue = jnp.broadcast_to(self.cue, (*means.shape[:-1], len(self.cue)))
        head = self.head.step(state[..., size:], jnp.concatenate([means, cue], axis=-1), head_noise)
        return jnp.concatenate([seeing, head], axis=-1)

    def readout(self, state: State) -> Float[Array, "*trials O"]:
        """The head's."""
        return self.head.readout(state[..., self.network.state_size :])

    def in_reverse(self) -> Network:
        """With convolutions whose gradients are faster."""
        return eqx.tree_at(lambda whole: whole.network, self, self.network.in_reverse())


def with_head(
    network: ConvolutionalRNN, head: RecurrentNetwork, *, area: int = -1, cue: ArrayLike = ()
) -> NetworkWithHead:
    """One network of a convolutional one and a head that sees channel means of one of its areas.

    Everything that asks about one network takes it: fixed points of the whole, Lyapunov exponents, Fisher information
    of the head's output about a parameter of the image, gradients in all weights of both.

    Parameters
    ----------
    network
        That sees; its input is an image.
    head
        Such as `training.fit` made of `picture_trials`.
    area
        Whose channel means the head sees.
    cue
        Further inputs of the head, which stay as they are: the context.

    Raises
    ------
    ValueError
        If the head has not as many inputs as the area has channels and there are cues, or another float type.
    TypeError
        If an argument is something else.
    """
    check_network(network)
    check_instance("head", head, RecurrentNetwork, "such as networks.RNN(64, 32, 2, key=key)")
    held = jnp.asarray(host_real("cue", cue, "cues"), network.dtype)
    read = channel_means(network, area)
    (channels,) = read.counts
    require(
        head.dtype == network.dtype,
        f"head computes in {head.dtype}, the network in {network.dtype}; networks.in_precision changes one",
    )
    require(
        head.input_shape == (channels + len(held),),
        f"head must have {channels} + {len(held)} inputs, for the channels of area {read.areas[0]} and the cues; "
        f"it has {head.num_inputs}",
    )
    return NetworkWithHead(network, head, read, held)  # pyright: ignore[reportCallIssue]
