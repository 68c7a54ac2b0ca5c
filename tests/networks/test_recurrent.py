"""Trainable networks: their equations, gradients, constraints by construction, initializers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity, fisher, networks
from fisherjax.networks import GRU, LSTM, RNN, ContinuousRNN, dale, initializers, low_rank, mask, no_autapses
from fisherjax.networks._recurrent import trainable_filter
from fisherjax.networks._vanilla import current_network

KINDS = (RNN, ContinuousRNN, GRU, LSTM)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_one_step_function_is_the_whole_network(kind, key):
    """Stepping by hand with `network.step(state, input)` gives what `run` gives, in any batch shape."""
    network = kind(2, 7, 3, key=key)
    inputs = jax.random.normal(key, (6, 4, 2))
    states, outputs = networks.run(network, inputs)
    state = jnp.broadcast_to(network.resting_state, (4, network.state_size))
    for time in range(6):
        state = network.step(state, inputs[time])
        np.testing.assert_allclose(state, states[time], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(network.readout(state), outputs[time], rtol=1e-12, atol=1e-14)
    alone, _ = networks.run(network, inputs[:, 2])
    np.testing.assert_allclose(alone, states[:, 2], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_hoisted_gradient_is_the_gradient(kind, key):
    """`reverse_mode` moves a product out of the loop; the derivative in every parameter must not change."""
    network = kind(2, 5, 3, key=key, noise_std=0.1, initial_state=0.1 * np.ones(kind.states_per_unit * 5))
    inputs = jax.random.normal(key, (6, 4, 2))

    def loss(network, reverse_mode):
        states, outputs = networks.run(network, inputs, key=key, reverse_mode=reverse_mode)
        return jnp.sum(outputs**2) + jnp.sum(jnp.sin(states))

    fast, plain = (eqx.filter_jit(eqx.filter_grad(loss))(network, mode) for mode in (True, False))
    for ours, reference in zip(jax.tree.leaves(fast), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-10, atol=1e-12)


def test_rnn_equation(key):
    network = RNN(2, 4, 1, key=key, recurrent_initializer="orthogonal")
    state, inputs = jax.random.normal(key, (4,)), jnp.array([0.3, -1.0])
    network = eqx.tree_at(lambda n: n.recurrent_bias, network, jnp.array([0.1, 0.2, -0.3, 0.0]))
    weights, drive = np.asarray(network.recurrent_weights), np.asarray(network.input_weights) @ np.asarray(inputs)
    expected = np.tanh(weights @ np.asarray(state) + drive + np.asarray(network.recurrent_bias))
    np.testing.assert_allclose(network.step(state, inputs), expected, rtol=1e-13)


@pytest.mark.parametrize("activation", ["outside", "inside"])
def test_continuous_equation_and_its_limit(activation, key):
    """Euler's rule with units' own τ; at small dt a step is dt times the flow."""
    constants = np.array([20.0, 50.0, 100.0])
    network = ContinuousRNN(1, 3, 1, key=key, time_constant=constants, dt=5.0, activation=activation)
    np.testing.assert_allclose(network.time_constant, constants, rtol=1e-12)
    np.testing.assert_allclose(network.leak, 5 / constants, rtol=1e-12)
    state, weights = jnp.array([0.5, -0.2, 0.9]), np.asarray(network.recurrent_weights)
    x = np.asarray(state)
    target = np.tanh(weights @ x) if activation == "outside" else weights @ np.tanh(x)
    np.testing.assert_allclose(network.step(state), x + 5 / constants * (target - x), rtol=1e-12)
    rates = x if activation == "outside" else np.tanh(x)
    np.testing.assert_allclose(network.rates(state), rates, rtol=1e-13)


def test_noise_of_an_unconnected_continuous_unit(key):
    """σ is the stationary standard deviation of a unit without connections, to order dt/τ."""
    network = ContinuousRNN(
        1, 1, 1, key=key, time_constant=100.0, dt=2.0, nonlinearity="identity", noise_std=0.3,
        recurrent_initializer=initializers.from_weights(np.zeros((1, 1))),
    )  # fmt: skip
    states, _ = networks.run(network, jnp.zeros((600, 400, 1)), key=key)
    late = np.asarray(states[400::100, :, 0])
    leak = 0.02
    expected = 0.3 / np.sqrt(1 - leak / 2)  # exact for Euler's rule: 2α σ² / (1 − (1−α)²)
    assert abs(late.std() - expected) < 4 * expected / np.sqrt(2 * late.size)


@pytest.mark.parametrize("activation", ["outside", "inside"])
def test_noisy_trajectories_have_a_limit_as_dt_vanishes(activation, key):
    """A bistable unit with noise: what is left of its state after 10 τ, at dt = τ/10 and τ/40, agrees."""
    rates = []
    for dt in (10.0, 2.5):
        network = ContinuousRNN(
            1, 1, 1, key=key, time_constant=100.0, dt=dt, activation=activation, noise_std=0.2, initial_state=[0.8],
            recurrent_initializer=networks.initializers.from_weights(np.array([[1.5]])),
        )  # fmt: skip
        states, _ = networks.run(network, jnp.zeros((int(1000 / dt), 2000, 1)), key=key)
        rates.append(np.abs(np.asarray(network.rates(states[-1]))))
    error = np.sqrt(sum(rate.var() / rate.size for rate in rates))
    assert abs(rates[0].mean() - rates[1].mean()) < 4 * error + 0.01
    assert rates[0].mean() > 0.5


def with_random_biases(network, key):
    """The network with biases that are not zero, so that each of them shows."""
    names = [name for name in ("recurrent_bias", "candidate_bias", "output_bias") if hasattr(network, name)]
    for name, own in zip(names, jax.random.split(key, len(names)), strict=True):
        bias = getattr(network, name)
        network = eqx.tree_at(lambda n, name=name: getattr(n, name), network, jax.random.normal(own, bias.shape))
    return network


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gru_is_that_of_torch_and_equinox(key):
    """Torch's documented equations, in NumPy, with both of its biases; and Equinox's cell."""
    inputs, hidden = jax.random.normal(key, (2,)), jax.random.normal(key, (5,))
    network = with_random_biases(GRU(2, 5, 1, key=key), key)
    w_r, w_z, w_n = np.split(np.asarray(network.input_weights), 3)
    u_r, u_z, u_n = np.split(np.asarray(network.recurrent_weights), 3)
    (b_r, b_z, b_in), b_hn = np.split(np.asarray(network.recurrent_bias), 3), np.asarray(network.candidate_bias)
    x, h = np.asarray(inputs), np.asarray(hidden)
    r, z = sigmoid(w_r @ x + b_r + u_r @ h), sigmoid(w_z @ x + b_z + u_z @ h)
    n = np.tanh(w_n @ x + b_in + r * (u_n @ h + b_hn))
    np.testing.assert_allclose(network.step(hidden, inputs), (1 - z) * n + z * h, rtol=1e-12)
    outside = np.tanh(w_n @ x + b_in + b_hn + r * (u_n @ h))
    assert np.abs((1 - z) * (n - outside)).max() > 0.02, "the bias inside the product does not show"
    cell = eqx.nn.GRUCell(2, 5, key=key)
    fields = (lambda c: c.weight_hh, lambda c: c.weight_ih, lambda c: c.bias, lambda c: c.bias_n)
    values = (network.recurrent_weights, network.input_weights, network.recurrent_bias, network.candidate_bias)
    for field, value in zip(fields, values, strict=True):
        cell = eqx.tree_at(field, cell, value)
    np.testing.assert_allclose(network.step(hidden, inputs), cell(inputs, hidden), rtol=1e-12)


def test_biases_of_a_gru_are_chosen_by_name(key):
    network = GRU(2, 5, 1, key=key)
    assert "candidate_bias" in network.trainable
    assert network.candidate_bias.tolist() == [0.0] * 5
    assert trainable_filter(network, ("candidate_bias",)).candidate_bias is True
    without = GRU(2, 5, 1, key=key, biases=("output",))
    assert without.candidate_bias is None
    assert without.trainable == ("recurrent", "input", "output", "output_bias")
    with pytest.raises(ValueError, match="no candidate_bias"):
        trainable_filter(without, ("candidate_bias",))


def test_lstm_is_that_of_torch_and_equinox(key):
    """Gates in the order i, f, g, o; torch's two biases only add."""
    inputs, hidden, cell_state = (
        jax.random.normal(k, (n,)) for k, n in zip(jax.random.split(key, 3), (2, 5, 5), strict=True)
    )
    memory = with_random_biases(LSTM(2, 5, 1, key=key), key)
    gates = np.asarray(memory.recurrent_weights @ hidden + memory.input_weights @ inputs + memory.recurrent_bias)
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * np.asarray(cell_state) + sigmoid(i) * np.tanh(g)
    state = memory.step(jnp.concatenate([hidden, cell_state]), inputs)
    np.testing.assert_allclose(state, np.concatenate([sigmoid(o) * np.tanh(c), c]), rtol=1e-12)
    cell = eqx.nn.LSTMCell(2, 5, key=key)
    fields = (lambda c: c.weight_hh, lambda c: c.weight_ih, lambda c: c.bias)
    values = (memory.recurrent_weights, memory.input_weights, memory.recurrent_bias)
    for field, value in zip(fields, values, strict=True):
        cell = eqx.tree_at(field, cell, value)
    np.testing.assert_allclose(state, jnp.concatenate(cell(inputs, (hidden, cell_state))), rtol=1e-12)
    assert memory.rates(jnp.arange(10.0)).tolist() == [0, 1, 2, 3, 4]
    fresh = np.asarray(LSTM(2, 5, 1, key=key).recurrent_bias).reshape(4, 5)
    np.testing.assert_array_equal(fresh, [[0] * 5, [1] * 5, [0] * 5, [0] * 5])


