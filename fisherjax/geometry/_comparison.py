"""The geometry of many stimuli through time: of networks of a structure, predicted as well, and of any one network."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from fisherjax._arrays import as_real
from fisherjax._errors import (
    check_confidence,
    check_counts,
    check_flag,
    check_integer,
    check_key,
    check_not_negative,
    require,
)
from fisherjax._runtime import Devices, check_allocation, device_mesh, full_precision, on_devices, progress_bar
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.networks import Network
from fisherjax.networks._protocol import Protocol, Reading, check_protocol, check_reading, entered
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity
from fisherjax.simulate import draw_networks
from fisherjax.simulate._draw import check_network

from ._distances import pairwise_distances
from ._expected import ExpectedDistances, predicted_steps
from ._measured import GeometryCurve, Known, Summary, curve_of, kept_steps, known_geometry, simulated_steps, summarize
from ._measures import label_folds
from ._shepard import bootstrap_excess, generator, warn_unresolved


class GeometryComparison(Record):
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
    labels: ArrayLike | None = None,
    nonlinearity: NonlinearityLike = "tanh",
    kept_times: Sequence[int] | None = None,
    num_neighbors: int = 10,
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
        (`predicted_correlation`); its rank correlations, stress, stretches and neighbors are those of the mean
        distances, which one network and single noisy trials do not reach.
    key
        JAX random key: weights, noise, resamples.
    labels
        (S,), whole numbers or text: adds class neighborhoods and a linear probe.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    kept_times
        Times whose distances are kept; by default about five, evenly spaced in logarithm.
    num_neighbors
        k of the neighborhoods, at most S − 1.
    num_resamples
        Bootstrap data sets (stimuli and networks are drawn with replacement); 0 for no intervals.
    confidence
        Coverage of the intervals.
    progress
        Whether to show a bar on stderr.
    devices
        Divide the stimuli among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

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
    check_gain_matrix(gain_matrix)
    num_steps, num_trials, num_draws = check_counts(num_steps=num_steps, num_trials=num_trials, num_draws=num_draws)
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    check_not_negative(noise_std=noise_std)
    confidence, progress = check_confidence(confidence), check_flag("progress", progress)
    phi, key = as_nonlinearity(nonlinearity), check_key("key", key)
    device_mesh(devices)
    states = as_real("patterns", patterns, "stimuli units")
    stimuli, units = states.shape
    num_neighbors = min(check_integer("num_neighbors", num_neighbors, minimum=1), max(stimuli - 1, 1))
    chosen = kept_steps(kept_times, num_steps)
    classes = None if labels is None else label_folds(labels, stimuli)
    check_allocation("states", (num_draws * (num_trials + 2), stimuli, units), np.dtype(np.float32))
    original = pairwise_distances(patterns)
    known = known_geometry(np.asarray(original), num_neighbors, classes)
    weight_key, noise_key, resample_key = jax.random.split(key, 3)
    excess, draws = _resampled(num_resamples, stimuli, num_draws, resample_key)
    networks = draw_networks(
        gain_matrix, units, num_draws=num_draws, noise_std=noise_std, nonlinearity=phi, key=weight_key
    )
    measured, theory, simulated, predicted = [], [], [], []
    steps = simulated_steps(networks, states.astype(jnp.float32), noise_key, num_steps, num_trials)
    overlaps = predicted_steps(gain_matrix, states, original, noise_std, num_steps, num_trials, phi)
    with on_devices(devices), progress_bar("following stimuli", num_steps, enabled=progress) as advance:
        for time, (step, expected) in enumerate(zip(steps, overlaps, strict=True), start=1):
            squares = [np.asarray(square) for square in step.squares]
            measured.append(summarize(known, squares, excess, step))
            theory.append(_attenuated(known, summarize(known, [np.asarray(expected.mean) ** 2]), expected))
            if time in chosen:
                simulated.append(np.sqrt(np.mean(squares, axis=0)))
                predicted.append(np.asarray(expected.mean))
            advance()
    warn_unresolved(np.array([summary.values["pearson"] for summary in measured]))
    return GeometryComparison(
        original=np.asarray(original),
        kept_times=np.asarray(chosen),
        simulated=np.stack(simulated),
        predicted=np.stack(predicted),
        measured=curve_of(measured, draws, confidence),
        theory=curve_of(theory, None, confidence),
    )


def _resampled(num_resamples: int, num_stimuli: int, num_draws: int, key: Key) -> tuple[np.ndarray | None, np.ndarray]:
    """How much oftener than once each stimulus is drawn in each resample, and which networks are drawn."""
    stimulus_key, network_key = jax.random.split(key)
    excess = bootstrap_excess(num_resamples, num_stimuli, stimulus_key) if num_resamples else None
    return excess, generator(network_key).integers(num_draws, size=(num_resamples, num_draws))


def _attenuated(known: Known, summary: Summary, expected: ExpectedDistances) -> Summary:
    """Pearson's correlation as one network of finite size shows it; see `predicted_correlation`."""
    mean = np.asarray(expected.mean, np.float64).ravel()[known.reference.places]
    spread, scatter = np.var(mean), float(expected.scatter)
    factor = np.sqrt(spread / (spread + scatter)) if spread > 0 else np.nan
    return summary._replace(values=summary.values | {"pearson": summary.values["pearson"] * float(factor)})


