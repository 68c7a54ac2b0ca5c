"""What a user writes, which `make lint` checks in pyright's strict mode: what is public has types that are known."""

from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes

from fisherjax import connectivity, dynamics, fisher, meanfield, networks, optimize, plot, simulate, tasks, training


def structures(key: jax.Array) -> tuple[fisher.FisherCurve, fisher.FisherCurve, jax.Array]:
    """Predict a structure and networks drawn from it, and look for a better one."""
    structure = connectivity.toeplitz([1.2, 0.8, 0.1])
    predicted = fisher.meanfield_curve(structure, stimulus=0.1, noise_std=0.1, num_steps=10, form="linear")
    drawn = fisher.ensemble_curve(
        structure, stimulus=0.1, noise_std=0.1, num_steps=10, num_units=200, num_trials=50, num_draws=4, key=key
    )
    objective = optimize.LogFisher(6, stimulus=0.1, noise_std=0.3)
    optimum = optimize.maximize(
        connectivity.FreeFamily(2), objective, key=key, constraints=(optimize.Budget(1.0),), num_generations=5
    )
    radius = meanfield.phase_diagram([0.5, 1.5], [0.1, 0.2])
    return predicted, drawn, optimum.gain_matrix.gains + radius.memory.sum()


def one_network(key: jax.Array) -> tuple[fisher.FisherCurve, jax.Array]:
    """Weights of one's own: simulation, closure, samples."""
    weights = connectivity.sample_weights(connectivity.homogeneous(1.2), 100, key=key)
    network = networks.RateNetwork(weights, np.ones(100), noise_std=0.3, nonlinearity="relu")
    measured = fisher.simulated_curve(network, stimulus=0.5, num_steps=5, num_trials=1000, key=key)
    closed = fisher.closure_curve(network, stimulus=0.5, num_steps=5)
    states = simulate.trajectories(network, stimulus=0.5, num_steps=5, num_trials=500, key=key)
    estimate = fisher.direct(states[-1], states[-1] + 0.1, 0.1)
    low, high = estimate.interval
    return measured, closed.total[-1] + low + high


def trained(key: jax.Array, checkpoint: Path) -> dynamics.FixedPoints:
    """Train gated and plain networks, and see what they learned."""
    task = tasks.flip_flop(num_bits=2)
    constraints = (networks.dale(0.8), networks.no_autapses())
    plain = networks.RNN(2, 40, 2, key=key, constraints=constraints, nonlinearity="tanh")
    gated = networks.GRU(2, 40, 2, key=key, noise_std=0.1, biases=("recurrent",))
    long = networks.LSTM(2, 40, 2, key=key)
    slow = networks.ContinuousRNN(2, 40, 2, key=key, dt=0.1)
    fits = [training.fit(network, task, key=key, num_steps=20) for network in (gated, long, slow)]
    best: training.Training[networks.RNN] = training.fit(plain, task, key=key, num_steps=20, checkpoint=checkpoint)
    print(best.network.num_units, [fit.history.held_out_accuracy[-1] for fit in fits], best.stopped)
    batch = task.batch(key, 32)
    candidates = dynamics.sample_states(best.network, batch.inputs, 200, key=key)
    return dynamics.find_fixed_points(best.network, candidates)


def drawn(curve: fisher.FisherCurve, found: dynamics.FixedPoints, folder: Path) -> Axes:
    """Keep results, and draw them."""
    again = fisher.FisherCurve.load(curve.save(folder / "curve"))
    for state, kind in zip(found.points, found.kind, strict=True):
        print(kind, state.shape)
    return plot.fisher_curve(again, label="theory")
