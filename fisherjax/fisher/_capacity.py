"""What a reservoir can compute from its past input: memory and information processing capacity, bias removed."""

import itertools
import math
from collections.abc import Iterator

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_integer, require
from fisherjax._types import ArrayLike, Record

_BLOCKS = 10
_BATCH = 256  # targets at once
_ROUNDING = 1e-10  # of singular values, below which states are sums of others
_MOST_TARGETS = 200_000
_POLYNOMIALS = {"uniform": np.polynomial.legendre.Legendre, "gaussian": np.polynomial.hermite_e.HermiteE}
_LAGS, _SMALL = 5, 0.02  # lags at which inputs are looked at, and a correlation that does not matter
_SURE = 4.0  # standard errors of the mean of the input beyond which it is not what it is said to be


class ProcessingCapacity(Record):
    """Capacity of a reservoir for products of polynomials of its past inputs.

    Each target has capacity between 0 (not computed at all) and 1 (a linear read-out reproduces it). Capacities of all
    degrees sum to at most the number of linearly independent states.
    """

    degree: Int[np.ndarray, " C"]
    """total degree of each target"""
    longest_delay: Int[np.ndarray, " C"]
    """largest delay in it"""
    capacity: Float[np.ndarray, " C"]
    """share of its variance that a read-out explains, bias removed"""
    memory: Float[np.ndarray, " D"]
    """capacity of the input itself at delays 1 … D"""
    memory_error: Float[np.ndarray, " D"]
    by_degree: Float[np.ndarray, " G"]
    """sum over the targets of degree 1 … G"""
    by_degree_error: Float[np.ndarray, " G"]
    total: float = eqx.field(static=True)
    total_error: float = eqx.field(static=True)
    rank: int = eqx.field(static=True)
    """number of linearly independent states: the most that `total` can be"""

    @property
    def memory_capacity(self) -> float:
        """Jaeger's memory capacity, Σ over delays."""
        return float(self.memory.sum())


def processing_capacity(
    states: ArrayLike,
    inputs: ArrayLike,
    *,
    max_delay: int = 30,
    max_degree: int = 3,
    distribution: str = "uniform",
    washout: int = 100,
) -> ProcessingCapacity:
    r"""Memory capacity and information processing capacity of a recorded or simulated reservoir.

    For every product of orthonormal polynomials of past inputs, z(t) = Π_k P_{d_k}(u(t − τ_k)), the share of its
    variance that the best linear read-out of the states x(t) explains,

    .. math::  C[z] = 1 - \frac{T-1}{T-1-N} (1 - R^2),

    adjusted for the N states that T steps are fitted with: without that every target would have N/T, which thousands of
    targets add up to more than there is. Nothing is clipped or cut off at a threshold, so that sums are without bias;
    their errors come from a jackknife over ten runs of steps.

    Parameters
    ----------
    states
        x(t), (T, N).
    inputs
        u(t), (T,), independent from step to step; x(t) may depend on u(t) and the steps before it. It is scaled to what
        `distribution` says.
    max_delay
        Longest delay of degree 1; a target of degree d reaches back ⌈`max_delay`/d⌉ steps. A delay of 1 is the input
        that the state has just seen.
    max_degree
        Largest total degree.
    distribution
        Of the input: ``"uniform"`` (Legendre polynomials) or ``"gaussian"`` (Hermite polynomials).
    washout
        Steps at the beginning that are left out.

    Returns
    -------
    ProcessingCapacity

    Raises
    ------
    ValueError
        If there are too few steps for the states, too many targets, or the input has not the distribution.

    References
    ----------
    Jaeger (2001), Short term memory in echo state networks, GMD Report 152; Dambre, Verstraeten, Schrauwen & Massar
    (2012), Information processing capacity of dynamical systems, Sci. Rep. 2, 514; Ezekiel (1930) for the adjustment.
    """
    x = np.asarray(host_real("states", states, "T N"), np.float64)
    u = np.asarray(host_real("inputs", inputs, "T"), np.float64)
    delay, degree = check_integer("max_delay", max_delay, minimum=1), check_integer("max_degree", max_degree, minimum=1)
    check_choice("distribution", distribution, tuple(_POLYNOMIALS))
    start = max(check_integer("washout", washout, minimum=0), delay)
    require(len(u) == len(x), f"inputs must be one for each of the {len(x)} steps of states, got {len(u)}")
    kept = len(x) - start
    needed = 2 * x.shape[1] + 2 * _BLOCKS
    require(
        kept >= needed, f"{x.shape[1]} states need at least {needed} steps after the first {start}, got {max(kept, 0)}"
    )
    polynomials = _polynomials(_standard(u, distribution), degree, distribution)
    count = sum(math.comb(math.ceil(delay / d) + d - 1, d) for d in range(1, degree + 1))
    told = f"max_delay={delay} and max_degree={degree} ask for {count} targets, more than {_MOST_TARGETS}"
    require(count <= _MOST_TARGETS, told)
    targets = list(_targets(delay, degree))
    basis, rank = _independent(x[start:])
    whole, parts = _capacities(basis, polynomials, targets, start)
    degrees = np.array([sum(power for _, power in target) for target in targets])
    longest = np.array([max(lag for lag, _ in target) for target in targets])
    sums = np.stack([whole[degrees == d].sum() for d in range(1, degree + 1)])
    left = np.stack([parts[:, degrees == d].sum(axis=1) for d in range(1, degree + 1)], axis=1)
    first = degrees == 1
    return ProcessingCapacity(
        degree=degrees,
        longest_delay=longest,
        capacity=whole,
        memory=whole[first],
        memory_error=_error(parts[:, first]),
        by_degree=sums,
        by_degree_error=_error(left),
        total=float(whole.sum()),
        total_error=float(_error(parts.sum(axis=1, keepdims=True))[0]),
        rank=rank,
    )