class NetworkGeometry(Record):
    """Distances between M stimuli, and between what a network makes of them; summaries at all times, distances at some.

    Parameters
    ----------
    original
        Distances between the stimuli (M, M).
    kept_times
        Steps whose distances are kept.
    distances
        Distances between what is read, averaged over trials, at the kept times (times, M, M).
    measured
        Summaries at all times.
    """

    original: Float[np.ndarray, "M M"]
    kept_times: Int[np.ndarray, " times"]
    distances: Float[np.ndarray, "times M M"]
    measured: GeometryCurve


@full_precision
def network_geometry(
    network: Network,
    stimuli: ArrayLike,
    *,
    num_steps: int,
    num_trials: int,
    key: Key,
    protocol: Protocol = "pulse",
    read: Reading = "state",
    labels: ArrayLike | None = None,
    kept_times: Sequence[int] | None = None,
    num_neighbors: int = 10,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    progress: bool = False,
    devices: Devices = None,
) -> NetworkGeometry:
    """Simulate how one network keeps the distances between many stimuli.

    Each stimulus enters by the protocol; what is read is averaged over noisy trials, and distances between these
    averages are compared with those between the stimuli. For structures see `compare_geometry`, which predicts it too.

    Parameters
    ----------
    network
        Any `Network`.
    stimuli
        (M, K), or (M, height, width, colors): as many as three different ones, each as the protocol takes it.
    num_steps, num_trials
        Steps T, and noisy trials that each answer is averaged over.
    key
        JAX random key: noise and resamples.
    protocol, read
        How a stimulus enters, and what is read; see `simulate.trajectories`.
    labels, kept_times, num_neighbors, num_resamples, confidence, progress, devices
        As of `compare_geometry`; resamples are of stimuli.

    Raises
    ------
    ValueError
        If there are fewer than three different stimuli, a shape does not fit, or the states do not fit into memory.
    TypeError
        If `network` is none, or `key` is not a JAX key.
    """
    check_network(network)
    num_steps, num_trials = check_counts(num_steps=num_steps, num_trials=num_trials)
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    confidence, progress = check_confidence(confidence), check_flag("progress", progress)
    device_mesh(devices)
    noise_key, resample_key = jax.random.split(check_key("key", key))
    shown = as_real("stimuli", stimuli, dtype=network.dtype)
    require(shown.ndim >= 1 and len(shown) >= 3, f"stimuli must be at least three, got shape {shown.shape}")
    check_protocol(network, protocol, shown[0], num_steps)
    size, count = check_reading(network, read), len(shown)
    chosen = kept_steps(kept_times, num_steps)
    neighbors = min(check_integer("num_neighbors", num_neighbors, minimum=1), count - 1)
    classes = None if labels is None else label_folds(labels, count)
    check_allocation("states", (num_trials + 2, count, max(size, network.state_size)), network.dtype)
    original = np.asarray(pairwise_distances(shown.reshape(count, -1)))
    known = known_geometry(original, neighbors, classes)
    excess, draws = _resampled(num_resamples, count, 1, resample_key)
    starts, inputs = jax.vmap(lambda theta: entered(network, protocol, theta, num_steps))(shown)
    steps = simulated_steps([network], starts, noise_key, num_steps, num_trials, inputs=inputs, read=read)
    summaries, kept = [], []
    with on_devices(devices), progress_bar("following stimuli", num_steps, enabled=progress) as advance:
        for time, step in enumerate(steps, start=1):
            squares = [np.asarray(square) for square in step.squares]
            summaries.append(summarize(known, squares, excess, step))
            if time in chosen:
                kept.append(np.sqrt(squares[0]))
            advance()
    warn_unresolved(np.array([summary.values["pearson"] for summary in summaries]))
    return NetworkGeometry(original, np.asarray(chosen), np.stack(kept), curve_of(summaries, draws, confidence))
