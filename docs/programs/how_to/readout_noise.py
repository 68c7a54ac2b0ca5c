"""How do I add noise to the read-out?
======================================

Give ``observation_noise_std``, in theory and in simulation alike. It is added to what is read, once, and does not
travel through the network as ``noise_std`` does.
"""

# %%
# A critical network, without and with noise of the read-out, in theory and in four simulated networks.
import jax
import matplotlib.pyplot as plt

from fisherjax import connectivity, fisher, plot

structure, noise_stds = connectivity.homogeneous(1.0), (0.0, 0.1, 0.3)
theory = [
    fisher.meanfield_curve(
        structure,
        stimulus=0.2,
        noise_std=0.1,
        observation_noise_std=std,
        num_steps=8,
        num_units=300,
    )
    for std in noise_stds
]
measured = [
    fisher.ensemble_curve(
        structure, stimulus=0.2, noise_std=0.1, observation_noise_std=std, num_steps=8, num_units=300,
        num_trials=200, num_draws=4, key=jax.random.key(0),
    )
    for std in noise_stds
]  # fmt: skip
for std, curve in zip(noise_stds, theory, strict=True):
    print(
        f"read-out noise {std}: {curve.total[0]:5.0f} after one step, {curve.total[-1]:4.0f} after eight"
    )

# %%
# It costs most in the first steps, where the network has added little noise of its own. One given network has it as
# a field: ``networks.RateNetwork(…, observation_noise_std=0.1)``. More: :func:`fisherjax.fisher.meanfield_curve`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for index, std in enumerate(noise_stds):
        plot.fisher_curve(
            theory[index], ax, color=plot.COLORS[index], label=f"read-out noise {std}, theory"
        )
        plot.fisher_curve(
            measured[index],
            ax,
            color=plot.COLORS[index],
            label=f"read-out noise {std}, simulation",
        )