Target = tuple[tuple[int, int], ...]
"""Delays with the degree of the polynomial at each."""


def _targets(max_delay: int, max_degree: int) -> Iterator[Target]:
    """All products of a total degree, the shortest delays first."""
    for degree in range(1, max_degree + 1):
        lags = range(1, math.ceil(max_delay / degree) + 1)
        for chosen in itertools.combinations_with_replacement(lags, degree):
            yield tuple((lag, chosen.count(lag)) for lag in sorted(set(chosen)))


def _standard(u: np.ndarray, distribution: str) -> np.ndarray:
    """Input on [−1, 1], or of mean zero and variance one; refused where its moments are not those of its law."""
    spread = u.std()
    require(bool(spread > 0), "inputs never vary")
    if distribution == "uniform":
        low, high = u.min(), u.max()
        scaled = (2 * u - low - high) / (high - low)
        expected, fourth = 1 / 3, 1 / 5
    else:
        scaled, expected, fourth = (u - u.mean()) / spread, 1.0, 3.0
    square = scaled**2
    off = abs(square.mean() - expected) / (square.std() / np.sqrt(len(u)))
    off4 = abs((square**2).mean() - fourth) / ((square**2).std() / np.sqrt(len(u)))
    alike = off < _SURE + 0.05 * np.sqrt(len(u)) and off4 < _SURE + 0.05 * np.sqrt(len(u))
    require(
        bool(alike),
        f"inputs do not look {distribution}: their second moment is {square.mean():.3g}, not {expected:.3g}",
    )
    centered = scaled - scaled.mean()
    lagged = [abs(np.mean(centered[lag:] * centered[:-lag])) / np.mean(centered**2) for lag in range(1, _LAGS + 1)]
    worst = int(np.argmax(lagged))
    require(
        bool(lagged[worst] < _SURE / np.sqrt(len(u)) + _SMALL),
        f"inputs must be independent from step to step, but those {worst + 1} apart are correlated by "
        f"{lagged[worst]:.2f}: capacities would count one input several times",
    )
    return scaled


def _polynomials(u: np.ndarray, degree: int, distribution: str) -> Float[np.ndarray, "G T"]:
    """P_1 … P_G of the input, orthonormal."""
    kind = _POLYNOMIALS[distribution]
    norm = (
        (lambda d: math.sqrt(2 * d + 1)) if distribution == "uniform" else (lambda d: 1 / math.sqrt(math.factorial(d)))
    )
    return np.stack([kind.basis(d)(u) * norm(d) for d in range(1, degree + 1)])


def _independent(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Orthogonal coordinates of the centered states, one for each independent one."""
    left, size, _ = scipy.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    rank = int(np.sum(size > _ROUNDING * size[0]))
    return left[:, :rank], rank


def _capacities(
    basis: np.ndarray, polynomials: np.ndarray, targets: list[Target], start: int
) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, "B C"]]:
    """Adjusted capacity of each target, from all steps and without each run of them."""
    steps = len(basis)
    edges = np.linspace(0, steps, _BLOCKS + 1).astype(int)
    ones = np.concatenate([np.ones((steps, 1)), basis], axis=1)
    grams = np.stack([ones[a:b].T @ ones[a:b] for a, b in itertools.pairwise(edges)])
    inverses = [np.linalg.pinv(grams.sum(axis=0), hermitian=True)]
    inverses += [np.linalg.pinv(grams.sum(axis=0) - gram, hermitian=True) for gram in grams]
    values = np.empty((_BLOCKS + 1, len(targets)))
    for low in range(0, len(targets), _BATCH):
        batch = targets[low : low + _BATCH]
        z = np.stack([_series(polynomials, target, start, steps) for target in batch], axis=1)
        cross = np.stack([ones[a:b].T @ z[a:b] for a, b in itertools.pairwise(edges)])
        square = np.stack([(z[a:b] ** 2).sum(axis=0) for a, b in itertools.pairwise(edges)])
        for index, inverse in enumerate(inverses):
            kept = slice(None) if index == 0 else np.arange(_BLOCKS) != index - 1
            count = steps if index == 0 else steps - (edges[index] - edges[index - 1])
            c, total = cross[kept].sum(axis=0), square[kept].sum(axis=0)
            variance = total - c[0] ** 2 / count
            explained = np.einsum("ic,ij,jc->c", c, inverse, c) - c[0] ** 2 / count
            rest = 1 - explained / variance
            values[index, low : low + len(batch)] = 1 - (count - 1) / (count - 1 - basis.shape[1]) * rest
    return values[0], values[1:]


def _series(polynomials: np.ndarray, target: Target, start: int, steps: int) -> Float[np.ndarray, " T"]:
    """z(t) for the steps that are kept; a delay of 1 is the input of the same step."""
    product = np.ones(steps)
    for lag, power in target:
        first = start - (lag - 1)
        product = product * polynomials[power - 1, first : first + steps]
    return product


def _error(parts: np.ndarray) -> np.ndarray:
    return parts.std(axis=0) * math.sqrt(len(parts) - 1)
