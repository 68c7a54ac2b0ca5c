"""`--network FILE`: every command that asks about one network gives what the library gives, or refuses in words."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_files import write_torch

from fisherjax import fisher, geometry, networks, vision
from fisherjax.cli import main

pytestmark = pytest.mark.usefixtures("as_user")

STEPS, THETA = 3, 0.2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A map of two populations, a flow, a gated network of two inputs without noise, and files of torch."""
    folder = tmp_path_factory.mktemp("networks")
    rng = np.random.default_rng(0)
    weights, key = rng.normal(size=(6, 6)) / 3, jax.random.key(0)
    networks.RateNetwork(weights, np.ones(6), noise_std=0.1, populations=(4, 2)).save(folder / "rate.npz")
    networks.FlowNetwork(weights, np.ones(6), noise_std=0.1).save(folder / "flow.npz")
    networks.GRU(2, 5, 1, key=key).save(folder / "gru.npz")
    tensors = {"weight_ih_l0": rng.normal(size=(5, 1)), "weight_hh_l0": rng.normal(size=(5, 5)) / 3}
    write_torch(folder / "rnn.pt", tensors)
    np.savez(folder / "state_dict.npz", **tensors)
    write_torch(folder / "elsewhere.pt", {"fc.weight": np.ones((2, 2))})
    return folder


def run(folder, *words):
    return main([*map(str, words), "--out", str(folder / "out")])


def results(folder):
    return json.loads((folder / "out" / "results.json").read_text())


def test_curve_is_that_of_the_library(files, tmp_path):
    assert run(tmp_path, "curve", "--network", files / "rate.npz", "--steps", STEPS, "--stimulus", THETA) == 0
    network = networks.Network.load(files / "rate.npz")
    asked = {"stimulus": THETA, "num_steps": STEPS}
    linear, closed = fisher.linearized_curve(network, **asked), fisher.closure_curve(network, **asked)
    np.testing.assert_allclose(results(tmp_path)["theory"], linear.total, rtol=1e-9)
    np.testing.assert_allclose(fisher.FisherCurve.load(tmp_path / "out" / "closure.npz").total, closed.total, rtol=1e-9)
    rows = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert rows[0] == "time,small noise,closure"
    np.testing.assert_allclose([float(row.split(",")[1]) for row in rows[1:]], linear.total, rtol=1e-9)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"theory.npz", "fisher.png", "report.html"}


def test_what_the_file_lacks_and_how_it_is_asked(files, tmp_path):
    words = ["--noise-std", 0.3, "--observation-noise-std", 0.1, "--protocol", "sustained", "--read", "output"]
    assert run(tmp_path, "curve", "--network", files / "gru.npz", "--steps", STEPS, "--stimulus", THETA, *words) == 0
    network = networks.in_precision(networks.Network.load(files / "gru.npz"), float)
    network = eqx.tree_at(lambda n: (n.noise_std, n.observation_noise_std), network, (jnp.array(0.3), jnp.array(0.1)))
    found = fisher.linearized_curve(
        network, stimulus=[THETA, THETA], num_steps=STEPS, protocol="sustained", read="output"
    )
    np.testing.assert_allclose(results(tmp_path)["theory"], found.total, rtol=1e-9, atol=1e-12)
    rows = [row.split(",") for row in (tmp_path / "out" / "table.csv").read_text().splitlines()]
    assert rows[0] == ["time", "about", "small noise"]
    np.testing.assert_allclose([float(row[2]) for row in rows[1 + STEPS :]], found.total[:, 1, 1], rtol=1e-9)


