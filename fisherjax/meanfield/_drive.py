"""What enters a structure besides its weights: a start, a bias, inputs, and what differs between units for good."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_jax, as_real
from fisherjax._errors import output_of, require
from fisherjax._types import ArrayLike, Stimulus
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.networks._protocol import Protocol, is_named


class Drive(NamedTuple):
    """Of every population, with derivatives in K parameters of the stimulus; H patterns that differ between units.

    A unit's state starts at `start`; into step t + 1 come `mean` and, times the unit's own frozen numbers N(0, 1),
    `random`. None for what is zero throughout, which costs nothing.
    """

    start: Float[Array, " P"]
    start_slope: Float[Array, "P K"]
    mean: Float[Array, "T P"] | None = None
    mean_slope: Float[Array, "T P K"] | None = None
    random: Float[Array, "T H P"] | None = None
    random_slope: Float[Array, "T H P K"] | None = None

    @property
    def is_pulse(self) -> bool:
        """Whether nothing enters after the start."""
        return self.mean is None and self.random is None

    def until(self, num_steps: int) -> "Drive":
        """What enters until a step."""
        return Drive(*self[:2], *(None if part is None else part[:num_steps] for part in self[2:]))


class Entering(NamedTuple):
    """How a stimulus enters a structure, as a user says it."""

    protocol: Protocol = "pulse"
    input_pattern: ArrayLike | None = None
    bias: ArrayLike | None = None
    bias_std: ArrayLike | None = None
    input_pattern_std: ArrayLike | None = None


def as_drive(gain_matrix: GainMatrix, stimulus: Stimulus, num_steps: int, entering: Entering) -> Drive:
    """What enters a structure, checked.

    Raises
    ------
    TypeError
        If the protocol is neither a name nor a function that can be traced.
    ValueError
        If a shape does not fit, or patterns that differ between units are asked of a pulse.
    """
    dtype, count, theta = gain_matrix.gains.dtype, gain_matrix.num_populations, _parameters(gain_matrix, stimulus)
    bias = as_real("bias", 0.0 if entering.bias is None else entering.bias, "", str(count), dtype=dtype)
    none, protocol = jnp.zeros((count, theta.size), dtype), entering.protocol
    if isinstance(protocol, str) and protocol == "pulse":
        require(
            entering.input_pattern_std is None,
            "input_pattern_std belongs to inputs that last; a pulse enters through input_pattern alone",
        )
        pattern = _pattern("input_pattern", entering.input_pattern, count, theta.size, dtype)
        if entering.bias is None and entering.bias_std is None:
            return Drive(pattern @ theta, pattern)
        # nothing but the bias
        begun, inputs = (pattern @ theta, pattern), jnp.zeros((num_steps, 0), dtype)
        slopes, pattern = jnp.zeros((num_steps, 0, theta.size), dtype), pattern[:, :0]
    else:
        begun = (none[:, 0], none)
        inputs, slopes = _inputs(protocol, theta, num_steps, scalar=np.ndim(stimulus) == 0)
        pattern = _pattern("input_pattern", entering.input_pattern, count, inputs.shape[1], dtype)
    mean, mean_slope = bias + inputs @ pattern.T, jnp.einsum("pi,tik->tpk", pattern, slopes)
    return Drive(*begun, mean, mean_slope, *_random(entering, inputs, slopes, count))


def input_parameters(
    gain_matrix: GainMatrix, stimulus: Stimulus, input_pattern: ArrayLike | None
) -> tuple[Float[Array, " K"], Float[Array, "P K"]]:
    """Stimulus as a vector (K,) and the pattern of a stimulus that is an input itself (P, K), checked."""
    theta = _parameters(check_gain_matrix(gain_matrix, means=True), stimulus)
    return theta, _pattern("input_pattern", input_pattern, gain_matrix.num_populations, theta.size, theta.dtype)


def _parameters(gain_matrix: GainMatrix, stimulus: Stimulus) -> Float[Array, " K"]:
    theta = as_real("stimulus", stimulus, "", "parameters", dtype=gain_matrix.gains.dtype).reshape(-1)
    require(theta.size > 0, "stimulus must hold at least one number")
    return theta


def _random(
    entering: Entering, inputs: Float[Array, "T I"], slopes: Float[Array, "T I K"], count: int
) -> tuple[Array | None, Array | None]:
    """Sizes of the frozen patterns of the bias and of every input, and their derivatives."""
    parts, part_slopes = [], []
    steps, _, parameters = slopes.shape
    if entering.bias_std is not None:
        spread = as_real("bias_std", entering.bias_std, "", str(count), dtype=inputs.dtype, minimum=0.0)
        parts.append(jnp.broadcast_to(spread, (steps, 1, count)))
        part_slopes.append(jnp.zeros((steps, 1, count, parameters), inputs.dtype))
    if entering.input_pattern_std is not None:
        spread = _pattern("input_pattern_std", entering.input_pattern_std, count, inputs.shape[1], inputs.dtype, 0.0)
        parts.append(inputs[:, :, None] * spread.T)
        part_slopes.append(slopes[:, :, None, :] * spread.T[..., None])
    if not parts:
        return None, None
    return jnp.concatenate(parts, axis=1), jnp.concatenate(part_slopes, axis=1)


def _inputs(
    protocol: Any, theta: Float[Array, " K"], num_steps: int, *, scalar: bool
) -> tuple[Float[Array, "T I"], Float[Array, "T I K"]]:
    """Inputs to all steps and their derivatives in the stimulus; one channel for every parameter if it is named."""
    if is_named(protocol):
        eye = jnp.eye(theta.size, dtype=theta.dtype)
        return jnp.broadcast_to(theta, (num_steps, theta.size)), jnp.broadcast_to(eye, (num_steps, *eye.shape))

    def inputs(values: Array) -> Array:
        shown = jnp.asarray(protocol(values[0] if scalar else values)).astype(theta.dtype)  # pyright: ignore[reportCallIssue]
        return shown.reshape(*shown.shape, 1) if shown.ndim == 1 else shown

    shown = output_of("protocol", inputs, theta)
    fits = shown.ndim == 2 and shown.shape[0] == num_steps
    require(fits, f"protocol must return inputs (T,) or (T, I), one for each of {num_steps} steps, got {shown.shape}")
    return inputs(theta), jax.jacfwd(inputs)(theta)


def _pattern(
    name: str, value: ArrayLike | None, count: int, channels: int, dtype: Any, minimum: float | None = None
) -> Float[Array, "P I"]:
    if value is None:
        return as_jax(np.eye(count, 1, dtype=dtype) * np.ones(channels, dtype))
    hint = f"one row for each of {count} populations, one column for each of {channels} inputs"
    shapes = (f"{count} {channels}", *((str(count),) if channels == 1 else ()))
    return as_real(name, value, *shapes, dtype=dtype, hint=hint, minimum=minimum).reshape(count, channels)
