"""A recorded session, with everything that is wrong with real ones
================================================================

A recorded session with everything wrong that is wrong with real ones, from an NWB file to a figure.

``python examples/recording.py`` (half a minute) simulates a cortex of 60 units that sees eight orientations, writes it
through pynwb (spike times, a unit lost on the way, a dead one, one that was sorted twice, rare ones, trials of unequal
number), reads it back, asks what it knows, and asks the same of a model with the same stimuli. It writes
examples/recording.json and docs/images/recording.png. Needs ``pip install 'fisherjax[recordings]'``.

.. image:: /images/recording.png
   :alt: A recorded session, with everything that is wrong with real ones
"""

import datetime as dt
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pynwb

from fisherjax import fisher, plot
from fisherjax.fisher import AssumptionWarning

NWB: Any = pynwb  # which makes its signatures when it runs
HERE = Path(__file__).parent
UNITS, ORIENTATIONS, DURATION = 60, np.arange(8) * 22.5, 0.5
RNG = np.random.default_rng(0)
PREFERRED = RNG.uniform(0, 180, UNITS)
AMPLITUDE = np.where(np.arange(UNITS) < 4, 0.02, RNG.uniform(2, 10, UNITS))


def rates(orientation: Any) -> jax.Array:
    """Mean counts of all units."""
    return (
        jnp.asarray(AMPLITUDE) * jnp.exp(2 * (jnp.cos(jnp.pi / 90 * (orientation - PREFERRED)) - 1))
        + jnp.asarray(AMPLITUDE) / 10
    )


def session() -> Any:
    """The session: 200 to 260 trials of each orientation, spikes of every unit."""
    theta = RNG.permutation(np.repeat(ORIENTATIONS, RNG.integers(200, 260, len(ORIENTATIONS))))
    gain = np.maximum(1 + 0.2 * RNG.normal(size=len(theta)), 0)
    seen = theta + RNG.normal(size=len(theta))  # an orientation that is never quite the one shown
    counts = RNG.poisson(gain[:, None] * np.stack([np.asarray(rates(value)) for value in seen]))
    starts = 2 * DURATION * np.arange(len(theta))
    held = NWB.NWBFile("a simulated session", "example", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    held.add_trial_column("orientation", "of the grating, in degrees")
    for start, value in zip(starts, theta, strict=True):
        held.add_trial(start_time=start, stop_time=start + DURATION, orientation=value)
    trains = [
        np.concatenate(
            [start + np.sort(RNG.uniform(0, DURATION, number)) for start, number in zip(starts, column, strict=True)]
        )
        for column in counts.T
    ]
    end = float(starts[-1] + 1)
    for index, train in enumerate([*trains, np.array([-1.0]), trains[10]]):  # a dead unit, and one sorted twice
        held.add_unit(spike_times=train, obs_intervals=[[0.0, end - 30.0 if index == 20 else end]])
    return held


def model(orientation: Any, key: Any) -> jax.Array:
    """The same tuning with Gaussian noise and no common fluctuation: what the cortex would know without one."""
    level = rates(orientation)
    return level + jnp.sqrt(level) * jax.random.normal(key, level.shape)


def main() -> None:
    """Write, read, ask, draw."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)  # spike counts are skewed: error="jackknife" below
        file = Path(folder) / "session.nwb"
        with NWB.NWBHDF5IO(str(file), "w") as stream:
            stream.write(session())
        recording = fisher.read_recording(
            file, "orientation", period=180, stimulus_unit="deg", missing="drop", drop_rare=True
        )
    print(recording)
    key = jax.random.key(0)
    found = fisher.recorded_information(recording, error="jackknife")
    print(found)
    decoded = fisher.recorded_decoding(recording)
    scaling = fisher.information_scaling(recording, key=key)
    tested = fisher.permutation_test(recording, "correlations", key=key, num_permutations=200)
    twin = fisher.record(model, ORIENTATIONS, key=key, num_trials=240, period=180, stimulus_unit="deg")
    theirs = fisher.recorded_information(twin, error="jackknife")
    results = {
        "read": list(recording.notes),
        **{name: [float(one.value), float(one.standard_error)] for name, one in found.averages.items()},
        "ridge decoder": [float(decoded.average.value), float(decoded.average.standard_error)],
        "correlations matter, p": tested.overall,
        "model, direct": [float(theirs.averages["direct"].value), float(theirs.averages["direct"].standard_error)],
        "information of infinitely many units": [float(scaling.limit), *map(float, scaling.limit_interval)],
        "units for 90 %": float(scaling.units_for(0.9)),
    }
    (HERE / "recording.json").write_text(json.dumps(results, indent=2) + "\n")
    with plot.style():
        figure, axes = plt.subplots(1, 3, figsize=(14, 4))
        plot.tuning(fisher.tuning(recording), axes[0])
        plot.recorded_information(found, axes[1], names=("direct", "shuffled", "diagonal"))
        plot.recorded_information(theirs, axes[1], names=("direct",), label="model,", color="black")
        plot.information_scaling(scaling, axes[2])
        figure.savefig(HERE.parent / "docs" / "images" / "recording.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "images/recording.png"
