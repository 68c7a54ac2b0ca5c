"""The linear form of structures with means, a bias, inputs that last: reference values, laws, networks, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import fisher, optimize, simulate

SHARES, MEANS = (0.8, 0.2), np.array([[2.0, -4.0], [2.0, -3.0]])
EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], SHARES, MEANS)
MILD = cn.GainMatrix([[0.6, 0.8], [0.7, 0.5]], SHARES, MEANS)
BRAKED = cn.GainMatrix([[1.2]], means=[[-1.0]])
AFFERENT = {"noise_std": 0.3, "input_pattern": (1.0, 0.3)}
BIASED = AFFERENT | {"bias": (0.4, 0.2)}
STREAM = np.array([0.8, -0.5, 0.3])


def matrix(structure, inputs, **asked):
    return np.asarray(fisher.temporal_matrix(structure, inputs, form="linear", **asked).total)


def test_reference_values():
    found = matrix(MILD, np.zeros(5), nonlinearity="identity", **AFFERENT)
    entries = [found[0, 0], found[0, 1], found[0, 4], found[2, 3], found[4, 4]]
    expected = [0.98365888575, 0.80986016269, -0.04781728132, 0.58803529898, 1.35909416415]
    np.testing.assert_allclose(entries, expected, rtol=1e-9)
    found = matrix(BRAKED, np.zeros(4), noise_std=0.5)
    expected = [0.77266269644, -0.48773544996, 1.58076261136]
    np.testing.assert_allclose([found[0, 0], found[0, 1], found[3, 3]], expected, rtol=1e-10)
    pulse = fisher.meanfield_curve(BRAKED, stimulus=0.0, noise_std=0.5, num_steps=4, form="linear")
    np.testing.assert_allclose(pulse.total[3], 1.36553366666, rtol=1e-10)


def test_a_linear_network_answers_the_same_to_all_inputs():
    quiet = matrix(MILD, np.zeros(4), nonlinearity="identity", **AFFERENT)
    driven = matrix(MILD, 3 * np.arange(4.0), nonlinearity="identity", **BIASED)
    np.testing.assert_allclose(driven, quiet, rtol=1e-10)


def test_at_rest_is_a_limit():
    """Of the form for states that move, which is singular at rest itself."""
    rest = matrix(BRAKED, np.zeros(3), noise_std=0.5, bias_std=0.0)
    near = matrix(BRAKED, 1e-3 * np.array([1.0, 1.2, 0.8]), noise_std=0.5)
    np.testing.assert_allclose(near, rest, rtol=1e-5)


def test_inputs_add_up_to_one_that_lasts():
    found = matrix(EI, 0.5 * np.ones(3), **BIASED)
    lasting = fisher.meanfield_curve(
        EI, stimulus=0.5, num_steps=3, protocol="sustained", form="linear", at=(3,), **BIASED
    ).total[0]
    np.testing.assert_allclose(found.sum(), lasting, rtol=1e-9)


def test_signs_and_splits_change_nothing():
    whole = matrix(EI, STREAM, **BIASED)
    signs = np.array([1.0, -1.0])
    turned = cn.GainMatrix(EI.gains, EI.fractions, signs[:, None] * MEANS * signs)
    same = matrix(turned, STREAM, noise_std=0.3, input_pattern=signs * (1.0, 0.3), bias=signs * (0.4, 0.2))
    np.testing.assert_allclose(same, whole, rtol=1e-9)
    parts = np.array([0, 0, 1])
    split = cn.GainMatrix(EI.gains[parts][:, parts], [0.5, 0.3, 0.2], MEANS[parts][:, parts])
    same = matrix(split, STREAM, noise_std=0.3, input_pattern=(1.0, 1.0, 0.3), bias=(0.4, 0.4, 0.2))
    np.testing.assert_allclose(same, whole, rtol=1e-8)


def test_the_last_input_is_told_by_the_process_noise():
    """With a pattern of every unit's own, and at rest: ω²/(σ² + σ_o²) for the input of the first step."""
    asked = {"noise_std": 0.3, "observation_noise_std": 0.4, "input_pattern": (0.0,), "input_pattern_std": (1.5,)}
    found = matrix(cn.homogeneous(1.2), np.zeros(1), **asked)
    np.testing.assert_allclose(found, [[1.5**2 / (0.3**2 + 0.4**2)]], rtol=1e-12)
    # read by fewer units it is told less, and by all of them no better than by units that were independent
    longer = cn.homogeneous(1.2), np.zeros(4)
    assert np.all(np.linalg.eigvalsh(matrix(*longer, **asked) - matrix(*longer, **asked, observed=(0.5,))) > 0)


