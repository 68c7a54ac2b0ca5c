"""How do I find the best structure on a synaptic budget?
=========================================================

Say which gains are free, what is wanted and what it may cost, and let :func:`fisherjax.optimize.maximize` search and
then climb by gradient. ``Budget(1.0)`` is what the homogeneous critical network spends.
"""

# %%
# Two populations, four free gains, and the information that is left after six steps.
import jax
import matplotlib.pyplot as plt

from fisherjax import connectivity, fisher, optimize, plot

optimum = optimize.maximize(
    connectivity.FreeFamily(2),
    optimize.LogFisher(6, stimulus=0.1, noise_std=0.3),
    constraints=(optimize.Budget(1.0),),
    key=jax.random.key(0),
    population_size=24,
    num_generations=30,
    num_restarts=1,
    refine_steps=20,
)
structures = {
    "optimum": optimum.gain_matrix,
    "homogeneous": connectivity.homogeneous(1.0, num_populations=2),
}
curves = {
    name: fisher.meanfield_curve(
        structure, stimulus=0.1, noise_std=0.3, num_steps=6, num_units=300
    )
    for name, structure in structures.items()
}
ratio = curves["optimum"].total[-1] / curves["homogeneous"].total[-1]
print(
    f"budget {optimum.gain_matrix.mean_synaptic_budget:.3f}, {ratio:.1f} times the homogeneous network's information"
)

# %%
# The budget goes into what the population that hears the stimulus sends, mostly to itself. With ``form="linear"``
# noise correlations are counted, which asks for other structures. More: :doc:`/structures`.
with plot.style():
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
    plot.gain_matrix(optimum.gain_matrix, left)
    left.set(title="gains of the optimum")
    for color, (name, curve) in zip(plot.COLORS, curves.items(), strict=False):
        plot.fisher_curve(curve, right, by_population=False, color=color, label=f"{name}")