def test_one_number_times_a_pattern_asks_networks_of_many_inputs_and_of_images(files, tmp_path):
    plan = vision.Architecture(
        (3, 3, 1), 2, (2, 2), stem_channels=2, stem_kernel=3, alpha=0.3, blank_steps=1, image_steps=2
    )
    seeing = vision.ConvolutionalRNN(plan, key=jax.random.key(0), noise_std=0.1)
    wide = networks.GRU(20, 4, 1, key=jax.random.key(1), noise_std=0.1)
    for name, network, shape in (("seeing", seeing, (3, 3, 1)), ("wide", wide, (20,))):
        network.save(tmp_path / f"{name}.npz")
        pattern = np.linspace(0.5, 1, int(np.prod(shape))).reshape(shape)
        np.save(tmp_path / "pattern.npy", pattern[..., 0] if name == "seeing" else pattern)
        words = ["--network", tmp_path / f"{name}.npz", "--steps", STEPS, "--stimulus", THETA]
        assert run(tmp_path, "curve", *words) == 2
        for protocol, on in (("pulse", [1, 0, 0]), ("sustained", [1, 1, 1])):
            more = ["--pattern", tmp_path / "pattern.npy", "--protocol", protocol, "--force"]
            assert run(tmp_path, "curve", *words, *more) == 0
            times = np.array(on, float).reshape(-1, *(1 for _ in shape))
            expected = fisher.linearized_curve(
                networks.in_precision(network, float), stimulus=THETA, num_steps=STEPS,
                protocol=lambda theta, shown=times * pattern: theta * shown,
            )  # fmt: skip
            np.testing.assert_allclose(results(tmp_path)["theory"], expected.total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn.pt", "state_dict.npz"])
def test_a_file_of_torch_is_told_by_its_content(files, tmp_path, name):
    words = ["--noise-std", 0.1, "--observation-noise-std", 0.1, "--nonlinearity", "relu", "--steps", 2]
    assert run(tmp_path, "curve", "--network", files / name, *words) == 0
    network = networks.from_torch(files / name, noise_std=0.1, observation_noise_std=0.1, nonlinearity="relu")
    found = fisher.linearized_curve(network, stimulus=0.1, num_steps=2)
    np.testing.assert_allclose(results(tmp_path)["theory"], found.total, rtol=1e-6)


def test_simulation_agrees_with_the_theory_and_says_its_error(files, tmp_path):
    words = ["--steps", 4, "--trials", 400, "--stimulus", THETA, "--observation-noise-std", 0.01]
    assert run(tmp_path, "simulate", "--network", files / "flow.npz", *words) == 0
    found = results(tmp_path)
    theory, measured, error = (np.array(found[name]) for name in ("theory", "simulated", "standard_error"))
    assert found["form"] == "linear"
    assert np.all(error < 0.3 * theory)
    assert np.all(np.abs(measured - theory) < 4 * error)
    times = [row.split(",")[0] for row in (tmp_path / "out" / "table.csv").read_text().splitlines()[1:]]
    assert times == ["0.1", "0.2", "0.3", "0.4"]


def test_estimate_agrees_with_the_theory_at_the_last_step(files, tmp_path):
    words = ["--noise-std", 0.02, "--steps", 2, "--trials", 400, "--stimulus", THETA]
    assert run(tmp_path, "estimate", "--network", files / "rnn.pt", *words) == 0
    network = networks.from_torch(files / "rnn.pt", noise_std=0.02)
    expected = float(fisher.linearized_curve(network, stimulus=THETA, num_steps=2).total[-1])
    found = results(tmp_path)
    assert found["standard_error"] < 0.2 * expected
    assert abs(found["value"] - expected) < 4 * found["standard_error"]
    assert (tmp_path / "out" / "estimate.npz").exists()


def test_geometry_of_random_stimuli(files, tmp_path):
    words = ["--images", 12, "--trials", 3, "--steps", 2]
    assert run(tmp_path, "geometry", "--network", files / "gru.npz", *words, "--stimulus", 1, 0) == 0
    found = geometry.NetworkGeometry.load(tmp_path / "out" / "geometry.npz")
    assert found.distances.shape == (2, 12, 12)
    stimuli = np.load(tmp_path / "out" / "arrays.npz")["stimuli"]
    assert np.all(stimuli[:, 1] == 0)
    np.testing.assert_allclose(found.original[0], np.abs(stimuli[:, 0] - stimuli[0, 0]), atol=1e-5)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"geometry.png", "measures.png", "report.html"}


def test_images_that_have_the_size_of_the_inputs(tmp_path):
    rng = np.random.default_rng(1)
    network = networks.RateNetwork(rng.normal(size=(5, 5)) / 3, rng.normal(size=(5, 9)), noise_std=0.1)
    path = network.save(tmp_path / "seen.npz")
    words = ["geometry", "--network", path, "--data", "natural", "--images", 8, "--trials", 2, "--steps", 2]
    assert run(tmp_path, *words, "--size", 3) == 0
    assert results(tmp_path)["stimuli"] == "8 patches of photographs"


