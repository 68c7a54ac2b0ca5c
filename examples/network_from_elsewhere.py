"""A network that torch trained
============================

A GRU that torch trained to hold two bits: where it rests, and how well it knows a pulse; no torch is needed.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import dynamics, fisher, networks, plot, simulate

if __name__ == "__main__":
    file = Path(networks.__file__).parents[2] / "tests/networks/data/flip_flop_gru.pt"
    network, key = networks.from_torch(file, noise_std=0.1), jax.random.key(0)
    paths = simulate.trajectories(network, stimulus=[0, 0], num_steps=40, num_trials=500, key=key)
    found = dynamics.find_fixed_points(network, paths[::10].reshape(-1, 10), jnp.zeros(2))
    print(network, f"unstable directions of its {len(found.points)} fixed points: {found.num_unstable}", sep="\n")
    spectrum = dynamics.lyapunov_spectrum(network, found.points[0], jnp.zeros(2), key=key, num_steps=200)
    print(f"Lyapunov exponents at the first: {spectrum.exponents.max():.3f} to {spectrum.exponents.min():.3f}")
    pulse = {"stimulus": 0.5, "num_steps": 12, "protocol": jnp.zeros((12, 2)).at[0, 0].set}
    predicted = fisher.linearized_curve(network, **pulse)
    measured = fisher.simulated_curve(network, num_trials=4000, key=key, **pulse)
    print(f"information about a pulse: {predicted.total[::4]}, measured {measured.total[::4]}")
    slope = eqx.filter_grad(lambda one: jnp.log(fisher.linearized_curve(one, **pulse).total[-1]))(network)
    print(f"d ln I / dW, the largest of {slope.recurrent.value.shape}: {abs(slope.recurrent.value).max():.2f}")
    with plot.style():
        _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
        plot.state_space(dynamics.principal_components(paths), paths, found, left)
        plot.fisher_curve(predicted, right, label="small noise, predicted", color=plot.COLORS[0])
        plot.fisher_curve(measured, right, label="simulated", color=plot.COLORS[1])
