"""Activity of a convolutional recurrent network through time: blank, image, blank."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, check_instance, check_integer, check_key, require, told
from fisherjax._runtime import Devices, on_devices, spread
from fisherjax._types import Key, Record

from ._network import AreaState, ConvolutionalRNN, as_images


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


class _Phase(NamedTuple):
    """A stretch of constant input: its first step, its length, and which of its steps are recorded."""

    start: int
    length: int
    recorded: tuple[int, ...]


class _Options(NamedTuple):
    areas: tuple[int, ...]
    everything: bool
    remat_every: int | None
    reverse_mode: bool


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
    devices
        Divide the images among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Raises
    ------
    ValueError
        If images have the wrong shape, or a number is out of range.
    TypeError
        If `key` is not a JAX key.
    """
    plan = check_instance("network", network, ConvolutionalRNN).architecture
    shown_images = as_images(network, images)
    blank = plan.blank_steps if blank_steps is None else check_integer("blank_steps", blank_steps, minimum=0)
    shown = plan.image_steps if image_steps is None else check_integer("image_steps", image_steps, minimum=0)
    after = check_integer("offset_steps", offset_steps, minimum=0)
    total = blank + shown + after
    require(total > 0, "blank_steps + image_steps + offset_steps must be positive")
    chosen = _chosen_areas(areas, plan.depth)
    steps = _recorded_steps(at, total)
    steps = steps if chosen else []
    if remat_every is not None:
        remat_every = check_integer("remat_every", remat_every, minimum=1)
    bounds = np.cumsum([0, blank, shown, after]).tolist()
    phases = tuple(
        _Phase(begin, end - begin, tuple(step - begin - 1 for step in steps if begin < step <= end))
        for begin, end in itertools.pairwise(bounds)
    )
    if initial_state is not None:
        initial_state = _checked_state(initial_state, shown_images.shape[:-3], plan.area_shapes, network.leak.dtype)
    options = _Options(chosen, at is None, remat_every, check_flag("reverse_mode", reverse_mode))
    key = None if key is None else check_key("key", key)
    with on_devices(devices):
        logits, activity, state = _run(network, shown_images, initial_state, key, phases, options)
    return Response(logits, activity, chosen, np.asarray(steps, int), state, blank, blank + shown)


@eqx.filter_jit
def _run(
    network: ConvolutionalRNN,
    images: Array,
    start: AreaState | None,
    key: Key | None,
    phases: tuple[_Phase, ...],
    options: _Options,
) -> tuple[Array, tuple[Array, ...], AreaState]:
    batch = images.shape[:-3]
    images = spread(images, "batch") if batch else images
    step = functools.partial(network.step_with, network.kernels(reverse_mode=options.reverse_mode))
    drive = network.drive(images, reverse_mode=options.reverse_mode)
    # until the image comes all images share one state, unless noise or the user make them differ
    state = network.silence() if start is None else start
    state = state if key is None else _spread(state, batch)
    logits, records = [], []
    for index, phase in enumerate(phases):
        if phase.length:
            state = _spread(state, batch) if index else state
            moving = functools.partial(step, drive=drive if index == 1 else None)
            state, scores, recorded = _phase(network, moving, state, phase, key, options)
            logits.append(_spread_records(scores, batch, 1))
            records.append(tuple(_spread_records(one, batch, 3) for one in recorded))
    activity = tuple(jnp.concatenate(parts) for parts in zip(*records, strict=True)) if options.areas else ()
    return spread((jnp.concatenate(logits), activity, _spread(state, batch)))


def _phase(
    network: ConvolutionalRNN, step: Any, state: AreaState, phase: _Phase, key: Key | None, options: _Options
) -> tuple[AreaState, Array, tuple[Array, ...]]:
    """Steps of constant input: the last state, logits at every step, and the records (records, …) of every area."""
    stacked = options.areas if options.everything else ()
    buffered = () if options.everything else options.areas
    count = len(phase.recorded)
    places = np.full(phase.length, count)  # out of range: not written
    places[list(phase.recorded)] = np.arange(count)
    buffers = tuple(jnp.zeros((count, *state[area].shape), state[area].dtype) for area in buffered)

    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        state, buffers = carry
        time, place = inputs
        noise = None if key is None else network.noise(jax.random.fold_in(key, time), state)
        state = step(state, noise=noise)
        if count:
            buffers = tuple(
                buffer.at[place].set(state[area], mode="drop") for buffer, area in zip(buffers, buffered, strict=True)
            )
        return (state, buffers), (network.logits(state), tuple(state[area] for area in stacked))

    times = phase.start + np.arange(phase.length)
    (state, buffers), (scores, shown) = _scan(body, (state, buffers), (times, places), options.remat_every)
    return state, scores, shown if options.everything else buffers


def _scan(body: Any, carry: Any, inputs: Any, remat_every: int | None) -> tuple[Any, Any]:
    """A loop over time that keeps for gradients every state, or every `remat_every`-th."""
    # within a step only where units are active is kept: the convolutions need not run again
    policy = jax.checkpoint_policies.save_only_these_names("active")
    body = jax.checkpoint(body, policy=policy, prevent_cse=False)
    length = len(inputs[0])
    if remat_every is None or remat_every >= length:
        return jax.lax.scan(body, carry, inputs)
    whole = length - length % remat_every

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def segment(carry: Any, inputs: Any) -> tuple[Any, Any]:
        return jax.lax.scan(body, carry, inputs)

    split = jax.tree.map(lambda x: x[:whole].reshape(-1, remat_every, *x.shape[1:]), inputs)
    carry, first = jax.lax.scan(segment, carry, split)
    first = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), first)
    carry, last = jax.lax.scan(body, carry, jax.tree.map(lambda x: x[whole:], inputs))
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), first, last)


def _spread(state: AreaState, batch: tuple[int, ...]) -> AreaState:
    return tuple(jnp.broadcast_to(area, (*batch, *area.shape[-3:])) for area in state)


def _spread_records(records: Array, batch: tuple[int, ...], trailing: int) -> Array:
    """(T, …) of one state as (T, *batch, …)."""
    own = records.shape[records.ndim - trailing :]
    lead = batch if records.ndim == 1 + len(batch) + trailing else (1,) * len(batch)
    return jnp.broadcast_to(records.reshape(len(records), *lead, *own), (len(records), *batch, *own))


def _chosen_areas(areas: Sequence[int] | str, depth: int) -> tuple[int, ...]:
    if isinstance(areas, str):
        require(areas == "all", f"areas must be 'all' or numbers of areas, got {areas!r}")
        return tuple(range(depth))
    if not isinstance(areas, list | tuple | range | np.ndarray):
        raise TypeError(f"areas must be 'all' or numbers of areas, got {told(areas)}")
    chosen = tuple(check_integer("areas", area, minimum=0) for area in areas)
    for area in chosen:
        require(area < depth, f"areas must be within 0…{depth - 1}, got {area}")
    return chosen


def _recorded_steps(at: Sequence[int] | None, total: int) -> list[int]:
    if at is None:
        return list(range(1, total + 1))
    if isinstance(at, str) or not isinstance(at, list | tuple | range | np.ndarray):
        raise TypeError(f"at must be a list of steps, got {told(at)}")
    steps = [check_integer("at", step, minimum=1) for step in at]
    require(bool(steps) and steps == sorted(set(steps)), f"at must name steps in rising order, got {list(at)}")
    require(steps[-1] <= total, f"at must be within 1…{total}, got {steps[-1]}")
    return steps


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
