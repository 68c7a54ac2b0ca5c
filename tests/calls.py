"""One valid call of every public function: the tests of compilation and of wrong calls go through them.

An entry takes a key and a number x near 1, so that a second call can have other randomness and other numbers.
"""

import io
import tarfile
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fisherjax import connectivity as cn
from fisherjax import (
    datasets,
    dmft,
    dynamics,
    fisher,
    geometry,
    meanfield,
    networks,
    nonlinearities,
    optimize,
    simulate,
    tasks,
    training,
    vision,
)
from fisherjax.connectivity import GainMatrix
from fisherjax.geometry._distances import starting_overlap

PACKAGES = {
    "connectivity": cn, "datasets": datasets, "dmft": dmft, "dynamics": dynamics, "fisher": fisher,
    "geometry": geometry,
    "meanfield": meanfield, "networks": networks, "optimize": optimize, "simulate": simulate, "tasks": tasks,
    "training": training, "vision": vision,
}  # fmt: skip
N, STEPS = 8, 3
FOLDER = tempfile.TemporaryDirectory()


def gain(x):
    return GainMatrix(np.array([[0.7, 0.3], [0.4, 0.5]]) * x, np.array([0.5, 0.5]))


def weights(key, x):
    return x * cn.sample_weights(cn.homogeneous(0.7), N, key=key)


def network(key, x):
    return networks.RateNetwork(weights(key, x), np.ones(N), noise_std=0.3 * x)


def flow(key, x):
    return networks.FlowNetwork(weights(key, x), np.ones(N), noise_std=0.3 * x)


def pulse(x):
    return {"stimulus": 0.4 * x, "noise_std": 0.3 * x, "num_steps": STEPS}


def samples(key, x, count=40):
    return x * jax.random.normal(key, (count, 3)) + 1.0


def respond_with(scale, theta, key):
    return jnp.tanh(theta * scale * jnp.arange(1.0, 4.0)) + 0.1 * jax.random.normal(key, (3,))


def responder(x):
    return jax.tree_util.Partial(respond_with, jnp.asarray(0.8 * x))


def recording(key, x):
    theta = np.tile(np.arange(4.0), 20)
    noise = np.asarray(jax.random.normal(key, (80, 3)))
    return fisher.Recording(x * noise + theta[:, None] * np.ones(3), theta)


def six(key, x):
    """Four trials of each of six stimuli."""
    theta = np.repeat(np.arange(6.0), 4)
    return fisher.Recording(x * np.asarray(jax.random.normal(key, (24, 3))) + theta[:, None] * np.ones(3), theta)


def image_classes():
    """A folder ``train`` with a picture of one class."""
    folder = Path(FOLDER.name) / "pictures" / "train"
    (folder / "cats").mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(folder / "cats" / "a.png")
    return folder


def recurrent(key, x):
    return networks.RNN(2, N, 2, key=key, noise_std=0.1 * x)


def halved(x, state):
    return 0.5 * x * jnp.tanh(state)


def contraction(x):
    """One fixed point, whatever x: how many are found decides shapes."""
    return jax.tree_util.Partial(halved, jnp.asarray(x))


def scaled_contraction(parameter):
    return jax.tree_util.Partial(halved, parameter)


def patterns(key, x):
    return np.asarray(x * jax.random.normal(key, (6, N)))


def distances(states):
    return np.linalg.norm(states[:, None] - states, axis=-1)


PLAN = vision.Architecture((6, 6, 1), 3, (2, 2), stem_channels=2, stem_kernel=3, alpha=0.3)


def convolutional(key, x):
    return vision.ConvolutionalRNN(PLAN, key=key, noise_std=0.1 * x)


def pictures(key, x):
    return np.asarray(x * jax.random.uniform(key, (4, 6, 6, 1)))


def channels_seen(network, image):
    return vision.respond(network, image[None], blank_steps=1, image_steps=2).state[-1].mean(axis=(1, 2))[0]


def layers_seen(network, inputs):
    state = network.step(network.resting_state, inputs)
    return {"state": state, "output": network.readout(state)}


def scaled(image, theta):
    return theta * image


def written(name, content):
    """A file for those who read one; it goes with the process."""
    path = Path(FOLDER.name) / name
    path.write_bytes(content)
    return path


def cifar_archive(label_bytes):
    """Test data of CIFAR with one image, as a tar archive of the binary form."""
    buffer, record = io.BytesIO(), bytes(label_bytes + 3072)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("test_batch.bin" if label_bytes == 1 else "test.bin")
        member.size = len(record)
        archive.addfile(member, io.BytesIO(record))
    return buffer.getvalue()


def measured(key, x):
    outputs, targets = x * jax.random.normal(key, (2, 4, 3, 2))
    return outputs, tasks.TaskBatch(outputs, targets, jnp.ones((4, 3)))


