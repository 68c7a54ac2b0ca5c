"""The population gain matrix: how strongly, and in what proportion, populations drive each other; named structures."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type, host_real
from fisherjax._errors import check_instance, check_integer, check_not_negative, check_scalar, is_traced, require
from fisherjax._types import ArrayLike, Record


class GainMatrix(Record):
    """Structure of a random network of P populations.

    Unit i of population p receives from unit j of population q a weight J_ij ~ N(M_pq / N, g_pq² / N).

    Parameters
    ----------
    gains
        g (P, P), standard deviation of √N·J from population q (column) to p (row), at least 0.
    fractions
        f (P,), share of each population of the N units; positive, sum 1.
    means
        M (P, P), mean of N·J; of either sign: an excitatory population has a column ≥ 0, an inhibitory one ≤ 0. None
        by default, which is 0 in numbers and cheaper.

    Raises
    ------
    ValueError
        If the shapes do not match, a gain is negative, a number is not finite, or the fractions are not positive or do
        not sum to one.

    References
    ----------
    Aljadeff, Stern & Sharpee (2015), Transition to chaos in random networks with cell-type-specific
    connectivity, Phys. Rev. Lett. 114, 088101.
    """

    gains: Float[Array, "populations populations"]
    fractions: Float[Array, " populations"]
    _means: Float[Array, "populations populations"] | None = None

    def __init__(self, gains: ArrayLike, fractions: ArrayLike | None = None, means: ArrayLike | None = None):
        """Validate and convert; `fractions` default to equal shares."""
        self.gains = as_real("gains", gains, "populations populations", hint="one row and one column per population")
        count = self.gains.shape[0]
        require(count > 0, "gains must hold at least one population")
        if not is_traced(self.gains):
            lowest = float(np.asarray(self.gains).min())
            require(lowest >= 0, f"gains must be non-negative standard deviations, got a smallest of {lowest:g}")
        with jax.ensure_compile_time_eval():
            # sizes of populations follow from them: they stay concrete inside a jit, unless they are traced themselves
            shares = np.full(count, 1 / count) if fractions is None else fractions
            self.fractions = as_real(
                "fractions", shares, str(count), dtype=self.gains.dtype, hint="one share per population"
            )
        if not is_traced(self.fractions):
            smallest, total = float(np.asarray(self.fractions).min()), float(np.asarray(self.fractions).sum())
            require(
                smallest > 0, f"fractions must be positive, got a smallest of {smallest:g}; leave the population out"
            )
            require(abs(total - 1) < 1e-5, f"fractions must sum to 1, got {total:g}")
        hint = "one row and one column per population, as gains"
        if means is not None:
            self._means = as_real("means", means, f"{count} {count}", dtype=self.gains.dtype, hint=hint)

    @property
    def means(self) -> Float[Array, "populations populations"]:
        """M, mean of N·J."""
        return jnp.zeros_like(self.gains) if self._means is None else self._means

    @property
    def centered(self) -> bool:
        """Whether the structure was made without means."""
        return self._means is None

    @property
    def num_populations(self) -> int:
        """Number of populations P."""
        return self.gains.shape[0]

    @property
    def variance_gain(self) -> Float[Array, "populations populations"]:
        """G_pq = g_pq² f_q, the gain of the variance from q to p."""
        return self.gains**2 * self.fractions

    @property
    @jax.jit
    def mean_synaptic_budget(self) -> Float[Array, ""]:
        """Σ_pq f_p (g_pq² + M_pq²) f_q; 1 for the homogeneous critical network.

        Of weights without means it is the mean of N·J_ij². Means, which are 1/√N of the weights' spread, count as they
        drive the state.
        """
        return self.fractions @ (self.gains**2 + self.means**2) @ self.fractions

    @property
    def mean_gain(self) -> Float[Array, "populations populations"]:
        """M_pq f_q, the gain of the mean from q to p."""
        return self.means * self.fractions

    def scaled(self, factor: float | Float[Array, ""]) -> "GainMatrix":
        """The same structure with all gains, and means, multiplied by `factor`."""
        check_scalar("factor", factor, minimum=0.0)
        factor = as_real("factor", factor, "", dtype=self.gains.dtype)
        return GainMatrix(self.gains * factor, self.fractions, None if self._means is None else self._means * factor)

    def permuted(self, order: ArrayLike) -> "GainMatrix":
        """The same network with its populations in another order."""
        index = host_real("order", order, "populations").astype(int)
        require(
            sorted(index.tolist()) == list(range(self.num_populations)),
            f"order must be a permutation of 0…{self.num_populations - 1}, got {index.tolist()}",
        )
        means = None if self._means is None else self._means[index][:, index]
        return GainMatrix(self.gains[index][:, index], self.fractions[index], means)


def check_gain_matrix(value: Any, *, means: bool = False) -> GainMatrix:
    """Return `value` if it is a `GainMatrix`; one with means only where those are followed.

    Raises
    ------
    TypeError
        If it is none, with how to make one.
    ValueError
        If it has means and may not.
    """
    checked = check_instance(
        "gain_matrix", value, GainMatrix, "make one with connectivity.homogeneous(gain) or GainMatrix(gains)"
    )
    require(
        means or checked.centered,
        "gain_matrix has means, which are not followed here; leave them out, or measure networks of "
        "simulate.draw_networks",
    )
    return checked


def population_sizes(gain_matrix: GainMatrix, num_units: int) -> tuple[int, ...]:
    """Exact number of units per population: f·N rounded by largest remainder, so that they sum to N.

    Raises
    ------
    ValueError
        If a population would be left without a unit.
    """
    check_gain_matrix(gain_matrix, means=True)
    num_units = check_integer("num_units", num_units, minimum=1)
    if is_traced(gain_matrix.fractions):
        raise ValueError("population sizes need concrete fractions; they are shapes, and cannot be traced")
    exact = np.asarray(gain_matrix.fractions, np.float64) * num_units
    sizes = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(sizes - exact, kind="stable")
    sizes[order[: num_units - sizes.sum()]] += 1
    empty = np.flatnonzero(sizes == 0)
    require(
        empty.size == 0,
        f"population {empty[0] if empty.size else 0} would hold no unit at num_units={num_units}; "
        f"fractions are {np.asarray(gain_matrix.fractions).tolist()}: raise num_units or drop the population",
    )
    return tuple(int(size) for size in sizes)


def population_index(gain_matrix: GainMatrix, num_units: int) -> np.ndarray:
    """Population p(i) of every unit i, (N,), in blocks: the first units belong to population 0."""
    sizes = population_sizes(gain_matrix, num_units)
    return np.repeat(np.arange(gain_matrix.num_populations), sizes)


def homogeneous(gain: ArrayLike, num_populations: int = 1, fractions: ArrayLike | None = None) -> GainMatrix:
    """Every population drives every other with the same gain: g_pq = g. Statistically one population."""
    count = check_integer("num_populations", num_populations, minimum=1)
    check_scalar("gain", gain, minimum=0.0)
    value = as_real("gain", gain, "")
    return GainMatrix(jnp.broadcast_to(value, (count, count)), fractions)


def block(gains: ArrayLike, fractions: ArrayLike | None = None, means: ArrayLike | None = None) -> GainMatrix:
    """Any block structure, given entry by entry: gains and perhaps means (P, P), rows = to, columns = from."""
    return GainMatrix(gains, fractions, means)


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

    Examples
    --------
    >>> import numpy as np
    >>> from fisherjax import connectivity
    >>> matrix = connectivity.toeplitz([0.0, 0.5, 1.0])
    >>> print(np.asarray(matrix.gains))
    [[0.5 0. ]
     [1.  0.5]]
    """
    values = _coefficients("coefficients", coefficients)
    require(
        values.size % 2 == 1,
        f"coefficients must hold an odd number 2P−1 of gains, one per lag −(P−1)…P−1; got {values.size}",
    )
    return GainMatrix(jnp.take(values, lags((values.size + 1) // 2)), fractions)


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
    return GainMatrix(jnp.take(values, (index[:, None] - index) % values.size), fractions)


def feedforward_chain(
    forward: ArrayLike,
    *,
    num_populations: int,
    recurrent: ArrayLike = 0.0,
    feedback: ArrayLike = 0.0,
    fractions: ArrayLike | None = None,
) -> GainMatrix:
    """A chain p → p + 1 with gain `forward`, `recurrent` gain within and `feedback` gain p + 1 → p.

    Examples
    --------
    >>> import numpy as np
    >>> from fisherjax import connectivity
    >>> print(np.asarray(connectivity.feedforward_chain(1.5, num_populations=3, recurrent=0.5).gains))
    [[0.5 0.  0. ]
     [1.5 0.5 0. ]
     [0.  1.5 0.5]]
    """
    count = check_integer("num_populations", num_populations, minimum=1)
    given = {"forward": forward, "recurrent": recurrent, "feedback": feedback}
    check_not_negative(**given)
    arrays = [as_real(name, gain, "") for name, gain in given.items()]
    forward, recurrent, feedback = (array.astype(float_type(*arrays)) for array in arrays)
    within, below, above = (jnp.eye(count, k=k, dtype=forward.dtype) for k in (0, -1, 1))
    return GainMatrix(recurrent * within + forward * below + feedback * above, fractions)


def _coefficients(name: str, value: ArrayLike) -> Float[Array, " count"]:
    array = as_real(name, value, "coefficients", minimum=0.0)
    require(array.size > 0, f"{name} must hold at least one gain")
    return array


def lags(count: int) -> np.ndarray:
    """Index into the coefficients of every entry: p − q + P − 1."""
    index = np.arange(count)
    return index[:, None] - index + count - 1
