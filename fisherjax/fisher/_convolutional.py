"""Fisher information about a parameter of the image through the response of a convolutional recurrent network."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import (
    check_callable,
    check_confidence,
    check_instance,
    check_integer,
    check_key,
    check_scalar,
    require,
    told,
    warn,
)
from fisherjax._types import Key, Result, Scalar
from fisherjax.networks import AreaState, ConvolutionalRNN, respond
from fisherjax.numerics import full_precision

from ._estimate import FisherEstimate
from ._image_of import ImageOf, check_image_of
from ._pathwise import pathwise
from ._respond import sample_paths

_SINGULAR = 1e-7  # least eigenvalue of a correlation, per channel, that float32 resolves
_ROWS, _LARGEST = 16, 2**27  # channels whose derivatives are taken together, and numbers that they may fill


class ConvolutionalInformation(Result):
    """Linear Fisher information that the channel means of one area carry about a parameter of the image.

    Parameters
    ----------
    steps
        Steps done before each reading (times,).
    information
        I = μ'ᵀ Σ⁻¹ μ' (times,), in 1/(unit of the parameter)²; NaN where Σ is singular to rounding.
    slope
        μ' (times, channels).
    covariance
        Σ (times, channels, channels).
    area
        Which area was read.
    """

    steps: Int[np.ndarray, " times"]
    information: Float[np.ndarray, " times"]
    slope: Float[np.ndarray, "times channels"]
    covariance: Float[np.ndarray, "times channels channels"]
    area: int


@full_precision
def convolutional_information(
    network: ConvolutionalRNN,
    image_of: ImageOf,
    value: Scalar,
    *,
    at: Sequence[int],
    area: int = -1,
    observation_noise_std: Scalar = 0.0,
) -> ConvolutionalInformation:
    r"""Fisher information about a parameter of the image, through time, by noise linearised around the response.

    Means over space of r in one area, after t steps from silence, are read: f = P r_t. With state noise √(2α) σ ξ per
    step,

    .. math::
        μ' = P \frac{∂r_t}{∂s}, \qquad
        Σ = \sum_{k ≤ t} A_k Q A_k^T + s_o^2 1, \quad A_k = P J_t ⋯ J_{k+1}, \quad Q = \operatorname{diag} 2ασ^2.

    μ' is a forward derivative, the A_k are backward ones: no covariance of all units is ever formed, but derivatives
    in every step and unit are, one channel of the area at a time or a few (T × N numbers each). Exact to second
    order in σ where no unit sits at its threshold; `simulated_convolutional_information` has all orders.

    Parameters
    ----------
    network
        With ``noise_std`` above zero, unless there is observation noise.
    image_of
        From a scalar parameter s to an image (height, width, colours), differentiable.
    value
        Where in s.
    at
        After how many steps to read, in rising order; phases are those of the architecture.
    area
        Which area; the last by default.
    observation_noise_std
        s_o of independent noise added to every mean.

    Warns
    -----
    RuntimeWarning
        If a covariance is singular to rounding, so that the information is not resolved.

    Raises
    ------
    ValueError
        If there is no noise at all, a number is out of range, the image has the wrong shape or jumps at `value`.
    TypeError
        If `network` is none, or `image_of` gives no image.
    """
    steps, read = _readings(network, at, area)
    check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
    process, observed = float(network.noise_std), float(np.asarray(observation_noise_std))
    require(
        process > 0 or observed > 0,
        "without noise the information is infinite: give the network noise_std, or observation_noise_std",
    )
    parameter = check_image_of(network, image_of, value)
    parts = [_linearised(network, image_of, parameter, jnp.asarray(step), steps[-1], read) for step in steps]
    slope, propagated = (np.stack([np.asarray(pair[part], np.float64) for pair in parts]) for part in (0, 1))
    # squares of small σ leave float32
    covariance = process**2 * propagated + observed**2 * np.eye(slope.shape[1])
    information = np.array([_information(s, c) for s, c in zip(slope, covariance, strict=True)])
    lost = int(np.isnan(information).sum())
    if lost:
        warn(
            f"at {lost} of {len(steps)} times the covariance is singular to rounding: the information is NaN there; "
            "add observation_noise_std"
        )
    return ConvolutionalInformation(np.asarray(steps), information, slope, covariance, read)


def _information(slope: Float[np.ndarray, " channels"], covariance: Float[np.ndarray, "channels channels"]) -> float:
    """μ'ᵀ Σ⁻¹ μ', NaN where Σ is singular beside the float32 that it came from."""
    scale = np.sqrt(np.diagonal(covariance))
    if not np.all(scale > 0) or not np.isfinite(covariance).all():
        return float("nan")
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    if values[0] <= _SINGULAR * len(values):
        return float("nan")
    return float(np.sum((vectors.T @ (slope / scale)) ** 2 / values))


@eqx.filter_jit
def _linearised(
    network: ConvolutionalRNN, image_of: ImageOf, value: Array, step: Array, length: int, area: int
) -> tuple[Array, Array]:
    """μ' and Σ/σ² of the means after `step` ≤ `length` steps; compiled once for all times."""
    shapes, alphas = network.architecture.area_shapes, network.architecture.alpha
    kicks = tuple(jnp.zeros((length, *shape), value.dtype) for shape in shapes)

    def means(image: Array, kicks: AreaState, *, reverse_mode: bool) -> Array:
        return _means(network, image, kicks, area, reverse_mode=reverse_mode)[step - 1]

    def of_value(value: Array) -> Array:
        return means(image_of(value), kicks, reverse_mode=False)

    _, slope = jax.jvp(of_value, (value,), (jnp.ones_like(value),))
    image = image_of(value)
    found, back = jax.vjp(lambda kicks: means(image, kicks, reverse_mode=True), kicks)
    units = jnp.eye(len(found), dtype=found.dtype)
    together = max(1, min(_ROWS, len(units), _LARGEST // (length * network.architecture.num_units)))
    rows = jax.lax.map(lambda unit: back(unit)[0], units, batch_size=together)
    covariance = jnp.zeros_like(units)
    for alpha, part in zip(alphas, rows, strict=True):
        flat = part.reshape(len(found), -1)
        product = jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
        covariance += 2 * alpha * product
    return slope, covariance


def _means(network: ConvolutionalRNN, image: Array, kicks: AreaState, area: int, *, reverse_mode: bool) -> Array:
    """Channel means of an area (T, channels) after each of T steps, kicks (T, …) added to the state."""
    kernels, drive = network.kernels(reverse_mode=reverse_mode), network.drive(image, reverse_mode=reverse_mode)

    def body(state: AreaState, inputs: Any) -> tuple[AreaState, Array]:
        on, kick = inputs
        moved = network.step_with(kernels, state, drive.shown(on))
        state = tuple(a + b for a, b in zip(moved, kick, strict=True))
        return state, jnp.mean(state[area], axis=(-3, -2))

    shown = np.arange(kicks[0].shape[0]) >= network.architecture.blank_steps
    return jax.lax.scan(body, network.initial_state(), (shown, kicks))[1]


@full_precision
def simulated_convolutional_information(
    network: ConvolutionalRNN,
    image_of: ImageOf,
    value: Scalar,
    *,
    at: Sequence[int],
    key: Key,
    num_trials: int,
    area: int = -1,
    confidence: float = 0.95,
) -> tuple[FisherEstimate, ...]:
    """What `convolutional_information` predicts, measured: one pathwise estimate per time, to all orders of the noise.

    The same trials serve all times, so that errors at different times are correlated.

    Parameters
    ----------
    network
        With ``noise_std`` above zero.
    image_of, value, at, area
        As in `convolutional_information`.
    key
        JAX random key.
    num_trials
        Simulated responses.
    confidence
        Coverage of the intervals.

    Raises
    ------
    ValueError
        If there is no noise, a number is out of range, or there are too few trials for the channels.
    TypeError
        If `key` is not a JAX key.
    """
    steps, read = _readings(network, at, area)
    trials = check_integer("num_trials", num_trials, minimum=2)
    key, confidence = check_key("key", key), check_confidence(confidence)
    require(float(network.noise_std) > 0, "without noise the information is infinite: give the network noise_std")
    parameter = check_image_of(network, image_of, value)
    values, slopes = _paths(network, image_of, parameter, key, trials, tuple(steps), read)
    return tuple(pathwise(values[:, time], slopes[:, time], confidence=confidence) for time in range(len(steps)))


@eqx.filter_jit
def _paths(
    network: ConvolutionalRNN, image_of: ImageOf, value: Array, key: Key, trials: int, steps: tuple[int, ...], area: int
) -> tuple[Array, Array]:
    """Means of an area (trials, times, channels) and their derivatives in the parameter at fixed noise."""

    def means(value: Array, key: Key) -> Array:
        found = respond(network, image_of(value), areas=(area,), at=steps, key=key)
        return jnp.mean(found.activity[0], axis=(-3, -2)).reshape(-1)

    shape = (trials, len(steps), -1)
    values, slopes = sample_paths(means, value, jax.random.split(key, trials))
    return values.reshape(shape), slopes.reshape(shape)


def _readings(network: ConvolutionalRNN, at: Sequence[int], area: int) -> tuple[list[int], int]:
    """Steps and the area to read, checked."""
    check_instance("network", network, ConvolutionalRNN, "such as networks.load_cordsnet makes one")
    plan = network.architecture
    total = plan.blank_steps + plan.image_steps
    if isinstance(at, str | bytes) or not isinstance(at, Iterable):
        raise TypeError(f"at must be a list of steps, got {told(at)}")
    steps = [check_integer("at", step, minimum=1) for step in at]
    require(
        bool(steps) and steps == sorted(set(steps)) and steps[-1] <= total,
        f"at must rise within 1…{total}, got {list(at)}",
    )
    check_integer("area", area, minimum=-plan.depth)
    require(area < plan.depth, f"area must be within 0…{plan.depth - 1}, got {area}")
    return steps, area % plan.depth


@full_precision
def channel_means(
    network: ConvolutionalRNN, image_of: ImageOf, *, step: int, area: int = -1
) -> Callable[[Any, Key], Float[Array, " channels"]]:
    """The noisy response (s, key) ↦ means over space of one area after so many steps, for `estimate`."""
    check_instance("network", network, ConvolutionalRNN, "such as networks.load_cordsnet makes one")
    check_callable("image_of", image_of)
    plan = network.architecture
    check_integer("area", area, minimum=-plan.depth, maximum=plan.depth - 1)
    last = check_integer("step", step, minimum=1)
    require(last <= plan.blank_steps + plan.image_steps, f"step must be within the response, got {last}")
    blank = min(last, plan.blank_steps)

    def means(value: Any, key: Key) -> Array:
        found = respond(network, image_of(value), blank_steps=blank, image_steps=last - blank, key=key)
        return jnp.mean(found.state[area], axis=(-3, -2))

    return means
