"""The table of questions: each cell runs, agrees with an independent one, and compiles nothing the second time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from questions import HOLES, MEMBERS, PAGE, QUESTIONS, page

from fisherjax import networks
from fisherjax.networks._protocol import READINGS

COMPILED = "/jax/core/compile/backend_compile_duration"
CELLS = [(question, member) for member in MEMBERS for question in QUESTIONS if (question, member) not in HOLES]


@pytest.fixture(scope="module")
def answers():
    """Answers that other cells are compared with."""
    return {}


@pytest.mark.parametrize(("question", "member"), CELLS, ids=[f"{member}, {question}" for question, member in CELLS])
def test_a_question_is_answered_and_compiles_once(answers, question, member):
    ask, compiled = QUESTIONS[question][1], []

    def count(event, duration, **_):
        if event == COMPILED:
            compiled.append(event)

    make = MEMBERS[member]
    answer = answers[question, member] = ask(make(jax.random.key(1), 1.0), jax.random.key(2))
    numbers = [np.asarray(leaf) for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array | np.ndarray)]
    assert numbers
    other = make(jax.random.key(3), 0.9)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        again = ask(other, jax.random.key(4))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    # how many fixed points are found decides shapes
    if question != "fixed points":
        assert not compiled, f"{len(compiled)} programs"
        assert any(
            np.shape(a) == np.shape(b) and np.any(np.asarray(a) != np.asarray(b))
            for a, b in zip(jax.tree.leaves(answer), jax.tree.leaves(again), strict=True)
        )


@pytest.mark.parametrize("member", MEMBERS)
def test_simulation_agrees_with_small_noise(answers, member):
    """σ = 0.02: within three standard errors, for the state and for the noisy output under a stream of inputs."""
    pairs = [
        ("information measured", "information at small noise"),
        ("a stream of inputs, the output, its noise, measured", "the same at small noise"),
    ]
    for measured, predicted in pairs:
        found, expected = (answers[question, member] for question in (measured, predicted))
        error = np.asarray(found.standard_error)
        distance = np.abs(np.asarray(found.total) - np.asarray(expected.total))
        diagonal = distance if distance.ndim == 1 else np.diagonal(distance, axis1=1, axis2=2)
        allowed = error if error.ndim == 1 else np.diagonal(error, axis1=1, axis2=2)
        # before an image has come there is neither
        assert np.all(diagonal <= 3 * allowed), (measured, diagonal, allowed)


@pytest.mark.parametrize("member", ["RateNetwork", "FlowNetwork", "RNN"])
def test_closure_agrees_with_small_noise(answers, member):
    closed, linear = (answers[q, member].total for q in ("information, closed", "information at small noise"))
    closed = np.asarray(closed)[np.array([0, 2])]
    distance = np.linalg.norm(closed - linear, axis=(1, 2)) / np.linalg.norm(linear, axis=(1, 2))
    assert np.all(distance < 0.02)


def test_the_output_of_a_network_without_read_out_is_its_state(answers):
    network = MEMBERS["RateNetwork"](jax.random.key(1), 1.0)
    from questions import asked

    from fisherjax import fisher

    state, output = (fisher.linearized_curve(network, read=read, **asked(network)).total for read in READINGS)
    np.testing.assert_allclose(state, output, rtol=1e-12)


def test_gradients_are_those_of_differences(answers):
    """Along one direction in every weight of a gated network and of the flow."""
    from questions import asked

    from fisherjax import fisher

    for member in ("GRU", "FlowNetwork"):
        network = MEMBERS[member](jax.random.key(1), 1.0)
        slope = answers["gradient in every weight", member]
        weights = (lambda n: n.recurrent.parameter) if member == "GRU" else (lambda n: n.weights)
        along = jax.random.normal(jax.random.key(5), weights(network).shape)

        def value(step, network=network, weights=weights, along=along):
            import equinox as eqx

            moved = eqx.tree_at(weights, network, weights(network) + step * along)
            return jnp.log(fisher.linearized_curve(moved, at=[3], **asked(moved, streamed=True)).total[-1])

        difference = (value(1e-5) - value(-1e-5)) / 2e-5
        np.testing.assert_allclose(jnp.sum(weights(slope) * along), difference, rtol=1e-5)


def test_every_member_and_question_is_in_the_table():
    members = {name for name in networks.__all__ if isinstance(getattr(networks, name), type)}
    members = {name for name in members if issubclass(getattr(networks, name), networks.Network)}
    made = {type(make(jax.random.key(1), 1.0)).__name__ for make in MEMBERS.values()}
    assert members - made <= {"Network", "RecurrentNetwork", "CurrentRNN"}  # what others are made of
    assert all(question in QUESTIONS and member in MEMBERS and reason for (question, member), reason in HOLES.items())


def test_the_page_of_the_documentation_is_this_table():
    assert PAGE.read_text() == page(), "run: python tests/questions.py"
