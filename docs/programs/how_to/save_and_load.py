"""How do I save results and load them again?
==========================================

Every result has ``.save(path)``, and its class ``.load(path)``: curves, estimates, recordings, networks, trainings.
The file is an ``.npz`` of NumPy with one text entry, so that any program can read its arrays and loading runs no code.
For pandas or xarray there is ``.to_dict()``.
"""

# %%
# A curve and a network, to a file and back.
import tempfile

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, networks, plot

structure = connectivity.toeplitz([0.2, 0.3, 0.8, 1.0, 0.3])  # three populations, lags −2 … 2
curve = fisher.meanfield_curve(structure, stimulus=0.1, noise_std=0.1, num_steps=8)
network = networks.RNN(1, 20, 1, key=jax.random.key(0), constraints=networks.dale(0.8))
with tempfile.TemporaryDirectory() as folder:
    curve.save(f"{folder}/curve.npz")
    network.save(f"{folder}/network.npz")
    again = fisher.FisherCurve.load(f"{folder}/curve.npz")
    same = networks.RNN.load(f"{folder}/network.npz")
    with np.load(f"{folder}/curve.npz") as file:
        print("curve.npz holds", ", ".join(file.files))
print("the same numbers:", bool((again.total == curve.total).all()))
print("the same network, Dale's law included:", same)

# %%
# What was loaded is what was saved, for pictures too.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(again, ax)

# %%
# A network of any kind, as those that torch trained: ``networks.Network.load``.
# Networks of your own functions are code and cannot be saved: :doc:`/networks`. Checkpoints of runs that may be
# killed: :doc:`/scale`.
