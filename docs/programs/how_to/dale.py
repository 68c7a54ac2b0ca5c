"""How do I train under Dale's law?
================================

Build the network with ``constraints=networks.dale(0.8)``: the first 80 % of the units excite and the others inhibit
whatever they reach. Signs are part of how weights are built from free numbers, not a penalty, so that no step of
training can break one, and any optimizer will do.
"""

# %%
# Forty units, of which 32 excite, none of them connected to itself, learn to hold two bits.
import jax
import matplotlib.pyplot as plt

from fisherjax import networks, plot, tasks, training

build_key, fit_key = jax.random.split(jax.random.key(0))
constraints = (networks.dale(0.8), networks.no_autapses())
network = networks.RNN(2, 40, 2, key=build_key, constraints=constraints)
task = tasks.flip_flop(num_bits=2)
trained = training.fit(
    network,
    task,
    key=fit_key,
    num_steps=300,
    trial_steps=25,
    learning_rate=5e-3,
    evaluate_every=25,
)
weights = trained.network.recurrent_weights
print(f"held-out accuracy {trained.history.held_out_accuracy[-1]:.3f}")
wrong = (weights[:, :32] < 0).sum() + (weights[:, 32:] > 0).sum()
print(f"weights of the wrong sign: {wrong} of {weights.size}")

# %%
# Columns are of one color, as the strip above them says; beside them, how training went.
with plot.style():
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 3.3), width_ratios=(1.4, 1))
    plot.weight_matrix(trained.network, left)
    left.set_title("recurrent weights")
    right.plot(
        trained.history.evaluated, trained.history.held_out_accuracy, "o-", color=plot.COLORS[0]
    )
    right.set(
        xlabel="training step",
        ylabel="held-out accuracy (share of right signs)",
        ylim=(None, 1.002),
    )

# %%
# Signs of inputs and read-outs, masks, frozen and low-rank weights, regions with rules of their own: :doc:`/training`
# and :func:`fisherjax.networks.dale`.