def test_fixed_points_from_around_rest(files, tmp_path):
    words = ["--candidates", 16, "--inputs", 0.1, -0.1]
    assert run(tmp_path, "fixed-points", "--network", files / "gru.npz", *words) == 0
    points = np.load(tmp_path / "out" / "arrays.npz")["points"]
    network = networks.in_precision(networks.Network.load(files / "gru.npz"), float)
    np.testing.assert_allclose(network.step(points, np.array([0.1, -0.1])), points, atol=1e-7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["curve", "gru.npz"], "--noise-std must be given: that of"),
        (["curve", "gru.npz", "--noise-std", "0"], "--noise-std must be above 0"),
        (["simulate", "gru.npz", "--noise-std", "0.1", "--trials", "20", "--read", "sate"], "did you mean 'state'?"),
        (["simulate", "flow.npz", "--trials", "7"], "--trials must be at least 20"),
        (["simulate", "many.npz"], "--trials must be more than the 200 numbers that are read"),
        (["curve", "rate.npz", "--gain", "1.2"], "--gain describes a structure"),
        (["simulate", "rate.npz", "--draws", "2"], "--draws describes a structure"),
        (["curve", "gru.npz", "--noise-std", "0.1", "--stimulus", "1", "2", "3"], "one number, or 2, as many as"),
        (["curve", "rate.npz", "--nonlinearity", "relu"], "says its own"),
        (["curve", "elsewhere.pt", "--noise-std", "0.1"], "holds no recurrent network"),
        (["curve", "curve.npz"], "holds a FisherCurve, which has no recurrent network"),
        (["curve", "text.npz"], "text.npz"),
        (["curve", "text.pt"], "text.pt"),
        (["curve", "nowhere.npz"], "No such file"),
        (["geometry", "gru.npz", "--data", "natural"], "which images of shape (16, 16) do not fit"),
        (["geometry", "gru.npz", "--size", "3"], "--size belongs to images"),
        (["estimate", "gru.npz", "--robust"], "--robust belongs to --responses"),
        (["curve", "gru.npz", "--noise-std", "1", "--pattern", "nowhere.npy"], "--pattern nowhere.npy: No such file"),
        (["curve", "gru.npz", "--noise-std", "1", "--pattern", "three.npy"], "must have the shape (2,)"),
        (
            ["curve", "gru.npz", "--pattern", "three.npy", "--stimulus", "1", "2"],
            "one number, which --pattern multiplies",
        ),
        (["geometry", "gru.npz", "--pattern", "three.npy"], "--pattern"),
        (["fixed-points", "gru.npz", "--inputs", "1"], "the network has 2 inputs, got 1 numbers"),
    ],
)
def test_refused_on_one_line_before_anything_begins(files, words, message, tmp_path, capsys):
    (tmp_path / "text.npz").write_text("no network")
    (tmp_path / "text.pt").write_text("no network")
    np.save(tmp_path / "three.npy", np.ones(3))
    fisher.FisherCurve(np.ones(1), np.ones((1, 1)), np.ones(1)).save(tmp_path / "curve.npz")
    networks.RateNetwork(np.eye(200), np.ones(200), noise_std=0.1).save(tmp_path / "many.npz")
    command, name, *rest = words
    rest = [tmp_path / word if word == "three.npy" else word for word in rest]
    path = next((folder / name for folder in (tmp_path, files) if (folder / name).exists()), name)
    assert run(tmp_path, command, "--network", path, *rest) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("fisherjax: ")
    assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_options_of_a_network_need_one(tmp_path, capsys):
    assert run(tmp_path, "curve", "--read", "output") == 2
    assert "--read belongs to --network" in capsys.readouterr().err
    assert run(tmp_path, "estimate", "--stimulus", "0.1") == 2
    assert "name files by --responses or a network by --network" in capsys.readouterr().err
    assert run(tmp_path, "estimate", "--network", "nowhere.npz", "--stimulus", "orientation") == 2
    assert "nowhere.npz: No such file" in capsys.readouterr().err
    assert run(tmp_path, "curve", "--stimulus", "0.1", "0.2") == 2
    assert "--stimulus must be one number for a structure, got 2" in capsys.readouterr().err


def test_one_number_in_a_configuration_stands_for_a_list(tmp_path):
    (tmp_path / "config.toml").write_text("stimulus = 0.3\n")
    assert run(tmp_path, "curve", "--config", tmp_path / "config.toml", "--steps", 2) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["configuration"]
    assert (manifest["stimulus"], manifest["noise_std"], manifest["nonlinearity"]) == ([0.3], 0.1, "tanh")
