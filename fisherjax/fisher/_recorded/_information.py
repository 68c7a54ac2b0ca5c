"""Information against the stimulus, of a whole recording at once."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_confidence, check_flag, check_integer, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import Record
from fisherjax.fisher._diagnosis import AssumptionWarning, diagnose
from fisherjax.fisher._direct import direct_numbers, shuffled_numbers
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._interval import normal_interval

from ._cleaning import groups_of_units
from ._covariance import COVARIANCES
from ._jackknife import RESOLVED, Jackknife, jackknifed
from ._pairs import (
    Grouped,
    Pairs,
    Trials,
    as_recording,
    check_blocks_of,
    grouped,
    map_pairs,
    moments_of,
    paired,
    pairs_of,
    warn_of_singular,
)
from ._recording import Recording
from ._values import DIRECT, SHUFFLED, VALUES, direct_estimate, poisson_value, shuffled_estimate, values_of

_HOW_MANY = 10  # blocks
_UNEVEN = 1.5
_OF = {
    "direct": DIRECT,
    "shuffled": SHUFFLED,
    "direct - shuffled": "what noise correlations add to linear Fisher information",
    "diagonal": "what the best decoder blind to correlations reaches",
    "covariance term": "what the change of the covariance adds, for Gaussian responses",
    "poisson": "Fisher information of independent Poisson units with these means",
}


class RecordedInformation(Record):
    """Information between neighbouring stimuli of a recording, and what it consists of.

    Every entry of `estimates` has one value for each of the M pairs; those of `averages` are the mean over them, whose
    error counts that neighbouring pairs share trials.
    """

    stimuli: Float[np.ndarray, " M"]
    """the middle of each pair"""
    separation: Float[np.ndarray, " M"]
    estimates: dict[str, FisherEstimate]
    averages: dict[str, FisherEstimate]
    findings: tuple[str, ...] = eqx.field(static=True)
    """what the data say about the assumptions, with the remedy; how many pairs show it"""
    stimulus_unit: str = eqx.field(static=True)
    period: float | None = eqx.field(static=True)

    def __getitem__(self, name: str) -> FisherEstimate:
        """One of `estimates`."""
        check_choice("name", name, tuple(self.estimates))
        return self.estimates[name]

    def __repr__(self) -> str:
        unit = self.stimulus_unit or "θ"
        rows = [f"  {name:<18} {float(one.value):10.4g} ± {float(one.standard_error):.2g}" for name, one in
                self.averages.items()]  # fmt: skip
        title = f"RecordedInformation between {len(self.stimuli)} pairs of neighbouring stimuli (1/{unit}²), means:"
        return "\n".join([title, *rows, *(f"  note: {sentence}" for sentence in self.findings)])

    def threshold(self, name: str = "direct") -> tuple[Array, Array]:
        """Least difference of stimuli that is told with d′ = 1, 1/√I, and its interval (2, M); infinite for I ≤ 0."""
        one = self[name]
        return _threshold(one.value), _threshold(one.interval[::-1])


def _threshold(information: Array) -> Array:
    positive = information > 0
    return jnp.where(positive, 1 / jnp.sqrt(jnp.where(positive, information, 1)), jnp.inf)


@full_precision
def recorded_information(
    recording: Recording,
    *,
    covariance: str = "sample",
    num_blocks: int = _HOW_MANY,
    error: str = "exact",
    check: bool = True,
    confidence: float = 0.95,
) -> RecordedInformation:
    r"""Linear Fisher information between all neighbouring stimuli of a recording, with its bias removed.

    For each pair, from the same trials:

    - ``"direct"``: f′ᵀΣ⁻¹f′, with the exact error and interval of `fisher.direct`;
    - ``"shuffled"``: the same without noise correlations, as `fisher.shuffled`;
    - ``"direct - shuffled"``: what correlations add, with the error of the difference;
    - ``"diagonal"``: (f′ᵀD⁻¹f′)²/(f′ᵀD⁻¹ΣD⁻¹f′), what the best decoder blind to correlations reaches, without halves
      of trials; NaN where the denominator is not resolved (two standard errors), which it is in the mean first;
    - ``"covariance term"``: ½ tr[(Σ⁻¹Σ′)²], what a change of the covariance adds to the information of Gaussian
      responses;
    - ``"poisson"``: Σ f′²/f, for counts: what independent Poisson units with these means would hold.

    Of units that were never recorded together (``missing="pairwise"``) the information of the groups is added up.

    Parameters
    ----------
    recording
        Trials at two or more stimuli.
    covariance
        ``"sample"`` needs more trials than units. ``"ledoit-wolf"``, ``"oas"``, ``"factor"`` are for more units than
        trials: S shrunk towards its diagonal, or a few common factors and a variance of each unit's own. They bias
        ``"direct"`` towards ``"shuffled"`` (measured: benchmarks/results/recordings.md), and leave the covariance term
        out.
    num_blocks
        Blocks of trials of the jackknife that gives the error of all but ``"direct"``, ``"shuffled"`` and
        ``"poisson"``; where the recording has blocks of its own those are taken, and for all.
    error
        Of ``"direct"`` and ``"shuffled"``: ``"exact"`` for Gaussian responses of one covariance in each pair, or
        ``"jackknife"``, which assumes neither and removes the bias of order 1/T that comes from it.
    check
        Whether the assumptions are tested on each pair; an `AssumptionWarning` tells what does not hold.
    confidence
        Coverage of the intervals.

    Returns
    -------
    RecordedInformation

    Raises
    ------
    ValueError
        If a stimulus has fewer than two trials, there are more units than trials allow (with the ways out), or fewer
        blocks than two.

    References
    ----------
    Kanitscheider et al. (2015), PLoS Comput. Biol. 11, e1004218; Averbeck & Lee (2006), Effects of noise correlations
    on information encoding and decoding, J. Neurophysiol. 95, 3633–3644, for the diagonal decoder.
    """
    as_recording("recording", recording)
    check_choice("covariance", covariance, ("sample", *COVARIANCES))
    num_blocks, confidence = check_integer("num_blocks", num_blocks, minimum=2), check_confidence(confidence)
    check_choice("error", error, ("exact", "jackknife"))
    check = check_flag("check", check)
    pairs = pairs_of(recording)
    together = groups_of_units(~np.isnan(recording.responses))
    groups = range(together.max() + 1)
    apart = [recording] if len(groups) == 1 else [_one_group(recording, together == group) for group in groups]
    exact = error == "exact"
    parts = [_of_group(one, pairs, covariance, num_blocks, confidence, exact=exact) for one in apart]
    estimates, averages = (_added([part[place] for part in parts], confidence) for place in (0, 1))
    warn_of_singular(pairs, [one for name, one in estimates.items() if name != "diagonal"])
    findings = _findings(recording, pairs) if check and exact and len(groups) == 1 else ()
    for sentence in findings:
        warn(sentence, AssumptionWarning)
    return RecordedInformation(
        pairs.middle, pairs.separation, estimates, averages, findings, recording.stimulus_unit, recording.period
    )


Estimates = dict[str, FisherEstimate]


def _one_group(recording: Recording, units: np.ndarray) -> Recording:
    """Units that were recorded together, in the trials in which they were."""
    trials = ~np.isnan(recording.responses[:, np.flatnonzero(units)[0]])
    part = recording.select(units=units, trials=trials)
    if part.block is not None and part.block.max() == 0:
        # one session: its trials are as independent as trials are
        part = part._changed(part.responses, part.stimulus, None, part.names)
    lost = sorted(set(recording.stimuli) - set(part.stimuli))
    require(not lost, f"units {part.names[0]}, … were not recorded at the stimuli {lost[:5]}; leave out those, or them")
    return part


def _of_group(
    recording: Recording, pairs: Pairs, covariance: str, num_blocks: int, confidence: float, *, exact: bool
) -> tuple[Estimates, Estimates]:
    """Estimates at each pair, and their averages."""
    check_blocks_of(recording)
    if covariance == "sample":
        num_blocks = _enough_blocks(recording, pairs, num_blocks)
    data = grouped(recording, num_blocks)
    parts = jackknifed(data, pairs, _sample_values if covariance == "sample" else COVARIANCES[covariance])
    pooled = _diagonal(parts)
    if covariance == "sample":
        _doubt_uneven(recording, pairs)
    blocked = recording.block is not None or not exact
    known = {} if blocked else _exact(data, pairs, confidence, direct=covariance == "sample")
    estimates, averages = {}, {}
    for name in (name for name in VALUES if name in parts):
        part = parts[name]
        label = f"{name}, {covariance} covariance (biased)" if covariance != "sample" and "direct" in name else name
        estimates[name] = known.get(name) or _estimate(name, label, part, confidence, corrected=blocked)
        mean = pooled if name == "diagonal" else part.mean()
        averages[name] = _scalar(_estimate(name, f"{label}, mean over pairs", mean, confidence, corrected=blocked))
    counts = recording.responses
    if not blocked and bool((counts >= 0).all() and (counts == np.round(counts)).all()):
        one, every = _poisson(recording, pairs, confidence)
        estimates["poisson"], averages["poisson"] = one, every
    return estimates, averages


def _enough_blocks(recording: Recording, pairs: Pairs, num_blocks: int) -> int:
    """Blocks of which one can be left out: so many, or as many as there are trials."""
    counts, units = recording.num_trials, recording.num_units
    for number in (num_blocks, int(counts.min())):
        left = counts - (np.bincount(recording.block).max() if recording.block is not None else -(-counts // number))
        least = int(left[pairs.members].sum(axis=1).min())
        if units < least - 3:
            return number
    trials = int(counts[pairs.members].sum(axis=1).min())
    raise ValueError(
        f"{units} units need more than {units + 3} trials in each pair of stimuli, a block of them left out, but one "
        f'has {trials} in all: ask for covariance="ledoit-wolf", "oas" or "factor" (biased), '
        "recording.principal_components(k), a subset of the units, or fisher.recorded_decoding"
    )


def _diagonal(parts: dict[str, Jackknife]) -> Jackknife:
    """The diagonal decoder's information: NaN where its denominator is not resolved; and its mean over the pairs.

    A mean of ratios is as uncertain as the least certain of them. This is the ratio of means: the shuffled information,
    over how much larger the variance of the decoder's output is than it would be without correlations.
    """
    below = parts.pop("diagonal, denominator")
    parts["diagonal"] = parts["diagonal"].kept(below.resolved(RESOLVED))
    alone, spread = parts["shuffled"].mean(), below.mean()
    square = Jackknife(alone.value**2 - alone.error() ** 2, alone.parts**2 - alone.error() ** 2, alone.share)
    return square.over(spread).kept(spread.resolved(RESOLVED))


def _doubt_uneven(recording: Recording, pairs: Pairs) -> None:
    trials = recording.num_trials[pairs.members]
    if (trials.max(axis=1) > _UNEVEN * trials.min(axis=1)).any():
        warn(
            "neighbouring stimuli have numbers of trials that differ by more than half, for which 'covariance term' is "
            "not meant: it may be off by as much as it is"
        )


def _sample_values(trials: Trials) -> dict[str, Array]:
    return values_of(moments_of(trials), trials.step)


@jax.jit
def _numbers(responses: Array, present: Array, index: Array, steps: Array) -> tuple[Any, Any, Array, Array, Array]:
    """Numbers of the direct and of the shuffled estimate of each pair, with n₀, ν and the number of units."""

    def of_pair(trials: Trials) -> Any:
        moments, freedom = paired(moments_of(trials), trials.step)
        units = jnp.sum(jnp.diagonal(moments.covariance) > 0)
        regular = moments._replace(covariance=_unless_singular(moments.covariance))
        both = direct_numbers(regular, freedom), shuffled_numbers(moments, freedom)
        return *jax.tree.map(lambda part: part[0, 0], both), moments.precision[0], freedom, units

    return map_pairs(responses, present, index, steps, of_pair)


def _unless_singular(covariance: Float[Array, "p p"]) -> Float[Array, "p p"]:
    """The covariance; NaN, but for its diagonal, where units that vary are sums of others to rounding."""
    variance = jnp.diagonal(covariance)
    scale = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    correlation = covariance / (scale[:, None] * scale) + jnp.diag((variance <= 0).astype(variance.dtype))
    least = jnp.linalg.eigvalsh(correlation)[0]
    regular = least > 10 * len(covariance) * jnp.finfo(variance.dtype).eps
    return jnp.where(regular | jnp.eye(len(covariance), dtype=bool), covariance, jnp.nan)


def _exact(data: Grouped, pairs: Pairs, confidence: float, *, direct: bool) -> Estimates:
    """Direct and shuffled estimates with the errors of Gaussian responses."""
    index, steps = pairs.arrays(data.responses.dtype)
    numbers, alone, precision, freedom, units = _numbers(data.responses, data.present, index, steps)
    found = {"direct": direct_estimate(numbers, precision, freedom, units, confidence)} if direct else {}
    return found | {"shuffled": shuffled_estimate(alone, confidence)}


def _estimate(name: str, label: str, part: Jackknife, confidence: float, *, corrected: bool) -> FisherEstimate:
    """An estimate whose error comes from the jackknife, of every pair."""
    # these, and what rests on trials that depend on one another, keep a bias of order 1/T that the blocks show
    value = part.corrected() if corrected or name in {"diagonal", "covariance term"} else part.value
    error, reach = part.error(), part.reach(confidence)
    numbers = [value, error, np.stack([value - reach * error, value + reach * error]), part.value]
    arrays = [jnp.asarray(number, float) for number in numbers]
    method = f"{label}, jackknife of {len(part.share)} blocks"
    return FisherEstimate(*arrays, method=method, confidence=confidence, interval_of=_OF[name])


def _scalar(one: FisherEstimate) -> FisherEstimate:
    """The estimate of the only pair."""
    parts = (one.value, one.standard_error, one.interval, one.naive)
    numbers = [part[..., 0] for part in parts]
    return FisherEstimate(*numbers, method=one.method, confidence=one.confidence, interval_of=one.interval_of)


def _poisson(recording: Recording, pairs: Pairs, confidence: float) -> tuple[FisherEstimate, FisherEstimate]:
    codes = np.searchsorted(recording.stimuli, recording.stimulus)
    counts = np.stack([recording.responses[codes == code].sum(axis=0) for code in range(len(recording.stimuli))])
    numbers = _poisson_values(
        jnp.asarray(counts, float), jnp.asarray(recording.num_trials, float), *pairs.arrays(float)
    )

    # real counts vary more than Poisson ones, by the Fano factor: so do the errors (as in quasi-likelihood)
    deviations = [part - part.mean(axis=0) for part in map(recording.at, range(len(counts)))]
    within = sum(float((part**2).sum()) for part in deviations) / (len(recording.stimulus) - len(counts))
    spread = math.sqrt(max(1.0, within / float(recording.responses.mean(axis=0).sum())))

    def estimate(number: Array, error: Array) -> FisherEstimate:
        error = error * spread
        interval = normal_interval(number, error, confidence)
        return FisherEstimate(number, error, interval, number, "poisson", confidence, _OF["poisson"])

    return estimate(*numbers[:2]), estimate(*numbers[2:])


@jax.jit
def _poisson_values(counts: Array, trials: Array, members: Array, steps: Array) -> tuple[Array, Array, Array, Array]:
    """Information of every pair and its error, their mean and its error: neighbouring pairs share a stimulus."""

    def values(counts: Array) -> tuple[Array, Array]:
        return jax.vmap(poisson_value)(counts[members], trials[members], steps)

    value, variance = values(counts)
    slope = jax.grad(lambda counts: jnp.mean(values(counts)[0]))(counts)
    return value, jnp.sqrt(variance), jnp.mean(value), jnp.sqrt(jnp.sum(slope**2 * counts))


def _added(parts: Sequence[Estimates], confidence: float) -> Estimates:
    """The sum over groups of units that are independent of one another."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in parts[0] if all(name in part for part in parts)]
    total = {}
    for name in names:
        ones = [part[name] for part in parts]
        value = jnp.sum(jnp.stack([one.value for one in ones]), axis=0)
        naive = jnp.sum(jnp.stack([one.naive for one in ones]), axis=0)
        error = jnp.linalg.norm(jnp.stack([one.standard_error for one in ones]), axis=0)
        method = f"{ones[0].method}, sum of {len(ones)} independent groups"
        interval = normal_interval(value, error, confidence)
        total[name] = FisherEstimate(value, error, interval, naive, method, confidence, _OF[name])
    return total


