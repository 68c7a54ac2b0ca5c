"""The geometry of many stimuli through time, simulated in several networks and predicted, side by side."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from fisherjax._arrays import as_real
from fisherjax._errors import check_confidence, check_flag, check_integer, check_key, check_scalar, require, told
from fisherjax._types import Key, Result, Scalar
from fisherjax.connectivity import GainMatrix, sample_weights
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, as_nonlinearity, device_mesh, full_precision, on_devices, progress_bar
from fisherjax.simulate import check_allocation

from ._correlations import Reference, bootstrap_excess, correlations, generator, intervals, reference
from ._distances import pairwise_distances
from ._expected import ExpectedDistances
from ._inputs import check_structure, varies
from ._measures import isometry, nearest, same_class, shared
from ._probe import label_folds, probe
from ._shepard import monotone_fit, stress, warn_unresolved
from ._steps import Step, predicted_steps, simulated_steps

_WITH_ERROR = (
    "smallest_stretch",
    "largest_stretch",
    "neighbours",
    "participation_ratio",
    "class_neighbours",
    "probe_accuracy",
)
_SHOWN = 5  # times whose distances are kept by default


class GeometryCurve(Result):
    """What is left of the geometry of S stimuli at times 1…T; the mean over networks where simulated."""

    times: Float[np.ndarray, " T"]
    pearson: Float[np.ndarray, " T"]
    """Correlation of distances between states with distances between stimuli, over all pairs."""
    spearman: Float[np.ndarray, " T"]
    kendall: Float[np.ndarray, " T"]
    stress: Float[np.ndarray, " T"]
    """Kruskal's stress-1."""
    smallest_stretch: Float[np.ndarray, " T"]
    """Least stretch over pairs, relative to its root mean square; see `near_isometry`."""
    largest_stretch: Float[np.ndarray, " T"]
    neighbours: Float[np.ndarray, " T"]
    """Share of the nearest neighbours that stay so."""
    participation_ratio: Float[np.ndarray, " T"] | None = None
    """Dimension of the cloud of states."""
    class_neighbours: Float[np.ndarray, " T"] | None = None
    """Share of the nearest neighbours that have the same label."""
    probe_accuracy: Float[np.ndarray, " T"] | None = None
    """Held-out accuracy of a linear classifier of the labels."""
    pearson_interval: Float[np.ndarray, "T 2"] | None = None
    """Bootstrap over stimuli and networks."""
    spearman_interval: Float[np.ndarray, "T 2"] | None = None
    kendall_interval: Float[np.ndarray, "T 2"] | None = None
    smallest_stretch_error: Float[np.ndarray, " T"] | None = None
    """One standard error over networks, as those below; none of a prediction or of one network."""
    largest_stretch_error: Float[np.ndarray, " T"] | None = None
    neighbours_error: Float[np.ndarray, " T"] | None = None
    participation_ratio_error: Float[np.ndarray, " T"] | None = None
    class_neighbours_error: Float[np.ndarray, " T"] | None = None
    probe_accuracy_error: Float[np.ndarray, " T"] | None = None


class GeometryComparison(Result):
    """Distances between S stimuli, and between the states they lead to; summaries at all times, distances at some."""

    original: Float[Array | np.ndarray, "S S"]
    """Distances between the initial patterns."""
    kept_times: Int[np.ndarray, " M"]
    simulated: Float[Array | np.ndarray, "M S S"]
    """Root mean square over networks of the distances at the kept times."""
    predicted: Float[Array | np.ndarray, "M S S"]
    measured: GeometryCurve
    theory: GeometryCurve


