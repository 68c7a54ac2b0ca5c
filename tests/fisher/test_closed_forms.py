"""Information, decoders and bounds of given moments: what is refused, and by which name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher

SLOPE = np.array([1.0, 2.0, 3.0])
INDEFINITE = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
SKEW = np.eye(3) + 0.3 * np.eye(3, k=1)
SINGULAR = np.ones((3, 3))


def test_forms_that_need_no_inverse_take_a_singular_covariance():
    """Three units with the same noise: alone 1 + 4 + 9; the decoder f′ ends at (f′·f′)²/(Σ f′)² = 14²/6²."""
    np.testing.assert_allclose(fisher.gaussian_information(SLOPE, SINGULAR, form="independent"), 14.0)
    np.testing.assert_allclose(fisher.gaussian_information(SLOPE, SINGULAR, form="diagonal-decoder"), 14**2 / 36)


def test_float_types_are_the_widest_of_both():
    value = fisher.gaussian_information(SLOPE.astype(np.float32), np.eye(3) * (1 + 1e-12))
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, 14 / (1 + 1e-12), rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fisher.gaussian_information(SLOPE, INDEFINITE), ValueError, "covariance must not be indefinite"),
        (
            lambda: fisher.gaussian_information(SLOPE, INDEFINITE, form="independent"),
            ValueError,
            "covariance must not be indefinite",
        ),
        (lambda: fisher.gaussian_information(SLOPE, SKEW), ValueError, "covariance must be symmetric"),
        (lambda: fisher.gaussian_information(SLOPE, SINGULAR), ValueError, "covariance is singular to rounding"),
        (lambda: fisher.gaussian_information(SLOPE, 0 * SINGULAR), ValueError, "must have positive variances"),
        (lambda: fisher.gaussian_information(SLOPE, "eye"), TypeError, "covariance must be an array of real numbers"),
        (lambda: fisher.gaussian_information(SLOPE, np.eye(2)), ValueError, r"covariance must have shape \(3, 3\)"),
        (
            lambda: fisher.gaussian_information(SLOPE, np.eye(3), np.eye(2), form="total"),
            ValueError,
            r"covariance_slope must have shape \(3, 3\)",
        ),
        (lambda: fisher.optimal_decoder(0 * SLOPE, np.eye(3)), ValueError, "mean_slope is zero"),
        (lambda: fisher.optimal_decoder(SLOPE, INDEFINITE), ValueError, "covariance must not be indefinite"),
        (lambda: fisher.sensitivity_index(-1, 0.1), ValueError, "information must be at least 0, got -1"),
        (lambda: fisher.sensitivity_index("much", 0.1), TypeError, "information must be an array of real numbers"),
        (lambda: fisher.sensitivity_index(1j, 0.1), TypeError, "information must be real numbers"),
        (lambda: fisher.sensitivity_index(np.ones(3), np.ones(2)), ValueError, "separation must broadcast against"),
    ],
)
def test_what_is_no_covariance_or_no_information(call, error, message, as_user):
    with pytest.raises(error, match=message):
        call()


def test_sensitivity_index():
    np.testing.assert_allclose(fisher.sensitivity_index(4, 0.5), 1.0)
    np.testing.assert_allclose(fisher.sensitivity_index(jnp.array([0.0, 4.0]), -0.5), [0.0, 1.0])


def test_sensitivity_index_has_the_subgradient_zero_where_there_is_no_information():
    slope = jax.grad(lambda information: jnp.sum(fisher.sensitivity_index(information, 0.5)))
    np.testing.assert_allclose(slope(jnp.array([0.0, 4.0])), [0.0, 0.5 / 4])  # ∂√I = 1/(2√I)


STIMULI = np.array([0.2, 0.5, 0.9])
ESTIMATES = STIMULI[:, None] + 0.1 * np.random.default_rng(0).standard_normal((3, 50))
UNITS = np.full(3, 100.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stimuli": STIMULI[::-1]}, "stimuli must increase"),
        ({"stimuli": np.array([0.2, 0.2, 0.9])}, "stimuli must increase"),
        ({"stimuli": np.array([0.0, 1.0, np.pi]), "period": np.pi}, "stimuli must lie within one period"),
        ({"information": np.array([1.0, -1.0, 1.0])}, "information must be positive, the least is -1"),
        ({"information": np.ones(2)}, r"information must have shape \(3,\)"),
        ({"estimates": ESTIMATES[:, :1]}, "estimates must hold at least 2 trials"),
        ({"estimates": ESTIMATES[0]}, r"estimates must have shape \(stimuli, trials\)"),
        ({"mean_slopes": np.ones(2)}, r"mean_slopes must have shape \(3,\)"),
        ({"period": -1.0}, "period must be above 0"),
    ],
)
def test_cramer_rao_names_what_is_wrong(change, message, as_user):
    arguments = {"estimates": ESTIMATES, "stimuli": STIMULI, "information": UNITS, **change}
    with pytest.raises(ValueError, match=message):
        fisher.cramer_rao(**arguments)


def test_a_decoder_that_says_one_thing_has_no_efficiency():
    """One third, which no float holds: its deviations from the mean are rounding, not variance."""
    estimates = np.where(np.arange(3)[:, None] == 1, 1 / 3, ESTIMATES)
    with pytest.warns(RuntimeWarning, match=r"estimates never vary at stimuli \[1\]"):
        result = fisher.cramer_rao(estimates, STIMULI, UNITS)
    assert np.isnan(result.efficiency).tolist() == [False, True, False]
    assert float(result.variance[1]) == 0


def test_errors_small_beside_the_stimuli_are_not_lost_in_single_precision():
    moved = fisher.cramer_rao(1e4 + ESTIMATES, 1e4 + STIMULI, UNITS.astype(np.float32))
    here = fisher.cramer_rao(ESTIMATES, STIMULI, UNITS)
    np.testing.assert_allclose(moved.variance, here.variance, rtol=1e-9)
