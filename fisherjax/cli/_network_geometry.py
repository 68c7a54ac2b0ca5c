"""Distances between stimuli through one given network."""

import jax
import numpy as np

from fisherjax import geometry, networks
from fisherjax.networks._protocol import check_protocol
from fisherjax.plot._geometry import save_geometry, save_geometry_measures
from fisherjax.report import Figure, Section

from ._arguments import Geometry
from ._images import load_images
from ._limits import UsageError
from ._load_network import asked_network, stimulus_sizes
from ._session import Session
from ._shared import geometry_table, say_where, write_report


def follow_stimuli(command: Geometry, session: Session) -> None:
    """Send random stimuli, or images that have the size of its inputs, through the network."""
    network = networks.in_precision(asked_network(command), np.float32)  # it may be without noise
    stimulus_key, simulation_key = jax.random.split(jax.random.key(command.seed))
    stimuli, labels, source = _stimuli(command, network, stimulus_key)
    check_protocol(network, command.protocol, stimuli[0], command.steps)
    with session.stage(f"following {source}"):
        found = geometry.network_geometry(
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
        found.save(session.folder / "geometry.npz")
    with session.stage("drawing"):
        curves = save_geometry(session.folder / "geometry.png", found)
        measures = save_geometry_measures(session.folder / "measures.png", found)
    table = geometry_table(found.measured)
    session.write_table(table.header, table.rows)
    facts = {"network": repr(network), "noise_std": network.noise_std, "stimuli": source}
    facts |= {"pearson": found.measured.pearson, "pearson_interval": found.measured.pearson_interval}
    session.write_results(facts)
    session.write_arrays(distances_original=found.original, distances_read=found.distances, stimuli=stimuli)
    session.write_manifest()
    text = [
        (
            f"{source[0].upper()}{source[1:]} enter {network!r}; its {command.read} is read and averaged over "
            f"{command.trials} trials."
        ),
        "Shepard diagrams compare the distance of every pair of stimuli with the distance between what they lead to.",
    ]
    items = [
        Figure(curves, "Shepard diagrams and correlation of distances over time, with 95 % bootstrap intervals."),
        Figure(measures, "What else is kept of the geometry; rank correlations with 95 % bootstrap intervals."),
        table,
    ]
    write_report(session, "Geometry of stimuli", [Section("Geometry of stimuli", text, items)])
    print(f"correlation of distances at t = {command.steps}: {found.measured.pearson[-1]:.3f}")
    say_where(session)


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
