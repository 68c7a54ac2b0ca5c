"""Named structures of the gain matrix."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import ArrayLike

from ._gain_matrix import GainMatrix


def homogeneous(gain: ArrayLike, num_populations: int = 1, fractions: ArrayLike | None = None) -> GainMatrix:
    """Every population drives every other with the same gain: g_pq = g. Statistically one population."""
    count = check_integer("num_populations", num_populations, minimum=1)
    check_scalar("gain", gain, minimum=0.0)
    value = as_real("gain", gain, "")
    return GainMatrix(jnp.broadcast_to(value, (count, count)), fractions)


def block(gains: ArrayLike, fractions: ArrayLike | None = None) -> GainMatrix:
    """Any block structure, given entry by entry: gains (P, P), rows = to, columns = from."""
    return GainMatrix(gains, fractions)


def toeplitz(coefficients: ArrayLike, fractions: ArrayLike | None = None) -> GainMatrix:
    """g_pq = c(p − q): the gain depends on the lag between populations only.

    Parameters
    ----------
    coefficients
        c (2P − 1,), for lags p − q from −(P − 1) (feedback from the last population to the first)
        through 0 (within) to P − 1 (feed-forward).
    fractions
        (P,), equal by default.

    Raises
    ------
    ValueError
        If the number of coefficients is even.
    """
    values = _coefficients("coefficients", coefficients)
    require(
        values.size % 2 == 1,
        f"coefficients must hold an odd number 2P−1 of gains, one per lag −(P−1)…P−1; got {values.size}",
    )
    return GainMatrix(values[_lags((values.size + 1) // 2)], fractions)


def generalized_toeplitz(
    coefficients: ArrayLike, row_scale: ArrayLike, column_scale: ArrayLike, fractions: ArrayLike | None = None
) -> GainMatrix:
    """G = D_row T D_col: a Toeplitz matrix with every row and every column scaled.

    Parameters
    ----------
    coefficients
        Toeplitz coefficients (2P − 1,).
    row_scale, column_scale
        Factors (P,) on what each population receives and on what it sends, at least 0.
    fractions
        (P,), equal by default.
    """
    base = toeplitz(coefficients)
    rows, columns = _coefficients("row_scale", row_scale), _coefficients("column_scale", column_scale)
    for name, scale in (("row_scale", rows), ("column_scale", columns)):
        require(
            scale.shape == (base.num_populations,),
            f"{name} must have one entry per population, ({base.num_populations},); got {scale.shape}",
        )
    return GainMatrix(rows[:, None] * base.gains * columns, fractions)


def symmetric_toeplitz(coefficients: ArrayLike, fractions: ArrayLike | None = None) -> GainMatrix:
    """g_pq = c(|p − q|), coefficients (P,) for distances 0…P − 1."""
    values = _coefficients("coefficients", coefficients)
    return toeplitz(jnp.concatenate([values[:0:-1], values]), fractions)


def circulant(coefficients: ArrayLike, fractions: ArrayLike | None = None) -> GainMatrix:
    """g_pq = c((p − q) mod P): populations on a ring, coefficients (P,)."""
    values = _coefficients("coefficients", coefficients)
    index = np.arange(values.size)
    return GainMatrix(values[(index[:, None] - index) % values.size], fractions)


def feedforward_chain(
    forward: ArrayLike,
    *,
    num_populations: int,
    recurrent: ArrayLike = 0.0,
    feedback: ArrayLike = 0.0,
    fractions: ArrayLike | None = None,
) -> GainMatrix:
    """A chain p → p + 1 with gain `forward`, `recurrent` gain within and `feedback` gain p + 1 → p."""
    count = check_integer("num_populations", num_populations, minimum=1)
    given = {"forward": forward, "recurrent": recurrent, "feedback": feedback}
    for name, gain in given.items():
        check_scalar(name, gain, minimum=0.0)
    arrays = {name: as_real(name, gain, "") for name, gain in given.items()}
    kind = float_type(*arrays.values())
    forward, recurrent, feedback = (array.astype(kind) for array in arrays.values())
    within, below, above = (jnp.eye(count, k=k, dtype=forward.dtype) for k in (0, -1, 1))
    return GainMatrix(recurrent * within + forward * below + feedback * above, fractions)


def _coefficients(name: str, value: ArrayLike) -> Float[Array, " count"]:
    array = as_real(name, value, "coefficients", minimum=0.0)
    require(array.size > 0, f"{name} must hold at least one gain")
    return array


def _lags(count: int) -> np.ndarray:
    """Index into the coefficients of every entry: p − q + P − 1."""
    index = np.arange(count)
    return index[:, None] - index + count - 1
