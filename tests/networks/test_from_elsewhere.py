"""Networks from elsewhere: equal to the original over fifty steps, differentiable, and refused in words."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics, fisher, networks, simulate
from fisherjax.networks import GRU, LSTM, RNN, CurrentRNN, StackedNetwork, from_step, from_torch
from fisherjax.networks._from_step import StepNetwork
from fisherjax.networks._weight_files import read_weights

DATA = Path(__file__).parent / "data"
REFERENCE = np.load(DATA / "torch_reference.npz")
LEAK = {"leak": 0.05}
TORCH = {
    "rnn_tanh": (RNN, {}),
    "rnn_relu": (RNN, {"nonlinearity": "relu"}),
    "rnn_two_layers": (StackedNetwork, {}),
    "gru": (GRU, {}),
    "gru_three_layers": (StackedNetwork, {}),
    "lstm": (LSTM, {}),
    "lstm_two_layers": (StackedNetwork, {}),
    "pyrnn": (RNN, {}),
    "pyrnn_ctrnn": (CurrentRNN, LEAK),
    "checkpoint": (GRU, {}),
}


def followed(network, inputs):
    """States at times 1…T from rest, (T, trials, S)."""

    def step(state, now):
        state = network.step(state, now)
        return state, state

    start = jnp.broadcast_to(network.resting_state, (*inputs.shape[1:-1], network.state_size))
    return jax.lax.scan(step, start, jnp.asarray(inputs, network.dtype))[1]


def saved_and_loaded(network, folder):
    return networks.Network.load(network.save(folder / "network"))


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).normal(size=(50, 2, 3))


# ── torch ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", TORCH)
def test_files_that_torch_wrote(name, tmp_path):
    """Torch's own states and outputs over fifty steps, in float32 as there; and again from a file of ours."""
    kind, settings = TORCH[name]
    network = from_torch(DATA / f"{name}.pt", noise_std=0.1, **settings)
    assert type(network) is kind
    assert network.dtype == jnp.float32
    assert network.input_shape == (2,)
    assert network.num_outputs == 3
    again = saved_and_loaded(network, tmp_path)
    states, outputs = networks.run(network, REFERENCE["inputs"])
    np.testing.assert_allclose(states, REFERENCE[f"{name}.states"], atol=1e-6)
    np.testing.assert_allclose(outputs, REFERENCE[f"{name}.outputs"], atol=1e-6)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(again) == jax.tree.structure(network)