@pytest.mark.parametrize("activation", ["outside", "inside"])
@pytest.mark.parametrize("kind", [RNN, ContinuousRNN], ids=lambda kind: kind.__name__)
def test_rate_networks_are_plain_loops(kind, activation, key):
    network = with_random_biases(kind(2, 4, 3, key=key, activation=activation), key)
    inputs = np.asarray(jax.random.normal(key, (5, 2)))
    states, outputs = networks.run(network, inputs)
    w, u, b = (np.asarray(part) for part in (network.recurrent_weights, network.input_weights, network.recurrent_bias))
    leak = 1.0 if kind is RNN else 10 / 100
    x = np.zeros(4)
    for time in range(5):
        drive = u @ inputs[time] + b
        target = np.tanh(w @ x + drive) if activation == "outside" else w @ np.tanh(x) + drive
        x = (1 - leak) * x + leak * target
        np.testing.assert_allclose(states[time], x, rtol=1e-12, atol=1e-14)
        rate = x if activation == "outside" else np.tanh(x)
        read = np.asarray(network.output_weights) @ rate + np.asarray(network.output_bias)
        np.testing.assert_allclose(outputs[time], read, rtol=1e-12, atol=1e-14)


def test_trials_first(key):
    network = RNN(2, 4, 3, key=key)
    inputs = jax.random.normal(key, (6, 5, 2))
    states, outputs = networks.run(network, inputs)
    swapped = networks.run(network, jnp.swapaxes(inputs, 0, 1), batch_first=True)
    np.testing.assert_array_equal(swapped[0], jnp.swapaxes(states, 0, 1))
    np.testing.assert_array_equal(swapped[1], jnp.swapaxes(outputs, 0, 1))


