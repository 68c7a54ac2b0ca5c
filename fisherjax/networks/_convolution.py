"""Weight-normalised convolutions and read-out, in the layout and with the parameters of the published network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._types import Key, Result

Maps = Float[Array, "*batch height width channels"]
NewMaps = Float[Array, "*batch new_height new_width new_channels"]


class Convolution(Result):
    r"""A convolution without bias, its weights normalised per output channel: w_o = g_o v_o/‖v_o‖₂; g may be negative.

    Parameters
    ----------
    scale
        g (out,).
    direction
        v (out, in, side, side).
    stride
        Step between outputs. The margin is (side − 1)/2 zeros on every side; with stride 2 that is not what other
        libraries call "same".
    """

    scale: Float[Array, " out"]
    direction: Float[Array, "out in side side"]
    stride: int = eqx.field(static=True)

    @property
    def weights(self) -> Float[Array, "out in side side"]:
        """W."""
        return _normalised(self.scale, self.direction)

    @property
    def kernel(self) -> Float[Array, "side side in out"]:
        """W in the layout in which it is applied."""
        return jnp.transpose(self.weights, (2, 3, 1, 0))

    def __call__(self, maps: Maps) -> NewMaps:
        """The convolution of maps; leading axes are free."""
        return convolve(maps, self.kernel, self.stride)


class Readout(Result):
    """A linear read-out, normalised as a `Convolution` is: w_k = g_k v_k/‖v_k‖₂.

    Parameters
    ----------
    scale, direction
        g (K,) and v (K, C).
    bias
        b (K,).
    """

    scale: Float[Array, " K"]
    direction: Float[Array, "K C"]
    bias: Float[Array, " K"]

    @property
    def weights(self) -> Float[Array, "K C"]:
        """W."""
        return _normalised(self.scale, self.direction)

    def __call__(self, features: Float[Array, "*batch C"]) -> Float[Array, "*batch K"]:
        """Logits."""
        return features @ self.weights.T + self.bias


def convolve(maps: Maps, kernel: Float[Array, "side side in out"], stride: int = 1) -> NewMaps:
    """Convolution in the sense of neural networks (no flip) with (side − 1)/2 zeros around."""
    margin = kernel.shape[0] // 2
    batch = maps.reshape(-1, *maps.shape[-3:])
    found = jax.lax.conv_general_dilated(
        batch, kernel, (stride, stride), [(margin, margin)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return found.reshape(*maps.shape[:-3], *found.shape[1:])


def mean_pool(maps: Maps) -> NewMaps:
    """Means over 3 × 3 in steps of 2; the zeros of the margin count."""
    batch = maps.reshape(-1, *maps.shape[-3:])
    total = jax.lax.reduce_window(
        batch, jnp.zeros((), maps.dtype), jax.lax.add, (1, 3, 3, 1), (1, 2, 2, 1), [(0, 0), (1, 1), (1, 1), (0, 0)]
    )
    return (total / 9).reshape(*maps.shape[:-3], *total.shape[1:])


def enlarge(maps: Maps, factor: int) -> NewMaps:
    """Every unit repeated factor × factor."""
    return maps if factor == 1 else jnp.repeat(jnp.repeat(maps, factor, axis=-3), factor, axis=-2)


def draw_convolution(key: Key, num_in: int, num_out: int, side: int, stride: int = 1, *, gain: float) -> Convolution:
    """Gaussian weights of variance gain²/fan-in."""
    fan_in = num_in * side * side
    direction = gain * fan_in**-0.5 * jax.random.normal(key, (num_out, num_in, side, side))
    return as_convolution(direction, stride)


def as_convolution(weights: Float[Array, "out in side side"], stride: int = 1) -> Convolution:
    """Given weights, normalised: v = w and g = ‖w‖₂."""
    return Convolution(_norm(weights), weights, stride)


def as_readout(weights: Float[Array, "K C"], bias: Float[Array, " K"]) -> Readout:
    """Given weights, normalised: v = w and g = ‖w‖₂."""
    return Readout(_norm(weights), weights, bias)


def _norm(direction: Array) -> Array:
    return jnp.sqrt(jnp.sum(direction**2, axis=tuple(range(1, direction.ndim))))


def _normalised(scale: Array, direction: Array) -> Array:
    # a channel whose weights are all zero stays zero instead of becoming undefined
    square = jnp.sum(direction**2, axis=tuple(range(1, direction.ndim)), keepdims=True)
    inverse = jnp.where(square > 0, jax.lax.rsqrt(jnp.where(square > 0, square, 1)), 0)
    return direction * inverse * scale.reshape(-1, *[1] * (direction.ndim - 1))
