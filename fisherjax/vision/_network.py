"""CordsNet: a convolutional recurrent dynamical system of areas in a chain."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_key, check_optional, check_scalar
from fisherjax._linalg import standard_normal
from fisherjax._types import Key, Scalar
from fisherjax.networks._network import Network, State

from ._architecture import Architecture
from ._convolution import (
    AreaState,
    Convolution,
    Maps,
    NewMaps,
    Readout,
    convolve,
    draw_convolution,
    enlarge,
    mean_pool,
    repeat,
)
from ._loop import Kept, follow, phases_of


class Drive(NamedTuple):
    """What the image adds to the currents of areas 0 and 1; it is the same at every step."""

    first: Maps
    second: Maps

    def shown(self, on: Array) -> "Drive":
        """Itself where the image is on, zero where not."""
        return Drive(jnp.where(on, self.first, 0), jnp.where(on, self.second, 0))


class Kernels(NamedTuple):
    """All weights of a network as they are applied, normalized once."""

    recurrent: tuple[Array, ...]
    feedforward: tuple[Array, ...]
    skips: tuple[Array | None, ...]
    feedback: tuple[Array, ...]
    biases: tuple[Array, ...]
    convolve: Callable[..., Array]
    repeat: Callable[..., Array]


class ConvolutionalRNN(Network):
    r"""A convolutional recurrent network with the dynamics of CordsNet.

    Area j of d, with α = dt/τ and rectification ρ, all areas at once:

    .. math::
        r_j ← (1 − α) r_j + α ρ(W_j * r_j + b_j + V_j * u_j),

    with p = pool(stem * x), u_0 = p, u_1 = ρ(r_0) + K * p, and u_j = ρ(r_{j−1}) + S ρ(r_{j−2}) beyond, S a 1 × 1
    convolution where the two differ in shape and the identity where not. Logits are a linear function of the mean over
    space of ρ(r_{d−1}) + ρ(r_{d−2}). With feedback, U_j ρ(r_{j+1}) (1 × 1, every unit repeated where maps differ) is
    added inside ρ; with noise, √(2α) σ ξ is added to the state, which gives an unconnected linear unit the
    standard deviation σ as α → 0.

    Maps are (…, height, width, channels). Parameters are stored in the layout and under the names of the published
    checkpoints (`load_checkpoint`); `respond` follows activity through time.

    Parameters
    ----------
    architecture
        Sizes and time constants; see `architecture` for presets.
    key
        JAX random key of the weights. Gaussian, of variance 2/fan-in between areas.
    recurrent_gain
        Spectral radius, roughly, of the recurrent convolutions of every area; below one they settle.
    noise_std
        σ.
    observation_noise_std
        σ_obs of what is read out.
    leak
        Slope of ρ below zero: 0 rectifies, 1 makes the network linear.

    Raises
    ------
    ValueError
        If a gain, noise level or leak is negative.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Soo, Battista, Radmard & Wang (2024), Recurrent neural network dynamical systems for biological vision, NeurIPS.
    """

    architecture: Architecture = eqx.field(static=True)
    stem: Convolution
    input_skip: Convolution
    recurrent: tuple[Convolution, ...]
    feedforward: tuple[Convolution, ...]
    skips: tuple[Convolution | None, ...]
    feedback: tuple[Convolution, ...]
    biases: tuple[Float[Array, "channels height width"], ...]
    output: Readout
    noise_std: Float[Array, ""]
    leak: Float[Array, ""]
    observation_noise_std: Float[Array, ""]

    def __init__(
        self,
        architecture: Architecture,
        *,
        key: Key,
        recurrent_gain: Scalar = 0.5,
        noise_std: Scalar = 0.0,
        observation_noise_std: Scalar = 0.0,
        leak: Scalar = 0.0,
    ):
        """Draw the weights and validate."""
        check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
        levels = {"noise_std": noise_std, "observation_noise_std": observation_noise_std}
        for name, value in {"recurrent_gain": recurrent_gain, **levels, "leak": leak}.items():
            check_scalar(name, value, minimum=0.0)
        plan, keys = architecture, iter(jax.random.split(check_key("key", key), 4 * architecture.depth + 3))
        channels, strides = plan.channels, plan.strides

        def draw(sources: int, targets: int, side: int, stride: int = 1, gain: Scalar = 1.0) -> Convolution:
            return draw_convolution(next(keys), sources, targets, side, stride, gain=float(gain))

        self.architecture = plan
        self.stem = draw(plan.image_shape[2], plan.stem_channels, plan.stem_kernel, plan.stem_stride)
        self.input_skip = draw(plan.stem_channels, channels[0], 3, strides[0])
        self.recurrent = tuple(draw(count, count, 3, gain=recurrent_gain) for count in channels)
        self.feedforward = tuple(
            draw(source, target, 3, stride, 2**0.5)
            for source, target, stride in zip((plan.stem_channels, *channels), channels, strides, strict=False)
        )
        self.skips = tuple(
            draw(channels[area - 2], channels[area - 1], 1, strides[area - 1]) if plan.needs_projection(area) else None
            for area in range(2, plan.depth)
        )
        pairs = itertools.pairwise(channels) if plan.feedback else ()
        self.feedback = tuple(draw(above, below, 1, gain=0.1) for below, above in pairs)
        self.biases = tuple(jnp.zeros((c, h, w)) for h, w, c in plan.area_shapes)
        direction = jax.random.normal(next(keys), (plan.num_classes, plan.channels[-1])) * plan.channels[-1] ** -0.5
        self.output = Readout(jnp.linalg.norm(direction, axis=1), direction, jnp.zeros(plan.num_classes))
        self.noise_std = jnp.asarray(noise_std, direction.dtype)
        self.observation_noise_std = jnp.asarray(observation_noise_std, direction.dtype)
        self.leak = jnp.asarray(leak, direction.dtype)

    @property
    def num_parameters(self) -> int:
        """Numbers that training can change."""
        parts = (self.stem, self.input_skip, self.recurrent, self.feedforward, self.skips, self.feedback, self.biases)
        return sum(leaf.size for leaf in jax.tree.leaves((*parts, self.output)))

    def __repr__(self) -> str:
        plan = self.architecture
        return (
            f"ConvolutionalRNN({plan.depth} areas of {'-'.join(map(str, plan.channels))} channels, images "
            f"{'×'.join(map(str, plan.image_shape))}, {plan.num_classes} classes, {self.num_parameters} parameters)"
        )

    @property
    def state_size(self) -> int:
        """Units of all areas."""
        return self.architecture.num_units

    @property
    def num_outputs(self) -> int:
        """Number of classes K."""
        return self.architecture.num_classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Height, width and colors of an image."""
        return self.architecture.image_shape

    @property
    def dtype(self) -> Any:
        """Float type of the weights."""
        return self.leak.dtype

    def silence(self) -> AreaState:
        """R = 0 in every area, the state before anything is shown."""
        return tuple(jnp.zeros(shape, self.leak.dtype) for shape in self.architecture.area_shapes)

    def areas_of(self, state: State) -> AreaState:
        """The maps (…, height, width, channels) of every area in a flat state (…, S)."""
        sizes = [math.prod(shape) for shape in self.architecture.area_shapes]
        parts = jnp.split(state, np.cumsum(sizes)[:-1], axis=-1)
        shapes = self.architecture.area_shapes
        return tuple(part.reshape(*state.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True))

    def flat(self, areas: AreaState) -> State:
        """The flat state (…, S) of the maps of every area."""
        return jnp.concatenate([area.reshape(*area.shape[:-3], -1) for area in areas], axis=-1)

    def rectify(self, currents: Array) -> Array:
        """ρ."""
        active = checkpoint_name(currents > 0, "active")
        return jnp.where(active, currents, self.leak * currents)

    def kernels(self, *, reverse_mode: bool = False) -> Kernels:
        """All weights as they are applied; compute them once, outside of a loop over time. See `convolve`."""
        return Kernels(
            tuple(weights.kernel for weights in self.recurrent),
            tuple(weights.kernel for weights in self.feedforward),
            tuple(None if weights is None else weights.kernel for weights in self.skips),
            tuple(weights.kernel for weights in self.feedback),
            tuple(jnp.transpose(weights, (1, 2, 0)) for weights in self.biases),
            functools.partial(convolve, reverse_mode=reverse_mode),
            functools.partial(repeat, reverse_mode=reverse_mode),
        )

    def project(self, images: Maps, *, reverse_mode: bool = False) -> NewMaps:
        """p, what the chain sees of the images."""
        shown = self.architecture.check_images(images).astype(self.dtype)
        seen = self.stem(shown, reverse_mode=reverse_mode)
        return mean_pool(seen) if self.architecture.stem_pooling else seen

    def drive(self, images: Maps, *, reverse_mode: bool = False) -> Drive:
        """V_0 * p and V_1 * K * p: all that images contribute, computed once per image."""
        seen = self.project(images, reverse_mode=reverse_mode)
        skipped = self.input_skip(seen, reverse_mode=reverse_mode)
        first, second = self.feedforward[:2]
        return Drive(first(seen, reverse_mode=reverse_mode), second(skipped, reverse_mode=reverse_mode))

    def replaced(
        self,
        *,
        alpha: float | Sequence[float] | None = None,
        blank_steps: int | None = None,
        image_steps: int | None = None,
        noise_std: Scalar | None = None,
    ) -> "ConvolutionalRNN":
        """The same weights with another α, other phases or other noise.

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        given = {"alpha": alpha, "blank_steps": blank_steps, "image_steps": image_steps}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        plan = dataclasses.replace(self.architecture, **changes)
        shapes = eqx.filter_eval_shape(lambda: ConvolutionalRNN(plan, key=jax.random.key(0)))
        network: ConvolutionalRNN = jax.tree.unflatten(jax.tree.structure(shapes), jax.tree.leaves(self))
        if noise_std is None:
            return network
        check_scalar("noise_std", noise_std, minimum=0.0)
        return eqx.tree_at(lambda n: n.noise_std, network, jnp.asarray(noise_std, self.noise_std.dtype))

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """The next flat state (…, S), with images (…, height, width, colors) as input. Leading axes are trials."""
        return self._step(state, input, noise, reverse_mode=False)

    def _step(self, state: State, images: Array | None, noise: State | None, *, reverse_mode: bool) -> State:
        drive = None if images is None else self.drive(images, reverse_mode=reverse_mode)
        kicks = None if noise is None else self.areas_of(noise)
        kernels = self.kernels(reverse_mode=reverse_mode)
        return self.flat(self.step_with(kernels, self.areas_of(state), drive, kicks))

    def in_reverse(self) -> Network:
        """The same network with convolutions whose gradients are faster, and which have no other derivatives."""
        return _InReverse(self)  # pyright: ignore[reportCallIssue]

    def readout(self, state: State) -> Float[Array, "*trials K"]:
        """Logits of a flat state."""
        return self.logits(self.areas_of(state))

    def advance(self, state: AreaState, drive: Drive | None = None, key: Key | None = None) -> AreaState:
        """One step of the maps; without drive the image is blank, without key there is no noise."""
        return self.step_with(self.kernels(), state, drive, None if key is None else self.noise(key, state))

    def noise(self, key: Key, state: AreaState) -> AreaState:
        """Standard normal numbers for a step from a state."""
        keys = jax.random.split(key, self.architecture.depth)
        return tuple(standard_normal(key, area.shape, area.dtype) for key, area in zip(keys, state, strict=True))

    def step_with(
        self, kernels: Kernels, state: AreaState, drive: Drive | None = None, noise: AreaState | None = None
    ) -> AreaState:
        """One step of the maps with weights that `kernels` has prepared; leading axes are free."""
        plan = self.architecture
        # unlike those of currents, these signs follow from what is kept for gradients anyway
        rates = tuple(jnp.where(area > 0, area, self.leak * area) for area in state)
        following = []
        for area, (before, alpha) in enumerate(zip(state, plan.alpha, strict=True)):
            current = kernels.convolve(before, kernels.recurrent[area])
            current += kernels.repeat(kernels.biases[area], before.shape[:-3])
            if area:
                source = rates[area - 1]
                if area > 1:
                    skip = kernels.skips[area - 2]
                    stride = plan.strides[area - 1]
                    source += rates[area - 2] if skip is None else kernels.convolve(rates[area - 2], skip, stride)
                current += kernels.convolve(source, kernels.feedforward[area], plan.strides[area])
            if drive is not None and area < 2:
                current += drive[area]
            if plan.feedback and area + 1 < plan.depth:
                current += enlarge(kernels.convolve(rates[area + 1], kernels.feedback[area]), plan.strides[area + 1])
            moved = (1 - alpha) * before + alpha * self.rectify(current)
            if noise is not None:
                moved += (2 * alpha) ** 0.5 * self.noise_std * noise[area]
            following.append(moved)
        return tuple(following)

    def features(self, state: AreaState) -> Float[Array, "*batch C"]:
        """Means over space of ρ(r_{d−1}) + ρ(r_{d−2}), which are read out."""
        return jnp.mean(self.rectify(state[-1]) + self.rectify(state[-2]), axis=(-3, -2))

    def logits(self, state: AreaState) -> Float[Array, "*batch K"]:
        """Logits of a state."""
        return self.output(self.features(state))

    def __call__(self, images: Maps, *, key: Key | None = None) -> Float[Array, "*batch K"]:
        """Logits after the architecture's blank and image steps."""
        plan, key = self.architecture, check_optional(check_key, "key", key)
        phases = phases_of((plan.blank_steps, plan.image_steps))
        shown = plan.check_images(images).astype(self.dtype)
        return follow(self, shown, None, key, phases, Kept())[0][-1]


class _InReverse(Network):
    """A convolutional network of which only reverse-mode derivatives are taken."""

    network: ConvolutionalRNN

    @property
    def noise_std(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.network.noise_std

    @property
    def observation_noise_std(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.network.observation_noise_std

    @property
    def state_size(self) -> int:
        return self.network.state_size

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.network.input_shape

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        return self.network._step(state, input, noise, reverse_mode=True)

    def readout(self, state: State) -> Array:
        return self.network.readout(state)


def check_network(network: ConvolutionalRNN) -> ConvolutionalRNN:
    """Return a `ConvolutionalRNN`; TypeError that says what makes one otherwise."""
    return check_instance(
        "network", network, ConvolutionalRNN, "such as vision.load_checkpoint or vision.ConvolutionalRNN makes one"
    )
