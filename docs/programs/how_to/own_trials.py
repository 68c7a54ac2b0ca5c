"""How do I train on data of my own?
=================================

Give :func:`fisherjax.training.fit` the arrays in place of a task: ``(inputs, targets)``, with ``batch_first=True`` if
trials come first. Targets are numbers, or classes as whole numbers, of which one for each trial is enough. Lists of
trials of different lengths, and iterables of batches such as a loader, are taken the same way.
"""

# %%
# 600 trials of 25 moments in two channels: which channel was stronger on average? One answer for each trial, wanted
# at its last moment.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import networks, plot, training

random = np.random.default_rng(0)
evidence = random.normal(size=(600, 1, 2)) / 3
inputs = evidence + random.normal(size=(600, 25, 2))
answers = inputs.mean(axis=1).argmax(axis=1)
print(f"inputs {inputs.shape}, answers {answers.shape}: {answers[:8]} …")

# %%
# The last hundred are held out, and choose the network that is kept.
trained = training.fit(
    networks.GRU(2, 24, 2, key=jax.random.key(0)),
    (inputs[:500], answers[:500]),
    held_out=(inputs[500:], answers[500:]),
    batch_first=True,
    key=jax.random.key(1),
    num_steps=300,
    learning_rate=1e-2,
    evaluate_every=20,
)
right = trained.history.held_out_accuracy[trained.history.evaluated == trained.best_step][0]
print(
    f"{trained.data}; kept is the network after step {trained.best_step}, {right:.0%} of held-out answers right"
)

# %%
# Loss and accuracy of every batch, and on the trials that were held out: from some step on it learns trials by heart.
with plot.style():
    _, axes = plt.subplots(1, 2, figsize=(7, 3.5))
    plot.training_history(trained.history, (axes[0], axes[1]))

# %%
# Masks, losses and penalties of your own, long recordings in pieces: :doc:`/training`.