def labels():
    return np.array([0, 1, 2, 0])


ENTRIES = {
    "connectivity.sample_weights": lambda k, x: cn.sample_weights(gain(x), N, key=k),
    "connectivity.memory_gain": lambda k, x: cn.memory_gain(5, noise_std=0.05 * x, input_variance=0.1, length=1),
    "connectivity.memory_ratio": lambda k, x: cn.memory_ratio(
        [x, 1.2], 5, noise_std=0.05 * x, input_variance=0.1, length=1
    ),
    "connectivity.spectral_outliers": lambda k, x: cn.spectral_outliers(
        GainMatrix(0.1 * np.ones((2, 2)), None, x * np.ones((2, 2)))
    ),
    "connectivity.spectral_radius": lambda k, x: cn.spectral_radius(gain(x)),
    "dmft.autocorrelation": lambda k, x: dmft.autocorrelation(1.8 * x),
    "meanfield.critical_gain": lambda k, x: meanfield.critical_gain(noise_std=0.3 * x),
    "meanfield.critical_mean": lambda k, x: meanfield.critical_mean(
        GainMatrix(0.5 * np.ones((1, 1)), None, x * np.ones((1, 1))), noise_std=0.3
    ),
    "meanfield.diffusion_operator": lambda k, x: meanfield.diffusion_operator(gain(x), noise_std=0.3 * x),
    "meanfield.gradient_gain": lambda k, x: meanfield.gradient_gain(
        gain(x), stimulus=0.4 * x, noise_std=0.3 * x, num_steps=STEPS
    ),
    "meanfield.gradient_spectrum": lambda k, x: meanfield.gradient_spectrum(
        cn.homogeneous(0.7 * x), stimulus=0.4 * x, noise_std=0.3 * x, num_steps=STEPS, num_values=5
    ),
    "meanfield.lyapunov_spectrum": lambda k, x: meanfield.lyapunov_spectrum(
        cn.homogeneous(0.7 * x), noise_std=0.3 * x, num_exponents=5
    ),
    "meanfield.lyapunov_exponent": lambda k, x: meanfield.lyapunov_exponent(gain(x), noise_std=0.3 * x),
    "meanfield.pattern_overlaps": lambda k, x: meanfield.pattern_overlaps(
        gain(x), starting_overlap(gain(x), patterns(k, x), nonlinearities.as_nonlinearity("tanh")),
        noise_std=0.1 * x, num_steps=STEPS,
    ),
    "meanfield.stationary_states": lambda k, x: meanfield.stationary_states(
        GainMatrix(0.5 * np.ones((1, 1)), None, x * np.ones((1, 1))), noise_std=0.3
    ),
    "meanfield.stationary_state": lambda k, x: meanfield.stationary_state(gain(x), noise_std=0.3 * x),
    "fisher.bootstrap": lambda k, x: fisher.bootstrap(samples(k, x), samples(k, 1.1 * x), 0.1 * x, key=k),
    "fisher.closure_curve": lambda k, x: fisher.closure_curve(network(k, x), stimulus=0.4 * x, num_steps=STEPS),
    "fisher.linear_decodability": lambda k, x: fisher.linear_decodability(
        network(k, x), x * np.ones((3, 6, 1)), x * np.arange(18.0).reshape(3, 6, 1), key=k, num_blocks=2
    ),
    "fisher.linearized_curve": lambda k, x: fisher.linearized_curve(network(k, x), stimulus=0.4 * x, num_steps=STEPS),
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
        network(k, x), stimulus=0.4 * x, num_steps=STEPS, num_trials=60, key=k, num_blocks=2
    ),
    "fisher.temporal_matrix": lambda k, x: fisher.temporal_matrix(gain(x), x * np.ones(STEPS), noise_std=0.3),
    "fisher.temporal_matrix, network": lambda k, x: fisher.temporal_matrix(network(k, x), x * np.ones(STEPS)),
    "fisher.total_memory": lambda k, x: fisher.total_memory(weights(k, x), np.ones(N), noise_std=0.3 * x),
    "simulate.continuous_trajectories": lambda k, x: simulate.continuous_trajectories(
        flow(k, x), times=np.array([0.5, 1.0]), initial_state=patterns(k, x), key=k, dt=0.1
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
    "vision.convolution_spectrum": lambda k, x: vision.convolution_spectrum(
        x * jax.random.normal(k, (2, 2, 3, 3)), (6, 6)
    ),
    "networks.run": lambda k, x: networks.run(recurrent(k, x), x * jax.random.normal(k, (4, 3, 2)), key=k),
    "vision.respond": lambda k, x: vision.respond(
        convolutional(k, x), pictures(k, x), blank_steps=2, image_steps=2, key=k
    ),
    "vision.evaluate": lambda k, x: vision.evaluate(convolutional(k, x), pictures(k, x), labels()),
    "training.fit": lambda k, x: training.fit(
        recurrent(k, x), tasks.flip_flop(num_bits=2), key=k, num_steps=3, batch_size=4, trial_steps=4,
        evaluate_every=3, learning_rate=1e-3 * x,
    ),
    "dmft.critical_gain": lambda k, x: dmft.critical_gain(noise_std=0.3 * x),
    "dmft.local_stability_gain": lambda k, x: dmft.local_stability_gain(noise_std=0.3 * x),
    "dmft.phase_diagram": lambda k, x: dmft.phase_diagram(np.array([0.9, 1.8]) * x, np.array([0.0, 0.3]) * x),
    "dmft.two_time_correlation": lambda k, x: dmft.two_time_correlation(
        0.8 * x, duration=2.0, initial_variance=0.5 * x
    ),
    "meanfield.phase_diagram": lambda k, x: meanfield.phase_diagram(
        np.array([0.9, 1.8]) * x, np.array([0.0, 0.3]) * x
    ),
    "dmft.power_spectrum": lambda k, x: dmft.power_spectrum(0.8 * x, noise_std=0.3 * x),
    "meanfield.propagate": lambda k, x: meanfield.propagate(gain(x), **pulse(x)),
    "meanfield.two_time_correlation": lambda k, x: meanfield.two_time_correlation(
        0.8 * x, num_steps=STEPS, initial_variance=0.5 * x
    ),
    "fisher.continuous_curve": lambda k, x: fisher.continuous_curve(
        gain(x), times=np.array([0.5, 1.0]), stimulus=0.1 * x, noise_std=0.3 * x
    ),
    "fisher.gaussian_information": lambda k, x: fisher.gaussian_information(
        samples(k, x)[0], jnp.eye(3) * x
    ),
    "fisher.recorded_information": lambda k, x: fisher.recorded_information(recording(k, x), num_blocks=4, check=False),
    "fisher.recorded_decoding": lambda k, x: fisher.recorded_decoding(recording(k, x), num_folds=2),
    "fisher.cross_information": lambda k, x: fisher.cross_information(
        recording(k, x), recording(k, 1.1 * x), num_blocks=4
    ),
    "fisher.permutation_test": lambda k, x: fisher.permutation_test(recording(k, x), key=k, num_permutations=20),
    "fisher.smooth_information": lambda k, x: fisher.smooth_information(
        fisher.Recording(x * np.asarray(jax.random.normal(k, (200, 2))), np.linspace(0, 1, 200)), np.array([0.2, 0.7])
    ),
    "fisher.record": lambda k, x: fisher.record(
        network(k, x), np.array([0.1, 0.4]) * x, key=k, num_trials=5, num_steps=2, period=3.0 * x
    ),
    "fisher.record, function": lambda k, x: fisher.record(responder(x), np.array([0.1, 0.4]) * x, key=k, num_trials=5),
    "fisher.information_scaling, recording": lambda k, x: fisher.information_scaling(
        recording(k, x), key=k, sizes=(1, 3), num_subsets=2
    ),
    "fisher.information_scaling": lambda k, x: fisher.information_scaling(
        samples(k, x, 400), samples(k, x, 400) + 0.2, 0.2, key=k, sizes=(1, 2), num_subsets=3
    ),
    "fisher.optimal_decoder": lambda k, x: fisher.optimal_decoder(samples(k, x)[0], jnp.eye(3) * x),
    "geometry.network_geometry": lambda k, x: geometry.network_geometry(
        recurrent(k, x), x * jax.random.normal(k, (5, 2)), num_steps=STEPS, num_trials=2, key=k, num_resamples=4
    ),
    "geometry.predicted_correlation": lambda k, x: geometry.predicted_correlation(
        gain(x), starting_overlap(gain(x), patterns(k, x), nonlinearities.as_nonlinearity("tanh")),
        geometry.pairwise_distances(patterns(k, x)), noise_std=0.1 * x, num_steps=STEPS, num_units=N,
    ),
    "vision.convolution_bounds": lambda k, x: vision.convolution_bounds(
        x * jax.random.normal(k, (2, 2, 3, 3)), (6, 6)
    ),
    "dynamics.continue_fixed_points": lambda k, x: dynamics.continue_fixed_points(
        scaled_contraction, np.zeros(N), start=0.1 * x, stop=0.2 * x, max_step=0.5
    ),
    "dynamics.find_periodic_orbits": lambda k, x: dynamics.find_periodic_orbits(
        contraction(x), patterns(k, x), period=2
    ),
    "dynamics.phase_plane": lambda k, x: dynamics.phase_plane(
        contraction(x), plane=(np.zeros(N), np.eye(N)[:2]), limits=((-1, 1), (-x, x)), num_points=3, num_trajectories=1
    ),
    "vision.decisions": lambda k, x: vision.decisions(x * jax.random.normal(k, (5, 4, 3)), labels()),
    "dynamics.lyapunov_spectrum": lambda k, x: dynamics.lyapunov_spectrum(
        contraction(x), np.ones(N), key=k, num_steps=20, warm_up=2
    ),
    "dynamics.gradient_spectrum": lambda k, x: dynamics.gradient_spectrum(
        recurrent(k, x), np.ones((4, 2, 2)), key=k
    ),
    "dynamics.principal_components": lambda k, x: dynamics.principal_components(samples(k, x)),
    "vision.neural_regression": lambda k, x: vision.neural_regression(
        [x * jax.random.normal(k, (2, 6, 3))], six(k, x), key=k, num_folds=2, num_resamples=20, num_permutations=20
    ),
    "vision.representational_similarity": lambda k, x: vision.representational_similarity(
        {"V1": x * jax.random.normal(k, (2, 6, 3))}, six(k, x), key=k, stimuli=np.arange(6.0), times=np.array([0.1, x]),
        recorded_times=np.array([x]), num_resamples=20, num_permutations=20,
    ),
    "vision.robustness": lambda k, x: vision.robustness(
        convolutional(k, x), pictures(k, x), labels(), key=k, levels=[0.1 * x]
    ),
    "vision.picture_trials": lambda k, x: vision.picture_trials(
        convolutional(k, x), pictures(k, x), labels(), "category", key=k, num_trials=6, picture_steps=2, delay_steps=1,
        answer_steps=1,
    ),
    "vision.response_curve": lambda k, x: vision.response_curve(
        convolutional(k, x), pictures(k, x), "contrast", [0.5 * x, x], after_steps=2
    ),
    "fisher.layer_information": lambda k, x: fisher.layer_information(
        jax.tree_util.Partial(layers_seen, recurrent(k, x)), jax.tree_util.Partial(scaled, jnp.ones(2)), 0.5 * x,
        input_noise_std=0.1 * x, unit_noise_std=0.1,
    ),
    "fisher.metamer": lambda k, x: fisher.metamer(
        jax.tree_util.Partial(channels_seen, convolutional(k, x)), pictures(k, x)[0], key=k, num_steps=3
    ),
    "vision.stability_certificate": lambda k, x: vision.stability_certificate(convolutional(k, x)),
    "dynamics.transition_graph": lambda k, x: dynamics.transition_graph(
        contraction(x), np.zeros((1, N)), key=k, noise_std=0.1 * x, num_trials=4, relax_steps=5
    ),
    "tasks.flip_flop": lambda k, x: tasks.flip_flop(num_bits=2).batch(k, 4, 5),
    "fisher.eigendistortions": lambda k, x: fisher.eigendistortions(
        jax.tree_util.Partial(channels_seen, convolutional(k, x)), pictures(k, x)[0], key=k
    ),
    "fisher.gaussian_total": lambda k, x: fisher.gaussian_total(samples(k, x), samples(k, 1.1 * x)),
    "fisher.simulated_continuous_curve": lambda k, x: fisher.simulated_continuous_curve(
        gain(x), times=np.array([0.5, 1.0]), stimulus=0.1 * x, noise_std=0.3 * x, num_units=N, num_trials=20,
        num_draws=2, key=k, dt=0.1,
    ),
    "simulate.measure_autocorrelation": lambda k, x: simulate.measure_autocorrelation(
        0.8 * x, num_units=N, num_draws=2, key=k, noise_std=0.3 * x, max_lag=1.0, duration=4.0, settle=1.0
    ),
    "optimize.evolve": lambda k, x: optimize.evolve(
        cn.ToeplitzFamily(2), optimize.LogFisher(3, noise_std=0.1 * x), key=k, population_size=8, num_generations=3
    ),
    "optimize.refine": lambda k, x: optimize.refine(
        cn.ToeplitzFamily(2), optimize.LogFisher(3, noise_std=0.1 * x), cn.toeplitz([0.5 * x, 0.8, 0.4]), num_steps=2
    ),
    "vision.arnoldi": lambda k, x: vision.arnoldi(
        jax.tree_util.Partial(jnp.matmul, weights(k, x)), N, key=k, num_eigenvalues=2
    ),
    "vision.trajectory_spectrum": lambda k, x: vision.trajectory_spectrum(
        convolutional(k, x), pictures(k, x)[0], at=[1, 3], key=k, num_eigenvalues=2, blank_steps=2, image_steps=3
    ),
    "vision.transient_growth": lambda k, x: vision.transient_growth(
        convolutional(k, x), pictures(k, x)[0], steps=[1, 2], key=k, blank_steps=2, image_steps=3
    ),
    "dynamics.linearize": lambda k, x: dynamics.linearize(recurrent(k, x), patterns(k, x)[0], np.zeros(2)),
    "vision.spectrum": lambda k, x: vision.spectrum(
        convolutional(k, x), key=k, num_eigenvalues=2
    ),
    "dynamics.measure_lyapunov_exponent": lambda k, x: dynamics.measure_lyapunov_exponent(
        0.8 * x, num_units=N, num_draws=2, key=k, noise_std=0.3 * x, duration=10.0, settle=1.0
    ),
    "vision.relaxation": lambda k, x: vision.relaxation(convolutional(k, x), pictures(k, x), offset_steps=4),
    "dynamics.sample_states": lambda k, x: dynamics.sample_states(
        recurrent(k, x), x * jax.random.normal(k, (4, 3, 2)), 5, key=k, noise_std=0.1 * x
    ),
    "vision.spectral_penalty": lambda k, x: vision.spectral_penalty(convolutional(k, x), limit=0.9 * x),
    "geometry.distance_correlation": lambda k, x: geometry.distance_correlation(
        geometry.pairwise_distances(patterns(k, x)), geometry.pairwise_distances(patterns(k, 2 * x))[None]
    ),
    "datasets.gratings": lambda k, x: datasets.gratings(np.array([0.2, 0.4]) * x, key=k, size=9, noise_variance=x),
    "datasets.grating_moments": lambda k, x: datasets.grating_moments(np.array([0.2, 0.4]) * x, size=9),
    "datasets.natural_patches": lambda k, x: datasets.natural_patches(3, key=k),
    "vision.feedforward_pass": lambda k, x: vision.feedforward_pass(
        convolutional(k, x), jnp.asarray(pictures(k, x))
    ),
    "fisher.decoder, neural": lambda k, x: fisher.decoder(
        samples(k, x), samples(k, 1.1 * x), 0.1 * x, key=k, method="neural"
    ),
    "vision.train_angle_network": lambda k, x: vision.train_angle_network(
        key=k, size=9, num_steps=3, batch_size=4, location=0.1 * x, learning_rate=1e-3 * x
    ),
    "vision.train_directly": lambda k, x: vision.train_directly(
        PLAN, pictures(k, x), labels(), key=k, num_steps=2, batch_size=2, noise_std=0.1 * x
    ),
    "training.trial_statistics": lambda k, x: training.trial_statistics(
        recurrent(k, x), (x * jax.random.normal(k, (4, 6, 2)), np.array([0, 1, 1, 0, 0, 1])), key=k,
        conditions={"side": np.array([0.0, 1, 1, 0, 0, 1]) * x}, num_bins=4,
    ),
    "training.psychometric": lambda k, x: training.psychometric(
        recurrent(k, x), (x * jax.random.normal(k, (4, 6, 2)), np.array([0, 1, 1, 0, 0, 1])), key=k, choice=1,
        conditions={"side": np.array([0.0, 1, 1, 0, 0, 1]) * x},
    ),
}  # fmt: skip
HOST_ONLY = {
    # build or describe what others compute with, or compute in NumPy; other stages of training run the loop of one
    "connectivity": "block circulant feedforward_chain generalized_toeplitz homogeneous population_index "
    "symmetric_toeplitz toeplitz weight_initializer",
    "datasets": "image_folder imagenet "
    "cifar10 cifar100 fashion_mnist mnist digits fit_whitening gabor gray intensities normalize_contrast "
    "oriented_gratings photograph read_images read_responses shapes turned_pictures whiten",
    "dynamics": "attractor_manifold index_sum",
    "fisher": "cramer_rao processing_capacity read_recording sensitivity_index tuning",
    "geometry": "class_neighbors near_isometry neighbors_kept participation_ratio shepard sparse_pairs",
    "networks": "dale fixed_signs from_equinox from_flax from_step from_torch frozen in_precision initializers "
    "low_rank mask no_autapses",
    "simulate": "draw_networks",
    "tasks": "adding choice_accuracy context_integration copy_memory delayed_match explained_variance "
    "from_neurogym integrator perceptual_decision sequential_images sign_accuracy sine_wave",
    "training": "load_checkpoint",
    "vision": "analyze angle_network anneal architecture channel_means decode_angle fine_tune fit_recurrence "
    "fold_batch_norm load_checkpoint orientation_study respond_to_angle save_checkpoint shown train "
    "train_feedforward train_linear with_head",
}

