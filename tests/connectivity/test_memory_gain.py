"""The gain that keeps a sequence best: values, limits, the overlap that it is made of, initial weights."""

import jax
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import networks

COPY = {"input_variance": 1 / 15}


@pytest.mark.parametrize(
    ("noise_std", "expected"),
    [
        (0.0, (1.2755, 1.1548, 1.1125, 1.0822)),
        (0.05, (1.302, 1.202, 1.173, 1.157)),
        (0.1, (1.361, 1.285, 1.265, 1.255)),
    ],
)
def test_values_for_copying_three_of_four_symbols(noise_std, expected):
    found = [cn.memory_gain(delay, noise_std=noise_std, **COPY) for delay in (10, 30, 60, 120)]
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_rules_of_thumb():
    """Without noise 1 + √(3/(4T)), roughly; with noise the gain with the largest memory of the stationary state."""
    for delay in (60, 200):
        excess = cn.memory_gain(delay, noise_std=0.0, **COPY) - 1
        assert 1 < excess / (3 / (4 * delay)) ** 0.5 < 1.2
    np.testing.assert_allclose(cn.memory_gain(250, noise_std=0.1, **COPY), 1.2455, atol=8e-3)


def test_it_is_the_maximum_of_the_ratio():
    best = cn.memory_gain(20, noise_std=0.05, **COPY)
    around = cn.memory_ratio(best + np.array([-0.02, 0.0, 0.02]), 20, noise_std=0.05, **COPY)
    assert around[1] > around[0]
    assert around[1] > around[2]


def test_the_ratio_is_that_of_networks(key):
    """Of orthogonal networks that heard sequences which differ in one token: how far apart their states end."""
    units, delay, gain = 600, 8, 1.2
    start, other = networks.initializers.orthogonal(gain), networks.initializers.gaussian()
    sequences = np.array([[a, b, c] for a in range(4) for b in range(4) for c in range(4)])
    inputs = np.zeros((delay + 7, 64, 5))
    for step in range(3):
        inputs[step, np.arange(64), sequences[:, step]] = 1
    inputs[delay + 3, :, -1] = 1
    ratios = []
    for draw in jax.random.split(key, 6):
        network = networks.RNN(5, units, 4, key=draw, recurrent_initializer=start, input_initializer=other)
        states = np.asarray(networks.run(network, inputs)[0])[-3:]
        overlap = np.einsum("tan,tbn->tab", states, states) / units
        alike = (sequences[:, None] == sequences).transpose(2, 0, 1)
        signal = [overlap[k][alike[k]].mean() - overlap[k][~alike[k]].mean() for k in range(3)]
        square = [np.mean(states[k] ** 2) for k in range(3)]
        ratios.append(np.mean([s / (q - s + 1e-4) for s, q in zip(signal, square, strict=True)]))
    expected = cn.memory_ratio([gain], delay, noise_std=0.0, input_variance=1 / 5)[0]
    error = np.std(ratios, ddof=1) / np.sqrt(len(ratios))
    assert abs(np.mean(ratios) - expected) < 4 * error + 0.02 * expected


def test_initial_weights_have_it(key):
    asked = {"delay": 60, "noise_std": 0.05}
    network = networks.RNN(5, 30, 4, key=key, recurrent_initializer=networks.initializers.orthogonal("memory", **asked))
    values = np.linalg.svd(np.asarray(network.recurrent_weights), compute_uv=False)
    np.testing.assert_allclose(values, cn.memory_gain(**asked, **COPY), rtol=1e-5)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cn.memory_gain(-1, noise_std=0.0, **COPY), "delay must be at least 0"),
        (lambda: cn.memory_gain(5, noise_std=-0.1, **COPY), "noise_std must be at least 0"),
        (lambda: cn.memory_gain(5, noise_std=0.1, input_variance=0.0), "input_variance must be above 0"),
        (lambda: cn.memory_gain(5, noise_std=0.1, length=11, **COPY), "length must be at most 10"),
        (lambda: networks.initializers.orthogonal("memory"), "delay must be given for gain='memory'"),
        (lambda: networks.initializers.orthogonal("large"), "gain must be a positive number or 'memory'"),
        (lambda: networks.initializers.orthogonal(1.0, delay=3), "delay belongs to gain='memory'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
