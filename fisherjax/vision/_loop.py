"""The loop over time of a convolutional recurrent network; it stands below the network, whose steps it is given."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._runtime import spread
from fisherjax._types import Key

from ._convolution import AreaState


class Phase(NamedTuple):
    """A stretch of constant input: its first step, its length, and which of its steps are recorded."""

    start: int
    length: int
    recorded: tuple[int, ...]


class Kept(NamedTuple):
    """What is kept of a response, and how gradients are taken through it."""

    areas: tuple[int, ...] = ()
    everything: bool = True
    remat_every: int | None = None
    reverse_mode: bool = False


def phases_of(lengths: Sequence[int], recorded: Sequence[int] = ()) -> tuple[Phase, ...]:
    """Phases of these lengths, one after another, with the recorded steps, which count from 1 through all of them."""
    bounds = np.cumsum([0, *lengths]).tolist()
    return tuple(
        Phase(begin, end - begin, tuple(step - begin - 1 for step in recorded if begin < step <= end))
        for begin, end in itertools.pairwise(bounds)
    )


@eqx.filter_jit
def follow(
    network: Any, images: Array, start: AreaState | None, key: Key | None, phases: tuple[Phase, ...], kept: Kept
) -> tuple[Array, tuple[Array, ...], AreaState]:
    """Logits after every step, records of every area, and the last state; the second phase has the images."""
    batch = images.shape[:-3]
    images = spread(images, "batch") if batch else images
    step = functools.partial(network.step_with, network.kernels(reverse_mode=kept.reverse_mode))
    drive = network.drive(images, reverse_mode=kept.reverse_mode)
    # until the image comes all images share one state, unless noise or the user make them differ
    state = network.silence() if start is None else start
    state = state if key is None else _spread(state, batch)
    logits, records = [], []
    for index, phase in enumerate(phases):
        if phase.length:
            state = _spread(state, batch) if index else state
            moving = functools.partial(step, drive=drive if index == 1 else None)
            state, scores, recorded = _phase(network, moving, state, phase, key, kept)
            logits.append(_spread_records(scores, batch, 1))
            records.append(tuple(_spread_records(maps, batch, 3) for maps in recorded))
    activity = tuple(jnp.concatenate(parts) for parts in zip(*records, strict=True)) if kept.areas else ()
    return spread((jnp.concatenate(logits), activity, _spread(state, batch)))


def _phase(
    network: Any, step: Any, state: AreaState, phase: Phase, key: Key | None, kept: Kept
) -> tuple[AreaState, Array, tuple[Array, ...]]:
    """Steps of constant input: the last state, logits at every step, and the records (records, …) of every area."""
    stacked = kept.areas if kept.everything else ()
    buffered = () if kept.everything else kept.areas
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
        return (state, buffers), (network.features(state), tuple(state[area] for area in stacked))

    times = phase.start + np.arange(phase.length)
    (state, buffers), (features, shown) = _scan(body, (state, buffers), (times, places), kept.remat_every)
    # read out here: within the loop the slope of the read-out would need the features, and so all convolutions, again
    return state, network.output(features), shown if kept.everything else buffers


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