HOST_ENTRIES = {
    "connectivity.block": lambda k, x: cn.block(np.array([[0.7, 0.3], [0.4, 0.5]]) * x, np.array([0.5, 0.5])),
    "connectivity.circulant": lambda k, x: cn.circulant(np.array([0.5, 0.2]) * x),
    "connectivity.feedforward_chain": lambda k, x: cn.feedforward_chain(
        0.9 * x, num_populations=3, recurrent=0.2 * x, feedback=0.1 * x
    ),
    "connectivity.generalized_toeplitz": lambda k, x: cn.generalized_toeplitz(
        np.array([0.1, 0.5, 0.9]) * x, np.ones(2), np.ones(2)
    ),
    "connectivity.homogeneous": lambda k, x: cn.homogeneous(0.7 * x, 2),
    "connectivity.population_index": lambda k, x: cn.population_index(gain(x), N),
    "connectivity.symmetric_toeplitz": lambda k, x: cn.symmetric_toeplitz(np.array([0.5, 0.2]) * x),
    "connectivity.toeplitz": lambda k, x: cn.toeplitz(np.array([0.1, 0.5, 0.9]) * x),
    "connectivity.weight_initializer": lambda k, x: cn.weight_initializer(gain(x)),
    "simulate.draw_networks": lambda k, x: simulate.draw_networks(
        gain(x), N, num_draws=2, noise_std=0.1 * x, input_pattern=np.array([1.0, 0.5]) * x, key=k
    ),
    "geometry.class_neighbors": lambda k, x: geometry.class_neighbors(
        distances(patterns(k, x)), np.array([0, 1, 0, 1, 0, 1]), 2
    ),
    "geometry.near_isometry": lambda k, x: geometry.near_isometry(
        distances(patterns(k, x)), distances(patterns(k, 2 * x))
    ),
    "geometry.neighbors_kept": lambda k, x: geometry.neighbors_kept(
        distances(patterns(k, x)), distances(patterns(k, 2 * x)), 2
    ),
    "geometry.participation_ratio": lambda k, x: geometry.participation_ratio(patterns(k, x)),
    "geometry.shepard": lambda k, x: geometry.shepard(distances(patterns(k, x)), distances(patterns(k, 2 * x))),
    "geometry.sparse_pairs": lambda k, x: geometry.sparse_pairs(patterns(k, x), 2, key=k, amplitude=0.5 * x),
    "fisher.cramer_rao": lambda k, x: fisher.cramer_rao(
        np.array([[0.1, 0.2, 0.3], [0.4, 0.6, 0.5], [0.9, 0.7, 0.8]]), np.array([0.2, 0.5, 0.8]), np.full(3, 50.0 * x)
    ),
    "fisher.Recording": lambda k, x: fisher.Recording(
        x * np.asarray(jax.random.normal(k, (8, 3))), np.tile([0.0, 1.0], 4), period=3.0 * x, names=("a", "b", "c")
    ),
    "fisher.processing_capacity": lambda k, x: fisher.processing_capacity(
        np.asarray(samples(k, x, 200)), np.asarray(jax.random.uniform(k, (200,))), max_delay=3, max_degree=2, washout=5
    ),
    "fisher.read_recording": lambda k, x: fisher.read_recording(
        written("s.csv", b"theta,a\n0,1.5\n1,2.5\n0,2.5\n1,1.5\n"), "theta", period=3.0 * x
    ),
    "fisher.tuning": lambda k, x: fisher.tuning(recording(k, x)),
    "fisher.sensitivity_index": lambda k, x: fisher.sensitivity_index(np.array([1.0, 4.0]) * x, 0.1 * x),
    "dynamics.attractor_manifold": lambda k, x: dynamics.attractor_manifold(contraction(x), patterns(k, x)),
    "dynamics.index_sum": lambda k, x: dynamics.index_sum(
        dynamics.find_fixed_points(contraction(x), patterns(k, x), adam_steps=0), bounded=True
    ),
    "vision.channel_means": lambda k, x: vision.channel_means(convolutional(k, x), 1),
    "vision.shown": lambda k, x: vision.shown(
        convolutional(k, x), jax.tree_util.Partial(scaled, pictures(k, x)[0]), image_steps=2
    ),
    "datasets.cifar10": lambda k, x: datasets.cifar10(
        written("cifar.tar", cifar_archive(1)), split="test", num_images=1
    ),
    "datasets.cifar100": lambda k, x: datasets.cifar100(
        written("cifar.tar", cifar_archive(2)), split="test", num_images=1
    ),
    "datasets.digits": lambda k, x: datasets.digits(split="test"),
    "datasets.fit_whitening": lambda k, x: datasets.fit_whitening(pictures(k, x), method="pca", num_components=2),
    "datasets.gabor": lambda k, x: datasets.gabor((6, 6, 1), angle=0.3 * x),
    "datasets.gray": lambda k, x: datasets.gray(np.ones((2, 3, 3, 3)) * x),
    "datasets.image_folder": lambda k, x: datasets.image_folder(image_classes()),
    "datasets.imagenet": lambda k, x: datasets.imagenet(image_classes().parent),
    "datasets.intensities": lambda k, x: datasets.intensities(pictures(k, x)),
    "datasets.normalize_contrast": lambda k, x: datasets.normalize_contrast(pictures(k, x)),
    "datasets.oriented_gratings": lambda k, x: datasets.oriented_gratings(2, key=k, size=6, noise_std=0.1 * x),
    "datasets.photograph": lambda k, x: datasets.photograph("coffee"),
    "datasets.read_images": lambda k, x: datasets.read_images(
        written("cifar.tar", cifar_archive(1)), split="test", num_images=1
    ),
    "datasets.read_responses": lambda k, x: datasets.read_responses(
        written("r.csv", b"a,1.5\na,2.5\nb,1.5\n"), conditions=("a", "b"), separation=0.1 * x, period=2.0 * x
    ),
    "datasets.shapes": lambda k, x: datasets.shapes(2, key=k, size=8, noise_std=0.1 * x),
    "datasets.whiten": lambda k, x: datasets.whiten(pictures(k, x), datasets.fit_whitening(pictures(k, x))),
    "vision.analyze": lambda k, x: vision.analyze(
        convolutional(k, x), pictures(k, x), labels(), key=k, parts=("decisions", "relaxation"), num_eigenvalues=1
    ),
    "datasets.turned_pictures": lambda k, x: datasets.turned_pictures(
        [np.arange(256, dtype=np.uint8).reshape(16, 16)], size=9, window=0.7 * x, noise_std=0.1 * x
    ),
    "vision.angle_network": lambda k, x: vision.angle_network(key=k, size=9, hidden=3),
    "vision.architecture": lambda k, x: vision.architecture("R2-8", num_classes=3),
    "networks.dale": lambda k, x: networks.dale(0.8 * x),
    "networks.dale, signs": lambda k, x: networks.dale(signs=np.array([1, -1, 0])),
    "vision.decode_angle": lambda k, x: vision.decode_angle(x * jax.random.normal(k, (3, 2))),
    "networks.fixed_signs": lambda k, x: networks.fixed_signs(
        recurrent=np.ones((3, 3)), input=np.array([1, -1]), output=np.array([[1, 0, -1]])
    ),
    "networks.frozen": lambda k, x: networks.frozen(recurrent=np.eye(3), values=x * np.ones((3, 3))),
    "networks.frozen, all": lambda k, x: networks.frozen(
        recurrent=np.eye(3), input=np.ones((3, 2)), output=np.ones((2, 3))
    ),
    "vision.fold_batch_norm": lambda k, x: vision.fold_batch_norm(vision.FeedforwardCNN(PLAN, key=k)),
    "networks.from_equinox": lambda k, x: networks.from_equinox(eqx.nn.GRUCell(2, 3, key=k), noise_std=0.1 * x),
    "networks.from_step": lambda k, x: networks.from_step(
        contraction(x), N, initial_state=jax.tree_util.Partial(jnp.multiply, x * jnp.ones(N)), noise_std=0.1 * x
    ),
    "networks.from_torch": lambda k, x: networks.from_torch(
        {"weight_ih_l0": x * jax.random.normal(k, (9, 2)), "weight_hh_l0": 0.3 * x * jnp.ones((9, 3))},
        noise_std=0.1 * x,
    ),
    "networks.low_rank": lambda k, x: networks.low_rank(2),
    "networks.mask": lambda k, x: networks.mask(
        recurrent=np.ones((3, 3)), input=np.ones((3, 2)), output=np.ones((2, 3))
    ),
    "tasks.explained_variance": lambda k, x: tasks.explained_variance(*measured(k, x)),
    "tasks.sign_accuracy": lambda k, x: tasks.sign_accuracy(*measured(k, x)),
    "tasks.choice_accuracy": lambda k, x: tasks.choice_accuracy(*measured(k, x)),
    "vision.anneal": lambda k, x: vision.anneal(
        convolutional(k, x), pictures(k, x), labels(), key=k, steps_per_level=1, batch_size=2, offset_steps=2
    ),
    "vision.fine_tune": lambda k, x: vision.fine_tune(
        convolutional(k, x), pictures(k, x), labels(), key=k, num_steps=1, batch_size=2, learning_rate=1e-3 * x
    ),
    "training.fit, arrays": lambda k, x: training.fit(
        recurrent(k, x), tuple(x * jax.random.normal(k, (4, 6, 2)) for _ in range(2)), key=k, num_steps=3,
        batch_size=4, evaluate_every=3, target_loss=0.1 * x, patience=3, rate_penalty=0.1 * x, weight_penalty=0.1 * x,
        held_out=tuple(x * jax.random.normal(k, (4, 6, 2)) for _ in range(2)), loss="mse", batch_first=False,
    ),
    "vision.fit_recurrence": lambda k, x: vision.fit_recurrence(
        convolutional(k, x), pictures(k, x), key=k, num_steps=1, penalty=10.0 * x, batch_size=2
    ),
    "vision.orientation_study": lambda k, x: vision.orientation_study(
        key=k,
        size=5,
        num_steps=2,
        num_angles=3,
        relative_error=0.9 * x,
        max_trials=1500,
        num_trials=20,
        num_decoded=10,
        num_replicates=0,
    ),
    "vision.respond_to_angle": lambda k, x: vision.respond_to_angle(vision.angle_network(key=k, size=9)),
    "vision.train": lambda k, x: vision.train(
        PLAN, pictures(k, x), labels(), key=k, steps=vision.StageSteps(1, 1, 1, 1, 1), noise_std=0.1 * x
    ),
    "vision.train_feedforward": lambda k, x: vision.train_feedforward(
        PLAN, pictures(k, x), labels(), key=k, num_steps=1
    ),
    "vision.with_head": lambda k, x: vision.with_head(convolutional(k, x), networks.RNN(2, 3, 2, key=k)),
    "vision.train_linear": lambda k, x: vision.train_linear(
        convolutional(k, x), pictures(k, x), labels(), key=k, num_steps=1
    ),
}  # fmt: skip
"""Valid calls of functions in `HOST_ONLY`, for the wrong calls."""