@pytest.mark.parametrize("phi", ["tanh", "identity", "logistic"])
def test_drawn_networks_have_it(phi):
    """One set of weights, whose fields are correlated over time: linear over independent form, by closures."""
    units, draws, structure = 200, 10, cn.GainMatrix(*(EI.gains, EI.fractions, MEANS))
    if phi == "identity":
        structure = MILD
    elif phi == "logistic":
        structure = cn.GainMatrix(3 * EI.gains, EI.fractions, 3 * MEANS)
    asked = {"num_steps": 3, "protocol": "sustained", "at": (2, 3)}
    theory = {form: _total(structure, form, phi, asked) for form in ("linear", "independent")}
    networks = simulate.draw_networks(
        structure, units, num_draws=draws, nonlinearity=phi, key=jax.random.key(1), dtype=jnp.float64, **BIASED
    )
    asked = {"stimulus": 0.5, "num_steps": 3, "protocol": "sustained"}
    found = np.array(
        [
            fisher.closure_curve(network, form="linear", **asked).total[1:]
            / fisher.closure_curve(network, form="independent", **asked).total[1:]
            for network in networks
        ]
    )
    error = found.std(axis=0, ddof=1) / np.sqrt(draws)
    expected = theory["linear"] / theory["independent"]
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected), 4 * error + 3 * expected / units)


def _total(structure, form, phi, asked):
    return np.asarray(
        fisher.meanfield_curve(structure, stimulus=0.5, form=form, nonlinearity=phi, **asked, **BIASED).total
    )


def test_gradients_are_those_of_differences():
    @jax.jit
    def value(shift):
        structure = cn.GainMatrix(EI.gains + shift, EI.fractions, EI.means * (1 + shift))
        afferent = {"noise_std": 0.3 + shift, "bias": jnp.array([0.4, 0.2]) + shift, "input_pattern": (1.0, 0.3)}
        inputs = jnp.asarray(STREAM) + shift
        found = fisher.temporal_matrix(structure, inputs, form="linear", bias_std=0.1 + shift, **afferent).total
        return jnp.linalg.slogdet(found)[1]

    difference = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(value))(0.0), difference, rtol=1e-6)


@pytest.mark.parametrize("form", ["independent", "linear"])
def test_the_capacity_for_a_stream_as_an_objective(form):
    objective = optimize.StreamCapacity(3, form=form, noise_std=0.3, input_pattern=(1.0, 0.3), input_std=0.5)
    expected = fisher.temporal_matrix(EI, np.zeros(3), form=form, **AFFERENT).capacity(0.25)
    np.testing.assert_allclose(objective(EI), expected, rtol=1e-10)
    streams = np.stack([STREAM, -STREAM, 0.1 * STREAM])
    several = optimize.StreamCapacity(3, form=form, noise_std=0.3, bias=0.2, input_std=0.5, inputs=streams)
    each = [fisher.temporal_matrix(EI, shown, form=form, noise_std=0.3, bias=0.2).capacity(0.25) for shown in streams]
    np.testing.assert_allclose(several(EI), np.mean(each), rtol=1e-9)


def test_means_are_climbed_for_a_stream():
    family = cn.WithMeans(cn.HomogeneousFamily(1, low=0.1, high=0.9), low_mean=-2.0, high_mean=0.9)
    objective = optimize.StreamCapacity(4, form="linear", noise_std=0.3, input_std=0.5)
    start = cn.GainMatrix([[0.5]], means=[[-0.5]])
    ascent = optimize.refine(family, objective, start, num_steps=30)
    assert float(ascent.value) > float(objective(start)) * 1.05


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matrix(EI, STREAM, nonlinearity="relu", **BIASED), "needs a smooth nonlinearity, but it has a kink"),
        (lambda: optimize.StreamCapacity(4, inputs=np.zeros(3)), "inputs must hold 4 numbers each"),
        (lambda: optimize.StreamCapacity(4, input_std=0.0), "input_std must be above 0"),
        (lambda: optimize.LogFisher(4, protocol="pulsed"), "protocol must be 'pulse', 'sustained' or a function"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
