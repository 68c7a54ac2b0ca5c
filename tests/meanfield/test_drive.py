"""Means, bias, inputs that last and streams: reference values of an independent computation, and laws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherjax import connectivity as cn
from fisherjax import fisher, meanfield

EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2.0, -4.0], [2.0, -3.0]])
ONE = cn.homogeneous(1.2)
STREAM = np.array([0.8, -0.5, 0.3, 1.0, -0.6])
AFFERENT = {"noise_std": 0.3, "bias": (0.4, 0.2), "input_pattern": (1.0, 0.3)}


def stream(values):
    return values


def test_a_pulse_through_excitation_and_inhibition():
    asked = {"stimulus": 0.5, "num_steps": 4, "noise_std": 0.3, "bias": (0.4, 0.2)}
    curve = fisher.meanfield_curve(EI, **asked)
    np.testing.assert_allclose(curve.by_population[1], [1.61309234003, 0.50455284473], rtol=1e-9)
    np.testing.assert_allclose(curve.by_population[3], [0.04845999781, 0.01313513834], rtol=1e-9)
    order = meanfield.propagate(EI, **asked)
    np.testing.assert_allclose(order.mean[3], [0.91877547624, 0.83124476132], rtol=1e-10)
    overlap = order.overlap[3] - order.mean[3] ** 2
    np.testing.assert_allclose(overlap, [0.37461836444, 0.40032844407], rtol=1e-9)
    np.testing.assert_allclose(order.noise_variance[3], [0.12022192859, 0.1216551182], rtol=1e-9)


def test_an_input_that_lasts():
    curve = fisher.meanfield_curve(EI, stimulus=0.5, num_steps=6, protocol="sustained", **AFFERENT)
    np.testing.assert_allclose(curve.total[jnp.array([2, 5])], [12.443027359780, 14.621829968480], rtol=1e-11)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (STREAM, [2.20713695085, 10.41150265968, 16.12670045567, 20.6665286614, 46.66090298862, 3.48859588354]),
        (0 * STREAM, [34.18733593744, 24.21373140266, 17.61717842134, 13.27025236931, 10.42245743156, 0.0]),
    ],
)
def test_a_stream(inputs, expected):
    found = fisher.meanfield_curve(ONE, stimulus=inputs, noise_std=0.1, num_steps=5, protocol=stream, at=(5,)).total[0]
    np.testing.assert_allclose([*np.diag(found), found[0, 1]], expected, rtol=1e-10, atol=1e-12)


def test_a_stream_through_rectified_units():
    asked = {"num_steps": 4, "protocol": stream, "nonlinearity": "relu", "at": (4,), **AFFERENT}
    found = fisher.meanfield_curve(EI, stimulus=STREAM[:4], **asked).total[0]
    entries = [found[0, 0], found[0, 1], found[0, 3], found[2, 2], found[3, 3]]
    expected = [14.06020121228, 11.8674445827, 2.96425878556, 7.8852006445, 3.59572990246]
    np.testing.assert_allclose(entries, expected, rtol=1e-9)
    # all of it in other units
    scale = 3.0
    other = fisher.meanfield_curve(
        EI, stimulus=scale * STREAM[:4], **{**asked, "noise_std": 0.3 * scale, "bias": scale * np.array([0.4, 0.2])}
    )
    np.testing.assert_allclose(scale**2 * other.total[0], found, rtol=1e-9)


@functools.partial(jax.jit, static_argnames=("phi", "protocol"))
def matrix(gains, fractions, means, bias, pattern, inputs, noise_std, *, phi="tanh", protocol=stream):
    """Information of each population about every input, after the last one."""
    asked = {"stimulus": inputs, "noise_std": noise_std, "num_steps": 3, "at": (3,), "nonlinearity": phi}
    curve = fisher.meanfield_curve(
        cn.GainMatrix(gains, fractions, means), bias=bias, input_pattern=pattern, protocol=protocol, **asked
    )
    return curve.by_population[0]


def numbers(seed, count=2):
    rng = np.random.default_rng(seed)
    gains, means = rng.uniform(0.2, 1.5, (count, count)), rng.uniform(-3, 3, (count, count))
    shares = rng.uniform(0.2, 1, count)
    rest = rng.uniform(-1, 1, count), rng.uniform(-1, 1, count), rng.uniform(-1, 1, 3), rng.uniform(0.1, 0.6)
    return gains, shares / shares.sum(), means, *rest


seeds = st.integers(0, 10**6)


@given(seeds)
def test_all_inputs_moved_at_once_are_one_that_lasts(seed):
    gains, shares, means, bias, pattern, inputs, noise = numbers(seed)
    total = matrix(gains, shares, means, bias, pattern, np.full(3, inputs[0]), noise).sum((1, 2))
    lasting = matrix(gains, shares, means, bias, pattern, inputs[0], noise, protocol="sustained")
    np.testing.assert_allclose(lasting, total, rtol=1e-9)


@given(seeds, st.sampled_from([(1, -1), (-1, 1), (-1, -1)]))
def test_signs_of_populations_say_nothing(seed, signs):
    gains, shares, means, bias, pattern, inputs, noise = numbers(seed)
    signs = np.array(signs)
    found = matrix(gains, shares, means, bias, pattern, inputs, noise)
    turned = matrix(gains, shares, signs[:, None] * means * signs, signs * bias, signs * pattern, inputs, noise)
    np.testing.assert_allclose(turned, found, rtol=1e-9, atol=1e-12)


@given(seeds)
def test_a_population_can_be_split(seed):
    gains, shares, means, bias, pattern, inputs, noise = numbers(seed)
    parts = np.array([0, 0, 1])
    split = matrix(
        gains[parts][:, parts], shares[parts] * [0.3, 0.7, 1], means[parts][:, parts], bias[parts], pattern[parts],
        inputs, noise,
    )  # fmt: skip
    found = matrix(gains, shares, means, bias, pattern, inputs, noise)
    np.testing.assert_allclose([split[0] + split[1], split[2]], found, rtol=1e-9, atol=1e-12)


@given(seeds)
def test_the_last_input_is_heard_through_the_noise_alone(seed):
    """Lag 0: F = f w²/V. At rest, φ odd, nothing tells two inputs together."""
    gains, shares, means, bias, pattern, inputs, noise = numbers(seed)
    found = matrix(gains, shares, means, bias, pattern, inputs, noise)
    order = meanfield.propagate(
        cn.GainMatrix(gains, shares, means), stimulus=inputs, noise_std=noise, num_steps=3, protocol=stream, bias=bias,
        input_pattern=pattern,
    )  # fmt: skip
    np.testing.assert_allclose(found[:, 2, 2], shares * pattern**2 / order.noise_variance[2], rtol=1e-11)
    rest = matrix(gains, shares, 0 * means, 0 * bias, pattern, 0 * inputs, noise)
    np.testing.assert_allclose(rest - rest * np.eye(3), 0, atol=1e-14)


@given(seeds)
def test_linear_units_know_no_operating_point(seed):
    gains, shares, means, bias, pattern, inputs, noise = numbers(seed)
    found = matrix(gains, shares, means, bias, pattern, inputs, noise, phi="identity")
    elsewhere = matrix(gains, shares, means, 0 * bias, pattern, 3 * inputs, noise, phi="identity")
    np.testing.assert_allclose(elsewhere, found, rtol=1e-10, atol=1e-12)


def test_without_spread_a_population_is_one_unit():
    """g = 0: F = f μ′²/σ², μ′ of the deterministic map."""
    _, shares, means, bias, pattern, inputs, _ = numbers(0)

    def state(inputs):
        mean = jnp.zeros(2)
        for value in inputs:
            mean = means * shares @ jnp.tanh(mean) + bias + pattern * value
        return mean

    # the noise of a unit reaches no other, but the mean sees tanh through it
    found = matrix(1e-9 * np.ones((2, 2)), shares, means, bias, pattern, inputs, 1e-4)
    slopes = jax.jacfwd(state)(jnp.asarray(inputs))
    np.testing.assert_allclose(found, shares[:, None, None] * slopes[:, :, None] * slopes[:, None] / 1e-8, rtol=1e-6)


def test_none_and_zero_means_agree():
    """The half of the field that an odd φ needs, and all of it."""
    asked = {"stimulus": 0.7, "noise_std": 0.2, "num_steps": 6}
    zero = cn.GainMatrix(EI.gains, EI.fractions, np.zeros((2, 2)))
    plain = fisher.meanfield_curve(cn.GainMatrix(EI.gains, EI.fractions), **asked)
    np.testing.assert_allclose(fisher.meanfield_curve(zero, **asked).by_population, plain.by_population, rtol=1e-10)


def test_gradients_are_those_of_differences():
    gains, shares, means, bias, pattern, inputs, noise = numbers(3)

    def value(means, bias, pattern, inputs, noise, gains):
        return jnp.log(jnp.sum(matrix(gains, shares, means, bias, pattern, inputs, noise)[:, 0, 0]))

    arguments = tuple(map(jnp.asarray, (means, bias, pattern, inputs, noise, gains)))
    slopes = jax.jit(jax.grad(value, argnums=tuple(range(6))))(*arguments)
    for place, (argument, slope) in enumerate(zip(arguments, slopes, strict=True)):
        direction = jnp.cos(jnp.arange(argument.size, dtype=float) + place).reshape(argument.shape)
        sides = [
            value(*(part + sign * 1e-5 * direction if k == place else part for k, part in enumerate(arguments)))
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(jnp.sum(slope * direction), (sides[0] - sides[1]) / 2e-5, rtol=1e-6)


def test_what_differs_between_units_for_good():
    """A network whose units have biases and input patterns of their own, drawn once."""
    units, draws = 1000, 8
    rng = np.random.default_rng(0)
    found = []
    for draw in range(draws):
        weights = np.asarray(cn.sample_weights(ONE, units, key=jax.random.key(draw), dtype=jnp.float64))
        own, heard = 0.5 * rng.normal(size=units), 0.3 + 0.8 * rng.normal(size=units)
        mean, slope = np.zeros(units), np.zeros(units)
        for value in STREAM[:3]:
            # without noise the state is its own mean
            mean, slope = weights @ np.tanh(mean) + own + heard * value, weights @ (slope / np.cosh(mean) ** 2) + heard
        found.append((mean.mean(), mean.var(), np.mean(slope**2)))
    order = meanfield.propagate(
        ONE, stimulus=0.0, noise_std=1e-6, num_steps=3, protocol=lambda shift: jnp.asarray(STREAM[:3]) + shift,
        input_pattern=(0.3,), input_pattern_std=(0.8,), bias_std=0.5,
    )  # fmt: skip
    expected = [order.mean[2, 0], order.overlap[2, 0] - order.mean[2, 0] ** 2, order.sensitivity[2, 0, 0, 0]]
    error = np.std(found, axis=0, ddof=1) / np.sqrt(draws)
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - expected), 4 * error + 4 / units)


BAD = [
    ({"protocol": "step"}, ValueError, "protocol must be 'pulse', 'sustained' or a function"),
    ({"protocol": 3}, TypeError, "protocol must be 'pulse', 'sustained' or a function"),
    ({"protocol": lambda u: jnp.zeros(4)}, ValueError, r"one for each of 3 steps, got \(4, 1\)"),
    ({"bias": np.ones(3)}, ValueError, "bias must have shape"),
    ({"bias_std": -1.0}, ValueError, "bias_std must be at least 0"),
    ({"input_pattern_std": (1.0, 1.0)}, ValueError, "input_pattern_std belongs to inputs that last"),
]


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(("changed", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_named(changed, error, message):
    with pytest.raises(error, match=message):
        fisher.meanfield_curve(EI, stimulus=0.5, noise_std=0.3, num_steps=3, **changed)
