"""Bifurcations of small networks
==============================

Two units that decide and two that oscillate: branches, bifurcations, orbits and phase planes of small networks.

Two units excite themselves and inhibit each other; evidence for one of them is the input. Between two folds both
decisions are stable, and the network keeps the old one. Two others drive each other in turn: at gain 1 the origin gives
way to a limit cycle. Run ``python examples/bifurcations.py``; it writes bifurcations.json and .png beside itself, in
about a minute on two cores.

.. image:: /../examples/bifurcations.png
   :alt: Bifurcations of small networks
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import dynamics, networks, plot

HERE = Path(__file__).parent
DECIDING = np.array([[0.8, -1.0], [-1.0, 0.8]])
TURNING = np.array([[1.0, -1.5], [1.5, 1.0]])
GAINS = (1.05, 1.1, 1.2, 1.3, 1.4, 1.5)


def main() -> None:
    """Compute in float64, draw, and write what was found."""
    jax.config.update("jax_enable_x64", True)
    deciding = networks.FlowNetwork(DECIDING, np.array([1.0, -1.0]), noise_std=0.1)
    limits = ((-2.0, 2.0), (-2.0, 2.0))
    choices = dynamics.phase_plane(deciding, np.zeros(1), limits=limits)
    found = dynamics.find_fixed_points(deciding, np.random.default_rng(0).normal(size=(60, 2)))
    total = dynamics.index_sum(found)
    (hysteresis,) = dynamics.continue_fixed_points(
        lambda evidence: networks.Flow(lambda x: deciding.velocity(x, evidence[None])),
        dynamics.find_fixed_points(deciding, np.array([[-2.0, 2.0]]), np.array([-0.5])).points,
        start=-0.5,
        stop=0.5,
    )

    (origin,) = dynamics.continue_fixed_points(turning, np.zeros(2), start=0.5, stop=1.5)
    starts = np.random.default_rng(1).normal(size=(12, 2))
    orbits = {gain: dynamics.find_periodic_orbits(turning(gain), starts, period=4.0) for gain in GAINS}
    round_about = dynamics.phase_plane(turning(GAINS[-1]), limits=limits)

    with plot.style():
        figure, axes = plt.subplots(2, 2, figsize=(12, 9))
        plot.branches(hysteresis, axes[0, 0])
        axes[0, 0].set(xlabel="evidence", title="two folds: the decision is kept")
        plot.phase_plane(choices, axes[0, 1])
        axes[0, 1].set_title("without evidence: two decisions and a saddle")
        plot.branches(origin, axes[1, 0])
        for gain, orbit in orbits.items():
            ends = orbit.orbits[0, :, 0].min(), orbit.orbits[0, :, 0].max()
            axes[1, 0].plot([gain, gain], ends, "o", color=plot.COLORS[2], markersize=4)
        axes[1, 0].set(xlabel="gain", title="Hopf: a limit cycle (its extent as points)")
        plot.phase_plane(round_about, axes[1, 1], orbits=orbits[GAINS[-1]])
        axes[1, 1].set_title(f"the cycle at gain {GAINS[-1]}")
        figure.savefig(HERE / "bifurcations.png")
    facts = {
        "fixed points without evidence": list(found.kind),
        "index sum": repr(total),
        "folds at evidence": [one.parameter for one in hysteresis.bifurcations],
        "Hopf at gain": [one.parameter for one in origin.bifurcations],
        "period and multiplier of the cycle": {
            str(gain): [float(orbit.period[0]), float(orbit.multipliers[0, 0].real)] for gain, orbit in orbits.items()
        },
    }
    (HERE / "bifurcations.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(facts, indent=2, ensure_ascii=False))


def turning(gain: float | jax.Array) -> networks.FlowNetwork:
    """Two units of this gain that drive each other in turn."""
    return networks.FlowNetwork(gain * jnp.asarray(TURNING), np.ones(2), noise_std=0.1)


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "../examples/bifurcations.png"
