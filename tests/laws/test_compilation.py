"""A second call of an entry point, with another key and other numbers, compiles nothing.

Shapes may differ and then do: `find_fixed_points` looks at as many points as there are.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import dynamics, fisher, geometry, meanfield, networks, numerics, optimize, simulate, tasks, training
from fisherjax.connectivity import GainMatrix

COMPILED = "/jax/core/compile/backend_compile_duration"
N, STEPS = 8, 3


def gain(x):
    return GainMatrix(np.array([[0.7, 0.3], [0.4, 0.5]]) * x, np.array([0.5, 0.5]))


def weights(key, x):
    return x * cn.sample_weights(cn.homogeneous(0.7), N, key=key)


def network(key, x):
    return networks.RateNetwork(weights(key, x), np.ones(N), noise_std=0.3 * x)


def pulse(x):
    return {"stimulus": 0.4 * x, "noise_std": 0.3 * x, "num_steps": STEPS}


def samples(key, x, count=40):
    return x * jax.random.normal(key, (count, 3)) + 1.0


def respond_with(scale, theta, key):
    return jnp.tanh(theta * scale * jnp.arange(1.0, 4.0)) + 0.1 * jax.random.normal(key, (3,))


def responder(x):
    return jax.tree_util.Partial(respond_with, jnp.asarray(0.8 * x))


def recurrent(key, x):
    return networks.RNN(2, N, 2, key=key, noise_std=0.1 * x)


def halved(x, state):
    return 0.5 * x * jnp.tanh(state)


def contraction(x):
    """One fixed point, whatever x: how many are found decides shapes."""
    return jax.tree_util.Partial(halved, jnp.asarray(x))


def patterns(key, x):
    return np.asarray(x * jax.random.normal(key, (6, N)))


PLAN = networks.Architecture((6, 6, 1), 3, (2, 2), stem_channels=2, stem_kernel=3, alpha=0.3)


def convolutional(key, x):
    return networks.ConvolutionalRNN(PLAN, key=key, noise_std=0.1 * x)


def pictures(key, x):
    return np.asarray(x * jax.random.uniform(key, (4, 6, 6, 1)))


def scaled(image, theta):
    return theta * image


def labels():
    return np.array([0, 1, 2, 0])


ENTRIES = {
    "connectivity.sample_weights": lambda k, x: cn.sample_weights(gain(x), N, key=k),
    "connectivity.spectral_radius": lambda k, x: cn.spectral_radius(gain(x)),
    "meanfield.autocorrelation": lambda k, x: meanfield.autocorrelation(1.8 * x),
    "meanfield.critical_gain": lambda k, x: meanfield.critical_gain(noise_std=0.3 * x),
    "meanfield.diffusion_operator": lambda k, x: meanfield.diffusion_operator(gain(x), noise_std=0.3 * x),
    "meanfield.lyapunov_exponent": lambda k, x: meanfield.lyapunov_exponent(gain(x), noise_std=0.3 * x),
    "meanfield.pattern_overlaps": lambda k, x: meanfield.pattern_overlaps(
        gain(x), geometry.starting_overlap(gain(x), patterns(k, x), numerics.as_nonlinearity("tanh")),
        noise_std=0.1 * x, num_steps=STEPS,
    ),
    "meanfield.stationary_state": lambda k, x: meanfield.stationary_state(gain(x), noise_std=0.3 * x),
    "fisher.bootstrap": lambda k, x: fisher.bootstrap(samples(k, x), samples(k, 1.1 * x), 0.1 * x, key=k),
    "fisher.closure_curve": lambda k, x: fisher.closure_curve(weights(k, x), input_vector=np.ones(N), **pulse(x)),
    "fisher.closure_moments": lambda k, x: fisher.closure_moments(network(k, x), stimulus=0.3 * x, num_steps=STEPS),
    "fisher.decoder": lambda k, x: fisher.decoder(samples(k, x), samples(k, 1.1 * x), 0.1 * x, key=k),
    "fisher.direct": lambda k, x: fisher.direct(samples(k, x), samples(k, 1.1 * x), 0.1 * x),
    "fisher.ensemble_curve": lambda k, x: fisher.ensemble_curve(
        gain(x), num_units=N, num_trials=40, num_draws=2, key=k, **pulse(x)
    ),
    "fisher.estimate": lambda k, x: fisher.estimate(responder(x), 0.3 * x, key=k, num_trials=60),
    "fisher.information_profile": lambda k, x: fisher.information_profile(
        responder(x), np.array([0.2, 0.3]) * x, key=k, relative_error=0.3, max_trials=2000
    ),
    "fisher.jackknife": lambda k, x: fisher.jackknife(samples(k, x), samples(k, 1.1 * x), 0.1 * x),
    "fisher.meanfield_curve": lambda k, x: fisher.meanfield_curve(gain(x), **pulse(x)),
    "fisher.memory_curve": lambda k, x: fisher.memory_curve(
        weights(k, x), np.ones(N), noise_std=0.3 * x, num_steps=STEPS
    ),
    "fisher.memory_matrix": lambda k, x: fisher.memory_matrix(
        weights(k, x), np.ones(N), noise_std=0.3 * x, num_steps=STEPS
    ),
    "fisher.operator_curve": lambda k, x: fisher.operator_curve(gain(x), **pulse(x)),
    "fisher.pathwise": lambda k, x: fisher.pathwise(samples(k, x), samples(k, 1.1 * x)),
    "fisher.shuffled": lambda k, x: fisher.shuffled(samples(k, x), samples(k, 1.1 * x), 0.1 * x),
    "fisher.simulated_curve": lambda k, x: fisher.simulated_curve(
        weights(k, x), input_vector=np.ones(N), num_trials=60, key=k, num_blocks=2, **pulse(x)
    ),
    "fisher.total_memory": lambda k, x: fisher.total_memory(weights(k, x), np.ones(N), noise_std=0.3 * x),
    "simulate.continuous_trajectories": lambda k, x: simulate.continuous_trajectories(
        network(k, x), times=np.array([0.5, 1.0]), initial_state=patterns(k, x), key=k, dt=0.1
    ),
    "simulate.sensitivity_moments": lambda k, x: simulate.sensitivity_moments(
        network(k, x), stimulus=0.2 * x, num_steps=STEPS, num_trials=20, key=k
    ),
    "simulate.trajectories": lambda k, x: simulate.trajectories(
        network(k, x), stimulus=0.2 * x, num_steps=STEPS, num_trials=5, key=k
    ),
    "simulate.trajectory_autocorrelation": lambda k, x: simulate.trajectory_autocorrelation(
        x * jax.random.normal(k, (9, 2, N)), num_lags=4
    ),
    "optimize.maximize": lambda k, x: optimize.maximize(
        cn.ToeplitzFamily(2), optimize.LogFisher(3, noise_std=0.1 * x), key=k, constraints=(optimize.Budget(1.0 * x),),
        population_size=8, num_generations=3, num_restarts=1, refine_steps=2,
    ),
    "geometry.initial_patterns": lambda k, x: geometry.initial_patterns(patterns(k, x), gain(x), N, key=k),
    "geometry.linear_probe": lambda k, x: geometry.linear_probe(samples(k, x), np.arange(40) % 2),
    "geometry.pairwise_distances": lambda k, x: geometry.pairwise_distances(patterns(k, x)),
    "geometry.predicted_distances": lambda k, x: geometry.predicted_distances(
        gain(x), patterns(k, x), noise_std=0.1 * x, num_steps=STEPS
    ),
    "geometry.compare_geometry": lambda k, x: geometry.compare_geometry(
        gain(x), patterns(k, x), noise_std=0.1 * x, num_steps=2, num_trials=2, num_draws=2, key=k, num_resamples=5
    ),
    "dynamics.find_fixed_points": lambda k, x: dynamics.find_fixed_points(
        contraction(x), patterns(k, x)
    ),
    "dynamics.jacobian": lambda k, x: dynamics.jacobian(recurrent(k, x), patterns(k, x), np.zeros(2)),
    "dynamics.convolution_spectrum": lambda k, x: dynamics.convolution_spectrum(
        x * jax.random.normal(k, (2, 2, 3, 3)), (6, 6)
    ),
    "networks.run": lambda k, x: networks.run(recurrent(k, x), x * jax.random.normal(k, (4, 3, 2)), key=k),
    "networks.respond": lambda k, x: networks.respond(
        convolutional(k, x), pictures(k, x), blank_steps=2, image_steps=2, key=k
    ),
    "training.accuracy": lambda k, x: training.accuracy(convolutional(k, x), pictures(k, x), labels()),
    "training.fit": lambda k, x: training.fit(
        recurrent(k, x), tasks.flip_flop(num_bits=2), key=k, num_steps=3, batch_size=4, trial_steps=4,
        evaluate_every=3, learning_rate=1e-3 * x,
    ),
    "meanfield.local_stability_gain": lambda k, x: meanfield.local_stability_gain(noise=0.2 * x),
    "meanfield.phase_diagram": lambda k, x: meanfield.phase_diagram(
        np.array([0.9, 1.8]) * x, np.array([0.0, 0.3]) * x
    ),
    "meanfield.power_spectrum": lambda k, x: meanfield.power_spectrum(0.8 * x, noise=0.2 * x),
    "meanfield.propagate": lambda k, x: meanfield.propagate(gain(x), **pulse(x)),
    "meanfield.two_time_correlation": lambda k, x: meanfield.two_time_correlation(
        0.8 * x, duration=2.0, initial_variance=0.5 * x
    ),
    "fisher.continuous_curve": lambda k, x: fisher.continuous_curve(
        gain(x), times=np.array([0.5, 1.0]), stimulus=0.1 * x, noise=0.1 * x
    ),
    "fisher.convolutional_information": lambda k, x: fisher.convolutional_information(
        convolutional(k, x), jax.tree_util.Partial(scaled, pictures(k, x)[0]), 0.5 * x,
        at=[3], observation_noise_std=0.1 * x,
    ),
    "fisher.gaussian_information": lambda k, x: fisher.gaussian_information(
        samples(k, x)[0], jnp.eye(3) * x
    ),
    "fisher.information_scaling": lambda k, x: fisher.information_scaling(
        samples(k, x), samples(k, 1.1 * x), 0.1 * x, key=k, sizes=(1, 2), num_subsets=3
    ),
    "fisher.optimal_decoder": lambda k, x: fisher.optimal_decoder(samples(k, x)[0], jnp.eye(3) * x),
    "geometry.predicted_correlation": lambda k, x: geometry.predicted_correlation(
        gain(x), geometry.starting_overlap(gain(x), patterns(k, x), numerics.as_nonlinearity("tanh")),
        geometry.pairwise_distances(patterns(k, x)), noise_std=0.1 * x, num_steps=STEPS, num_units=N,
    ),
    "dynamics.convolution_bounds": lambda k, x: dynamics.convolution_bounds(
        x * jax.random.normal(k, (2, 2, 3, 3)), (6, 6)
    ),
    "dynamics.decisions": lambda k, x: dynamics.decisions(x * jax.random.normal(k, (5, 4, 3)), labels()),
    "dynamics.flow_lyapunov_spectrum": lambda k, x: dynamics.flow_lyapunov_spectrum(
        network(k, x), key=k, duration=12.0, settle=1.0
    ),
    "dynamics.lyapunov_spectrum": lambda k, x: dynamics.lyapunov_spectrum(
        contraction(x), np.ones(N), key=k, num_steps=20, warm_up=2
    ),
    "dynamics.principal_components": lambda k, x: dynamics.principal_components(samples(k, x)),
    "dynamics.robustness": lambda k, x: dynamics.robustness(
        convolutional(k, x), pictures(k, x), labels(), key=k, noise_std=[0.1 * x]
    ),
    "dynamics.stability_certificate": lambda k, x: dynamics.stability_certificate(convolutional(k, x)),
    "dynamics.transition_graph": lambda k, x: dynamics.transition_graph(
        contraction(x), np.zeros((1, N)), key=k, noise_std=0.1 * x, num_trials=4, relax_steps=5
    ),
    "tasks.flip_flop": lambda k, x: tasks.flip_flop(num_bits=2).batch(k, 4, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_second_call_compiles_nothing(name):
    entry, compiled = ENTRIES[name], []

    def count(event, duration, **_):
        if event == COMPILED:
            compiled.append(event)

    entry(jax.random.key(1), 1.0)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        entry(jax.random.key(2), 1.05)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert not compiled, f"{len(compiled)} programs"
