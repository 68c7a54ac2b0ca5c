"""Everything that takes devices, on one of them and on all: ``python sharded.py [PROCESS COUNT PORT CASE…]``.

Prints "case: largest relative difference" for every case, and fails if one is larger than rounding.
"""

import functools
import sys
import tempfile
from pathlib import Path
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fisherjax import (
    _runtime,
    connectivity,
    datasets,
    fisher,
    geometry,
    networks,
    optimize,
    simulate,
    tasks,
    training,
    vision,
)

TOLERANCE = 1e-9


def searched(key, generations, steps, **where):
    """Both stages, with a population that eight devices cannot share evenly; long searches amplify rounding."""
    return optimize.maximize(
        connectivity.ToeplitzFamily(2), optimize.LogFisher(3),
        key=key, constraints=(optimize.Budget(1.0),), population_size=10, num_generations=generations,
        num_restarts=1, refine_steps=steps, **where,
    )  # fmt: skip


def fitted(key, **where):
    """A network trained for twenty steps on trials that eight devices cannot share evenly."""
    return training.fit(
        networks.RNN(2, 8, 2, key=key, noise_std=0.1), tasks.flip_flop(num_bits=2), key=key, num_steps=20,
        batch_size=13, trial_steps=5, evaluate_every=4, checkpoint_every=4, **where,
    )  # fmt: skip


def learned(key, devices):
    """A network that learned from pictures, of which every process decodes those of its own devices."""
    gray = datasets.Preprocessing((8, 8, 1), resize=8, mean=(0.4,), std=(0.2,))
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8)):
            (place := Path(folder) / f"class {number % 3}").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number}.png")
        pictures, plan = datasets.image_folder(folder, preprocessing=gray), vision.Architecture((8, 8, 1), 3, (4, 4))
        with _runtime.on_devices(devices):
            return vision.train_feedforward(plan, pictures, key=key, num_steps=2, batch_size=16)


def cases(key):
    """Functions of `devices`, with sizes that eight devices cannot share evenly, and one that they can."""
    gains = connectivity.homogeneous(0.9)
    two = connectivity.GainMatrix(np.array([[0.9, 0.4], [0.3, 0.7]]), np.array([0.5, 0.5]))
    weights = connectivity.sample_weights(gains, 24, key=key)
    network = networks.RateNetwork(weights, np.linspace(-1, 1, 24), noise_std=0.3, observation_noise_std=0.1)
    quiet = networks.RateNetwork(weights, np.linspace(-1, 1, 24), noise_std=0.3)
    pulse = {"stimulus": 0.5, "num_steps": 4}
    plan = vision.Architecture((8, 8, 2), 3, (2, 2, 3, 3), stem_channels=2, stem_kernel=3, alpha=0.3)
    convolutional = vision.ConvolutionalRNN(plan, key=key, noise_std=0.1)
    pictures = np.asarray(jax.random.uniform(key, (5, 8, 8, 2)))
    patterns = np.asarray(jax.random.normal(key, (13, 24)))

    def respond(theta, k):
        return jnp.tanh(theta * jnp.arange(1.0, 4.0)) + 0.1 * jax.random.normal(k, (3,))

    def run(num_trials, patterns=None):
        return lambda devices: simulate.trajectories(
            network, stimulus=0.3, num_steps=3, num_trials=num_trials, key=key, initial_state=patterns,
            devices=devices,
        )  # fmt: skip

    yield "simulate, 13 trials", run(13)
    yield "simulate, 16 trials", run(16)
    mesh = _runtime.device_mesh("all", num_row_shards=2)
    yield "simulate, rows in two parts", lambda devices: run(13)(mesh if devices else None)
    yield "simulate, 3 patterns of 13 trials", run(13, patterns[:3])
    for form in ("independent", "linear"):
        yield (
            f"simulated curve, {form}",
            lambda devices, form=form: fisher.simulated_curve(
                quiet, num_trials=61, num_blocks=2, key=key, form=form, devices=devices, **pulse
            ),
        )
    yield "weights in rows", lambda devices: simulate.trajectories(
        networks.RateNetwork(
            connectivity.sample_weights(gains, 24, key=key, devices=devices), np.ones(24), noise_std=0.3
        ),
        stimulus=0.3, num_steps=3, num_trials=13, key=key,
    )  # fmt: skip
    yield "closure, one network", lambda devices: fisher.closure_curve(quiet, devices=devices, **pulse)
    (odd,) = simulate.draw_networks(gains, 13, num_draws=1, noise_std=0.3, key=key, dtype=weights.dtype)
    yield ("closure, 13 units", lambda devices: fisher.closure_curve(odd, devices=devices, **pulse))
    draws = simulate.draw_networks(two, 10, num_draws=5, noise_std=0.3, key=key, dtype=weights.dtype)
    yield ("closure, 5 draws", lambda devices: fisher.closure_curve(draws, devices=devices, **pulse))
    yield "distances", lambda devices: geometry.pairwise_distances(patterns, devices=devices)
    yield "geometry, 13 stimuli", lambda devices: geometry.compare_geometry(
        two, patterns, noise_std=0.1, num_steps=2, num_trials=3, num_draws=2, num_resamples=0, key=key,
        devices=devices,
    )  # fmt: skip
    # the second stage follows a single point, which nothing is divided for: it goes on below
    yield "optimize, 10 candidates", lambda devices: searched(key, 25, 0, devices=devices)
    for method in ("pathwise", "common", "direct"):
        yield (
            f"estimate, {method}",
            lambda devices, method=method: fisher.estimate(
                respond,
                0.4,
                key=key,
                num_trials=101,
                method=method,
                devices=devices,
                separation=None if method == "pathwise" else 0.1,
            ),
        )
    yield (
        "profile",
        lambda devices: fisher.information_profile(
            respond, np.array([0.2, 0.4]), key=key, relative_error=0.2, max_trials=2000, devices=devices
        ),
    )
    yield (
        "images, 5 of them",
        lambda devices: vision.respond(
            convolutional, pictures, blank_steps=2, image_steps=3, areas=[1], key=key, devices=devices
        ),
    )
    yield "pictures in batches of 16", functools.partial(learned, key)
    yield "training, 13 trials", lambda devices: fitted(key, devices=devices)


