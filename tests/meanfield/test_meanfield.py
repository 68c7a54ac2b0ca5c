"""Reference values, limits and independent computations of the population theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import meanfield as mf
from fisherjax._theory import REGIMES
from fisherjax.nonlinearities import SmoothFunction, Tanh, as_nonlinearity

ONE = cn.homogeneous(1.0)


def test_reference_values_of_the_pulse():
    order = mf.propagate(ONE, stimulus=1.0, noise_std=0.1, num_steps=4)
    information = order.sensitivity[:, 0, 0, 0] / order.noise_variance[:, 0]
    np.testing.assert_allclose(information, [17.63784476, 2.153936342, 0.6291329922, 0.2747268344], rtol=1e-9)
    second = [order.overlap, order.variance, order.sensitivity, order.overlap_slope, order.variance_slope]
    expected = [0.2955239467, 0.3111222705, 0.03359779656, 0.1853108374, 0.1832818281]
    np.testing.assert_allclose([x[1].item() for x in second], expected, rtol=2e-10)


@pytest.mark.parametrize(
    ("noise_std", "gain", "variance", "exponent", "slope"),
    [
        (0.0, 1.5, 0.7933540426, 0.0652172119, 0.9430299756),
        (0.0, 3.0, 6.3053914788, 0.3102493151, 0.8067683425),
        (0.1, 1.0, 0.0777754925, -0.0660554745, 0.8690425324),
        (0.5, 1.5, 1.2182083349, -0.0167283429, 0.7302177213),
    ],
)
def test_reference_values_of_the_stationary_state(noise_std, gain, variance, exponent, slope):
    matrix = cn.homogeneous(gain)
    state = mf.stationary_state(matrix, noise_std=noise_std)
    assert bool(state.converged)
    assert float(state.variance[0]) == pytest.approx(variance, rel=1e-9)
    assert float(mf.lyapunov_exponent(matrix, noise_std=noise_std)) == pytest.approx(exponent, rel=1e-8)
    assert gain**2 * float(Tanh().mean_slope(state.variance)[0]) ** 2 == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize(("noise_std", "gain"), [(0.0, 1.0), (0.1, 1.19340073), (0.5, 1.54967391)])
def test_critical_gain(noise_std, gain):
    critical = mf.critical_gain(noise_std=noise_std)
    assert float(critical) == pytest.approx(gain, rel=1e-8)
    scaled = cn.homogeneous(critical)
    assert abs(float(mf.lyapunov_exponent(scaled, noise_std=noise_std))) < 1e-8


def test_critical_gain_of_a_structure_is_one_over_its_radius_without_noise():
    shape = cn.toeplitz([0.3, 0.9, 0.6, 1.4, 0.2])
    factor = mf.critical_gain(noise_std=0.0, gain_matrix=shape)
    assert float(factor) == pytest.approx(1 / float(cn.spectral_radius(shape)), rel=1e-8)


def test_critical_gain_derivative():
    step = 1e-5
    slope = jax.grad(lambda s: mf.critical_gain(noise_std=s))(0.4)
    difference = (mf.critical_gain(noise_std=0.4 + step) - mf.critical_gain(noise_std=0.4 - step)) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=1e-7)


def test_slope_tends_to_two_over_pi_at_large_gain():
    for gain in (30.0, 300.0):
        state = mf.stationary_state(cn.homogeneous(gain), noise_std=0.0)
        slope = gain**2 * float(Tanh().mean_slope(state.variance)[0]) ** 2
        assert slope == pytest.approx(2 / np.pi, abs=3 / gain)


@pytest.mark.parametrize("gain", [0.3, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0])
def test_a_silent_network_settles(gain):
    """Its variances are zero up to rounding, which may be negative."""
    state = mf.stationary_state(cn.homogeneous(gain), noise_std=0.0)
    assert bool(state.converged)
    assert float(abs(state.variance[0])) < 1e-12
    assert float(abs(state.noise_variance[0])) < 1e-12


def two_replica_overlap(gain_matrix, phi, noise_std, num_steps, theta_a, theta_b):
    """C(θ, θ′) after `num_steps`, by the recursion for two replicas with their own stimuli: no D-line."""
    gain = gain_matrix.variance_gain
    pattern = jnp.zeros(gain.shape[0]).at[0].set(1.0)
    start = [phi(theta_a * pattern), phi(theta_b * pattern)]
    noise = noise_std**2
    variance_a, variance_b = gain @ start[0] ** 2 + noise, gain @ start[1] ** 2 + noise
    overlap = gain @ (start[0] * start[1])
    for _ in range(num_steps - 1):
        variance_a, variance_b, overlap = (
            noise + gain @ phi.second_moment(variance_a),
            noise + gain @ phi.second_moment(variance_b),
            gain @ phi.overlap(variance_a, variance_b, overlap),
        )
    return overlap


@pytest.mark.parametrize("phi", [Tanh(), SmoothFunction(jnp.sin)], ids=["tanh", "sin"])
def test_sensitivity_is_the_mixed_derivative_of_the_two_replica_overlap(phi, two_populations):
    """The D-line against automatic differentiation of the overlap of two replicas with different stimuli."""
    order = mf.propagate(two_populations, stimulus=0.8, noise_std=0.2, num_steps=4, nonlinearity=phi)
    mixed = jax.jacfwd(jax.jacfwd(two_replica_overlap, 4), 5)
    for step in (1, 2, 4):
        expected = mixed(two_populations, phi, 0.2, step, 0.8, 0.8)
        np.testing.assert_allclose(order.sensitivity[step - 1, :, 0, 0], expected, rtol=1e-9)


def test_slopes_are_derivatives_of_the_order_parameters(two_populations):
    def parameters(theta):
        order = mf.propagate(two_populations, stimulus=theta, noise_std=0.2, num_steps=5)
        return order.variance, order.overlap

    variance_slope, overlap_slope = jax.jacfwd(parameters)(0.7)
    order = mf.propagate(two_populations, stimulus=0.7, noise_std=0.2, num_steps=5)
    np.testing.assert_allclose(order.variance_slope[..., 0], variance_slope, rtol=1e-10)
    np.testing.assert_allclose(order.overlap_slope[..., 0], overlap_slope, rtol=1e-10)


def test_vector_stimulus_contains_the_scalar_ones(two_populations):
    pattern = np.array([[1.0, 0.3], [0.2, 1.1]])
    both = mf.propagate(two_populations, stimulus=[0.5, 0.4], noise_std=0.2, num_steps=5, input_pattern=pattern)
    assert both.sensitivity.shape == (5, 2, 2, 2)
    np.testing.assert_allclose(both.sensitivity, jnp.swapaxes(both.sensitivity, -1, -2), rtol=1e-13)
    # along a direction u in stimulus space, uᵀ D u is the sensitivity to the scalar stimulus (θ + s u)
    direction = jnp.asarray([0.5, 0.4])
    scalar = mf.propagate(
        two_populations, stimulus=1.0, noise_std=0.2, num_steps=5, input_pattern=pattern @ np.array([0.5, 0.4])
    )
    combined = jnp.einsum("tpab,a,b->tp", both.sensitivity, direction, direction)
    np.testing.assert_allclose(combined, scalar.sensitivity[..., 0, 0], rtol=1e-12)


def test_stationary_state_is_where_the_recursion_settles(two_populations):
    order = mf.propagate(two_populations, stimulus=1.0, noise_std=0.3, num_steps=400)
    state = mf.stationary_state(two_populations, noise_std=0.3)
    np.testing.assert_allclose(order.variance[-1], state.variance, rtol=1e-10)
    np.testing.assert_allclose(order.noise_variance[-1], state.noise_variance, rtol=1e-10)


@pytest.mark.parametrize("argument", ["gain", "noise"])
def test_implicit_derivatives_match_differences(two_populations, argument):
    def variance(x):
        scaled = two_populations.scaled(x) if argument == "gain" else two_populations
        noise = 0.3 if argument == "gain" else x
        return jnp.sum(mf.stationary_state(scaled, noise_std=noise).noise_variance)

    at, step = (0.9, 1e-6) if argument == "gain" else (0.3, 1e-6)
    difference = (variance(at + step) - variance(at - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(variance)(at), difference, rtol=1e-7)


def test_both_branches_of_the_overlap_are_reported():
    """Odd φ with noise forgets whether replicas started alike; logistic units keep a common mean."""
    odd = mf.stationary_state(cn.homogeneous(1.5), noise_std=0.2)
    assert not bool(odd.bistable)
    assert abs(float(odd.overlap[0])) < 1e-12
    silent = mf.stationary_state(cn.homogeneous(2.0), noise_std=0.0)
    assert bool(silent.bistable)
    np.testing.assert_allclose(silent.overlap_from_identical, silent.variance, rtol=1e-12)
    logistic = mf.stationary_state(cn.homogeneous(1.0), noise_std=0.2, nonlinearity="logistic")
    assert float(logistic.overlap[0]) > 0.2


def test_linear_network_has_its_closed_form_and_its_threshold():
    state = mf.stationary_state(cn.homogeneous(0.6), noise_std=0.5, nonlinearity="identity")
    assert float(state.variance[0]) == pytest.approx(0.25 / (1 - 0.36), rel=1e-12)
    unstable = mf.stationary_state(cn.homogeneous(1.2), noise_std=0.5, nonlinearity="identity")
    assert not bool(unstable.converged)
    with pytest.raises(ValueError, match="needs a stationary state"):
        mf.diffusion_operator(cn.homogeneous(1.2), noise_std=0.5, nonlinearity="identity")


def test_diffusion_operator_is_the_recursion_at_rest(two_populations):
    """Late after a small pulse, information shrinks by ρ(A) per step."""
    operator = mf.diffusion_operator(two_populations.scaled(0.9), noise_std=0.3)
    order = mf.propagate(two_populations.scaled(0.9), stimulus=1e-3, noise_std=0.3, num_steps=60)
    np.testing.assert_allclose(order.diffusion[-1], operator.matrix, rtol=1e-6)
    information = jnp.sum(jnp.asarray([0.3, 0.7]) * order.sensitivity[..., 0, 0] / order.noise_variance, axis=1)
    assert float(information[-1] / information[-2]) == pytest.approx(float(operator.spectral_radius), rel=1e-6)


def test_alignment_without_information_is_zero():
    """A stimulus that reaches nobody: no ratio of zeros, in value or derivative."""

    def overlap(scale):
        operator = mf.diffusion_operator(cn.GainMatrix(scale * np.ones((2, 2))), noise_std=0.5)
        return operator.alignment(np.array([1.0, 0.0])).input_overlap

    silent = mf.diffusion_operator(cn.GainMatrix(np.zeros((2, 2))), noise_std=0.5)
    assert np.array_equal(silent.first_information(), np.zeros(2))
    assert float(silent.alignment()) == 0
    assert silent.memory_horizon() == 0
    assert float(overlap(0.0)) == 0
    assert np.isfinite(jax.grad(overlap)(0.7))


def test_alignment_and_horizon():
    chain = cn.feedforward_chain(1.5, num_populations=4, recurrent=0.9, feedback=0.05)
    operator = mf.diffusion_operator(chain, noise_std=0.2)
    first, last = (operator.alignment(np.eye(4)[p]) for p in (0, 3))
    assert 0 <= float(last.input_overlap) < float(first.input_overlap) <= 1
    shares = [float(operator.alignment(readout=(p,)).readout_overlap) for p in range(4)]
    assert sum(shares) == pytest.approx(1)
    assert float(operator.transient_gain()) >= 1
    assert float(operator.numerical_abscissa) >= float(operator.spectral_radius) - 1e-12
    horizon = operator.memory_horizon(0.2)
    information = operator.first_information()
    for _ in range(horizon - 1):
        information = operator.matrix @ information
    assert float(information.sum()) >= 0.2 > float((operator.matrix @ information).sum())


def test_pattern_overlaps_contain_the_pulse(two_populations):
    """One pattern per stimulus value: overlaps at equal stimuli are those of the pulse."""
    pattern = jnp.zeros(2).at[0].set(1.0)
    values = [Tanh()(theta * pattern) for theta in (0.5, 0.9)]
    start = jnp.stack([jnp.stack([a * b for b in values], -1) for a in values], -2)
    overlaps = mf.pattern_overlaps(two_populations, start, noise_std=0.2, num_steps=5)
    for index, theta in enumerate((0.5, 0.9)):
        order = mf.propagate(two_populations, stimulus=theta, noise_std=0.2, num_steps=5)
        np.testing.assert_allclose(overlaps.overlap[..., index, index], order.overlap, rtol=1e-11)
        np.testing.assert_allclose(overlaps.variance[..., index], order.variance, rtol=1e-12)


BAD = [
    (lambda: mf.propagate(ONE, stimulus=0.1, noise_std=-0.1, num_steps=2), ValueError, "noise_std must be at least 0"),
    (lambda: mf.propagate(ONE, stimulus=0.1, noise_std=0.1, num_steps=0), ValueError, "num_steps must be at least 1"),
    (lambda: mf.propagate(ONE, stimulus=0.1, noise_std=0.1, num_steps=2.5), TypeError, "num_steps must be an integer"),
    (lambda: mf.propagate(ONE, stimulus=np.nan, noise_std=0.1, num_steps=2), ValueError, "stimulus must be finite"),
    (
        lambda: mf.propagate(ONE, stimulus=0.1, noise_std=0.1, num_steps=2, input_pattern=[1.0, 2.0]),
        ValueError,
        "input_pattern must have shape",
    ),
    (
        lambda: mf.propagate(ONE, stimulus=0.1, noise_std=0.1, num_steps=2, nonlinearity=3),
        TypeError,
        "nonlinearity must be",
    ),
    (lambda: mf.diffusion_operator(ONE, noise_std=0.0), ValueError, "noise_std must be above 0"),
    (lambda: mf.stationary_state(ONE, noise_std="loud"), TypeError, "noise_std must be a real number"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_named(call, error, message, as_user):
    with pytest.raises(error, match=message):
        call()


def test_phase_diagram_in_discrete_time():
    """Page reference: g_c(σ = 0.1) = 1.19340073, and the table of exponents and memories."""
    diagram = mf.phase_diagram([0.8, 1.19, 1.2, 1.5], [0.0, 0.1])
    names = [[REGIMES[k] for k in row] for row in np.asarray(diagram.regime)]
    assert names == [["silent", "chaotic", "chaotic", "chaotic"], ["driven", "driven", "chaotic", "chaotic"]]
    np.testing.assert_allclose(diagram.lyapunov_exponent[0, 3], 0.0652172119, atol=1e-9)
    np.testing.assert_allclose(diagram.memory[0, 3], 0.9430299756, atol=1e-9)
    np.testing.assert_allclose(mf.critical_gain(noise_std=0.1), 1.19340073, atol=1e-8)


def test_two_times():
    """The stationary values of the map, and correlations between times: none for odd φ, the overlap otherwise."""
    found = mf.two_time_correlation(1.5, num_steps=60, initial_variance=0.4, noise_std=0.5)
    assert found.values.shape == (61, 61)
    steady = mf.stationary_state(cn.homogeneous(1.5), noise_std=0.5)
    np.testing.assert_allclose(found.values[-1, -1], steady.variance[0], rtol=1e-10)
    np.testing.assert_allclose(found.values - np.diag(np.diagonal(found.values)), 0, atol=1e-15)
    mean = mf.two_time_correlation(2.0, num_steps=80, initial_variance=1.0, nonlinearity="logistic", noise_std=0.1**0.5)
    state = mf.stationary_state(cn.homogeneous(2.0), noise_std=np.sqrt(0.1), nonlinearity="logistic")
    np.testing.assert_allclose(mean.values[-1, -20:-1], state.overlap[0], rtol=1e-8)


@pytest.mark.parametrize("gain", [1e3, 1e5, 1e8])
def test_information_at_large_gains(gain):
    """Bits per unit survive: as g → ∞ everything is a function of angles, and D is no difference of large numbers.

    F(2) tends to a limit like 1/g; at 10⁵ it came out 44 thousand times too high, then negative.
    """
    order = mf.propagate(cn.homogeneous(gain), stimulus=1.0, noise_std=0.1, num_steps=3)
    information = order.sensitivity[:, 0, 0, 0] / order.noise_variance[:, 0]
    np.testing.assert_allclose(information[1], 9.94846 * (1 - 1.4365 / gain), rtol=2e-6)
    assert np.all(np.diff(information) < 0)
    # D is at least what the derivative along the state alone gives
    along = order.overlap_slope[:, 0, 0] ** 2 / (4 * order.overlap[:, 0])
    assert np.all(order.sensitivity[1:, 0, 0, 0] >= along[1:])


def test_what_rounding_leaves_nothing_of_is_nan_with_a_word():
    with pytest.warns(RuntimeWarning, match="not known from time 2 on: in population 0"):
        order = mf.propagate(cn.homogeneous(1e16), stimulus=1.0, noise_std=0.1, num_steps=4)
    assert np.all(np.isfinite(order.sensitivity[:1]))
    assert np.all(np.isnan(order.sensitivity[1:]))
    own = as_nonlinearity(lambda x: jnp.exp(0.1 * x))
    with pytest.warns(RuntimeWarning, match="moments of this nonlinearity hold up to"):
        mf.propagate(cn.homogeneous(100.0), stimulus=1.0, noise_std=0.1, num_steps=2, nonlinearity=own)


def test_single_precision_at_moderate_gain():
    """In float32 the difference of large numbers was 2 % off at g = 30 and negative at 100."""
    with jax.enable_x64(False):
        order = mf.propagate(cn.homogeneous(30.0), stimulus=1.0, noise_std=0.1, num_steps=2)
        information = order.sensitivity[:, 0, 0, 0] / order.noise_variance[:, 0]
    np.testing.assert_allclose(information[1], 9.48577598, rtol=1e-5)


def test_tiny_gains_in_single_precision():
    with jax.enable_x64(False):
        exponent = mf.lyapunov_exponent(cn.homogeneous(1e-30), noise_std=1e-3)
    np.testing.assert_allclose(exponent, np.log(1e-30), rtol=1e-5)
