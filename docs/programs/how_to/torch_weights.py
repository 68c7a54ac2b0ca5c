"""How do I use weights that torch trained?
========================================

Give :func:`fisherjax.networks.from_torch` the file that ``torch.save`` wrote, or its ``state_dict``: it finds the
recurrent layer and what reads it out by their names and shapes, and needs no torch. The network computes what torch
computes, to rounding, and answers every question. Only the noise is yours to say: no file holds it, and without any
information is infinite.
"""

# %%
# Arrays of NumPy stand here for a file, ``networks.from_torch("trained.pt", noise_std=0.1)``: an ``nn.RNN`` of 20
# units, and the linear layer that reads it out.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, networks, plot

draw = np.random.default_rng(0).normal
state_dict = {
    "rnn.weight_ih_l0": draw(size=(20, 1)),
    "rnn.weight_hh_l0": draw(size=(20, 20)) / 20**0.5,
    "rnn.bias_ih_l0": draw(size=20) / 10,
    "rnn.bias_hh_l0": draw(size=20) / 10,
    "readout.weight": draw(size=(1, 20)) / 20**0.5,
    "readout.bias": np.zeros(1),
}
network = networks.from_torch(state_dict, noise_std=0.1, observation_noise_std=0.1)
print(network)

# %%
# Is it the same network? Thirty steps of the equation in torch's manual, beside those of the network.
h, state = np.zeros(20), network.resting_state
w_ih, w_hh, b_ih, b_hh = (
    state_dict[f"rnn.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
)
for x in draw(size=(30, 1)):
    h = np.tanh(w_ih @ x + b_ih + w_hh @ h + b_hh)
    state = network.step(state, jnp.asarray(x))
print(f"largest difference after 30 steps: {abs(state - h).max():.0e}")

# %%
# What do the state and the output know about a pulse, and for how long? Lines are predicted for small noise, points
# are simulated.
in_state = fisher.linearized_curve(network, stimulus=0.5, num_steps=10)
in_output = fisher.linearized_curve(network, stimulus=0.5, num_steps=10, read="output")
measured = fisher.simulated_curve(
    network, stimulus=0.5, num_steps=10, read="output", num_trials=2000, key=jax.random.key(0)
)
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(in_state, ax, label="state, predicted", color=plot.COLORS[0])
    plot.fisher_curve(in_output, ax, label="output, predicted", color=plot.COLORS[1])
    plot.fisher_curve(measured, ax, label="output, simulated", color=plot.COLORS[1])

# %%
# Inputs over time are (T, trials, I), as torch has them without ``batch_first``:
# ``networks.run(network, inputs)``, or ``networks.run(network, inputs, batch_first=True)``. With several inputs a
# stimulus ``[0.5, 0.0]`` gives the Fisher matrix of both; a ``protocol`` that maps a number to inputs, (T, I), gives
# one number: :doc:`/start/b_trained_network`. Any network is read again by ``networks.Network.load``.
#
# Gated and stacked layers, Flax and Equinox: :doc:`/networks`. A function of your own: :doc:`/how_to/own_step`.