@pytest.mark.parametrize("activation", ["outside", "inside"])
def test_the_current_of_an_rnn_is_a_rate_network(activation, key, as_user):
    """Both activations have the same current, so that the closure applies: exact conjugacy, step by step."""
    network = RNN(2, 6, 1, key=key, activation=activation, noise_std=0.2)
    inputs, noise = jnp.array([0.3, -0.1]), jax.random.normal(key, (6,))
    rate = current_network(network)
    current = jax.random.normal(jax.random.fold_in(key, 1), (6,))
    state = jnp.tanh(current) if activation == "outside" else current
    stepped = network.step(state, inputs, noise)
    moved = rate.step(current, inputs, noise)
    np.testing.assert_allclose(stepped, jnp.tanh(moved) if activation == "outside" else moved, rtol=1e-12)
    with pytest.raises(TypeError, match="network must be a RateNetwork or RNN or FlowNetwork, got a GRU"):
        fisher.closure_curve(GRU(1, 4, 1, key=key, noise_std=0.1), stimulus=0.1, num_steps=2)


def test_dale_autapses_and_masks_hold_for_any_parameters(key):
    allowed = np.asarray(jax.random.bernoulli(key, 0.5, (20, 20))) | np.roll(np.eye(20, dtype=bool), 1, axis=1)
    readout = np.ones((2, 20), bool)
    readout[:, 15:] = False
    network = RNN(
        1, 20, 2, key=key, constraints=[dale(0.77, output=True), no_autapses(), mask(recurrent=allowed, output=readout)]
    )  # fmt: skip
    wild = eqx.tree_at(lambda n: n.recurrent.parameter, network, 100 * jax.random.normal(key, (20, 20)))
    for one in (network, wild):
        weights = np.asarray(one.recurrent_weights)
        assert np.all(weights[:, :15] >= 0)  # ⌊20 · 0.77⌋ = 15 excitatory units
        assert np.all(weights[:, 15:] <= 0)
        assert np.all(np.diag(weights) == 0)
        assert np.all(weights[~allowed] == 0)
        assert np.count_nonzero(weights) == np.count_nonzero(allowed & ~np.eye(20, dtype=bool))
        assert np.all(np.asarray(one.output_weights)[:, 15:] == 0)
    assert np.all(np.asarray(RNN(1, 4, 1, key=key, constraints=dale(signs=[1, -1, 0, 1])).recurrent_weights)[:, 1] <= 0)


