"""Activity of a convolutional recurrent network through time: blank, image, blank."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import (
    check_callable,
    check_flag,
    check_integer,
    check_key,
    check_kind,
    check_optional,
    require,
    told,
)
from fisherjax._runtime import Devices, Precision, on_devices, products_in
from fisherjax._types import Key, Record
from fisherjax.networks._protocol import check_times

from ._architecture import Architecture
from ._convolution import AreaState
from ._loop import Kept, follow, phases_of
from ._network import ConvolutionalRNN, check_network


class Response(Record):
    """How a `ConvolutionalRNN` responded to images.

    Parameters
    ----------
    logits
        After every step (T, *batch, K).
    activity
        r of every recorded area at the recorded steps (records, *batch, height, width, channels).
    areas
        Which areas those are.
    recorded
        At which steps, counted from 1: entry s is the state after s steps.
    state
        r of all areas after the last step.
    onset, offset
        Steps done when the image appeared and when it vanished.
    """

    logits: Float[Array, "T *batch K"]
    activity: tuple[Float[Array, "..."], ...]
    areas: tuple[int, ...] = eqx.field(static=True)
    recorded: Int[np.ndarray, " records"]
    state: tuple[Float[Array, "..."], ...]
    onset: int = eqx.field(static=True)
    offset: int = eqx.field(static=True)

    @property
    def probabilities(self) -> Float[Array, "T *batch K"]:
        """Softmax of the logits."""
        return jax.nn.softmax(self.logits, axis=-1)


def respond(
    network: ConvolutionalRNN,
    images: Float[Array | np.ndarray, "*batch height width colors"],
    *,
    blank_steps: int | None = None,
    image_steps: int | None = None,
    offset_steps: int = 0,
    areas: Sequence[int] | Literal["all"] = (),
    at: Sequence[int] | None = None,
    key: Key | None = None,
    initial_state: AreaState | None = None,
    remat_every: int | None = None,
    reverse_mode: bool = False,
    precision: Precision = "float32",
    devices: Devices = None,
) -> Response:
    """Run a network from silence through a blank screen, images, and a blank screen again.

    What an image drives is computed once; the first blank phase is the same for all images and is computed once
    unless there is noise. Compiled once per set of shapes.

    Parameters
    ----------
    network
        Where to run.
    images
        Floats (*batch, height, width, colors).
    blank_steps, image_steps
        Steps before and with the images; those of the architecture by default.
    offset_steps
        Steps without them, after.
    areas
        Areas whose activity to record, or "all".
    at
        Steps to record, counted from 1; every step by default. Memory is taken for these only.
    key
        JAX random key of the state noise; without it there is none.
    initial_state
        Maps (*batch, height, width, channels) of every area; silence by default.
    remat_every
        For gradients: keep the state of every so many steps and compute those between again, so that T steps need
        the memory of T/remat_every + remat_every; all are kept by default.
    reverse_mode
        For gradients: faster ones on CPUs, but no other derivatives (jvp, jacfwd).
    precision
        Of products and convolutions: ``"float32"``, in full on every device, ``"tensorfloat32"`` or
        ``"bfloat16"``, which accelerators do many times faster.
    devices
        Divide the images among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Raises
    ------
    ValueError
        If images have the wrong shape, a number is out of range, or `precision` is misspelt.
    TypeError
        If `key` is not a JAX key.
    """
    plan = check_network(network).architecture
    shown_images = plan.check_images(images).astype(network.dtype)
    phases = plan.phases(blank_steps, image_steps, offset_steps)
    chosen = _chosen_areas(areas, plan.depth)
    steps = check_times(at, sum(phases))  # a wrong one is refused also where no area is recorded
    steps = steps if chosen else ()
    remat_every = check_optional(check_integer, "remat_every", remat_every, minimum=1)
    if initial_state is not None:
        initial_state = _checked_state(initial_state, shown_images.shape[:-3], plan.area_shapes, network.dtype)
    kept = Kept(chosen, at is None, remat_every, check_flag("reverse_mode", reverse_mode))
    key = check_optional(check_key, "key", key)
    with products_in(precision), on_devices(devices):
        stretches = phases_of(phases, steps)
        logits, activity, state = follow(network, shown_images, initial_state, key, stretches, kept)
    offset = phases.blank_steps + phases.image_steps
    return Response(logits, activity, chosen, np.asarray(steps, int), state, phases.blank_steps, offset)


def _chosen_areas(areas: Sequence[int] | str, depth: int) -> tuple[int, ...]:
    if isinstance(areas, str):
        require(areas == "all", f"areas must be 'all' or numbers of areas, got {areas!r}")
        return tuple(range(depth))
    check_kind("areas", areas, (list, tuple, range, np.ndarray), "'all' or numbers of areas")
    chosen = tuple(check_integer("areas", area, minimum=0) for area in areas)
    for area in chosen:
        require(area < depth, f"areas must be within 0…{depth - 1}, got {area}")
    return chosen


def _checked_state(
    state: AreaState, batch: tuple[int, ...], shapes: tuple[tuple[int, ...], ...], dtype: Any
) -> AreaState:
    if not isinstance(state, list | tuple):
        raise TypeError(f"initial_state must hold maps of {len(shapes)} areas, got {told(state)}")
    require(len(state) == len(shapes), f"initial_state must hold {len(shapes)} areas, got {len(state)}")
    return tuple(
        as_real(
            f"initial_state of area {area}", maps, " ".join(map(str, shape)), " ".join(map(str, (*batch, *shape))),
            dtype=dtype,
        )
        for area, (maps, shape) in enumerate(zip(state, shapes, strict=True))
    )  # fmt: skip


class Shown(eqx.Module):
    """A protocol: a blank screen, the image of a parameter, and a blank screen again; θ ↦ images (T, H, W, C).

    Made by `shown`. Its `num_steps` is that of the curve.
    """

    image_of: Callable[[Any], Array]
    blank_steps: int = eqx.field(static=True)
    image_steps: int = eqx.field(static=True)
    offset_steps: int = eqx.field(static=True)

    @property
    def num_steps(self) -> int:
        """T, steps of all three phases."""
        return self.blank_steps + self.image_steps + self.offset_steps

    def __call__(self, theta: Array) -> Float[Array, "T height width colors"]:
        """The images of all steps."""
        image = self.image_of(theta)
        time = jnp.arange(self.num_steps)
        on = (time >= self.blank_steps) & (time < self.blank_steps + self.image_steps)
        return jnp.where(on[:, None, None, None], image, jnp.zeros_like(image))


def shown(
    network: ConvolutionalRNN,
    image_of: Callable[[Any], Array],
    *,
    blank_steps: int | None = None,
    image_steps: int | None = None,
    offset_steps: int = 0,
) -> Shown:
    """The protocol that shows a network the image of a parameter.

    Parameters
    ----------
    network
        Whose architecture says for how long, unless told otherwise.
    image_of
        From the parameter θ, () or (K,), to an image (height, width, colors), differentiable.
    blank_steps, image_steps, offset_steps
        Steps of a blank screen before, of the image, and of a blank screen after.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no step at all.
    TypeError
        If `network` is none, or `image_of` is no function.
    """
    plan = check_network(network).architecture
    check_callable("image_of", image_of)
    return Shown(image_of, *plan.phases(blank_steps, image_steps, offset_steps))


class ChannelMeans(eqx.Module):
    """A reading: means over space of the maps of areas, one number per channel. Made by `channel_means`."""

    architecture: Architecture = eqx.field(static=True)
    areas: tuple[int, ...] = eqx.field(static=True)

    @property
    def counts(self) -> tuple[int, ...]:
        """Channels of every area that is read: groups that are told apart."""
        return tuple(self.architecture.channels[area] for area in self.areas)

    def __call__(self, state: Float[Array, "*trials S"]) -> Float[Array, "*trials channels"]:
        """The means of a flat state."""
        shapes = self.architecture.area_shapes
        starts = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
        parts = []
        for area in self.areas:
            maps = state[..., starts[area] : starts[area + 1]]
            parts.append(jnp.mean(maps.reshape(*state.shape[:-1], -1, shapes[area][2]), axis=-2))
        return jnp.concatenate(parts, axis=-1)


def channel_means(network: ConvolutionalRNN, area: int | Literal["all"] = -1) -> ChannelMeans:
    """What reads the means over space of one area, the last by default, or of all.

    Of all areas a `FisherCurve` tells each apart: its `by_population` (T, areas) is the information through time in
    every area read alone, and `total` that of all of them together.

    Raises
    ------
    ValueError
        If there is no such area.
    TypeError
        If `network` is none, or the area is no whole number.
    """
    plan = check_network(network).architecture
    if isinstance(area, str):
        require(area == "all", f"area must be 'all' or the number of one, got {area!r}")
        return ChannelMeans(plan, tuple(range(plan.depth)))
    check_integer("area", area, minimum=-plan.depth, maximum=plan.depth - 1)
    return ChannelMeans(plan, (area % plan.depth,))
