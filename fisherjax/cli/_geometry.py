"""Distances between images, or other stimuli, through time: through networks of a structure, or one given network."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fisherjax import datasets, geometry, networks
from fisherjax.geometry._measured import GeometryCurve
from fisherjax.networks._protocol import check_protocol
from fisherjax.plot._geometry import save_extreme_pairs, save_geometry, save_geometry_measures
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture

from ._arguments import Geometry
from ._files import reading
from ._network import asked_network, stimulus_sizes
from ._outcome import Outcome, section
from ._session import Session
from ._structure import check_networks, dynamics_settings, load_gain_matrix
from ._values import UsageError

_CURVES = "Shepard diagrams and correlation of distances over time, with 95 % bootstrap intervals."
_CIFAR = {"cifar10": datasets.cifar10, "cifar100": datasets.cifar100}


class Images(NamedTuple):
    """Images as they are shown and as stimuli."""

    pixels: np.ndarray  # (S, height, width[, 3]), what a reader recognizes
    stimuli: jax.Array  # after preprocessing
    labels: np.ndarray | None
    source: str


def run_geometry(command: Geometry, session: Session) -> Outcome:
    """Follow images or stimuli."""
    return (_through_structure if command.network is None else _through_network)(command, session)


def _through_structure(command: Geometry, session: Session) -> Outcome:
    gains = load_gain_matrix(command)
    image_key, projection_key, simulation_key = jax.random.split(jax.random.key(command.seed), 3)
    check_networks(gains, command.units, command.draws)
    images = load_images(command, image_key)
    patterns = geometry.initial_patterns(
        images.stimuli, gains, command.units, key=projection_key, projection=command.projection
    )
    with session.stage(f"following {images.source}"):
        distances = geometry.compare_geometry(
            gains,
            patterns,
            **dynamics_settings(command),
            num_trials=command.trials,
            num_draws=command.draws,
            key=simulation_key,
            labels=images.labels,
            progress=session.progress,
        )
        session.save("geometry", distances)
    measured, theory = distances.measured, distances.theory
    results = {"gains": gains.gains, "fractions": gains.fractions, "images": images.source}
    results |= {"pearson": measured.pearson, "pearson_interval": measured.pearson_interval}
    return Outcome(
        title="Geometry of images",
        sections=_sections(distances, images),
        results={**results, "pearson_theory": theory.pearson},
        arrays=distance_arrays(distances),
        table=geometry_table(measured, theory),
        sentences=[
            (
                f"correlation of distances at t = {len(measured.times)}: {measured.pearson[-1]:.3f} simulated, "
                f"{theory.pearson[-1]:.3f} predicted"
            )
        ],
    )


def _through_network(command: Geometry, session: Session) -> Outcome:
    """Send random stimuli, or images that have the size of its inputs, through the network."""
    network = networks.in_precision(asked_network(command), np.float32)  # it may be without noise
    stimulus_key, simulation_key = jax.random.split(jax.random.key(command.seed))
    stimuli, labels, source = _stimuli(command, network, stimulus_key)
    check_protocol(network, command.protocol, stimuli[0], command.steps)
    with session.stage(f"following {source}"):
        distances = geometry.network_geometry(
            network,
            stimuli,
            num_steps=command.steps,
            num_trials=command.trials,
            key=simulation_key,
            protocol=command.protocol,
            read=command.read,
            labels=labels,
            progress=session.progress,
        )
        session.save("geometry", distances)
    measured = distances.measured
    results = {"network": repr(network), "noise_std": network.noise_std, "stimuli": source}
    table = geometry_table(measured)
    text = [
        (
            f"{source[0].upper()}{source[1:]} enter {network!r}; its {command.read} is read and averaged over "
            f"{command.trials} trials."
        ),
        "Shepard diagrams compare the distance of every pair of stimuli with the distance between what they lead to.",
    ]
    kept = "What else is kept of the geometry; rank correlations with 95 % bootstrap intervals."
    items = [
        Picture("geometry.png", _CURVES, save_geometry, distances),
        Picture("measures.png", kept, save_geometry_measures, distances),
        table,
    ]
    return Outcome(
        title="Geometry of stimuli",
        sections=[section("Geometry of stimuli", text, *items)],
        results={**results, "pearson": measured.pearson, "pearson_interval": measured.pearson_interval},
        arrays={"distances_original": distances.original, "distances_read": distances.distances, "stimuli": stimuli},
        table=table,
        sentences=[f"correlation of distances at t = {command.steps}: {measured.pearson[-1]:.3f}"],
    )


def load_images(command: Geometry, key: jax.Array) -> Images:
    """The images that a command names, and what becomes of them before the network sees them."""
    with reading("--data", command.data):
        pixels, labels, source = _pixels(command, key)
        return Images(pixels, _preprocessed(pixels, command.preprocess), labels, source)


def _pixels(command: Geometry, key: jax.Array) -> tuple[np.ndarray, np.ndarray | None, str]:
    if command.data == "natural":
        patches = datasets.natural_patches(command.images, key=key, size=command.size, color=command.color)
        return np.asarray(patches), None, f"{command.images} patches of photographs"
    images: np.ndarray
    labels: np.ndarray | None
    path = Path(command.data)
    if command.data in _CIFAR:
        images, labels = _CIFAR[command.data](split=command.split, num_images=command.images)
        source = f"the first {command.images} {command.split} images of {command.data.upper()}"
    else:
        images, labels = datasets.read_images(path, split=command.split, num_images=command.images)
        arrays = path.suffix in {".npy", ".npz", ".mat"}
        source = f"{'' if arrays else f'the first {command.split} '}{len(images)} images from {path.name}"
    gray = images.ndim == 4 and images.shape[-1] == 3 and not command.color
    return np.asarray(datasets.gray(images) if gray else datasets.intensities(images)), labels, source


def _preprocessed(pixels: np.ndarray, how: str) -> jax.Array:
    if how == "contrast":
        return datasets.normalize_contrast(pixels)
    if how == "whiten":
        return datasets.whiten(pixels, datasets.fit_whitening(pixels)).reshape(pixels.shape)
    return datasets.intensities(pixels)


def _stimuli(command: Geometry, network: networks.Network, key: jax.Array) -> tuple[jax.Array, np.ndarray | None, str]:
    """Stimuli as the network takes them, their labels, and what they are called."""
    sizes = stimulus_sizes(command, network)
    if command.data == "random":
        drawn = jax.random.normal(key, (command.images, *sizes.shape), network.dtype) * sizes.astype(network.dtype)
        return drawn, None, f"{command.images} random stimuli"
    images = load_images(command, key)
    shown, shape = images.stimuli, network.input_shape or ()
    size = shown.shape[1:]
    if shape not in {size, (*size, 1), (int(np.prod(size)),)}:
        raise UsageError(
            f"--data {command.data}: the inputs of {command.network} have shape {shape}, which images of shape "
            f"{tuple(size)} do not fit (--size and --color change natural ones)"
        )
    return shown.reshape(len(shown), *shape).astype(network.dtype), images.labels, images.source


def geometry_table(measured: GeometryCurve, theory: GeometryCurve | None = None) -> Table:
    """Correlations, stress, neighbors and dimension over time, one row per step."""
    columns: dict[str, Any] = {
        "time": measured.times.astype(int),
        "Pearson, theory": None if theory is None else theory.pearson,
        "Pearson, simulation": measured.pearson,
        "Spearman": measured.spearman,
        "Kendall": measured.kendall,
        "stress": measured.stress,
        "neighbors kept": measured.neighbors,
        "least stretch": measured.smallest_stretch,
        "largest stretch": measured.largest_stretch,
        "dimension": measured.participation_ratio,
        "class neighbors": measured.class_neighbors,
        "linear probe": measured.probe_accuracy,
    }
    columns = {name: column.tolist() for name, column in columns.items() if column is not None}
    return Table(tuple(columns), [list(row) for row in zip(*columns.values(), strict=True)])


def geometry_section(distances: geometry.GeometryComparison, source: str) -> Section:
    """The part of a report that is about images through networks of a structure."""
    text = [
        f"{source[0].upper()}{source[1:]}, projected on population 0, start the network.",
        (
            "Shepard diagrams compare the distance of every pair before with the distance between the states they lead "
            "to (blue: trial averages in simulation, green: predicted pair by pair)."
        ),
    ]
    picture = Picture("geometry.png", _CURVES, save_geometry, distances)
    return section("Geometry of images", text, picture, geometry_table(distances.measured, distances.theory))


def distance_arrays(distances: geometry.GeometryComparison) -> dict[str, np.ndarray]:
    """Distances under the names they have in arrays.npz."""
    named = {"original": distances.original, "simulated": distances.simulated, "predicted": distances.predicted}
    return {f"distances_{name}": np.asarray(value) for name, value in named.items()}


def _sections(distances: geometry.GeometryComparison, images: Images) -> list[Section]:
    pairs = (
        f"Of all pairs at t = {distances.kept_times[-1]}, those that the network stretched and shrank most, relative "
        "to the root mean square stretch."
    )
    kept = (
        "Near-isometry: the least and the largest stretch over all pairs; a map that keeps all distances up to a "
        "common factor has both at one. Neighbors: the share of each image's nearest ten that stay so."
    )
    extreme = "Left: where they lie in the Shepard diagram. Right: the images."
    measures = (
        "Points: simulation, mean over networks; bars: the interval of a bootstrap for correlations, else one standard "
        "error over networks. Lines: theory."
    )
    return [
        geometry_section(distances, images.source),
        section(
            "Which pairs change most",
            [pairs],
            Picture("pairs.png", extreme, save_extreme_pairs, distances, images.pixels),
        ),
        section("What else is kept", [kept], Picture("measures.png", measures, save_geometry_measures, distances)),
    ]
