"""Families with more that is free: the sizes of populations, and the means of weights."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_scalar, require

from ._families import Family, FreeFamily, Parameters, ToeplitzFamily
from ._gain_matrix import GainMatrix, check_gain_matrix


class WithFractions(Family):
    """Another family whose population fractions are parameters too.

    The simplex is covered by stick-breaking: P − 1 more parameters in (0, 1), each the share that a
    population takes of what is left, above a floor that keeps every population alive.

    Parameters
    ----------
    family
        The family of the gains.
    floor
        Smallest share of any population, below 1/P.
    """

    family: Family = eqx.field(default_factory=ToeplitzFamily)
    floor: float = eqx.field(static=True, default=0.02)

    def __init__(self, family: Family, floor: float = 0.02):
        """Wrap `family`."""
        check_instance("family", family, Family, "such as ToeplitzFamily(5)")
        check_scalar("floor", floor)
        super().__init__(family.num_populations, family.low, family.high)
        self.family, self.floor = family, floor
        require(
            0 < floor * family.num_populations < 1,
            f"floor must be positive and below 1/P = {1 / family.num_populations:g}, got {floor:g}",
        )

    @property
    def num_parameters(self) -> int:
        return self.family.num_parameters + self.num_populations - 1

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.family.bounds
        sticks = np.ones(self.num_populations - 1)
        return np.concatenate([low, 1e-3 * sticks]), np.concatenate([high, (1 - 1e-3) * sticks])

    def build(self, parameters: Parameters) -> GainMatrix:
        parameters = self._checked(parameters)
        built = self.family.build(parameters[: self.family.num_parameters])
        sticks = parameters[self.family.num_parameters :]
        one = jnp.ones(1, parameters.dtype)
        left = jnp.concatenate([one, jnp.cumprod(1 - sticks)])
        simplex = left * jnp.concatenate([sticks, one])
        fractions = self.floor + (1 - self.floor * self.num_populations) * simplex
        return GainMatrix(built.gains, fractions, None if built.centered else built.means)

    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        check_gain_matrix(gain_matrix, means=True)
        simplex = (gain_matrix.fractions - self.floor) / (1 - self.floor * self.num_populations)
        left = 1 - jnp.concatenate([jnp.zeros(1, simplex.dtype), jnp.cumsum(simplex)[:-2]])
        return jnp.concatenate([self.family.parameters(gain_matrix), simplex[:-1] / left])


class WithMeans(Family):
    """Another family whose mean weights are parameters too: P² more, the means M row by row.

    With `signs` every population sends means of one sign only, Dale's law by population, and the parameters are their
    sizes.

    Parameters
    ----------
    family
        The family of the gains (and fractions).
    low_mean, high_mean
        Bounds of every mean, or of its size where there are signs.
    signs
        1 for every population that excites, −1 for every one that inhibits; None for any sign.
    """

    family: Family = eqx.field(default_factory=FreeFamily)
    low_mean: float = eqx.field(static=True, default=-5.0)
    high_mean: float = eqx.field(static=True, default=5.0)
    signs: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def __init__(
        self,
        family: Family,
        low_mean: float | None = None,
        high_mean: float = 5.0,
        signs: tuple[int, ...] | None = None,
    ):
        """Wrap `family`; `low_mean` is 0 by default with signs, and −`high_mean` without."""
        check_instance("family", family, Family, "such as FreeFamily(2)")
        super().__init__(family.num_populations, family.low, family.high, family.fractions)
        self.family, self.signs = family, signs
        check_scalar("high_mean", high_mean)
        self.high_mean = high_mean
        self.low_mean = (-high_mean if signs is None else 0.0) if low_mean is None else low_mean
        check_scalar("low_mean", self.low_mean)
        require(self.low_mean < high_mean, f"low_mean must be below high_mean, got {self.low_mean:g}, {high_mean:g}")
        if signs is not None:
            check_instance("signs", signs, tuple, "1 or -1 for every population, such as (1, -1)")
            wanted = len(signs) == family.num_populations and set(signs) <= {1, -1}
            require(wanted, f"signs must be 1 or -1 for each of {family.num_populations} populations, got {signs}")
            require(self.low_mean >= 0, f"low_mean must be at least 0 where there are signs, got {self.low_mean:g}")

    @property
    def num_parameters(self) -> int:
        return self.family.num_parameters + self.num_populations**2

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        (low, high), count = self.family.bounds, self.num_populations**2
        return (
            np.concatenate([low, np.full(count, self.low_mean)]), np.concatenate([high, np.full(count, self.high_mean)])
        )  # fmt: skip

    def build(self, parameters: Parameters) -> GainMatrix:
        parameters = self._checked(parameters)
        gains, means = jnp.split(parameters, [self.family.num_parameters])
        built = self.family.build(gains)
        return GainMatrix(built.gains, built.fractions, self._signed(means.reshape(built.gains.shape)))

    def parameters(self, gain_matrix: GainMatrix) -> Parameters:
        check_gain_matrix(gain_matrix, means=True)
        alone = GainMatrix(gain_matrix.gains, gain_matrix.fractions)
        return jnp.concatenate([self.family.parameters(alone), self._signed(gain_matrix.means).reshape(-1)])

    def _signed(self, means: Float[Array, "P P"]) -> Float[Array, "P P"]:
        return means if self.signs is None else means * jnp.asarray(self.signs, means.dtype)
