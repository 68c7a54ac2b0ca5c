"""How do I compare a simulation with dynamic mean-field theory?
================================================================

:func:`fisherjax.dmft.autocorrelation` solves the theory of ẋ = −x + J φ(x) + noise for infinitely many units, and
:func:`fisherjax.simulate.measure_autocorrelation` draws networks and measures the same. Give both the same gain and
noise; what is measured has standard errors over networks.
"""

# %%
# A chaotic network under noise: gain 3, four simulated networks of 500 units.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import dmft, plot, simulate

theory = dmft.autocorrelation(3.0, noise_std=0.5, lags=np.linspace(0, 10, 41))
measured = simulate.measure_autocorrelation(
    3.0, noise_std=0.5, num_units=500, num_draws=4, key=jax.random.key(0),
    max_lag=10.0, spacing=0.5, duration=80.0, settle=30.0, dt=0.1,
)  # fmt: skip
print(f"{theory.regime}: Lyapunov exponent {theory.lyapunov_exponent:.3f} per time constant")
print(
    f"variance {theory.variance:.2f}, simulated {measured.variance:.2f} ± {measured.standard_error[0]:.2f}"
)

# %%
# A :class:`~fisherjax.connectivity.GainMatrix` in place of the number gives the autocorrelation of every population.
# More: :doc:`/structures`, :doc:`/theory`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.autocorrelation(theory, measured, ax)
