"""How far back units remember a stream
====================================

How far back excitatory and inhibitory units remember a stream, and what its size costs.

For streams of several amplitudes: what the state knows of the input k steps ago, exactly at large N, beside networks
of 1000 units; and how many nats it tells about inputs that are varied by a tenth of that amplitude.

.. code-block:: sh

    python examples/stream_memory.py

.. image:: /../examples/stream_memory.png
   :alt: How far back units remember a stream
"""

from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot, simulate

NETWORK = connectivity.GainMatrix([[1.0, 1.3], [1.1, 1.2]], [0.8, 0.2], means=[[1.5, -3.0], [2.0, -3.0]])
AFFERENT = {"noise_std": 0.2, "bias": (0.2, 0.1), "input_pattern": (1.0, 0.3)}
STEPS, AMPLITUDES, UNITS, DRAWS = 16, (0.1, 0.5, 2.0), 1000, 8


def main() -> None:
    """Theory, simulation, picture."""
    stream = np.random.default_rng(0).normal(size=STEPS)
    figure, (memory, capacity) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    drawn = simulate.draw_networks(NETWORK, UNITS, num_draws=DRAWS, key=jax.random.key(0), **AFFERENT)
    for color, amplitude in zip(plot.COLORS, AMPLITUDES, strict=False):
        exact = fisher.temporal_matrix(NETWORK, amplitude * stream, num_units=UNITS, **AFFERENT)
        measured = fisher.temporal_matrix(
            drawn, amplitude * stream, method="simulated", num_trials=100, key=jax.random.key(1)
        )
        error = np.sqrt(np.diagonal(np.asarray(measured.standard_error) ** 2))[::-1]
        memory.plot(exact.memory[:, 0], color=color, label=f"amplitude {amplitude:g}")
        memory.errorbar(range(STEPS), measured.memory[:, 0], error, fmt=".", color=color, capsize=2)
        print(f"amplitude {amplitude:g}: known for {exact.horizon(amplitude / 10)} steps", flush=True)
    amplitudes = np.geomspace(0.05, 5, 25)
    nats = [
        float(fisher.temporal_matrix(NETWORK, a * stream, num_units=UNITS, **AFFERENT).capacity((a / 10) ** 2))
        for a in amplitudes
    ]
    capacity.plot(amplitudes, nats)
    capacity.set_xscale("log")
    capacity.set(xlabel="amplitude of the stream", ylabel="nats about a tenth of it, varied", title="capacity")
    memory.set_yscale("log")
    memory.set_ylim(1e-4 * memory.get_ylim()[1], None)
    memory.set(
        xlabel="steps ago", ylabel="Fisher information", title="memory (lines: large N, points: simulated ± s.e.)"
    )
    memory.legend()
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()

# sphinx_gallery_thumbnail_path = "../examples/stream_memory.png"
