"""Lyapunov exponents of a map or a flow by repeated QR decomposition."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, check_integer, check_key, check_optional, check_scalar, require, warn
from fisherjax._linalg import standard_normal
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.networks import Network

from ._step import StepLike, System, input_axes, map_of, setting_of, time_step_of
from ._tangents import BLOCKS, follow, surviving

_ESCAPED = 1e3  # growth of the state, without a pause, that no attractor has
_MOST_CORRELATED = 0.9


class LyapunovSpectrum(Record):
    """Lyapunov exponents, largest first, with standard errors over blocks of the trajectory.

    Parameters
    ----------
    exponents
        Per unit of time (K,). NaN: not resolved, because a single step shrinks this direction so much more than
        another that rounding hides what is left of it. −∞: the Jacobians, in exact arithmetic, take as many
        directions to zero, as those of a map do that ignores a coordinate. NaN stand after the finite ones, −∞ last.
    standard_error
        From 20 blocks, widened where neighboring ones are correlated (K,); NaN where the exponent is not finite. It
        misses correlations longer than a few blocks.
    """

    exponents: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]

    @property
    def dimension(self) -> float:
        """Kaplan–Yorke dimension, from the exponents up to the one with which their sum turns negative.

        As large as the number of exponents where their sum is positive to the last, that is, at least this. NaN where
        the sum is still positive when it comes to an exponent that is not resolved.
        """
        total = 0.0
        for index, rate in enumerate(self.exponents):
            if np.isnan(rate):
                return float("nan")
            if total + rate < 0:
                return index + float(total / -rate)
            total += float(rate)
        return float(len(self.exponents))


@full_precision
def lyapunov_spectrum(
    step: StepLike,
    initial_state: Any,
    inputs: ArrayLike | None = None,
    *,
    key: Key,
    num_steps: int,
    num_exponents: int | None = None,
    warm_up: int = 100,
    dt: Scalar | None = None,
    steps_per_qr: int = 1,
    noisy: bool = False,
) -> LyapunovSpectrum:
    """Lyapunov exponents λ_k = lim (1/T) Σ ln |R_kk| of a map, by QR decomposition along a trajectory.

    Between two decompositions all tangent vectors lean towards the fastest direction, and what distinguishes the
    slowest from it must stay far above rounding: where one of the |R_kk| falls below √ε of the largest, everything
    is computed again with half as many steps between decompositions. What one single step makes smaller than rounding
    is not resolved: such exponents are NaN, and a warning says so.

    Parameters
    ----------
    step
        A `Network`, of whose step the exponents are (that of a `FlowNetwork` too); a function F(x, u) or F(x) to the
        next state; or a `networks.Flow`, which is followed by Runge–Kutta steps of length `dt`.
    initial_state
        x(0) (N,), or several (trials, N), whose exponents are averaged: they share the reading of the weights, which
        is what a large network's step costs. Or one state that is a tree of arrays.
    inputs
        u(t) (T, I) with T = `warm_up` + `num_steps`, or one that is held (I,), or None; of a network, its
        `input_shape` stands for I.
    key
        JAX random key of the first tangent vectors.
    num_steps
        Steps that are averaged over; rounded down to 20 blocks of whole QR intervals.
    num_exponents
        How many, from the largest; all N by default. Cost grows in proportion.
    warm_up
        Steps before, in which state and tangent vectors settle.
    dt
        Time of one step; that of the network by default, 1 for a function. Of a `Flow` it must be said.
    steps_per_qr
        Most steps between decompositions; fewer are taken where rounding asks for it.
    noisy
        Whether a network is driven by its own noise: one realization for all trials, which neighboring trajectories
        feel alike.

    Warns
    -----
    RuntimeWarning
        If an exponent is not resolved, or the state grows throughout, so that it is on no attractor.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of range, there are too few steps, or the trajectory diverges.
    TypeError
        If `key` is not a JAX key, or `step` does not map a state to a state of its float type.

    References
    ----------
    Benettin, Galgani, Giorgilli & Strelcyn (1980), Lyapunov characteristic exponents for smooth dynamical systems,
    Meccanica 15, 9–30.
    """
    check_optional(check_scalar, "dt", dt, minimum=0.0, strict=True)
    noisy = check_flag("noisy", noisy)
    require(not noisy or isinstance(step, Network), "noisy needs a network, which has noise of its own")
    warm_up = check_integer("warm_up", warm_up, minimum=0)
    interval = check_integer("steps_per_qr", steps_per_qr, minimum=1)
    per_block = check_integer("num_steps", num_steps, minimum=1) // (BLOCKS * interval) * interval
    require(per_block >= 1, f"num_steps must be at least {BLOCKS * interval} (20 QR intervals), got {num_steps}")
    tangent_key = check_key("key", key)
    driven = _driven(step, inputs, warm_up + num_steps)
    _, states, _, unflatten = setting_of(
        "initial_state", step, initial_state, None if driven is None else driven[0], single=True
    )
    size = states.shape[1]
    count = size if num_exponents is None else check_integer("num_exponents", num_exponents, minimum=1)
    require(count <= size, f"num_exponents must be at most the state's length {size}, got {count}")
    system = map_of(step, unflatten, dt, "lyapunov_spectrum")
    given: Any = None if driven is None else driven.astype(states.dtype)
    if noisy:
        noise_key, tangent_key = jax.random.split(tangent_key)
        noise = standard_normal(noise_key, (warm_up + num_steps, size), states.dtype)
        system, given = System(_Noisy(step), is_flow=False), (given, noise)  # pyright: ignore[reportArgumentType]
    lengths = (jnp.asarray(warm_up), jnp.asarray(per_block))
    run = follow(system, states, given, tangent_key, count, *lengths, jnp.asarray(interval))
    # the interval is an array: a shorter one compiles nothing
    while run.coarse:  # never with one step
        interval //= 2
        run = follow(system, states, given, tangent_key, count, *lengths, jnp.asarray(interval))
    require(bool(run.finite), f"initial_state leads to a trajectory that diverges: not finite after {run.step} steps")
    smooth = f"step has no finite derivative along the trajectory: tangent vectors diverge after {run.step} steps"
    require(bool(run.smooth), smooth)
    unit = time_step_of(step) if dt is None else float(dt)
    blocks = np.asarray(run.sums, np.float64).mean(axis=0) / (per_block * unit)
    _warn_of_escape(np.asarray(run.extents))
    exponents, errors = blocks.mean(axis=0), _block_errors(blocks)
    lost = np.asarray(run.lost)
    if lost.any():
        first = int(lost.any(axis=0).argmax())
        # in exact arithmetic as many directions as the rank survive: those are not resolved, the others are gone
        rank = surviving(system, run, given, first)
        exponents[first:], errors[first:] = np.nan, np.nan
        exponents[max(first, rank) :] = -np.inf
        _warn_of_lost(int(np.isnan(exponents).sum()), states.dtype)
    # lexsort takes the last of its keys first: finite before NaN before −∞, each in falling order
    order = np.lexsort((-exponents, np.isneginf(exponents), np.isnan(exponents) | np.isneginf(exponents)))
    return LyapunovSpectrum(exponents[order], errors[order])


class _Noisy(eqx.Module):
    """A network's step that takes its input and its noise together."""

    network: Network

    def __call__(self, state: Array, both: tuple[Array | None, Array]) -> Array:
        """The next state."""
        return self.network.step(state, *both)


