"""How do I ask the same of my own step function?
==============================================

Write one step of one state, ``step(state, input)``, in ``jax.numpy``, and hand it to
:func:`fisherjax.networks.from_step` with the size of the state, the shape of the input and the noise. What comes back
is a network like any other: information, simulation, fixed points and exponents take it as it is.
"""

# %%
# Twenty-four units on a ring, each divided by the activity of all of them; the input is the contrast of a pattern that
# the first of them prefers.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import dynamics, fisher, networks, plot

angles = jnp.linspace(0, 2 * jnp.pi, 24, endpoint=False)
weights = jnp.exp(jnp.cos(angles[:, None] - angles)) / 24


def step(rates, contrast):
    """Rates move by a fifth of the way to their divided drive."""
    drive = jax.nn.softplus(4 * (contrast * jnp.cos(angles) + weights @ rates)) ** 2
    return 0.8 * rates + 0.2 * drive / (4 + drive.mean())


network = networks.from_step(step, 24, input_shape=1, noise_std=0.05)

# %%
# Where does it come to rest at a contrast of 0.3, how soon, and how well is that contrast known on the way?
candidates = jax.random.uniform(jax.random.key(0), (50, 24))
found = dynamics.find_fixed_points(network, candidates, np.array([0.3]))
print(
    f"fixed points: {', '.join(found.kind)}; slowest mode {found.time_constants[0, 0]:.1f} steps"
)
predicted = fisher.linearized_curve(network, stimulus=0.3, num_steps=20, protocol="sustained")
measured = fisher.simulated_curve(
    network,
    stimulus=0.3,
    num_steps=20,
    protocol="sustained",
    num_trials=2000,
    key=jax.random.key(1),
)
print(
    f"information after 20 steps: predicted {predicted.total[-1]:.0f}, simulated {measured.total[-1]:.0f}"
)

# %%
# Information about contrast while the pattern stays on.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(predicted, ax, label="predicted")
    plot.fisher_curve(measured, ax, label="simulated")

# %%
# Arrays that you want gradients in belong into the function, as in an ``equinox.Module``: :doc:`/networks`.
