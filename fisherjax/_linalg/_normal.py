"""Standard normal numbers from every bit of a counter-based generator, for noise that is drawn at every step."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Int32, UInt32

from fisherjax._types import Key

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_ROUNDS = 20
# minimax fit of √2 erf⁻¹(u)/u in l = −ln(1 − u²) over all u of the grid: 1e-8, one division, no branch for the tails
_ABOVE = (1.253314124, 0.4475401241, 0.09107140899, 0.01254112673, 0.00114097476, 5.972435428e-05, 1.939672425e-07)
_BELOW = (1.0, 0.09528566994, 0.03468806675, 0.002315835937, 0.0002495474314, 3.776275328e-06)


@functools.partial(jax.jit, static_argnames=("shape", "dtype"), inline=True)
def standard_normal(
    key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *, rows: UInt32[Array, "..."] | None = None
) -> Float[Array, "..."]:
    r"""Independent N(0, 1) numbers, at half of the random bits that `jax.random.normal` computes.

    .. math::
        z = \sqrt 2\, \operatorname{erf}^{-1}(u), \qquad u = (i + ½)\, 2^{-31}, \quad i ∈ \{−2^{31}, …, 2^{31} − 1\}

    A threefry key (JAX's default) is used as the key of Threefry-2x32 with all 20 rounds, as in JAX, but written so
    that the compiler fuses it with what follows, and both words of every block are used: one for the first half of
    the last axis, one for the second. The counters are the index over the leading axes and that over the last one,
    so that row i does not depend on how many rows there are. Keys of any other implementation
    (``jax.random.key(0, impl="rbg")``) give the bits i of that one, 32 for each number.

    |z| reaches 6.3, where the grid of u ends, in float32 too: 1 − |u| is formed from the integer i.

    Parameters
    ----------
    key
        JAX random key.
    shape, dtype
        Of the result.
    rows
        Counters of the leading axes, ``shape[:-1]``, in place of their index: the same row number gives the same
        numbers, wherever it stands.

    References
    ----------
    Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC '11 (Threefry).
    """
    kind = jnp.dtype(dtype)
    if not shape or math.prod(shape) == 0:
        return jax.random.normal(key, shape, kind)
    if str(jax.random.key_impl(key)) == "threefry2x32":
        pairs = -(-shape[-1] // 2)
        words = jnp.concatenate(threefry_words(key, (*shape[:-1], pairs), rows=rows), axis=-1)[..., : shape[-1]]
    else:
        words = jax.random.bits(key if rows is None else jax.random.fold_in(key, rows.ravel()[0]), shape, jnp.uint32)
    number = jax.lax.bitcast_convert_type(words, jnp.int32)
    if kind == jnp.float64:
        return math.sqrt(2) * jax.lax.erf_inv((number.astype(kind) + 0.5) * 2.0**-31)
    return normal_quantile(number).astype(kind)


def normal_quantile(number: Int32[Array, "..."]) -> Float32[Array, "..."]:
    """√2 erf⁻¹((i + ½) 2⁻³¹) in float32, to its rounding at every integer i."""
    level = (number.astype(jnp.float32) + 0.5) * 2.0**-31
    from_end = np.int32(2**31 - 1) - jnp.where(number < 0, ~number, number)
    rest = (from_end.astype(jnp.float32) + 0.5) * 2.0**-31
    log = -jnp.log(rest * (2 - rest))
    above, below = (jnp.polyval(jnp.asarray(part[::-1], log.dtype), log) for part in (_ABOVE, _BELOW))
    return level * above / below


def threefry_words(
    key: Key, shape: tuple[int, ...], *, rows: UInt32[Array, "..."] | None = None
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Both words of Threefry-2x32-20 at the counters (index over the leading axes, index over the last axis)."""
    data = jax.random.key_data(key)
    schedule = (data[0], data[1], data[0] ^ data[1] ^ _PARITY)
    first = schedule[0] + (_flat_index(shape[:-1]) if rows is None else rows)[..., None]
    second = schedule[1] + jax.lax.broadcasted_iota(jnp.uint32, shape, len(shape) - 1)
    for index in range(_ROUNDS):
        first += second
        turn = _ROTATIONS[index // 4 % 2][index % 4]
        second = ((second << np.uint32(turn)) | (second >> np.uint32(32 - turn))) ^ first
        if index % 4 == 3:
            step = index // 4 + 1
            first += schedule[step % 3]
            second += schedule[(step + 1) % 3] + np.uint32(step)
    return first, second


def _flat_index(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Place of every entry, row by row; a sum over the axes, so that it can be divided among devices."""
    index = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = np.uint32(math.prod(shape[axis + 1 :]))
        index += stride * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return index
