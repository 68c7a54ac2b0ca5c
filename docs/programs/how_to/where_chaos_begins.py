"""How do I find where chaos begins?
====================================

``critical_gain`` is the gain from which the largest Lyapunov exponent of a large network is positive:
:func:`fisherjax.meanfield.critical_gain` in discrete time, :func:`fisherjax.dmft.critical_gain` in continuous time.
``phase_diagram``, in both packages, maps it over gain and noise.
"""

# %%
# In discrete time: noise moves chaos to higher gains.
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import meanfield, plot

noise_std = 0.5
chaos = float(meanfield.critical_gain(noise_std=noise_std))
print(f"without noise chaos begins at gain {meanfield.critical_gain(noise_std=0.0):.3f}")
print(f"under noise of {noise_std} it begins at {chaos:.3f}")

# %%
# The diagram has variance, exponent, memory and regime on a grid; the star is the gain just printed. Here local
# expansion and chaos are the same; in continuous time noise parts them. All of these functions take a ``gain_matrix``,
# whose gains are then scaled. More: :doc:`/structures`, :doc:`/theory`.
diagram = meanfield.phase_diagram(np.linspace(0.6, 2.2, 33), np.linspace(0.0, 1.0, 21))
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.phase_diagram(diagram, ax, mark=(chaos, noise_std))