def resumable(key):
    """Functions of a checkpoint's path, on all devices, and the module that writes it."""
    yield "optimize", "optimize._checkpoint", lambda path: searched(key, 75, 12, devices="all", checkpoint=path)
    yield "training", "_runtime._run", lambda path: fitted(key, devices="all", checkpoint=path)


def goes_on_to_the_same_bits(run, writer, folder):
    """Asked to stop when it writes its third checkpoint, then started again; beside a run without a break."""
    written = []

    def write(result, path):
        _runtime.write_checkpoint(result, path)
        written.append(path)
        if len(written) == 3:
            _runtime.request_stop()

    with mock.patch(f"fisherjax.{writer}.write_checkpoint", write):
        try:
            interrupted = run(folder / "checkpoint.npz").interrupted
        except KeyboardInterrupt:
            interrupted = True
    _runtime.forget_stop()
    assert interrupted
    again, whole = run(folder / "checkpoint.npz"), run(folder / "whole.npz")
    return _runtime.digest(eqx.filter(again, eqx.is_array)) == _runtime.digest(eqx.filter(whole, eqx.is_array))


def largest_difference(one, many, *, parts):
    """Over all leaves, relative to the largest entry of each; only with `parts` may a process hold less than all."""
    worst = 0.0
    leaves = (jax.tree.leaves(eqx.filter(tree, eqx.is_array_like)) for tree in (one, many))
    for a, b in zip(*leaves, strict=True):
        if isinstance(b, jax.Array) and not b.is_fully_addressable and not b.is_fully_replicated:
            from jax.experimental import multihost_utils

            assert parts, "a process holds only a part of the result"
            whole = multihost_utils.process_allgather(b, tiled=True)
        else:
            whole = b
        x, y = np.asarray(a, np.float64), np.asarray(whole, np.float64)
        assert x.shape == y.shape, (x.shape, y.shape)
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        size = np.nanmax(np.abs(x), initial=0)
        difference = np.nanmax(np.abs(x - y), initial=0)
        worst = max(worst, float(difference / size) if size else float(difference))
    return worst


def main(words):
    """Compare; in a process of several, all of them run this."""
    jax.config.update("jax_enable_x64", True)
    if words:
        process, count, port = (int(word) for word in words[:3])
        jax.distributed.initialize(f"localhost:{port}", count, process)
    failed = False
    for name, function in cases(jax.random.key(3)):
        if words[3:] and not name.startswith(tuple(words[3:])):
            continue
        parts = name.startswith(("simulate,", "weights"))
        found = largest_difference(function(None), function("all"), parts=parts)
        wrong = not found < (1e-4 if "geometry" in name or "training" in name else TOLERANCE)
        failed |= wrong
        print(f"{name}: {found:.1e}{' WRONG' if wrong else ''}", flush=True)
    for name, writer, run in resumable(jax.random.key(4)):
        with tempfile.TemporaryDirectory() as folder:
            same = goes_on_to_the_same_bits(run, writer, Path(folder))
        failed |= not same
        print(f"{name}, resumed: {'the same bits' if same else 'other bits WRONG'}", flush=True)
    print(f"{len(jax.devices())} devices, {jax.process_count()} processes")
    sys.exit(int(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
