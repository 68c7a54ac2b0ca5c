"""Weight-normalized convolutions and read-out, in the layout and with the parameters of the published network."""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, check_integer, require
from fisherjax._runtime import precision_here, product, products_in, rounds_to_bfloat16
from fisherjax._types import Key, Record

Maps = Float[Array, "*batch height width channels"]
NewMaps = Float[Array, "*batch new_height new_width new_channels"]
AreaState = tuple[Float[Array, "..."], ...]  # maps of every area (*batch, height, width, channels)

_BLOCK = 2**19  # numbers of either factor that are worked on at once: two megabytes in single precision


class Convolution(Record):
    r"""A convolution without bias, its weights normalized per output channel: w_o = g_o v_o/‖v_o‖₂; g may be negative.

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
        return _normalized(self.scale, self.direction)

    @property
    def kernel(self) -> Float[Array, "side side in out"]:
        """W in the layout in which it is applied."""
        return jnp.transpose(self.weights, (2, 3, 1, 0))

    def __call__(self, maps: Maps, *, reverse_mode: bool = False) -> NewMaps:
        """The convolution of maps; leading axes are free. See `convolve`."""
        return convolve(maps, self.kernel, self.stride, reverse_mode=reverse_mode)


class Readout(Record):
    """A linear read-out, normalized as a `Convolution` is: w_k = g_k v_k/‖v_k‖₂.

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
        return _normalized(self.scale, self.direction)

    def __call__(self, features: Float[Array, "*batch C"]) -> Float[Array, "*batch K"]:
        """Logits."""
        return product(features, self.weights.T) + self.bias


def convolve(
    maps: Maps, kernel: Float[Array, "side side in out"], stride: int = 1, *, reverse_mode: bool = False
) -> NewMaps:
    """Convolution in the sense of neural networks (no flip) with (side − 1)/2 zeros around.

    With `reverse_mode` only gradients (no jvp) can be taken, and on CPUs they are many times faster within loops: XLA
    transposes a convolution into one with a flipped kernel, whose input a stride dilates by zeros, and into one with a
    kernel as large as the map. Instead the first is a convolution with a kernel flipped beforehand, from which the
    stride only sorts the channels, the second a product over blocks of images that stay in the cache.
    """
    maps, kernel = as_real("maps", maps, "... height width channels"), as_real("kernel", kernel, "side side in out")
    require(
        maps.shape[-1] == kernel.shape[2],
        f"kernel must have {maps.shape[-1]} input channels like the maps, got {kernel.shape[2]}",
    )
    require(kernel.shape[0] % 2 == 1, f"kernel must have an odd side, got {kernel.shape[0]}")
    stride = check_integer("stride", stride, minimum=1)
    if check_flag("reverse_mode", reverse_mode):
        return _in_reverse(maps, kernel, stride, precision_here())
    return _plain(maps, kernel, stride)


def _plain(maps: Array, kernel: Array, stride: int) -> Array:
    margin = kernel.shape[0] // 2
    convolved = _convolved(maps.reshape(-1, *maps.shape[-3:]), kernel, stride, [(margin, margin)] * 2)
    return convolved.reshape(*maps.shape[:-3], *convolved.shape[1:])


