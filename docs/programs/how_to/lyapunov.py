"""How do I measure Lyapunov exponents?
=======================================

:func:`fisherjax.dynamics.lyapunov_spectrum` follows tangent vectors along a trajectory of any network, function or
flow, and returns exponents, largest first, with standard errors. For a large random network
:func:`fisherjax.meanfield.lyapunov_spectrum` predicts all of them.
"""

# %%
# A chaotic network of 200 units under its own noise, and the largest third of its exponents.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, dynamics, meanfield, plot, simulate

structure = connectivity.homogeneous(2.0)
(network,) = simulate.draw_networks(
    structure, 200, num_draws=1, noise_std=0.1, key=jax.random.key(2)
)
measured = dynamics.lyapunov_spectrum(
    network,
    np.ones(200),
    key=jax.random.key(1),
    num_steps=1000,
    num_exponents=66,
    steps_per_qr=4,
    noisy=True,
)
predicted = meanfield.lyapunov_spectrum(structure, noise_std=0.1, num_exponents=200)[:66]
largest = float(meanfield.lyapunov_exponent(structure, noise_std=0.1))
print(
    f"largest: {measured.exponents[0]:.3f} ± {measured.standard_error[0]:.3f} per step, at large N {largest:.3f}"
)
print(f"dimension of the attractor (Kaplan and Yorke): {measured.dimension:.1f} of 200")

# %%
# Means over many networks in continuous time: :func:`fisherjax.dynamics.measure_lyapunov_exponent`. More:
# :doc:`/dynamics`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    index = np.arange(1, len(predicted) + 1)
    ax.errorbar(
        index,
        measured.exponents,
        measured.standard_error,
        fmt=".",
        capsize=2,
        label="one network ± s.e.",
    )
    ax.plot(index, predicted, color=plot.COLORS[1], label="theory, large N")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="exponent, the largest first", ylabel="λ (per step)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
