"""How do I get tuning curves and information from a recording?
============================================================

Make a :class:`fisherjax.fisher.Recording` of responses (trials, units) and the stimulus of each trial, or read one from
a file. :func:`fisherjax.fisher.tuning` has means, errors, Fano factors and preferred stimuli;
:func:`fisherjax.fisher.recorded_information` the information between neighbouring stimuli, and so the least difference
that the population can tell.
"""

# %%
# Spike counts of 20 units at six orientations, 100 trials of each; ``fisher.read_recording("session.mat",
# "orientation", period=180)`` would read them from a file.
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, plot

random = np.random.default_rng(0)
shown = np.repeat(np.arange(6) * 30, 100)
distance = np.pi / 90 * (shown[:, None] - np.arange(20) * 9.0)
counts = random.poisson(1 + 6 * np.exp(2 * (np.cos(distance) - 1)))
recording = fisher.Recording(counts, shown, period=180, stimulus_unit="deg")
print(recording.summary)

# %%
# Tuning, and the threshold 1/√I: the difference of orientations that is told with d′ = 1.
tuned = fisher.tuning(recording)
found = fisher.recorded_information(recording, error="jackknife")
print(
    f"Fano factors {tuned.fano_factor.min():.2f} to {tuned.fano_factor.max():.2f} (1 for Poisson counts)"
)
print(
    f"information {found.averages['direct'].value:.3f} per deg², threshold {found.threshold()[0].mean():.1f} deg"
)

# %%
# Units in the order of what they prefer, and information with what units would hold one by one.
with plot.style():
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), width_ratios=(1, 1.1))
    plot.tuning(tuned, left)
    left.set_yticks([0, 5, 10, 15])
    plot.recorded_information(found, right, names=("direct", "shuffled"))
    right.set(title="", ylim=(0, None))

# %%
# Files of all kinds, continuous stimuli, blocks and missing values: :doc:`/recordings`.
