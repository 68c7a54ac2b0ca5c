"""Errors of all pairs of a recording at once, from leaving out one block of trials."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Bool, Float

from ._pairs import Grouped, Pairs, map_pairs

RESOLVED = 2.0  # standard errors of a denominator above zero


class Jackknife(NamedTuple):
    """Values of a question, one for each pair, from all trials and with each block left out."""

    value: Float[np.ndarray, " M"]
    parts: Float[np.ndarray, "B M"]
    share: Float[np.ndarray, " B"]
    """of the trials that each block holds"""

    def corrected(self) -> Float[np.ndarray, " M"]:
        """The value, less its bias of order one over the number of blocks."""
        count = len(self.share)
        return count * self.value - np.sum((1 - self.share)[:, None] * self.parts, axis=0)

    def error(self) -> Float[np.ndarray, " M"]:
        """Standard error of each value."""
        return np.sqrt(np.diagonal(self.covariance()))

    def covariance(self) -> Float[np.ndarray, "M M"]:
        """Covariance of the values: neighbouring pairs share the trials of a stimulus."""
        weight = 1 / self.share[:, None]
        pseudo = weight * self.value - (weight - 1) * self.parts
        off = pseudo - self.corrected()
        return (off / (weight - 1)).T @ off / len(self.share)

    def mean(self) -> "Jackknife":
        """The mean over the pairs."""
        return Jackknife(self.value.mean(keepdims=True), self.parts.mean(axis=1, keepdims=True), self.share)

    def resolved(self, errors: float) -> Bool[np.ndarray, " M"]:
        """Whether each value lies so many standard errors above zero."""
        return self.value > errors * self.error()

    def over(self, other: "Jackknife") -> "Jackknife":
        """The ratio of two."""
        return Jackknife(self.value / other.value, self.parts / other.parts, self.share)

    def kept(self, where: Bool[np.ndarray, " M"]) -> "Jackknife":
        """NaN where not."""
        return self._replace(value=np.where(where, self.value, np.nan))

    def reach(self, confidence: float) -> float:
        """Standard errors from the middle of an interval to its ends."""
        return float(scipy.stats.t.ppf((1 + confidence) / 2, len(self.share) - 1))


def jackknifed(data: Grouped, pairs: Pairs, values: Callable[..., dict[str, Array]]) -> dict[str, Jackknife]:
    """`values` of every pair, and of every pair without each block; one compiled program.

    References
    ----------
    Busing, Meijer & van der Leeden (1999), Delete-m jackknife for unequal m, Statistics and Computing 9, 3–8.
    """
    index, steps = pairs.arrays(data.responses.dtype)
    block = jnp.asarray(data.block)
    whole, parts = _program(data.responses, data.present, block, index, steps, data.num_blocks, values)
    return {
        name: Jackknife(np.asarray(whole[name], np.float64), np.asarray(parts[name], np.float64), data.shares)
        for name in whole
    }


@jax.jit(static_argnums=(5, 6))
def _program(
    responses: Array,
    present: Array,
    block: Array,
    index: Array,
    steps: Array,
    num_blocks: int,
    values: Callable[..., dict[str, Array]],
) -> tuple[dict[str, Array], dict[str, Array]]:
    def of_all(weight: Array) -> dict[str, Array]:
        return map_pairs(responses, weight, index, steps, values)

    parts = jax.lax.map(lambda left: of_all(jnp.where(block == left, 0, present)), jnp.arange(num_blocks))
    return of_all(present), parts
