"""Laws of theory.md §2 as properties of random networks: identities and bounds, no stored numbers."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from moments import moment

from fisherjax import _linalg, fisher, nonlinearities
from fisherjax import meanfield as mf
from fisherjax.connectivity import GainMatrix

entries = st.floats(0.05, 3.0)


@st.composite
def networks(draw, count=3):
    gains = np.array(draw(st.lists(entries, min_size=count**2, max_size=count**2))).reshape(count, count)
    shares = np.array(draw(st.lists(st.floats(0.1, 1.0), min_size=count, max_size=count)))
    return GainMatrix(gains, shares / shares.sum())


@st.composite
def odd_nonlinearities(draw):
    return draw(st.sampled_from(["tanh", "erf"]))


@given(matrix=networks(), noise_std=st.floats(0.05, 1.0), phi=odd_nonlinearities())
def test_diffusion_radius_is_bounded_by_the_noise_share(matrix, noise_std, phi):
    """ρ(A) ≤ 1 − σ²/max Δ at the C = 0 fixed point, deep in chaos too."""
    state = mf.stationary_state(matrix, noise_std=noise_std, nonlinearity=phi)
    operator = mf.diffusion_operator(matrix, noise_std=noise_std, nonlinearity=phi)
    bound = 1 - noise_std**2 / float(jnp.max(state.variance))
    assert float(operator.spectral_radius) <= bound + 1e-10


@given(matrix=networks(), noise_std=st.floats(0.05, 1.0))
def test_diffusion_radius_is_that_of_the_gain_times_kappa(matrix, noise_std):
    state = mf.stationary_state(matrix, noise_std=noise_std)
    kappa = moment(nonlinearities.Tanh(), "two_point", state.variance, state.noise_variance).slope_overlap
    operator = mf.diffusion_operator(matrix, noise_std=noise_std)
    np.testing.assert_allclose(
        operator.spectral_radius, _linalg.spectral_radius(matrix.variance_gain * kappa), rtol=1e-10
    )


@given(matrix=networks(), noise_std=st.floats(0.05, 1.0), theta=st.floats(-2.0, 2.0), data=st.data())
def test_permuting_populations_permutes_everything(matrix, noise_std, theta, data):
    order = data.draw(st.permutations(range(3)))
    pattern = np.array([1.0, 0.4, 0.0])
    settings = {"stimulus": theta, "noise_std": noise_std, "num_steps": 5}
    plain = fisher.meanfield_curve(matrix, input_pattern=pattern, **settings)
    moved = fisher.meanfield_curve(matrix.permuted(order), input_pattern=pattern[list(order)], **settings)
    np.testing.assert_allclose(moved.by_population, plain.by_population[:, np.array(order)], rtol=1e-8, atol=1e-12)


@given(matrix=networks(2), share=st.floats(0.1, 0.9), noise_std=st.floats(0.05, 1.0), theta=st.floats(0.05, 2.0))
def test_splitting_a_population_changes_no_total(matrix, share, noise_std, theta):
    """Two copies of population 1, with its gains and its units divided between them, are one population."""
    index = np.array([0, 1, 1])
    shares = np.asarray(matrix.fractions)[index] * np.array([1.0, share, 1 - share])
    split = GainMatrix(np.asarray(matrix.gains)[index][:, index], shares)
    settings = {"stimulus": theta, "noise_std": noise_std, "num_steps": 5}
    whole = fisher.meanfield_curve(matrix, input_pattern=[1.0, 0.5], **settings)
    parts = fisher.meanfield_curve(split, input_pattern=[1.0, 0.5, 0.5], **settings)
    np.testing.assert_allclose(parts.total, whole.total, rtol=1e-9)
    np.testing.assert_allclose(parts.by_population[:, 1:].sum(axis=1), whole.by_population[:, 1], rtol=1e-9)


@given(matrix=networks(2), noise_std=st.floats(0.05, 1.0), phi=st.floats(0.1, 1.5))
def test_reparametrizing_the_stimulus_scales_information(matrix, noise_std, phi):
    """F_φ = F_θ (dθ/dφ)² for θ = sinh φ: the same network, the pattern scaled to move by dθ/dφ."""
    theta, slope = np.sinh(phi), np.cosh(phi)
    settings = {"noise_std": noise_std, "num_steps": 4}
    plain = fisher.meanfield_curve(matrix, stimulus=theta, **settings)
    # a stimulus of size θ/slope through a pattern of size slope is the same state, and moves slope times as fast
    scaled = fisher.meanfield_curve(matrix, stimulus=theta / slope, input_pattern=[slope, 0.0], **settings)
    np.testing.assert_allclose(scaled.total, plain.total * slope**2, rtol=1e-9)


@given(matrix=networks(2), noise_std=st.floats(0.05, 1.0))
def test_bare_operator_is_the_small_stimulus_limit(matrix, noise_std):
    settings = {"stimulus": 1e-5, "noise_std": noise_std, "num_steps": 6}
    exact = fisher.meanfield_curve(matrix, **settings)
    bare = fisher.operator_curve(matrix, **settings)
    np.testing.assert_allclose(bare.by_population, exact.by_population, rtol=1e-6)


@given(matrix=networks(2), noise_std=st.floats(0.05, 1.0), theta=st.floats(0.05, 2.0))
def test_information_without_a_new_stimulus_never_grows(matrix, noise_std, theta):
    """Data processing: noise is added at every step, so the total cannot rise; small stimulus, one population."""
    single = GainMatrix(np.asarray(matrix.gains)[:1, :1], [1.0])
    total = fisher.meanfield_curve(single, stimulus=1e-4 * theta, noise_std=noise_std, num_steps=8).total
    assert bool(jnp.all(jnp.diff(total) <= 1e-9 * total[:-1]))


@given(gain=st.floats(0.2, 2.0), noise_std=st.floats(0.05, 2.0), stimulus=st.sampled_from([0.0, 1e-12, 1e-6, 0.7]))
def test_linear_pulse_has_its_closed_form(gain, noise_std, stimulus):
    """φ = id, one population: F/N = g^{2t}(1 − g²) / (σ² (1 − g^{2t})), however small the stimulus beside the noise."""
    from fisherjax.connectivity import homogeneous

    curve = fisher.meanfield_curve(
        homogeneous(gain), stimulus=stimulus, noise_std=noise_std, num_steps=6, nonlinearity="identity"
    )
    t = np.arange(1, 7)
    accumulated = np.array([sum(gain ** (2 * k) for k in range(step)) for step in t])
    np.testing.assert_allclose(curve.total, gain ** (2 * t) / (noise_std**2 * accumulated), rtol=1e-12)


@jax.jit
def slope_at_no_noise(variance_gain, variance):
    """∂/∂V of the overlap map G E[φφ]."""
    return jax.jacfwd(lambda noise: variance_gain @ nonlinearities.Tanh().spread(variance, noise))(jnp.zeros(3))


@given(matrix=networks(), noise_std=st.floats(0.05, 1.0))
def test_lyapunov_exponent_is_the_growth_of_the_overlap_slope(matrix, noise_std):
    """λ = ½ ln ρ(G ∘ E[φ′²]), the linearization of the overlap map at identical replicas."""
    state = mf.stationary_state(matrix, noise_std=noise_std)
    jacobian = slope_at_no_noise(matrix.variance_gain, state.variance)
    expected = np.log(np.max(np.abs(np.linalg.eigvals(np.asarray(jacobian))))) / 2
    np.testing.assert_allclose(mf.lyapunov_exponent(matrix, noise_std=noise_std), expected, rtol=1e-8, atol=1e-10)