def _convolved(batch: Array, kernel: Array, stride: int, margins: list[tuple[int, int]]) -> Array:
    dtype = batch.dtype
    if rounds_to_bfloat16():  # the result too: libraries of accelerators have no other fast one
        batch, kernel = batch.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return jax.lax.conv_general_dilated(
        batch, kernel, (stride, stride), margins, dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _in_reverse(maps: Array, kernel: Array, stride: int, precision: str) -> Array:  # noqa: ARG001
    return _plain(maps, kernel, stride)


def _forward(maps: Array, kernel: Array, stride: int, precision: str) -> tuple[Array, tuple[Array, Array]]:  # noqa: ARG001
    return _plain(maps, kernel, stride), (maps, kernel)


def _backward(stride: int, precision: str, residuals: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    def plain(maps: Array, kernel: Array, slope: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda maps, kernel: _plain(maps, kernel, stride), maps, kernel)[1](slope)

    def blocked(maps: Array, kernel: Array, slope: Array) -> tuple[Array, Array]:
        batch, slopes = (part.reshape(-1, *part.shape[-3:]) for part in (maps, slope))
        back = _map_slope(slopes, kernel, stride, maps.shape[-3:-1])
        return back.reshape(maps.shape), _kernel_slope(batch, slopes, kernel.shape[0], stride)

    with products_in(precision):  # which has ended where a user differentiates what was called in it
        return jax.lax.platform_dependent(*residuals, slope, cpu=blocked, default=plain)


_in_reverse.defvjp(_forward, _backward)


def _map_slope(slopes: Array, kernel: Array, stride: int, shape: tuple[int, ...]) -> Array:
    """Σ_c slope(q − c) K(s c + i) at the place s q + i: one convolution, of which each phase i is a channel."""
    side, _, channels, outputs = kernel.shape
    margin = side // 2
    before = -margin % stride  # zeros that make phase 0 begin with the first place of the map
    phases, taps = min(side + before, stride), -(-(side + before) // stride)
    after = taps * phases - side - before
    split = jnp.pad(kernel, [(before, after)] * 2 + [(0, 0)] * 2)
    split = split.reshape(taps, phases, taps, phases, channels, outputs)[::-1, :, ::-1]
    turned = split.transpose(0, 2, 5, 1, 3, 4).reshape(taps, taps, outputs, phases**2 * channels)
    first = taps - 1 - (margin + before) // stride
    sizes = [-(-size // stride) for size in shape]
    margins = [(first, size - few - first + taps - 1) for size, few in zip(sizes, slopes.shape[1:3], strict=True)]
    parts = _convolved(slopes, turned, 1, margins).reshape(-1, *sizes, phases, phases, channels)
    parts = jnp.pad(parts, [(0, 0)] * 3 + [(0, stride - phases)] * 2 + [(0, 0)])
    whole = parts.transpose(0, 1, 3, 2, 4, 5).reshape(-1, *(stride * size for size in sizes), channels)
    return whole[:, : shape[0], : shape[1]]


def _kernel_slope(batch: Array, slopes: Array, side: int, stride: int) -> Array:
    """Σ over images and places of in(y s + a − m, x s + b − m) ⊗ slope(y, x), a block of images at a time.

    Columns are shifted in the maps and rows in the slopes, so that all side × side shifts are in one product of
    matrices with side times the channels; with a stride in one for each phase of the rows.
    """
    count, height, width, channels = batch.shape
    _, rows, columns, outputs = slopes.shape
    margin, across = side // 2, stride * (columns - 1) + 1
    most = max(1, _BLOCK // (height * width * side * max(channels, outputs // stride)))
    block = max(size for size in range(1, min(most, count) + 1) if count % size == 0)

    def products(maps: Array, slope: Array) -> Array:
        padded = jnp.pad(maps, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        shifted = jnp.concatenate([padded[:, :, b : b + across : stride] for b in range(side)], axis=-1)
        of_phases = []
        for phase in range(min(stride, side)):
            taps = -(-(side - phase) // stride)
            down = stride * (rows + taps - 2) + 1
            lowered = [jnp.pad(slope, ((0, 0), (tap, taps - 1 - tap), (0, 0), (0, 0))) for tap in range(taps)]
            part = shifted[:, phase : phase + down : stride].reshape(-1, side * channels)
            found = product(part.T, jnp.concatenate(lowered, axis=-1).reshape(-1, taps * outputs))
            of_phases.append(found.reshape(side, channels, taps, outputs))
        return jnp.stack([of_phases[a % stride][:, :, a // stride] for a in range(side)])

    def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        return total + products(*pair), None

    blocks: Any = tuple(whole.reshape(-1, block, *whole.shape[1:]) for whole in (batch, slopes))
    return jax.lax.scan(add, jnp.zeros((side, side, channels, outputs), batch.dtype), blocks)[0]


def repeat(
    maps: Float[Array, "*shape"], batch: tuple[int, ...], *, reverse_mode: bool = False
) -> Float[Array, "*batch_and_shape"]:
    """The same array for every member of a batch (*batch, *shape).

    With `reverse_mode` only gradients (no jvp) can be taken, and on CPUs their sum over the batch is a product with
    ones: XLA's own over leading axes is many times slower.
    """
    shape = (*batch, *maps.shape)
    if reverse_mode and batch:
        return jnp.reshape(_repeated(maps, math.prod(batch)), shape)  # pyright: ignore[reportArgumentType]
    return jnp.broadcast_to(maps, shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _repeated(maps: Array, count: int) -> Array:
    return jnp.broadcast_to(maps, (count, *maps.shape))


def _summed(count: int, _: None, slopes: Array) -> tuple[Array]:
    def by_ones(slopes: Array) -> Array:
        return (jnp.ones(count, slopes.dtype) @ slopes.reshape(count, -1)).reshape(slopes.shape[1:])

    return (jax.lax.platform_dependent(slopes, cpu=by_ones, default=lambda slopes: jnp.sum(slopes, axis=0)),)


_repeated.defvjp(lambda maps, count: (_repeated(maps, count), None), _summed)


def mean_pool(maps: Maps) -> NewMaps:
    """Means over 3 × 3 in steps of 2; the zeros of the margin count."""
    batch = maps.reshape(-1, *maps.shape[-3:])
    # of NumPy: a traced one would not be recognized as that of a sum, which has gradients
    zero = np.zeros((), maps.dtype)
    total = jax.lax.reduce_window(
        batch, zero, jax.lax.add, (1, 3, 3, 1), (1, 2, 2, 1), [(0, 0), (1, 1), (1, 1), (0, 0)]
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
    """Given weights, normalized: v = w and g = ‖w‖₂."""
    weights = as_real("weights", weights, "out in side side")
    require(weights.shape[-1] % 2 == 1, f"weights must have an odd side, got {weights.shape[-1]}")
    return Convolution(_norm(weights), weights, check_integer("stride", stride, minimum=1))


def _norm(direction: Array) -> Array:
    """‖v_o‖₂ of every output channel; 0 with slope 0, not NaN, where all of its weights are zero."""
    square = jnp.sum(direction**2, axis=tuple(range(1, direction.ndim)))
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _normalized(scale: Array, direction: Array) -> Array:
    """G v/‖v‖₂; a channel whose weights are all zero stays zero instead of becoming undefined."""
    square = jnp.sum(direction**2, axis=tuple(range(1, direction.ndim)), keepdims=True)
    inverse = jnp.where(square > 0, jax.lax.rsqrt(jnp.where(square > 0, square, 1)), 0)
    return direction * inverse * scale.reshape(-1, *[1] * (direction.ndim - 1))
