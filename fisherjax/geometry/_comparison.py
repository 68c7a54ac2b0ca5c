"""The geometry of many stimuli through time, simulated in several networks and predicted, side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fisherjax._errors import check_integer, check_key, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.connectivity import GainMatrix, sample_weights
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, full_precision, on_devices, progress_bar
from fisherjax.simulate import check_allocation

from ._correlations import Reference, bootstrap_excess, correlations, generator, intervals, reference
from ._distances import PredictedDistances, pairwise_distances
from ._measures import linear_probe, near_isometry, nearest
from ._shepard import monotone_fit, stress
from ._steps import Step, predicted_steps, simulated_steps

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
    patterns: Float[Array | np.ndarray, "S N"],
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
        distance, noise included, and Pearson's correlation with the scatter of finitely many units; its rank
        correlations and neighbours are those of the mean distances, which single noisy trials do not reach.
    key
        JAX random key: weights, noise, resamples.
    labels
        (S,), whole numbers: adds class neighbourhoods and a linear probe.
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
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    weight_key, noise_key, resample_key = jax.random.split(check_key("key", key), 3)
    original = pairwise_distances(patterns)
    stimuli, units = np.shape(patterns)
    num_neighbours = min(check_integer("num_neighbours", num_neighbours, minimum=1), stimuli - 1)
    chosen = _times(kept_times, num_steps)
    check_allocation("states", (num_draws * (num_trials + 2), stimuli, units), np.dtype(np.float32))
    known = _known(np.asarray(original, np.float64), num_neighbours, labels)
    stimulus_key, network_key = jax.random.split(resample_key)
    excess = bootstrap_excess(num_resamples, stimuli, stimulus_key) if num_resamples else None
    networks = [
        RateNetwork(
            sample_weights(gain_matrix, units, key=k, dtype=jnp.float32),
            np.zeros(units),
            noise_std=noise_std,
            nonlinearity=nonlinearity,
        )
        for k in jax.random.split(weight_key, num_draws)
    ]
    measured, theory = [], []
    simulated, predicted = [], []
    steps = simulated_steps(networks, jnp.asarray(patterns).astype(jnp.float32), noise_key, num_steps, num_trials)
    overlaps = predicted_steps(gain_matrix, patterns, noise_std, num_steps, num_trials, nonlinearity)
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
    chosen = sorted({check_integer("kept_times", time, minimum=1) for time in kept})
    require(len(chosen) > 0 and chosen[-1] <= num_steps, f"kept_times must be within 1…{num_steps}, got {list(kept)}")
    return chosen


class _Known(NamedTuple):
    """What does not change from time to time and from network to network."""

    reference: Reference
    near: Bool[np.ndarray, "S S"]
    labels: np.ndarray | None
    order: Int[np.ndarray, " pairs"]  # by original distance


def _known(original: Float[np.ndarray, "S S"], num_neighbours: int, labels: object) -> _Known:
    known = reference(original)
    classes = None if labels is None else np.asarray(labels)
    require(
        classes is None or classes.shape == original.shape[:1],
        f"labels must have shape ({len(original)},), one per stimulus",
    )
    return _Known(known, nearest(original, num_neighbours), classes, np.argsort(known.distances))


def _summarise(
    known: _Known,
    squares: list[Float[np.ndarray, "S S"]],
    excess: Float[np.ndarray, "B S"] | None = None,
    step: Step | None = None,
) -> _Summary:
    """Measures of every network, averaged, and the correlations of each network and resample."""
    original, near = known.reference.distances, known.near
    count = int(near[0].sum())
    rows: list[dict[str, float]] = []
    samples = []
    for index, square in enumerate(squares):
        distances = np.sqrt(square.ravel()[known.reference.places])
        (pearson, spearman, kendall), resampled = correlations(known.reference, distances, excess)
        isometry = near_isometry(original, distances)
        close = nearest(square, count)
        row = {
            "pearson": pearson,
            "spearman": spearman,
            "kendall": kendall,
            "smallest_stretch": float(isometry.smallest),
            "largest_stretch": float(isometry.largest),
            "neighbours": float(np.sum(near & close) / near.sum()),
        }
        if step is not None:
            row["participation_ratio"] = float(step.participation[index])
        if known.labels is not None:
            row["class_neighbours"] = float(np.mean((known.labels[:, None] == known.labels)[close]))
            if step is not None:
                row["probe_accuracy"] = float(linear_probe(step.means[index], known.labels))
        rows.append(row)
        samples.append(resampled)
    values = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    mean = np.sqrt(np.mean([square.ravel()[known.reference.places] for square in squares], axis=0, dtype=np.float64))
    ordered = mean[known.order]
    values["stress"] = stress(ordered, monotone_fit(ordered))
    return _Summary(values, np.stack(samples))


def _attenuated(known: _Known, summary: _Summary, expected: PredictedDistances) -> _Summary:
    """Pearson's correlation as one network of finite size shows it; see `predicted_correlation`."""
    mean, scatter = (np.asarray(part, np.float64).ravel()[known.reference.places] for part in expected)
    spread = np.var(mean)
    factor = np.sqrt(spread / (spread + np.mean(scatter))) if spread > 0 else 0.0
    return summary._replace(values=summary.values | {"pearson": summary.values["pearson"] * float(factor)})


def _curve(found: list[_Summary], draws: Int[np.ndarray, "B draws"] | None, confidence: float) -> GeometryCurve:
    values = {name: np.array([one.values[name] for one in found]) for name in found[0].values}
    if draws is not None and len(draws):
        # the same resampled stimuli in all networks; networks are drawn as well
        index = np.arange(len(draws))[:, None]
        samples = np.stack([one.samples[draws, index].mean(axis=1) for one in found])
        values |= intervals(samples, confidence)
    return GeometryCurve(times=np.arange(1.0, len(found) + 1), **values)