@full_precision
def compare_geometry(
    gain_matrix: GainMatrix,
    patterns: Shaped[Array | np.ndarray, "S N"],
    *,
    noise_std: Scalar,
    num_steps: int,
    num_trials: int,
    num_draws: int,
    key: Key,
    labels: object = None,
    nonlinearity: object = "tanh",
    kept_times: Sequence[int] | None = None,
    num_neighbours: int = 10,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    progress: bool = False,
    devices: Devices = None,
) -> GeometryComparison:
    """Simulate how networks drawn from a structure keep distances between patterns, and predict it.

    All stimuli and trials of all networks advance together, one step at a time, and only summaries and the
    distances at `kept_times` stay in memory: 2000 stimuli fit into 2 GiB.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    patterns
        Initial states (S, N), for instance from `initial_patterns`. Distances are defined on them.
    noise_std
        σ, at least 0.
    num_steps, num_trials, num_draws
        Steps T; noisy trials over which each state is averaged; networks. Theory predicts the mean of a squared
        distance, noise included, and Pearson's correlation with the scatter of finitely many units
        (`predicted_correlation`); its rank correlations, stress, stretches and neighbours are those of the mean
        distances, which one network and single noisy trials do not reach.
    key
        JAX random key: weights, noise, resamples.
    labels
        (S,), whole numbers or text: adds class neighbourhoods and a linear probe.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    kept_times
        Times whose distances are kept; by default about five, evenly spaced in logarithm.
    num_neighbours
        k of the neighbourhoods, at most S − 1.
    num_resamples
        Bootstrap data sets (stimuli and networks are drawn with replacement); 0 for no intervals.
    confidence
        Coverage of the intervals.
    progress
        Whether to show a bar on stderr.
    devices
        Divide the stimuli among devices: a number, ``"all"``, or what `numerics.device_mesh` takes.

    Returns
    -------
    GeometryComparison. The simulation runs in float32; the prediction in the float type of the gains, exact for
    large N to the 2e-9 of its moments.

    Raises
    ------
    ValueError
        If there are fewer than three different patterns, shapes do not match, a time is out of range, or the
        states would not fit into memory.
    TypeError
        If `key` is not a JAX key.
    """
    check_structure(gain_matrix)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    check_scalar("noise_std", noise_std, minimum=0.0)
    confidence = check_confidence(confidence)
    progress = check_flag("progress", progress)
    phi = as_nonlinearity(nonlinearity)
    device_mesh(devices)
    key = check_key("key", key)
    states = as_real("patterns", patterns, "stimuli units")
    stimuli, units = states.shape
    num_neighbours = min(check_integer("num_neighbours", num_neighbours, minimum=1), max(stimuli - 1, 1))
    chosen = _times(kept_times, num_steps)
    classes = None if labels is None else label_folds(labels, stimuli)
    check_allocation("states", (num_draws * (num_trials + 2), stimuli, units), np.dtype(np.float32))
    original = pairwise_distances(patterns)
    known = _known(np.asarray(original), num_neighbours, classes)
    weight_key, noise_key, resample_key = jax.random.split(key, 3)
    stimulus_key, network_key = jax.random.split(resample_key)
    excess = bootstrap_excess(num_resamples, stimuli, stimulus_key) if num_resamples else None
    networks = [
        RateNetwork(
            sample_weights(gain_matrix, units, key=k, dtype=jnp.float32),
            np.zeros(units),
            noise_std=noise_std,
            nonlinearity=phi,
        )
        for k in jax.random.split(weight_key, num_draws)
    ]
    measured, theory = [], []
    simulated, predicted = [], []
    steps = simulated_steps(networks, states.astype(jnp.float32), noise_key, num_steps, num_trials)
    overlaps = predicted_steps(gain_matrix, states, original, noise_std, num_steps, num_trials, phi)
    with on_devices(devices), progress_bar("following stimuli", num_steps, enabled=progress) as advance:
        for time, (step, expected) in enumerate(zip(steps, overlaps, strict=True), start=1):
            squares = [np.asarray(square) for square in step.squares]
            measured.append(_summarise(known, squares, excess, step))
            theory.append(_attenuated(known, _summarise(known, [np.asarray(expected.mean) ** 2]), expected))
            if time in chosen:
                simulated.append(np.sqrt(np.mean(squares, axis=0)))
                predicted.append(np.asarray(expected.mean))
            advance()
    draws = generator(network_key).integers(num_draws, size=(num_resamples, num_draws))
    warn_unresolved(np.array([summary.values["pearson"] for summary in measured]))
    return GeometryComparison(
        original=np.asarray(original),
        kept_times=np.asarray(chosen),
        simulated=np.stack(simulated),
        predicted=np.stack(predicted),
        measured=_curve(measured, draws, confidence),
        theory=_curve(theory, None, confidence),
    )


