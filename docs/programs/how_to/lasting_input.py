"""How do I show an input that lasts, or any input over time?
=============================================================

Say how the stimulus enters by ``protocol``: ``"pulse"`` sets the state before the first step, ``"sustained"`` is an
input at every step, and a function from the stimulus θ to the inputs of all steps is any course over time.
"""

# %%
# Two flashes, one before the first step and one before the seventh, beside a pulse and an input that stays.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import connectivity, fisher, plot

structure, num_steps = connectivity.homogeneous(0.9), 10


def flashes(theta):
    """The inputs to ten steps."""
    return theta * jnp.zeros(num_steps).at[jnp.array([0, 6])].set(1.0)


# %%
# Theory and simulation take the same argument, and so do all questions about one given network.
protocols = {"pulse": "pulse", "sustained": "sustained", "two flashes": flashes}
theory, measured = {}, {}
for name, protocol in protocols.items():
    theory[name] = fisher.meanfield_curve(
        structure,
        stimulus=0.5,
        noise_std=0.3,
        num_steps=num_steps,
        num_units=400,
        protocol=protocol,
    )
    measured[name] = fisher.ensemble_curve(
        structure, stimulus=0.5, noise_std=0.3, num_steps=num_steps, num_units=400, protocol=protocol,
        num_trials=200, num_draws=8, key=jax.random.key(0),
    )  # fmt: skip
    print(
        f"{name}: {theory[name].total[0]:.0f} after one step, {theory[name].total[-1]:.0f} after ten"
    )

# %%
# Where it enters is said by ``input_pattern``. More: :doc:`/networks`, :doc:`/structures`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for color, name in zip(plot.COLORS, protocols, strict=False):
        plot.fisher_curve(theory[name], ax, color=color, label=f"{name}, theory")
        plot.fisher_curve(measured[name], ax, color=color, label=f"{name}, simulation")
