"""Fisher information about a parameter of the image through the response of a convolutional recurrent network."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import check_callable, check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.networks import AreaState, ConvolutionalRNN, respond
from fisherjax.numerics import full_precision

from ._estimate import FisherEstimate
from ._pathwise import pathwise
from ._respond import sample_paths

ImageOf = Callable[[Any], Array]

_ROWS, _LARGEST = 16, 2**27  # channels whose derivatives are taken together, and numbers that they may fill


class ConvolutionalInformation(Result):
    """Linear Fisher information that the channel means of one area carry about a parameter of the image.

    Parameters
    ----------
    steps
        Steps done before each reading (times,).
    information
        I = μ'ᵀ Σ⁻¹ μ' (times,), in 1/(unit of the parameter)².
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

    Raises
    ------
    ValueError
        If there is no noise at all, a number is out of range, or the image has the wrong shape.
    """
    check_callable("image_of", image_of)
    check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
    steps, read = _readings(network, at, area)
    require(
        float(network.noise_std) > 0 or float(np.asarray(observation_noise_std)) > 0,
        "without noise the information is infinite: give the network noise_std, or observation_noise_std",
    )
    dtype = network.leak.dtype
    parameter, observed = jnp.asarray(value, dtype), jnp.asarray(observation_noise_std, dtype)
    found = [_linearised(network, image_of, parameter, observed, jnp.asarray(step), steps[-1], read) for step in steps]
    slope, covariance = (np.stack([np.asarray(pair[part]) for pair in found]) for part in (0, 1))
    weighted = np.linalg.solve(covariance, slope[..., None])[..., 0]
    return ConvolutionalInformation(
        np.asarray(steps), np.sum(slope * weighted, axis=-1).astype(float), slope, covariance, read
    )


@eqx.filter_jit
def _linearised(
    network: ConvolutionalRNN, image_of: ImageOf, value: Array, observed: Array, step: Array, length: int, area: int
) -> tuple[Array, Array]:
    """μ' and Σ of the means after `step` ≤ `length` steps; compiled once for all times."""
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
    covariance = observed**2 * units
    for alpha, part in zip(alphas, rows, strict=True):
        flat = part.reshape(len(found), -1)
        product = jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
        covariance += 2 * alpha * network.noise_std**2 * product
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
    check_callable("image_of", image_of)
    steps, read = _readings(network, at, area)
    trials = check_integer("num_trials", num_trials, minimum=2)
    require(float(network.noise_std) > 0, "without noise the information is infinite: give the network noise_std")
    parameter = jnp.asarray(value, network.leak.dtype)
    values, slopes = _paths(network, image_of, parameter, check_key("key", key), trials, tuple(steps), read)
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
    plan = network.architecture
    total = plan.blank_steps + plan.image_steps
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
    plan = network.architecture
    last = check_integer("step", step, minimum=1)
    require(last <= plan.blank_steps + plan.image_steps, f"step must be within the response, got {last}")
    blank = min(last, plan.blank_steps)

    def means(value: Any, key: Key) -> Array:
        found = respond(network, image_of(value), blank_steps=blank, image_steps=last - blank, key=key)
        return jnp.mean(found.state[area], axis=(-3, -2))

    return means