@pytest.mark.parametrize("kind", [GRU, LSTM], ids=lambda kind: kind.__name__)
def test_constraints_hold_for_every_gate(kind, key):
    network = kind(1, 6, 1, key=key, constraints=[dale(0.5), no_autapses()])
    gates = np.split(np.asarray(network.recurrent_weights), kind.gates_per_unit)
    for gate in gates:
        assert np.all(np.diag(gate) == 0)
        assert np.all(gate[:, :3] >= 0)
        assert np.all(gate[:, 3:] <= 0)
        assert np.count_nonzero(gate) == 30


def test_low_rank_with_and_without_dale(key):
    for constraints in (low_rank(2), [low_rank(2), dale(0.5)]):
        network = RNN(1, 12, 1, key=key, constraints=constraints)
        weights = np.asarray(network.recurrent_weights)
        if not isinstance(constraints, list):
            assert np.linalg.matrix_rank(weights) == 2
            continue
        assert np.linalg.matrix_rank(weights) <= 2
        assert np.all(weights[:, :6] >= 0)
        assert np.all(weights[:, 6:] <= 0)
    with pytest.raises(ValueError, match="rank 2 under a mask"):
        RNN(1, 12, 1, key=key, constraints=[low_rank(2), no_autapses()])


def test_regions(key):
    regions = {"V1": networks.Region(20, dale=0.8, autapses=False), "PFC": networks.Region(10)}
    projections = [networks.Projection("V1", "PFC", {"E->E": 1.0}), networks.Projection("PFC", "V1", {"E->I": 0.5})]
    whole = networks.MultiRegion(regions, projections, inputs={"V1": [0], "PFC": [1]}, outputs={"PFC": [0, 1]})
    network = RNN(2, 30, 2, key=key, constraints=whole)
    weights = np.asarray(network.recurrent_weights)
    assert np.all(np.diag(weights)[:20] == 0)
    assert np.all(np.diag(weights)[20:] != 0)
    assert np.all(weights[:, :16] >= 0)
    assert np.all(weights[:, 16:20] <= 0)
    assert np.all(weights[20:, :16] > 0)  # V1's excitatory units reach all of PFC
    assert np.all(weights[20:, 16:20] == 0)  # its inhibitory ones stay at home
    assert np.all(weights[:16, 20:] == 0)
    count = np.count_nonzero(weights[16:20, 20:])
    assert abs(count - 20) <= 4 * np.sqrt(40 * 0.25)
    assert np.all(np.asarray(network.input_weights)[20:, 0] == 0)
    assert np.all(np.asarray(network.input_weights)[:20, 1] == 0)
    assert np.all(np.asarray(network.output_weights)[:, :20] == 0)
    assert whole.slices == {"V1": slice(0, 20), "PFC": slice(20, 30)}
    assert "signs fixed" in repr(network)


