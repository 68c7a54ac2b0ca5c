"""Is there any information at all?
================================

:func:`fisherjax.fisher.permutation_test` estimates the information again with stimuli permuted among trials, whose
responses then tell nothing, and says how often that gives as much as the recording does. A value above zero is not
enough: estimates without bias are above zero about half of the time where there is no information.
"""

# %%
# Twenty units, 60 trials at each of two stimuli: one population is a little tuned, the other not at all.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, plot

random = np.random.default_rng(0)
stimulus = np.repeat([0.0, 1.0], 60)
slope = random.normal(size=20) / 4
noise = random.normal(size=(2, 120, 20))
recordings = {
    "tuned": fisher.Recording(stimulus[:, None] * slope + noise[0], stimulus),
    "not tuned": fisher.Recording(noise[1], stimulus),
}
tests = {
    name: fisher.permutation_test(recording, key=jax.random.key(0), num_permutations=1000)
    for name, recording in recordings.items()
}
for name, test in tests.items():
    print(f"{name}: information {test.statistic[0]:.2f}, p = {test.overall:.3f}")

# %%
# What permuted trials show (gray), and what the recorded ones do.
with plot.style():
    _, axes = plt.subplots(2, 1, figsize=(6, 3.5), sharex=True)
    for ax, (name, test), color in zip(axes, tests.items(), plot.COLORS, strict=False):
        ax.hist(test.null[:, 0], bins=40, color="0.75", label="permuted trials")
        ax.axvline(test.statistic[0], color=color, label=f"recorded, {name}")
        ax.set_ylabel("permutations")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes[1].set_xlabel("Fisher information (1/θ²)")

# %%
# The same for correlations and for covariances that change: ``permutation_test(recording, "correlations", …)``,
# :doc:`/recordings`.
