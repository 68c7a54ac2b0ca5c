"""Distances between images through time: predicted, simulated, drawn."""

from pathlib import Path

import jax

from fisherjax import connectivity, geometry
from fisherjax.plot._geometry import save_extreme_pairs, save_geometry, save_geometry_measures
from fisherjax.report import Figure, Section, Table

from ._arguments import Geometry
from ._images import load_images
from ._load import load_gain_matrix
from ._network_geometry import follow_stimuli
from ._session import Session
from ._shared import (
    check_networks,
    dynamics_settings,
    geometry_section,
    geometry_table,
    named_arrays,
    say_where,
    write_report,
)


def run_geometry(command: Geometry, session: Session) -> None:
    """Follow images through networks drawn from one structure."""
    if command.network is not None:
        follow_stimuli(command, session)
        return
    gains = load_gain_matrix(command)
    image_key, projection_key, simulation_key = jax.random.split(jax.random.key(command.seed), 3)
    check_networks(gains, command.units, command.draws)
    images = load_images(command, image_key)
    patterns = geometry.initial_patterns(
        images.stimuli, gains, command.units, key=projection_key, projection=command.projection
    )
    with session.stage(f"following {images.source}"):
        found = geometry.compare_geometry(
            gains,
            patterns,
            **dynamics_settings(command),
            num_trials=command.trials,
            num_draws=command.draws,
            key=simulation_key,
            labels=images.labels,
            progress=session.progress,
        )
        found.save(session.folder / "geometry.npz")
    with session.stage("drawing"):
        figures = {
            "curves": save_geometry(session.folder / "geometry.png", found),
            "pairs": save_extreme_pairs(session.folder / "pairs.png", found, images.pixels),
            "measures": save_geometry_measures(session.folder / "measures.png", found),
        }
    table = geometry_table(found.measured, found.theory)
    _write(session, gains, images.source, found, table)
    write_report(session, "Geometry of images", _sections(found, images.source, table, figures))
    last = len(found.measured.times) - 1
    print(
        f"correlation of distances at t = {last + 1}: {found.measured.pearson[last]:.3f} simulated, "
        f"{found.theory.pearson[last]:.3f} predicted"
    )
    say_where(session)


def _write(
    session: Session,
    gains: connectivity.GainMatrix,
    source: str,
    found: geometry.GeometryComparison,
    table: Table,
) -> None:
    session.write_table(table.header, table.rows)
    session.write_results(
        {
            "gains": gains.gains,
            "fractions": gains.fractions,
            "images": source,
            "pearson": found.measured.pearson,
            "pearson_interval": found.measured.pearson_interval,
            "pearson_theory": found.theory.pearson,
        }
    )
    session.write_arrays(**named_arrays(found))
    session.write_manifest()


def _sections(found: geometry.GeometryComparison, source: str, table: Table, figures: dict[str, Path]) -> list[Section]:
    return [
        geometry_section(figures["curves"], table, source),
        Section(
            "Which pairs change most",
            [
                (
                    f"Of all pairs at t = {found.kept_times[-1]}, those that the network stretched and shrank most, "
                    "relative to the root mean square stretch."
                )
            ],
            [Figure(figures["pairs"], "Left: where they lie in the Shepard diagram. Right: the images.")],
        ),
        Section(
            "What else is kept",
            [
                (
                    "Near-isometry: the least and the largest stretch over all pairs; a map that keeps all distances "
                    "up to a common factor has both at one. Neighbors: the share of each image's nearest ten that "
                    "stay so."
                )
            ],
            [
                Figure(
                    figures["measures"],
                    (
                        "Points: simulation, mean over networks; bars: the interval of a bootstrap for correlations, "
                        "else one standard error over networks. Lines: theory."
                    ),
                )
            ],
        ),
    ]
