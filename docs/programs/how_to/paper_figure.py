"""How do I make a figure for a paper?
===================================

Make axes of the size that is printed, 3.5 inches for one column, within ``plot.style()``, let functions of
:mod:`fisherjax.plot` draw on them, and save as PDF. Text stays text that a journal can edit, colors can be told apart
by color-blind readers, and nothing has to be scaled afterwards.
"""

# %%
# Theory, and networks that are drawn from it.
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt

from fisherjax import connectivity, fisher, plot

structure = connectivity.toeplitz([0.2, 0.3, 0.8, 1.0, 0.3])  # three populations, lags −2 … 2
asked = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 8, "num_units": 200}
theory = fisher.meanfield_curve(structure, **asked)
measured = fisher.ensemble_curve(
    structure, num_trials=50, num_draws=8, key=jax.random.key(0), **asked
)

# %%
# Eight points is what most journals ask for. Lines are theory, points are simulated.
with (
    plot.style(),
    plt.rc_context({"font.size": 8, "legend.fontsize": 7, "lines.linewidth": 1.2}),
):
    figure, ax = plt.subplots(figsize=(3.5, 2.8))
    plot.fisher_curve(theory, ax)
    plot.fisher_curve(measured, ax)
    with tempfile.TemporaryDirectory() as folder:
        figure.savefig(f"{folder}/figure.pdf")
        size = Path(folder, "figure.pdf").stat().st_size
print(f"{figure.get_figwidth():g} × {figure.get_figheight():g} inches, {size / 1024:.0f} kB")

# %%
# Which function draws which result: :doc:`/pictures`. Commands write such copies with ``--format pdf``.