def test_initializers(key):
    size = 300
    shapes = {"num_inputs": 1, "num_units": size, "num_outputs": 1, "key": key}

    def drawn(initializer, **options):
        return np.asarray(RNN(**shapes, recurrent_initializer=initializer, **options).recurrent_weights)

    def radius(matrix):
        return np.abs(np.linalg.eigvals(matrix)).max()

    assert abs(radius(drawn(initializers.gaussian(1.4))) - 1.4) < 0.12
    np.testing.assert_allclose(radius(drawn(initializers.spectral_radius(0.9))), 0.9, rtol=1e-8)
    signed = drawn(initializers.spectral_radius(0.9), constraints=[dale(0.8), no_autapses()])
    np.testing.assert_allclose(radius(signed), 0.9, rtol=1e-8)
    np.testing.assert_allclose(drawn("orthogonal") @ drawn("orthogonal").T, np.eye(size), atol=1e-12)
    even = drawn(initializers.balanced(0.7), constraints=[dale(0.8), no_autapses()])
    np.testing.assert_allclose(even.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose((even**2).sum(axis=1), 0.49, rtol=1e-10)
    assert radius(even) < 1.2
    assert np.abs(drawn("uniform")).max() <= 1 / np.sqrt(size)
    assert np.abs(drawn("glorot")).max() <= np.sqrt(3 / size)
    scaled = drawn(jax.nn.initializers.normal(0.01))
    assert abs(scaled.std() - 0.01) < 4 * 0.01 / np.sqrt(2 * scaled.size)
    gains = connectivity.GainMatrix(np.array([[0.5, 2.0], [1.0, 0.1]]))
    ours = drawn(connectivity.weight_initializer(gains))
    assert abs(ours[:150, 150:].std() * np.sqrt(size) - 2.0) < 4 * 2 / np.sqrt(2 * 150**2)


def test_saved_networks_come_back_whole(key, tmp_path):
    network = RNN(2, 8, 3, key=key, constraints=[dale(0.5), no_autapses()], nonlinearity="softplus", noise_std=0.1)
    loaded = RNN.load(network.save(tmp_path / "network"))
    inputs = jax.random.normal(key, (4, 2))
    np.testing.assert_array_equal(networks.run(loaded, inputs, key=key)[1], networks.run(network, inputs, key=key)[1])
    assert loaded.trainable == network.trainable


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda key: dale(1.2), "ratio must be between 0 and 1"),
        (lambda key: dale(-0.1), "ratio must be between 0 and 1"),
        (lambda key: dale(), "either a ratio or the signs"),
        (lambda key: dale(signs=[1, 2]), "vector of −1, 0 and 1"),
        (lambda key: RNN(1, 4, 1, key=key, constraints=dale(signs=[1, -1])), r"signs must have shape \(4,\)"),
        (lambda key: RNN(1, 4, 1, key=key, constraints=mask(recurrent=np.ones((3, 3)))), r"must have shape \(4, 4\)"),
        (lambda key: RNN(1, 4, 1, key=key, constraints=mask(recurrent=np.diag([1, 1, 0, 1]))), "whole row 2"),
        (lambda key: RNN(1, 4, 2, key=key, constraints=mask(output=np.array([[1, 1, 1, 1], [0, 0, 0, 0]]))), "row 1"),
        (lambda key: RNN(2, 4, 1, key=key, constraints=mask(input=np.array([[1, 0]] * 4))), "leaves input 1 without"),
        (lambda key: mask(recurrent=np.full((3, 3), 0.5)), "recurrent must hold only True and False"),
        (lambda key: mask(), "at least one of"),
        (lambda key: networks.Projection("a", "b", 1.5), "probability must be between"),
        (lambda key: networks.Projection("a", "b", {"E->X": 0.5}), "probability: pairs must be one of"),
        (lambda key: networks.Region(4, dale=2.0), "dale must be between"),
        (
            lambda key: networks.MultiRegion({"a": networks.Region(2)}, [networks.Projection("a", "V4", 0.1)]),
            "no region 'V4' in a",
        ),
        (lambda key: networks.MultiRegion({"a": networks.Region(2)}, inputs={"b": [0]}), "inputs names the region 'b'"),
        (
            lambda key: RNN(1, 5, 1, key=key, constraints=networks.MultiRegion({"a": networks.Region(2)})),
            "num_units must be the 2 units",
        ),
        (lambda key: RNN(1, 4, 1, key=key, trainable=("weights",)), "'weights' is no parameter of RNN"),
        (lambda key: RNN(1, 4, 1, key=key, biases=("input",)), "biases must be among"),
        (lambda key: RNN(1, 4, 1, key=key, initial_state=np.zeros(3)), r"initial_state must have shape \(4,\)"),
        (lambda key: RNN(1, 4, 1, key=key, recurrent_initializer="xavier"), "recurrent_initializer must be one of"),
        (lambda key: RNN(1, 4, 1, key=key, noise_std=-1.0), "noise_std must be at least 0"),
        (lambda key: ContinuousRNN(1, 4, 1, key=key, time_constant=5.0, dt=10.0), "time_constant must be above dt"),
        (
            lambda key: RNN(1, 2, 1, key=key, constraints=dale(0.5), recurrent_initializer=initializers.from_weights(
                [[-1.0, -1.0], [1.0, 1.0]])),
            "break the signs",
        ),
        (lambda key: networks.run(RNN(2, 3, 1, key=key), np.zeros((5, 1))), r"inputs must have shape \(T, …, 2\)"),
    ],
)  # fmt: skip
def test_wrong_arguments_say_what_is_wrong(build, message, key):
    with pytest.raises(ValueError, match=message):
        build(key)


def test_trainable_parameters_are_chosen_by_name(key):
    network = ContinuousRNN(1, 3, 1, key=key, trainable=("output", "initial_state", "time_constant"))
    spec = trainable_filter(network)
    chosen = eqx.filter(network, spec)
    assert chosen.output.parameter is not None
    assert chosen.rest is not None
    assert chosen.time_parameter is not None
    assert chosen.recurrent.parameter is None
    assert chosen.recurrent_bias is None
    with pytest.raises(ValueError, match="no output_bias"):
        trainable_filter(RNN(1, 3, 1, key=key, biases=()), ("output_bias",))
