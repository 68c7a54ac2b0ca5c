r"""I have recordings
=================

For an experimentalist: trials × units, and a stimulus for each trial. How much do these units tell about the stimulus,
how sure is that, and what would more units add?
"""

# %%
# From a file to a recording
# --------------------------
# :func:`fisherjax.fisher.read_recording` reads csv, Parquet, npz, MATLAB (5 and 7.3), HDF5 and NWB, and says what it
# took for what. On this page a file of MATLAB's format is written first: 40 units with orientation tuning and a common
# fluctuation, 60 trials of each of 12 angles.

import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import scipy.io

from fisherjax import fisher, plot

draw = np.random.default_rng(1)
angles = np.repeat(np.arange(0, 180, 15.0), 60)
preferred = np.linspace(0, 180, 40, endpoint=False)
rates = 2 + 8 * np.exp(2 * (np.cos(np.deg2rad(2 * (angles[:, None] - preferred))) - 1))
common = 0.15 * draw.standard_normal((angles.size, 1))
counts = draw.poisson(rates * np.exp(common))
path = Path(tempfile.mkdtemp()) / "session.mat"
scipy.io.savemat(path, {"counts": counts, "orientation": angles})

recording = fisher.read_recording(
    path, "orientation", responses="counts", period=180, stimulus_unit="deg"
)
print(recording)

# %%
# How much do they tell?
# ----------------------
# Linear Fisher information between neighbouring stimuli: the squared inverse of the smallest change that the best
# linear read-out tells apart. Its bias from few trials is removed, and the error is part of the answer. ``shuffled`` is
# what these units would tell without noise correlations, ``poisson`` what independent Poisson units would.

found = fisher.recorded_information(recording)
with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3.6))
    plot.recorded_information(found, ax, names=["direct", "shuffled", "poisson"])

# %%
# Is there any information at all?
# --------------------------------
# Stimuli are permuted among the trials; nothing is assumed of distributions.

test = fisher.permutation_test(recording, key=jax.random.key(0), num_permutations=200)
print(test)

# %%
# What would more units add?
# --------------------------
# Information of subsets of growing size, and the law that saturates against the one that grows.

scaling = fisher.information_scaling(recording, key=jax.random.key(1))
with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3.6))
    plot.information_scaling(scaling, ax)

# %%
# What next
# ---------
# * All of this in one report, from a shell: ``fisherjax estimate --responses session.mat --stimulus orientation
#   --period 180 --stimulus-unit deg``.
# * :doc:`/recordings`: sessions and blocks, missing values, decoders, smooth tuning.
# * :doc:`/how_to/more_units_than_trials`, :doc:`/how_to/noise_correlations`, :doc:`/how_to/growth_with_units`.