class Tensor:
    """What of a tensor of torch is called."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, "torch.float32"

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_other_sources_of_the_same_weights(tmp_path):
    from safetensors.numpy import save_file

    weights = read_weights(DATA / "gru.pt")
    np.savez(tmp_path / "gru.npz", **weights)
    save_file(weights, tmp_path / "gru.safetensors")
    whole = from_torch(DATA / "gru.pt")
    sources = {
        "npz": tmp_path / "gru.npz",
        "safetensors": str(tmp_path / "gru.safetensors"),
        "arrays": weights,
        "tensors": {name: Tensor(value) for name, value in weights.items()},
        "prefixes": {f"_orig_mod.module.{name}": value for name, value in weights.items()},
        "nested": {"epoch": 3, "net": weights, "optimizer": {"net": weights}},
        "modules": {"rnn": {n[4:]: v for n, v in weights.items() if n[:3] == "rnn"}, "fc.weight": weights["fc.weight"],
                    "fc.bias": weights["fc.bias"]},
        "cell": {n.removesuffix("_l0"): v for n, v in weights.items()},
    }  # fmt: skip
    for name, source in sources.items():
        network = from_torch(source)
        assert eqx.tree_equal(network, whole), name


def test_a_network_without_readout_outputs_its_units(inputs):
    weights = {n: v for n, v in read_weights(DATA / "lstm_two_layers.pt").items() if n.startswith("rnn")}
    stacked = from_torch(weights)
    one = from_torch({name: value for name, value in weights.items() if name.endswith("l0")})
    state = jnp.arange(24, dtype=jnp.float32)
    np.testing.assert_array_equal(stacked.readout(state), state[12:18])
    np.testing.assert_array_equal(one.readout(state[:12]), state[:6])
    assert "output" not in one.trainable
    assert stacked.population_sizes == (12, 12)
    assert [layer.num_outputs for layer in stacked.layers] == [0, 6]


def test_noise_of_a_stack_is_added_to_every_entry(key):
    network = from_torch(DATA / "lstm_two_layers.pt", noise_std=0.3, observation_noise_std=0.2)
    state, noise = jax.random.normal(key, (2, 24), jnp.float32)
    moved = network.step(state, jnp.ones(2, jnp.float32))
    np.testing.assert_allclose(
        network.step(state, jnp.ones(2, jnp.float32), noise) - moved, np.float32(0.3) * noise, atol=1e-6
    )
    assert float(network.observation_noise_std) == pytest.approx(0.2)
    inputs = np.zeros((1, 4000, 2), np.float32)
    states, outputs = networks.run(network, inputs, key=key)
    np.testing.assert_allclose(np.std(states, axis=1), 0.3, rtol=5 / np.sqrt(8000))
    noise = outputs - network.readout(states)
    np.testing.assert_allclose(np.std(noise, axis=1), 0.2, rtol=5 / np.sqrt(8000))
    with pytest.raises(ValueError, match="reverse_mode is for a network of one layer"):
        networks.run(network, inputs, reverse_mode=True)


def test_what_is_left_out_is_said():
    weights = read_weights(DATA / "gru.pt")
    with pytest.warns(
        RuntimeWarning, match=r"read as an nn.GRU of 6 units, 'rnn'; left out: embedding.weight \(9, 6\)"
    ):
        network = from_torch({**weights, "embedding.weight": np.ones((9, 6))})
    assert network.num_outputs == 3
    two = {**weights, "value.weight": np.ones((1, 6)), "value.bias": np.ones(1)}
    with pytest.warns(RuntimeWarning, match="left out: fc.weight"):
        network = from_torch(two, readout="value")
    np.testing.assert_array_equal(network.output_weights, np.ones((1, 6)))
    with pytest.raises(ValueError, match=r"several linear layers that could read out .*'fc', 'value'; choose with"):
        from_torch(two)
    with pytest.raises(ValueError, match=r"readout must be one of .*'fc', 'value'\), got 'valu'.*mean 'value'"):
        from_torch(two, readout="valu")


def altered(name, change):
    weights = dict(read_weights(DATA / f"{name}.pt"))
    change(weights)
    return weights


REFUSED = {
    "several": (
        lambda: {f"{part}.{n}": v for n, v in read_weights(DATA / "gru.pt").items() for part in "ab"},
        "holds several recurrent networks: an nn.GRU of 6 units, 'a.rnn' and an nn.GRU of 6 units, 'b.rnn'; give",
    ),
    "none": (lambda: {"fc.weight": np.ones((3, 2))}, r"holds no recurrent network of .* holds fc.weight \(3, 2\)"),
    "bidirectional": (
        lambda: altered("gru", lambda w: w.update({"rnn.weight_ih_l0_reverse": w["rnn.weight_ih_l0"]})),
        "holds a bidirectional network",
    ),
    "projections": (lambda: altered("lstm", lambda w: w.update({"rnn.weight_hr_l0": np.ones((2, 6))})), "projections"),
    "gap": (
        lambda: {n.replace("l1", "l2"): v for n, v in read_weights(DATA / "lstm_two_layers.pt").items()},
        r"has layer 2 of rnn., but lacks weights of layers \[1\]",
    ),
    "shape": (
        lambda: altered("gru", lambda w: w.update({"rnn.weight_ih_l0": np.ones((17, 2))})),
        r"rnn.weight_ih_l0 has shape \(17, 2\), expected \(18, I\)",
    ),
    "gates": (
        lambda: altered("gru", lambda w: w.update({"rnn.weight_hh_l0": np.ones((12, 6))})),
        r"rnn.weight_hh_l0 has shape \(12, 6\), which is none of nn.RNN \(N, N\)",
    ),
    "one bias": (lambda: altered("gru", lambda w: w.pop("rnn.bias_hh_l0")), "a layer must have .*bias_hh"),
    "readout's bias": (
        lambda: altered("gru", lambda w: w.update({"fc.bias": np.ones(2)})), r"fc.bias must have shape \(3,\)"
    ),
    "not finite": (
        lambda: altered("gru", lambda w: w.update({"rnn.bias_hh_l0": np.full(18, np.nan)})),
        "source: rnn.bias_hh_l0 must be finite",
    ),
    "pyrnn": (lambda: altered("pyrnn", lambda w: w.pop("w_in.weight")), "but lacks w_in.weight"),
    "empty": (lambda: {"epoch": 3}, "source holds no arrays with names"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_no_network_has(name):
    source, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_torch(source())


def test_settings_that_do_not_go_with_the_file(tmp_path, as_user):
    gru = DATA / "gru.pt"
    for settings, message in (
        ({"leak": 0.1}, r"leak is that of pyrnn's CTRNN, but .*gru.pt holds an nn.GRU of 6 units, 'rnn'"),
        ({"nonlinearity": "relu"}, r"nonlinearity is that of nn.RNN, but .*gru.pt holds an nn.GRU"),
        ({"noise_std": -1.0}, "noise_std must be at least 0, got -1"),
        ({"observation_noise_std": -1.0}, "observation_noise_std must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            from_torch(gru, **settings)
    with pytest.raises(ValueError, match="leak must be strictly between 0 and 1, got 1"):
        from_torch(DATA / "pyrnn.pt", leak=1.0)
    with pytest.raises(TypeError, match="readout must be the name of a linear layer, got 3"):
        from_torch(gru, readout=3)
    with pytest.raises(TypeError, match="source must be a file or a mapping from names to arrays, got 3"):
        from_torch(3)
    with pytest.raises(ValueError, match=r"was written by fisherjax; networks.Network.load reads it"):
        from_torch(from_torch(gru).save(tmp_path / "ours.npz"))


def test_the_gradient_in_a_state_dict():
    """Weights may be traced; the derivative of information in one of them is that of differences, in float64."""
    weights = {n: jnp.asarray(v, jnp.float64) for n, v in read_weights(DATA / "rnn_two_layers.pt").items()}

    @jax.jit
    @jax.value_and_grad
    def information(entry):
        traced = {**weights, "rnn.weight_hh_l1": weights["rnn.weight_hh_l1"].at[3, 2].set(entry)}
        network = from_torch(traced, noise_std=0.1)
        return fisher.linearized_curve(network, stimulus=[0.5, 0.2], num_steps=3).total[-1, 0, 0]

    entry = weights["rnn.weight_hh_l1"][3, 2]
    difference = information(entry + 1e-5)[0] - information(entry - 1e-5)[0]
    np.testing.assert_allclose(information(entry)[1], difference / 2e-5, rtol=1e-6)


def test_dynamics_of_an_imported_network(key):
    """A GRU that torch trained to hold two bits rests in four states, one per quadrant of its output."""
    network = from_torch(DATA / "flip_flop_gru.pt", noise_std=0.05)
    inputs = jnp.zeros((40, 64, 2), jnp.float32).at[:4].set(jnp.sign(jax.random.normal(key, (64, 2), jnp.float32)))
    found = dynamics.find_fixed_points(network, followed(network, inputs)[-1], np.zeros(2, np.float32))
    assert found.num_unstable.tolist() == [0] * 4
    outputs = np.asarray(network.readout(jnp.asarray(found.points)))
    np.testing.assert_allclose(np.abs(outputs), 1, atol=0.05)
    assert len({tuple(signs) for signs in np.sign(outputs)}) == 4


# ── equinox and flax ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell"])
def test_cells_of_equinox(kind, bias, inputs, key, tmp_path):
    cell = getattr(eqx.nn, kind)(3, 4, use_bias=bias, key=key)
    network = networks.from_equinox(cell, noise_std=0.1)
    rest = jnp.zeros(4) if kind == "GRUCell" else (jnp.zeros(4), jnp.zeros(4))

    def step(carry, now):
        carry = cell(now, carry)
        return carry, carry if kind == "GRUCell" else jnp.concatenate(carry)

    expected = jax.lax.scan(step, rest, jnp.asarray(inputs[:, 0]))[1]
    np.testing.assert_allclose(followed(network, inputs[:, 0]), expected, atol=1e-14)
    np.testing.assert_array_equal(network.readout(expected), expected[:, :4])
    again = saved_and_loaded(network, tmp_path)
    np.testing.assert_array_equal(again.step(expected[0], jnp.ones(3)), network.step(expected[0], jnp.ones(3)))
    slope = eqx.filter_grad(lambda one: networks.from_equinox(one).step(expected[0], jnp.ones(3)).sum())(cell)
    assert float(jnp.abs(slope.weight_hh).sum()) > 0


def test_modules_of_equinox_that_are_no_cells(key, as_user):
    with pytest.raises(TypeError, match=r"cell must be an equinox.nn.GRUCell or LSTMCell, got .*from_step takes any"):
        networks.from_equinox(eqx.nn.Linear(3, 4, key=key))


def flax_cells():
    linen, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")
    yield linen, linen.SimpleCell, RNN, {}
    yield linen, linen.SimpleCell, RNN, {"residual": True, "activation_fn": linen.relu}
    yield linen, linen.GRUCell, GRU, {}
    yield linen, linen.GRUCell, StepNetwork, {"gate_fn": linen.hard_sigmoid}
    yield linen, linen.LSTMCell, LSTM, {}
    yield linen, linen.OptimizedLSTMCell, LSTM, {}
    yield linen, linen.LSTMCell, StepNetwork, {"activation_fn": linen.soft_sign}
    yield nnx, nnx.SimpleCell, RNN, {"dtype": jnp.float64}
    yield nnx, nnx.GRUCell, GRU, {}
    yield nnx, nnx.LSTMCell, LSTM, {}
    yield nnx, nnx.OptimizedLSTMCell, LSTM, {}
    yield nnx, nnx.GRUCell, StepNetwork, {"gate_fn": linen.hard_sigmoid}


def flax_cell(interface, kind, options, key):
    """A cell of three inputs and four units with biases, its variables, and its step."""
    rest = (jnp.zeros(4), jnp.zeros(4)) if "LSTM" in kind.__name__ else jnp.zeros(4)
    if "linen" in interface.__name__:
        cell = kind(4, param_dtype=jnp.float64, **options)
        variables = cell.init(key, rest, jnp.zeros(3))
        leaves, structure = jax.tree.flatten(variables)
        leaves = [0.4 * jax.random.normal(jax.random.fold_in(key, k), leaf.shape) for k, leaf in enumerate(leaves)]
        variables = jax.tree.unflatten(structure, leaves)
        return cell, variables, rest, lambda carry, now: cell.apply(variables, carry, now)[0]
    options = {"bias_init": jax.nn.initializers.normal(0.4), "param_dtype": jnp.float64, **options}
    cell = kind(3, 4, rngs=interface.Rngs(0), **options)
    return cell, None, rest, lambda carry, now: cell(carry, now)[0]


@pytest.mark.parametrize("index", range(12))
def test_cells_of_flax(index, inputs, key):
    interface, theirs, ours, options = list(flax_cells())[index]
    cell, variables, rest, moved = flax_cell(interface, theirs, options, key)
    network = networks.from_flax(cell, variables, noise_std=0.1)
    assert type(network) is ours

    def step(carry, now):
        carry = moved(carry, now)
        return carry, jnp.concatenate(carry[::-1]) if isinstance(carry, tuple) else carry

    expected = jax.lax.scan(step, rest, jnp.asarray(inputs[:, 0]))[1]
    states = followed(network, inputs[:, 0])
    assert states.dtype == jnp.float64
    np.testing.assert_allclose(states, expected, atol=1e-12)
    np.testing.assert_array_equal(network.readout(states), states[:, :4])
    np.testing.assert_allclose(network.initial_state(inputs[0, 0]), states[0], atol=1e-14)
    slopes = eqx.filter_grad(lambda one: one.step(states[0], jnp.ones(3)).sum())(network)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_cells_of_flax_that_are_refused(key, as_user):
    linen, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")
    cell, variables, *_ = flax_cell(linen, linen.GRUCell, {}, key)
    with pytest.raises(TypeError, match=r"variables must be what cell.init returned, \{'params': …\}, got None"):
        networks.from_flax(cell)
    with pytest.raises(TypeError, match=r"variables must be None, because a cell of flax.nnx"):
        networks.from_flax(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), variables)
    with pytest.raises(TypeError, match=r"cell must be one of SimpleCell, .* got a MGUCell; networks.from_step"):
        networks.from_flax(linen.MGUCell(4), variables)
    with pytest.raises(TypeError, match=r"cell must be one of SimpleCell"):
        networks.from_flax(jnp.tanh)
    with pytest.raises(ValueError, match=r"must have a kernel of ii, if, ig, io, .*but hold .*hn"):
        networks.from_flax(linen.LSTMCell(4), variables)
    parameters = variables["params"]
    wrong = {**parameters, "hn": {**parameters["hn"], "kernel": np.ones((5, 4))}}
    with pytest.raises((ValueError, TypeError)):
        networks.from_flax(cell, {"params": wrong})
    wrong = {**parameters, "in": {**parameters["in"], "bias": np.full(4, np.inf)}}
    with pytest.raises(ValueError, match="bias of in must be finite"):
        networks.from_flax(cell, wrong)


# ── any step ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Leaky(eqx.Module):
    """A step that is a pytree, with an activation that is none."""

    weights: jax.Array
    activation: object = jnp.tanh

    def __call__(self, state, shown):
        return 0.5 * state + self.activation(self.weights @ state + shown.sum())


@pytest.fixture
def leaky(key):
    return Leaky(0.5 * jax.random.normal(key, (4, 4)))


def lifted(theta):
    return theta * jnp.arange(1.0, 5.0)


def test_any_step_is_a_network(leaky, key):
    network = from_step(
        leaky, 4, initial_state=lifted, noise_std=[0.1, 0.2, 0.3, 0.4], input_shape=2, readout=lambda x: x[:3]
    )
    assert (network.state_size, network.input_shape, network.num_outputs) == (4, (2,), 3)
    states, shown, noise = jax.random.normal(key, (5, 3, 4)), jax.random.normal(key, (3, 2)), jnp.ones((5, 3, 4))
    expected = np.array([[leaky(x, u) for x, u in zip(row, shown, strict=True)] for row in states])
    np.testing.assert_allclose(network.step(states, shown), expected, atol=1e-14)
    np.testing.assert_allclose(
        network.step(states, shown, noise) - expected, noise * jnp.array([0.1, 0.2, 0.3, 0.4]), atol=1e-14
    )
    np.testing.assert_allclose(network.step(states), network.step(states, jnp.zeros(2)), atol=1e-14)
    np.testing.assert_array_equal(network.readout(states), states[..., :3])
    np.testing.assert_array_equal(network.initial_state(0.5), lifted(0.5))
    assert repr(network) == "StepNetwork(Leaky: 4 states, input (2,))"


def test_the_resting_state_is_that_of_no_stimulus(leaky):
    def rest(**options):
        return from_step(lambda x: x, 4, **options).resting_state

    np.testing.assert_array_equal(rest(initial_state=lambda theta: theta + jnp.ones(4)), np.ones(4))
    np.testing.assert_array_equal(rest(initial_state=lambda theta: jnp.ones((4, 3)) @ theta + 1), np.zeros(4))
    np.testing.assert_array_equal(rest(initial_state=lambda theta: jnp.ones((4, 4)) @ theta + 1), np.ones(4))
    np.testing.assert_array_equal(rest(initial_state=lifted, resting_state=[1, 2, 3, 4]), [1, 2, 3, 4])
    network = from_step(leaky, 4, initial_state=lambda theta: jnp.ones((4, 2)) @ theta + 1, input_shape=(2,))
    np.testing.assert_array_equal(network.resting_state, np.ones(4))
    network = from_step(leaky, 4, input_shape=(2,), resting_state=jnp.ones(4))
    np.testing.assert_allclose(network.initial_state([1.0, 2.0]), leaky(jnp.ones(4), jnp.array([1.0, 2.0])))


def test_questions_about_any_step(leaky, key):
    """The same numbers as those of the network that the step is taken from."""
    native = networks.RateNetwork(leaky.weights, jnp.arange(1.0, 5.0), noise_std=0.1)
    step = jax.tree_util.Partial(lambda weights, state: weights @ jnp.tanh(state), leaky.weights)
    network = from_step(step, 4, initial_state=lifted, noise_std=0.1)
    many = {"stimulus": 0.3, "num_steps": 3, "num_trials": 2, "key": key}
    found, expected = (simulate.trajectories(one, **many) for one in (network, native))
    np.testing.assert_allclose(found, expected, rtol=1e-12)

    def information(network):
        return fisher.linearized_curve(network, stimulus=0.3, num_steps=3).total[-1]

    (found, slope), (expected, native_slope) = (
        eqx.filter_value_and_grad(information)(one) for one in (network, native)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(slope.step_function.args[0], native_slope.weights, rtol=1e-8)


def test_a_step_in_single_precision(key):
    """The float type is that of the arrays in the functions."""
    network = from_step(Leaky(jax.random.normal(key, (4, 4), jnp.float32)), 4, input_shape=(1,), noise_std=0.1)
    assert network.dtype == jnp.float32
    assert network.initial_state(1).dtype == jnp.float32


def test_a_step_is_compiled_once(leaky):
    count = 0

    @eqx.filter_jit
    def moved(network, state):
        nonlocal count
        count += 1
        return network.step(state)

    for scale in (1.0, 2.0):
        moved(from_step(Leaky(scale * leaky.weights), 4, initial_state=lifted, input_shape=1), jnp.ones(4))
    assert count == 1


def test_a_step_cannot_be_saved(leaky, tmp_path):
    network = from_step(leaky, 4, initial_state=lifted, input_shape=1)
    for save in (network.to_bytes, lambda: network.save(tmp_path / "x")):
        with pytest.raises(TypeError, match=r"cannot save this StepNetwork: its step is code, and files hold numbers"):
            save()
    assert not list(tmp_path.iterdir())


def two(x, u):
    return x


STEPS = {
    "no function": ({"step": 3}, TypeError, "step must be a function, got 3"),
    "size": ({"state_size": 0}, ValueError, "state_size must be at least 1, got 0"),
    "fraction": ({"state_size": 4.0}, TypeError, "state_size must be an integer, got 4.0"),
    "shape": ({"step": lambda x: x[:2]}, ValueError, r"step must return one array of shape \(4,\), got shape \(2,\)"),
    "whole numbers": ({"step": lambda x: x.astype(int)}, TypeError, "step must return float64, .*it returns int64"),
    "single": ({"step": lambda x: x.astype(jnp.float32)}, TypeError, "step must return float64, .*returns float32"),
    "pair": ({"step": lambda x: (x, x)}, TypeError, r"step must return one array of shape \(4,\), got"),
    "numbers": ({"step": lambda x: x if x[0] > 0 else -x}, TypeError, "step cannot be traced by JAX"),
    "own error": ({"step": lambda x: x @ jnp.ones(3)}, TypeError, r"step, called with shape \(4,\), raised"),
    "input unsaid": ({"step": two}, ValueError, r"input_shape must be said, \(I,\) or I, because step takes a"),
    "no input": ({"input_shape": 2}, ValueError, "input_shape has no use: step takes a state only"),
    "empty input": ({"step": two, "input_shape": ()}, ValueError, "input_shape must have at least one axis"),
    "input of none": ({"step": two, "input_shape": (0,)}, ValueError, "input_shape must be at least 1, got 0"),
    "three": ({"step": lambda x, u, t: x}, ValueError, "step must take a state, or a state and an input, .* 3 arg"),
    "no initial": ({"initial_state": None}, ValueError, "initial_state must be said"),
    "initial array": ({"initial_state": np.ones(4)}, TypeError, "initial_state must be a function, got an array"),
    "initial type": (
        {"initial_state": lambda theta: jnp.ones(4, int)}, TypeError, "initial_state must return floating-point numbers"
    ),
    "readout": ({"readout": jnp.sum}, ValueError, r"readout must return a vector, got shape \(\)"),
    "noise": ({"noise_std": -0.1}, ValueError, "noise_std must be at least 0"),
    "noise shape": ({"noise_std": [0.1, 0.2]}, ValueError, r"noise_std must have shape \(\), a number or \(4,\)"),
    "observation": ({"observation_noise_std": -1}, ValueError, "observation_noise_std must be at least 0"),
    "resting": ({"resting_state": [0, 1]}, ValueError, r"resting_state must have shape \(4,\), got \(2,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_steps_that_are_refused(name, as_user):
    change, kind, message = STEPS[name]
    arguments = {"step": jnp.tanh, "state_size": 4, "initial_state": lifted, **change}
    with pytest.raises(kind, match=message):
        from_step(**arguments)


def test_stimuli_that_do_not_enter(as_user):
    network = from_step(jnp.tanh, 4, initial_state=lambda theta: jnp.ones((4, 3)) @ theta, noise_std=0.1)
    with pytest.raises(ValueError, match=r"initial_state must return one array of shape \(4,\), got shape \(4, 5\)"):
        fisher.linearized_curve(network, stimulus=np.ones((3, 5)), num_steps=2)
    with pytest.raises(TypeError, match=r"initial_state, called with shape \(2,\), raised TypeError"):
        fisher.linearized_curve(network, stimulus=[1.0, 2.0], num_steps=2)
    with pytest.raises(ValueError, match="the step of this StepNetwork takes no"):
        fisher.linearized_curve(network, stimulus=1.0, num_steps=2, protocol="sustained")
    with pytest.raises(ValueError, match="input has no use"):
        network.step(jnp.ones(4), jnp.ones(1))


# ── stacks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_layers_that_do_not_fit(key, as_user):
    layer = networks.GRU(2, 3, 3, key=key)
    for layers, kind, message in (
        ((), ValueError, "layers must be at least one recurrent network"),
        (layer, TypeError, "layers must be a sequence of recurrent networks"),
        ((layer, 3), TypeError, "layers must be a RecurrentNetwork, got 3"),
        ((layer, layer), ValueError, "layers: layer 1 has 2 inputs, but 3 units are below it"),
        ((networks.GRU(2, 3, 3, key=key, noise_std=1.0),), ValueError, "layers must have noise_std 0, got 1.0"),
        ((layer, networks.in_precision(networks.GRU(3, 3, 1, key=key), "float32")), ValueError, "one float type"),
    ):
        with pytest.raises(kind, match=message):
            StackedNetwork(layers)
    with pytest.raises(ValueError, match=r"noise_std must have shape \(\), a number or \(3,\)"):
        StackedNetwork((layer,), noise_std=[1.0, 2.0])


def test_a_stack_in_a_file_is_checked_as_one_that_is_made(tmp_path):
    path = from_torch(DATA / "gru_three_layers.pt").save(tmp_path / "stack")
    arrays = dict(np.load(path))
    meta = json.loads(str(arrays["__fisherjax__"]))
    meta["fields"]["layers"]["items"].reverse()
    arrays["__fisherjax__"] = np.array(json.dumps(meta))
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="layers: layer 2 has 2 inputs, but 6 units are below it"):
        StackedNetwork.load(path)
