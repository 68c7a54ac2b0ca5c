"""How do I compare two structures, with error bars?
====================================================

Draw several networks of each with :func:`fisherjax.fisher.ensemble_curve`: the standard error of its curve is over
networks, and that of a ratio follows from the two.
"""

# %%
# Two structures on the same budget: all gains alike, and a population that drives itself and another one.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot

loop = connectivity.block([[1.9, 0.0], [0.6, 0.0]])
structures = {
    "homogeneous": connectivity.homogeneous(1.0, num_populations=2),
    "self-loop": loop.scaled(loop.mean_synaptic_budget**-0.5),
}
measured = {
    name: fisher.ensemble_curve(
        structure, stimulus=0.5, noise_std=0.3, num_steps=6, num_units=200, form="linear",
        num_trials=600, num_draws=12, key=key,
    )
    for key, (name, structure) in zip(jax.random.split(jax.random.key(0)), structures.items(), strict=True)
}  # fmt: skip

# %%
# Of independent draws relative errors add up in squares.
one, other = measured["self-loop"], measured["homogeneous"]
ratio = one.total / other.total
relative = [np.asarray(curve.standard_error) / curve.total for curve in (one, other)]
error = ratio * np.hypot(*relative)
print(f"self-loop over homogeneous: {ratio[0]:.2f} ± {error[0]:.2f} after one step")
print(
    f"{ratio[-1]:.2f} ± {error[-1]:.2f} after six, {(ratio[-1] - 1) / error[-1]:.1f} standard errors above one"
)

# %%
# Noise correlations are counted (``form="linear"``). :func:`fisherjax.fisher.meanfield_curve` predicts both curves,
# and without error. More: :doc:`/structures`, :doc:`/measuring`.
with plot.style():
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
    for color, (name, curve) in zip(plot.COLORS, measured.items(), strict=False):
        plot.fisher_curve(curve, left, by_population=False, color=color, label=f"{name}")
    right.errorbar(one.times, ratio, error, fmt="o", markersize=4, capsize=2, color="black")
    right.axhline(1, color="0.6", linewidth=0.8)
    right.set(xlabel="time (steps)", ylabel="self-loop / homogeneous ± s.e.")
