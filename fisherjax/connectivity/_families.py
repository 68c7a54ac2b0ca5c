"""Families of gain matrices: maps from a vector of parameters in a box to a structure, and back."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_not_negative, require

from ._gain_matrix import GainMatrix, check_gain_matrix, generalized_toeplitz, homogeneous, lags

Parameters = Float[Array | np.ndarray, " parameters"]


class Family(eqx.Module):
    """A set of gain matrices described by finitely many gains, each in [low, high].

    `build` maps parameters to a `GainMatrix` and is differentiable; `parameters` inverts it (for a
    matrix outside the family: its projection onto the family's entries).

    Parameters
    ----------
    num_populations
        Number of populations P.
    low, high
        Bounds of every gain parameter, 0 ≤ low < high.
    fractions
        Fixed shares (P,) as a tuple; equal by default. See `WithFractions` to optimize them too.
    """

    num_populations: int = eqx.field(static=True, default=5)
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=5.0)
    fractions: tuple[float, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_integer("num_populations", self.num_populations, minimum=1)
        check_not_negative(low=self.low, high=self.high)
        ordered = f"bounds must have 0 <= low < high, got low={self.low:g}, high={self.high:g}"
        require(0 <= self.low < self.high, ordered)
        if self.fractions is not None:
            check_instance("fractions", self.fractions, tuple, "one share per population, such as (0.2, 0.8)")
            GainMatrix(np.zeros((self.num_populations,) * 2), self.fractions)

    @property
    @abc.abstractmethod
    def num_parameters(self) -> int:
        """Length of the parameter vector."""

    @abc.abstractmethod
    def build(self, parameters: Parameters) -> GainMatrix:
        """The gain matrix of a parameter vector."""

    @abc.abstractmethod
    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        """The parameter vector of a gain matrix: build(parameters(g)) = g for g in the family."""

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds, each (num_parameters,)."""
        return np.full(self.num_parameters, self.low), np.full(self.num_parameters, self.high)

    def _checked(self, parameters: Parameters) -> Float[Array, " parameters"]:
        return as_real("parameters", parameters, str(self.num_parameters))

    def _gains(self, gain_matrix: GainMatrix) -> Float[Array, "P P"]:
        count = check_gain_matrix(gain_matrix).num_populations
        require(
            count == self.num_populations,
            f"gain_matrix must have {self.num_populations} populations, as the family has; got {count}",
        )
        return gain_matrix.gains

    def _fractions(self, dtype: jnp.dtype) -> Array:
        shares = np.full(self.num_populations, 1 / self.num_populations) if self.fractions is None else self.fractions
        return jnp.asarray(shares, dtype)


class HomogeneousFamily(Family):
    """One gain for all pairs."""

    @property
    def num_parameters(self) -> int:
        return 1

    def build(self, parameters: Parameters) -> GainMatrix:
        parameters = self._checked(parameters)
        return homogeneous(parameters[0], self.num_populations, self._fractions(parameters.dtype))

    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        return jnp.mean(self._gains(gain_matrix))[None]


class TiedFamily(Family):
    """Entries that share a label share a parameter; subclasses say which label each entry has."""

    @abc.abstractmethod
    def labels(self) -> np.ndarray:
        """Index (P, P) of the parameter behind every entry; −1 where the gain is zero."""

    @property
    def num_parameters(self) -> int:
        return int(self.labels().max()) + 1

    def build(self, parameters: Parameters) -> GainMatrix:
        parameters = self._checked(parameters)
        return GainMatrix(_tied(parameters, self.labels()), self._fractions(parameters.dtype))

    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        present, first = np.unique(self.labels(), return_index=True)
        return self._gains(gain_matrix).reshape(-1)[first[present >= 0]]


@jax.jit
def _tied(parameters: Parameters, labels: Int[Array | np.ndarray, "P P"]) -> Float[Array, "P P"]:
    """The parameter behind every entry; 0 where there is none."""
    return jnp.where(labels >= 0, parameters[jnp.maximum(labels, 0)], 0)


class FreeFamily(TiedFamily):
    """Every entry of the gain matrix is a parameter, row by row."""

    def labels(self) -> np.ndarray:
        return np.arange(self.num_populations**2).reshape(self.num_populations, self.num_populations)


class ToeplitzFamily(TiedFamily):
    """Toeplitz gains: one parameter per lag p − q, from −(P − 1) to P − 1."""

    def labels(self) -> np.ndarray:
        return lags(self.num_populations)


class SymmetricToeplitzFamily(TiedFamily):
    """Symmetric Toeplitz gains: one parameter per distance |p − q|."""

    def labels(self) -> np.ndarray:
        return np.abs(lags(self.num_populations) - self.num_populations + 1)


class CirculantFamily(TiedFamily):
    """Populations on a ring: one parameter per (p − q) mod P."""

    def labels(self) -> np.ndarray:
        return (lags(self.num_populations) + 1) % self.num_populations


class FeedforwardChainFamily(TiedFamily):
    """A chain with three gains: forward p → p + 1, recurrent within, feedback p + 1 → p."""

    def labels(self) -> np.ndarray:
        lag = lags(self.num_populations) - self.num_populations + 1
        chain = np.select([lag == 1, lag == 0, lag == -1], [0, 1, 2], default=-1)
        return chain - 1 if self.num_populations == 1 else chain


class BlockFamily(TiedFamily):
    """Populations in groups: one gain per ordered pair of groups.

    Parameters
    ----------
    groups
        Group (0, 1, …) of every population, P entries; for instance ``(0, 0, 1, 1, 1)``.
    """

    groups: tuple[int, ...] = eqx.field(static=True, default=(0, 0, 1, 1, 1))

    def __check_init__(self) -> None:
        check_instance("groups", self.groups, tuple, "one group per population, such as (0, 0, 1, 1, 1)")
        for group in self.groups:
            check_integer("groups", group, minimum=0)
        kinds = sorted(set(self.groups))
        require(
            len(self.groups) == self.num_populations and kinds == list(range(len(kinds))),
            f"groups must label each of {self.num_populations} populations by 0, 1, …; got {self.groups}",
        )

    def labels(self) -> np.ndarray:
        group = np.asarray(self.groups)
        return group[:, None] * (group.max() + 1) + group


class GeneralizedToeplitzFamily(Family):
    """g = D_row T D_col: 2P − 1 lags, then P − 1 log row scales and P − 2 log column scales.

    D_row, T and D_col can trade a constant factor each way, and a geometric row scale s^p against a
    column scale s^−q and lags s^−(p−q). Scale one for row 0 and for columns 0 and 1 fixes all three, so
    that parameters are unique. Log scales are bounded by ±1.
    """

    def __check_init__(self) -> None:
        require(self.num_populations >= 2, f"num_populations must be at least 2, got {self.num_populations}")

    @property
    def num_parameters(self) -> int:
        return 4 * self.num_populations - 4

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        lags, scales = 2 * self.num_populations - 1, 2 * self.num_populations - 3
        low = np.concatenate([np.full(lags, self.low), np.full(scales, -1.0)])
        high = np.concatenate([np.full(lags, self.high), np.full(scales, 1.0)])
        return low, high

    def build(self, parameters: Parameters) -> GainMatrix:
        parameters = self._checked(parameters)
        count = self.num_populations
        lags, rows, columns = jnp.split(parameters, [2 * count - 1, 3 * count - 2])
        row_scale = jnp.exp(jnp.pad(rows, (1, 0)))
        column_scale = jnp.exp(jnp.pad(columns, (2, 0)))
        return generalized_toeplitz(lags, row_scale, column_scale, self._fractions(parameters.dtype))

    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        """Log-linear least squares on the positive entries; exact for a positive member of the family."""
        count = self.num_populations
        lag = lags(count).ravel()
        row, column = (index.ravel() for index in np.indices((count, count)))
        design = np.zeros((count**2, self.num_parameters))
        entry = np.arange(count**2)
        design[entry, lag] = 1
        design[entry[row > 0], 2 * count - 2 + row[row > 0]] = 1
        design[entry[column > 1], 3 * count - 4 + column[column > 1]] = 1
        gains = self._gains(gain_matrix).reshape(-1)
        positive = gains > 0
        target = jnp.where(positive, jnp.log(jnp.where(positive, gains, 1)), 0)
        weighted = jnp.asarray(design, gains.dtype) * positive[:, None].astype(gains.dtype)
        solution = jnp.linalg.lstsq(weighted, target)[0]
        return jnp.concatenate([jnp.exp(solution[: 2 * count - 1]), solution[2 * count - 1 :]])
