"""How large must a network be for the theory to hold?
======================================================

Compare: draw networks of several sizes and divide what they know by what the theory says. In the mean over networks
it holds from tens of units on, within some percent; a single network scatters about that, roughly as one over the
root of N, still by a tenth at 540 units.
"""

# %%
# Information after five steps, in 60 networks of every size.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot

structure, sizes, num_draws = connectivity.homogeneous(1.2), np.array([20, 60, 180, 540]), 60
theory = fisher.meanfield_curve(
    structure, stimulus=0.5, noise_std=0.3, num_steps=5
)  # of a unit
ratios, errors = np.zeros(len(sizes)), np.zeros(len(sizes))
for index, size in enumerate(sizes):
    measured = fisher.ensemble_curve(
        structure, stimulus=0.5, noise_std=0.3, num_steps=5, num_units=int(size),
        num_trials=100, num_draws=num_draws, key=jax.random.key(int(size)),
    )  # fmt: skip
    ratios[index] = measured.total[-1] / (size * theory.total[-1])
    errors[index] = np.asarray(measured.standard_error)[-1] / (size * theory.total[-1])
scatter = errors * num_draws**0.5
for size, ratio, error, spread in zip(sizes, ratios, errors, scatter, strict=True):
    print(
        f"{size} units: {ratio:.2f} ± {error:.2f} of the theory in the mean, ± {spread:.0%} in a single network"
    )

# %%
# With noise correlations counted the mean comes as close from some 400 units on. What a single network knows is asked
# of that network: :doc:`one_network`. More: :doc:`/theory`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    ax.fill_between(
        sizes, 1 - scatter, 1 + scatter, color="0.85", zorder=0, label="single networks, ± s.d."
    )
    ax.errorbar(sizes, ratios, errors, fmt="o", capsize=3, label="mean of 60 networks ± s.e.")
    ax.axhline(1, color="black", linewidth=0.8, label="theory")
    ax.set(xscale="log", xlabel="number of units N", ylabel="information, simulated / theory")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
