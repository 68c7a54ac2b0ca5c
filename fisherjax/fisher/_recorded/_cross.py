"""Weights of one condition, tested in another: what attention or adaptation does to a read-out that does not know."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_confidence, check_integer, listed, require
from fisherjax._runtime import full_precision
from fisherjax._types import Record
from fisherjax.fisher._gate import FisherEstimate

from ._jackknife import RESOLVED, Jackknife
from ._pairs import (
    Grouped,
    Pairs,
    Trials,
    as_recording,
    check_blocks_of,
    grouped,
    moments_of,
    paired,
    pairs_of,
    warn_of_singular,
)
from ._recording import Recording
from ._values import cross_parts, direct_numbers


class CrossInformation(Record):
    """Information in one condition that the best read-out of another finds, between neighbouring stimuli."""

    stimuli: Float[np.ndarray, " M"]
    """the middle of each pair"""
    separation: Float[np.ndarray, " M"]
    reached: FisherEstimate
    """(w_a·f_b′)²/(w_aᵀΣ_b w_a), with w_a = Σ_a⁻¹ f_a′ (M,)"""
    own: FisherEstimate
    """what the tested condition holds (M,), by the same jackknife"""
    lost: FisherEstimate
    """`own` − `reached`, with the error of the difference (M,)"""
    averages: dict[str, FisherEstimate]
    """means over the pairs of ``"reached"`` (numerator and denominator apart), ``"own"`` and ``"lost"``"""
    stimulus_unit: str = eqx.field(static=True)


@full_precision
def cross_information(
    trained_in: Recording, tested_in: Recording, *, num_blocks: int = 10, confidence: float = 0.95
) -> CrossInformation:
    r"""Information that the best linear read-out of one condition finds in another, without trained halves.

    .. math::  I_{a→b} = \frac{(w_a^T f_b')^2}{w_a^T Σ_b w_a}, \qquad w_a = Σ_a^{-1} f_a'.

    Numerator and denominator are estimated without bias for Gaussian responses (through the moments of an inverse
    Wishart matrix), as if w_a had been trained on infinitely many trials; the error comes from a jackknife over the
    trials of both conditions. It is at most the information of condition b, and that where
    correlations and tuning of both are the same. A pair whose denominator is not two standard errors above zero is NaN;
    the mean over pairs is a ratio of means, which is resolved first.

    Parameters
    ----------
    trained_in, tested_in
        Different trials of the same units, at the same stimuli: attended and unattended, before and after.
    num_blocks
        Blocks of trials of each condition's jackknife.
    confidence
        Coverage of the intervals.

    Returns
    -------
    CrossInformation

    Raises
    ------
    ValueError
        If units or stimuli differ, or there are too few trials for the units.
    """
    for name, one in (("trained_in", trained_in), ("tested_in", tested_in)):
        check_blocks_of(as_recording(name, one, whole="read-outs"))
    num_blocks, confidence = check_integer("num_blocks", num_blocks, minimum=2), check_confidence(confidence)
    _check_same(trained_in, tested_in)
    require(
        not np.array_equal(trained_in.responses, tested_in.responses),
        "trained_in and tested_in must be different trials: what one set of trials says of itself is `direct`",
    )
    pairs = pairs_of(tested_in)
    first, second = _in_one_frame(trained_in, tested_in, num_blocks)
    for name, one in (("trained_in", trained_in), ("tested_in", tested_in)):
        blocks = one.num_trials - one.num_trials // num_blocks - 1
        least = int(blocks[pairs.members].sum(axis=1).min())
        require(
            one.num_units < least - 3,
            f"{name}: {one.num_units} units need more than {one.num_units + 3} trials in each pair of stimuli when a "
            f"block is left out, but one has {least}; fewer units, or .principal_components(k) of both together",
        )
    parts = _jackknifed(first, second, pairs)
    reached = _mean_reached(parts)
    names = {"reached": "cross-information", "own": "direct", "lost": "direct − cross-information"}
    each = {name: _joined(parts[name], told, confidence) for name, told in names.items()}
    warn_of_singular(pairs, [each["own"]])
    own = [part.mean() for part in parts["own"]]
    lost = [Jackknife(a.value - b.value, a.parts - b.parts, a.share) for a, b in zip(own, reached, strict=True)]
    averages = {
        name: _joined(part, f"{names[name]}, mean over pairs", confidence, mean=True)
        for name, part in (("reached", reached), ("own", own), ("lost", lost))
    }
    return CrossInformation(
        pairs.middle, pairs.separation, each["reached"], each["own"], each["lost"], averages, tested_in.stimulus_unit
    )


def _mean_reached(parts: dict[str, list[Jackknife]]) -> list[Jackknife]:
    """What is reached in the mean over pairs, as a ratio of means; and NaN for pairs whose ratio is not resolved."""
    hit, spread = parts.pop("hit"), parts.pop("spread")
    for name in ("reached", "lost"):
        parts[name] = [part.kept(_resolved(spread)) for part in parts[name]]
    means = [part.mean() for part in spread]
    return [above.mean().over(below).kept(_resolved(means)) for above, below in zip(hit, means, strict=True)]


def _resolved(parts: list[Jackknife]) -> np.ndarray:
    return parts[0].value > RESOLVED * np.hypot(parts[0].error(), parts[1].error())


def _check_same(first: Recording, second: Recording) -> None:
    missing = [name for name in second.names if name not in first.names] + [
        name for name in first.names if name not in second.names
    ]
    hint = "; compare .select(units=…) of those that both have" if first.num_units != second.num_units else ""
    require(not missing, f"trained_in and tested_in must have the same units, but {listed(missing, 5)} differ{hint}")
    require(first.names == second.names, "trained_in and tested_in must have their units in the same order")
    alike = len(first.stimuli) == len(second.stimuli) and np.allclose(first.stimuli, second.stimuli, rtol=1e-5)
    same = first.period == second.period and bool(alike)
    require(
        same,
        f"trained_in and tested_in must have the same stimuli and period, got {listed(first.stimuli.tolist(), 5)} and "
        f"{listed(second.stimuli.tolist(), 5)}",
    )


def _in_one_frame(first: Recording, second: Recording, num_blocks: int) -> tuple[Grouped, Grouped]:
    """Trials of both by stimulus, in one frame: weights of one are then those of the other."""
    scale = np.abs(first.responses - first.responses.mean(axis=0)).max(axis=0)
    return grouped(first, num_blocks, scale=scale), grouped(second, num_blocks, scale=scale)


def _jackknifed(first: Grouped, second: Grouped, pairs: Pairs) -> dict[str, list[Jackknife]]:
    """Each question's values, with the blocks of either condition left out."""
    index, steps = pairs.arrays(first.responses.dtype)
    blocks = jnp.asarray(first.block), jnp.asarray(second.block)
    whole, trained, tested = _program(
        first[:2], second[:2], blocks, index, steps, (first.num_blocks, second.num_blocks)
    )
    return {
        name: [
            Jackknife(np.asarray(whole[name], np.float64), np.asarray(left[name], np.float64), data.shares)
            for left, data in ((trained, first), (tested, second))
        ]
        for name in whole
    }


@jax.jit(static_argnums=5)
def _program(
    first: tuple[Array, Array],
    second: tuple[Array, Array],
    blocks: tuple[Array, Array],
    index: Array,
    steps: Array,
    counts: tuple[int, int],
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    def of_all(first_weight: Array, second_weight: Array) -> dict[str, Array]:
        def of_pair(item: tuple[Array, Array]) -> dict[str, Array]:
            pair, step = item
            trained = moments_of(Trials(first[0][pair], first_weight[pair], step))
            tested = moments_of(Trials(second[0][pair], second_weight[pair], step))
            hit, spread = cross_parts(trained, tested, step, step)
            own = direct_numbers(*paired(tested, step))[0][0, 0]
            return {"reached": hit / spread, "own": own, "lost": own - hit / spread, "hit": hit, "spread": spread}

        return jax.lax.map(of_pair, (index, steps))

    def without(block: Array, code: Array, weight: Array) -> Array:
        return jnp.where(block == code, 0, weight)

    trained = jax.lax.map(lambda code: of_all(without(blocks[0], code, first[1]), second[1]), jnp.arange(counts[0]))
    tested = jax.lax.map(lambda code: of_all(first[1], without(blocks[1], code, second[1])), jnp.arange(counts[1]))
    return of_all(first[1], second[1]), trained, tested


def _joined(parts: list[Jackknife], told: str, confidence: float, *, mean: bool = False) -> FisherEstimate:
    """Both conditions are independent: their variances add up, and, of a mean over pairs, their parts of the bias.

    Of a single pair the jackknife makes the bias larger (80 units, 300 trials: −7 % for +1 %).
    """
    value = parts[0].value + (sum(part.corrected() - part.value for part in parts) if mean else 0)
    error = np.sqrt(sum(part.error() ** 2 for part in parts))
    reach = parts[0].reach(confidence) * error
    numbers = [value, error, np.stack([value - reach, value + reach]), parts[0].value]
    scalar = [jnp.asarray(number[..., 0] if mean else number, float) for number in numbers]
    blocks = " and ".join(str(len(part.share)) for part in parts)
    method = f"{told}, jackknife of {blocks} blocks"
    return FisherEstimate(*scalar, method=method, confidence=confidence, interval_of="linear Fisher information")