ACCEPTED = {
    ("connectivity.block", "fractions", "none"),
    ("simulate.draw_networks", "input_pattern", "none"),  # the first population
    ("fisher.sensitivity_index", "information", "axes"),  # elementwise
    ("dynamics.jacobian", "inputs", "none"),  # zero, for a network
    ("dynamics.linearize", "inputs", "none"),
    ("dynamics.principal_components", "states", "axes"),  # leading axes are samples
    ("geometry.participation_ratio", "states", "axes"),  # leading axes are batches
    ("dynamics.sample_states", "inputs", "axes"),
    ("dynamics.sample_states", "inputs", "none"),  # from around rest
    ("datasets.gratings", "angles", "axes"),  # any shape
    ("datasets.grating_moments", "angles", "axes"),
    ("datasets.gray", "images", "axes"),  # leading axes are batches
    ("datasets.intensities", "images", "axes"),
    ("datasets.normalize_contrast", "images", "axes"),
    ("datasets.read_responses", "period", "infinite"),  # a line
    ("fisher.Recording", "period", "infinite"),
    ("fisher.Recording", "stimulus_unit", "misspelt"),  # any text
    ("fisher.read_recording", "period", "infinite"),
    ("fisher.read_recording", "stimulus_unit", "misspelt"),
    ("fisher.record", "period", "infinite"),
    ("fisher.record", "stimulus_unit", "misspelt"),
    ("fisher.record, function", "stimulus_unit", "misspelt"),
    ("fisher.smooth_information", "stimuli", "none"),  # over the range
    ("fisher.temporal_matrix", "key", "none"),
    ("fisher.temporal_matrix, network", "key", "none"),
    ("geometry.pairwise_distances", "states", "axes"),  # leading axes are batches
    ("geometry.participation_ratio", "states", "axes"),
    ("networks.run", "inputs", "axes"),  # leading axes are batches
    ("networks.run", "key", "none"),  # no noise
    ("vision.analyze", "labels", "none"),  # no decisions
    ("vision.neural_regression", "time_unit", "misspelt"),  # any text
    ("vision.representational_similarity", "time_unit", "misspelt"),
    ("vision.representational_similarity", "stimuli", "none"),  # the rows' numbers
    ("vision.representational_similarity", "times", "none"),  # 1, 2, …
    ("vision.representational_similarity", "recorded_times", "none"),
    ("vision.respond", "images", "axes"),
    ("vision.respond", "key", "none"),
    ("vision.feedforward_pass", "images", "axes"),
    ("vision.decode_angle", "output", "axes"),
    ("networks.mask", "recurrent", "none"),  # no mask of those weights
    ("networks.mask", "input", "none"),
    ("networks.mask", "output", "none"),
    ("networks.fixed_signs", "recurrent", "axes"),  # one for each sender, or for all
    ("networks.fixed_signs", "recurrent", "none"),
    ("networks.fixed_signs", "input", "axes"),
    ("networks.fixed_signs", "input", "none"),
    ("networks.fixed_signs", "output", "axes"),
    ("networks.fixed_signs", "output", "none"),
    ("networks.frozen", "values", "none"),  # as they are drawn
    ("networks.frozen, all", "recurrent", "none"),
    ("networks.frozen, all", "input", "none"),
    ("networks.frozen, all", "output", "none"),
    ("training.fit", "max_gradient_norm", "infinite"),  # no limit
    ("training.fit, arrays", "max_gradient_norm", "infinite"),
    ("geometry.distance_correlation", "key", "none"),  # no resamples, no key
}
"""(entry, argument, how it was spoiled) that is no mistake; "*" for every way."""