_KINDS = {  # words of a finding, and the remedy in the words of a recording
    "far outside the rest": ("use robust=True", "leave them out by .select(trials=…)"),
    "heavier tails": ("use fisher.jackknife", 'use error="jackknife"'),
    "correlated with the next": ("use fisher.direct with blocks=", "give block=, runs of so many trials: "),
    "skewed": ("use fisher.jackknife", 'use error="jackknife"'),
    "covariance differs": ("use fisher.jackknife", 'use error="jackknife"'),
}


def _findings(recording: Recording, pairs: Pairs) -> tuple[str, ...]:
    """What the diagnoses of all pairs say, and of how many."""
    told: dict[str, list[str]] = {}
    for first, second in pairs.members:
        parts = [recording.at(int(place)) for place in (first, second)]
        varies = np.concatenate([part - part.mean(axis=0) for part in parts]).std(axis=0) > 0
        conditions = [jnp.asarray(part[:, varies], float) for part in parts]
        slope = jnp.mean(conditions[1], axis=0) - jnp.mean(conditions[0], axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)
            found = diagnose(conditions, slope[None], dependent=recording.block is not None)
        for sentence in () if found is None else found.findings:
            kind = next(kind for kind in _KINDS if kind in sentence)
            told.setdefault(kind, []).append(sentence.replace(*_KINDS[kind]))
    count = len(pairs.members)
    return tuple(f"in {len(those)} of {count} pairs {those[0]}" for those in told.values())