def _block_errors(blocks: Float[np.ndarray, "blocks K"]) -> Float[np.ndarray, " K"]:
    """Standard errors of means over blocks, for blocks whose correlation falls off geometrically."""
    away = blocks - blocks.mean(axis=0)
    square = np.sum(away**2, axis=0)
    lag_one = np.sum(away[1:] * away[:-1], axis=0) / np.where(square > 0, square, 1)
    # the mean of n blocks whose correlation falls off as ρᵏ has the variance σ²/n (1 + ρ)/(1 − ρ), for large n
    correlation = np.clip(lag_one, 0, _MOST_CORRELATED)
    return np.sqrt(square / (BLOCKS - 1) / BLOCKS * (1 + correlation) / (1 - correlation))


def _warn_of_escape(extents: Float[np.ndarray, " ends"]) -> None:
    if np.all(np.diff(extents) > 0) and extents[-1] > _ESCAPED * extents[0]:
        warn(
            f"the state grows throughout, from {extents[0]:.3g} to {extents[-1]:.3g}: it diverges, and "
            "these are exponents of a trajectory that is on no attractor"
        )


def _warn_of_lost(number: int, dtype: Any) -> None:
    if number:
        warn(
            f"{number} Lyapunov exponents are not resolved and NaN: one step shrinks their directions below the "
            f"rounding of {dtype} beside the others. Their exponents are very negative, or −∞"
        )


def _driven(step: StepLike, inputs: ArrayLike | None, asked: int) -> Array | None:
    """Inputs of every step (T, *I), or the one that is held (1, *I)."""
    if inputs is None:
        return None
    axes, hint = input_axes(step), "one that is held, or one per step of warm-up and average"
    array = as_real("inputs", inputs, axes, f"{asked} {axes}", hint=hint)
    return array if array.ndim > len(axes.split()) else array[None]