class _Summary(NamedTuple):
    """Measures at one time: mean over networks, and the correlations of each network and resample."""

    values: dict[str, float]
    samples: Float[np.ndarray, "draws B 3"]


def _times(kept: Sequence[int] | None, num_steps: int) -> list[int]:
    if kept is None:
        return sorted({round(num_steps ** (index / (_SHOWN - 1))) for index in range(_SHOWN)})
    if isinstance(kept, str | bytes) or not isinstance(kept, Iterable):
        raise TypeError(f"kept_times must be times, whole numbers within 1…{num_steps}, got {told(kept)}")
    chosen = sorted({check_integer("kept_times", time, minimum=1) for time in kept})
    require(len(chosen) > 0 and chosen[-1] <= num_steps, f"kept_times must be within 1…{num_steps}, got {chosen}")
    return chosen


class _Known(NamedTuple):
    """What does not change from time to time and from network to network."""

    reference: Reference
    near: Float[np.ndarray, "S S"]
    num_neighbours: int
    classes: tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]] | None  # class number and fold
    order: Int[np.ndarray, " pairs"]  # by original distance


def _known(
    original: Float[np.ndarray, "S S"], num_neighbours: int, classes: tuple[np.ndarray, np.ndarray] | None
) -> _Known:
    known = reference(original)
    near = nearest(original, num_neighbours)
    return _Known(known, near, num_neighbours, classes, np.argsort(known.distances))


def _summarise(
    known: _Known,
    squares: list[Float[np.ndarray, "S S"]],
    excess: Float[np.ndarray, "B S"] | None = None,
    step: Step | None = None,
) -> _Summary:
    """Measures of every network, averaged, and the correlations of each network and resample."""
    original, near = known.reference.distances, known.near
    rows: list[dict[str, float]] = []
    samples = []
    for index, square in enumerate(squares):
        distances = np.sqrt(square.ravel()[known.reference.places])
        (pearson, spearman, kendall), resampled = correlations(known.reference, distances, excess)
        stretch = isometry(original, distances)
        close = nearest(square, known.num_neighbours)
        row = {
            "pearson": pearson,
            "spearman": spearman,
            "kendall": kendall,
            "smallest_stretch": float(stretch.smallest),
            "largest_stretch": float(stretch.largest),
            "neighbours": shared(near, close),
        }
        if step is not None:
            row["participation_ratio"] = float(step.participation[index])
        if known.classes is not None:
            codes, folds = known.classes
            row["class_neighbours"] = same_class(close, codes)
            if step is not None:
                row["probe_accuracy"] = float(probe(step.means[index], codes, folds))
        rows.append(row)
        samples.append(resampled)
    values = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if len(rows) > 1:
        root = np.sqrt(len(rows))
        values |= {
            f"{name}_error": float(np.std([row[name] for row in rows], ddof=1) / root)
            for name in _WITH_ERROR
            if name in rows[0]
        }
    mean = np.sqrt(np.mean([square.ravel()[known.reference.places] for square in squares], axis=0))
    ordered = mean[known.order].astype(np.float64)
    values["stress"] = stress(ordered, monotone_fit(ordered)) if varies(mean) else np.nan
    return _Summary(values, np.stack(samples))


def _attenuated(known: _Known, summary: _Summary, expected: ExpectedDistances) -> _Summary:
    """Pearson's correlation as one network of finite size shows it; see `predicted_correlation`."""
    mean = np.asarray(expected.mean, np.float64).ravel()[known.reference.places]
    spread, scatter = np.var(mean), float(expected.scatter)
    factor = np.sqrt(spread / (spread + scatter)) if spread > 0 else np.nan
    return summary._replace(values=summary.values | {"pearson": summary.values["pearson"] * float(factor)})


def _curve(summaries: list[_Summary], draws: Int[np.ndarray, "B draws"] | None, confidence: float) -> GeometryCurve:
    values = {name: np.array([summary.values[name] for summary in summaries]) for name in summaries[0].values}
    if draws is not None and len(draws):
        # the same resampled stimuli in all networks; networks are drawn as well
        index = np.arange(len(draws))[:, None]
        samples = np.stack([summary.samples[draws, index].mean(axis=1) for summary in summaries])
        values |= intervals(samples, confidence)
    return GeometryCurve(times=np.arange(1.0, len(summaries) + 1), **values)
