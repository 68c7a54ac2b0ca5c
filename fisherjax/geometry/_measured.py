"""Many stimuli simulated step by step, and what is left of their geometry: at one time, and as a curve."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import check_integer, require, told
from fisherjax._linalg import centered_gram, dimension_of_gram
from fisherjax._runtime import spread
from fisherjax._types import Key, Record
from fisherjax.networks import Network
from fisherjax.networks._protocol import Reading, reading
from fisherjax.simulate._trajectories import noisy_step, ready

from ._distances import squares_of_gram, varies
from ._measures import isometry, nearest, probe, same_class, shared
from ._shepard import KINDS, Reference, correlations, intervals, monotone_fit, reference, resampled, stress


class Step(NamedTuple):
    """One time of the simulation, one entry per network."""

    squares: list[Float[Array, "S S"]]
    means: list[Float[Array, "S N"]]
    participation: list[Float[Array, ""]]


def simulated_steps(
    networks: Sequence[Network],
    patterns: Float[Array, "S N"],
    key: Key,
    num_steps: int,
    num_trials: int,
    *,
    inputs: Float[Array, "S T ..."] | None = None,
    read: Reading = "state",
) -> Iterator[Step]:
    """Steps from initial states, the next one already on its way while the caller works on the last."""
    states = [jnp.broadcast_to(patterns[:, None], (len(patterns), num_trials, patterns.shape[1])) for _ in networks]
    waiting = None
    for time in range(num_steps):
        measured = []
        for index, network in enumerate(networks):
            step_key = jax.random.fold_in(jax.random.fold_in(key, time), index)
            given = None if inputs is None else inputs[:, time, None]
            states[index], *measures = _advance(network, states[index], step_key, given, read)
            measured.append(measures)
        if waiting is not None:
            yield waiting
        waiting = Step(*(list(column) for column in zip(*measured, strict=True)))
    if waiting is not None:
        yield waiting


@eqx.filter_jit
def _advance(
    network: Network, states: Float[Array, "S n N"], key: Key, given: Array | None, read: Reading
) -> tuple[Array, Array, Array, Array]:
    network = ready(network)
    states = spread(noisy_step(network, spread(states, "batch"), key, given), "batch")
    means = jnp.mean(reading(network, read)(states), axis=1)
    gram = centered_gram(means)
    return states, *spread((squares_of_gram(means, gram), means, dimension_of_gram(gram)))


_WITH_ERROR = {
    "smallest_stretch", "largest_stretch", "neighbors", "participation_ratio", "class_neighbors", "probe_accuracy"
}  # fmt: skip
_SHOWN = 5  # times whose distances are kept by default


class GeometryCurve(Record):
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
    neighbors: Float[np.ndarray, " T"]
    """Share of the nearest neighbors that stay so."""
    participation_ratio: Float[np.ndarray, " T"] | None = None
    """Dimension of the cloud of states."""
    class_neighbors: Float[np.ndarray, " T"] | None = None
    """Share of the nearest neighbors that have the same label."""
    probe_accuracy: Float[np.ndarray, " T"] | None = None
    """Held-out accuracy of a linear classifier of the labels."""
    pearson_interval: Float[np.ndarray, "T 2"] | None = None
    """Bootstrap over stimuli and networks."""
    spearman_interval: Float[np.ndarray, "T 2"] | None = None
    kendall_interval: Float[np.ndarray, "T 2"] | None = None
    smallest_stretch_error: Float[np.ndarray, " T"] | None = None
    """One standard error over networks, as those below; none of a prediction or of one network."""
    largest_stretch_error: Float[np.ndarray, " T"] | None = None
    neighbors_error: Float[np.ndarray, " T"] | None = None
    participation_ratio_error: Float[np.ndarray, " T"] | None = None
    class_neighbors_error: Float[np.ndarray, " T"] | None = None
    probe_accuracy_error: Float[np.ndarray, " T"] | None = None


class Summary(NamedTuple):
    """Measures at one time: mean over networks, and the correlations of each network and resample."""

    values: dict[str, float]
    samples: Float[np.ndarray, "draws B 3"]


def kept_steps(kept: Sequence[int] | None, num_steps: int) -> list[int]:
    if kept is None:
        return sorted({round(num_steps ** (index / (_SHOWN - 1))) for index in range(_SHOWN)})
    if isinstance(kept, str | bytes) or not isinstance(kept, Iterable):
        raise TypeError(f"kept_times must be times, whole numbers within 1…{num_steps}, got {told(kept)}")
    chosen = sorted({check_integer("kept_times", time, minimum=1) for time in kept})
    require(len(chosen) > 0 and chosen[-1] <= num_steps, f"kept_times must be within 1…{num_steps}, got {chosen}")
    return chosen


class Known(NamedTuple):
    """What does not change from time to time and from network to network."""

    reference: Reference
    near: Float[np.ndarray, "S S"]
    num_neighbors: int
    classes: tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]] | None  # class number and fold
    order: Int[np.ndarray, " pairs"]  # by original distance


def known_geometry(
    original: Float[np.ndarray, "S S"], num_neighbors: int, classes: tuple[np.ndarray, np.ndarray] | None
) -> Known:
    pairs = reference(original)
    return Known(pairs, nearest(original, num_neighbors), num_neighbors, classes, np.argsort(pairs.distances))


def summarize(
    known: Known,
    squares: list[Float[np.ndarray, "S S"]],
    excess: Float[np.ndarray, "B S"] | None = None,
    step: Step | None = None,
) -> Summary:
    """Measures of every network, averaged, and the correlations of each network and resample."""
    original, near = known.reference.distances, known.near
    rows: list[dict[str, float]] = []
    influences = []
    for index, square in enumerate(squares):
        distances = np.sqrt(square.ravel()[known.reference.places])
        (pearson, spearman, kendall), influence = correlations(known.reference, distances)
        stretch = isometry(original, distances)
        close = nearest(square, known.num_neighbors)
        row = {
            "pearson": pearson,
            "spearman": spearman,
            "kendall": kendall,
            "smallest_stretch": float(stretch.smallest),
            "largest_stretch": float(stretch.largest),
            "neighbors": shared(near, close),
        }
        if step is not None:
            row["participation_ratio"] = float(step.participation[index])
        if known.classes is not None:
            codes, folds = known.classes
            row["class_neighbors"] = same_class(close, codes)
            if step is not None:
                row["probe_accuracy"] = float(probe(step.means[index], codes, folds))
        rows.append(row)
        influences.append(influence)
    values = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if len(rows) > 1:
        for name in rows[0].keys() & _WITH_ERROR:
            values[f"{name}_error"] = float(np.std([row[name] for row in rows], ddof=1) / np.sqrt(len(rows)))
    mean = np.sqrt(np.mean([square.ravel()[known.reference.places] for square in squares], axis=0))
    ordered = mean[known.order].astype(np.float64)
    values["stress"] = stress(ordered, monotone_fit(ordered)) if varies(mean) else np.nan
    if excess is None:
        return Summary(values, np.zeros((len(rows), 0, len(KINDS))))
    own = np.array([[row[kind] for kind in KINDS] for row in rows])
    return Summary(values, resampled(known.reference, own, influences, excess))


def curve_of(summaries: list[Summary], draws: Int[np.ndarray, "B draws"] | None, confidence: float) -> GeometryCurve:
    values = {name: np.array([summary.values[name] for summary in summaries]) for name in summaries[0].values}
    if draws is not None and len(draws):
        # the same resampled stimuli in all networks; networks are drawn as well
        index = np.arange(len(draws))[:, None]
        samples = np.stack([summary.samples[draws, index].mean(axis=1) for summary in summaries])
        values |= intervals(samples, confidence)
    return GeometryCurve(times=np.arange(1.0, len(summaries) + 1), **values)
