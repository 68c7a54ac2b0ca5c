"""The geometry of many stimuli through time in any given network."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import check_confidence, check_flag, check_integer, check_key, require
from fisherjax._runtime import Devices, check_allocation, device_mesh, full_precision, on_devices, progress_bar
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.networks import Network
from fisherjax.networks._protocol import Protocol, Reading, check_protocol, check_reading, entered
from fisherjax.simulate._draw import check_network

from ._correlations import bootstrap_excess, generator
from ._distances import pairwise_distances
from ._measured import GeometryCurve, curve_of, kept_steps, known_geometry, summarize
from ._probe import label_folds
from ._shepard import warn_unresolved
from ._steps import simulated_steps


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
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=1)
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
    stimulus_key, _ = jax.random.split(resample_key)
    excess = bootstrap_excess(num_resamples, count, stimulus_key) if num_resamples else None
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
    draws = generator(resample_key).integers(1, size=(num_resamples, 1))
    return NetworkGeometry(original, np.asarray(chosen), np.stack(kept), curve_of(summaries, draws, confidence))
