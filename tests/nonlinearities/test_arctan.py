"""The arctangent of the moments: against NumPy's, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax.nonlinearities._erf_mixture import arctan

SIZES = np.concatenate([np.linspace(0, 5, 20_001), np.logspace(-30, 18, 4001)])


@pytest.mark.parametrize(("dtype", "ulps"), [(np.float64, 6), (np.float32, 4)])
def test_it_is_the_arctangent_to_rounding(dtype, ulps):
    x = np.concatenate([SIZES, -SIZES]).astype(dtype)
    found = arctan(jnp.asarray(x))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.arctan(x.astype(np.float64)), rtol=ulps * np.finfo(dtype).eps, atol=0)
    assert np.isnan(arctan(jnp.asarray(np.nan)))


def test_derivatives():
    x = jnp.asarray(np.linspace(-4, 4, 81))
    first, second = jax.vmap(jax.grad(arctan)), jax.vmap(jax.grad(jax.grad(arctan)))
    np.testing.assert_allclose(first(x), 1 / (1 + x**2), rtol=1e-15)
    np.testing.assert_allclose(second(x), -2 * x / (1 + x**2) ** 2, rtol=1e-14, atol=1e-16)
    forward = jax.jvp(arctan, (x,), (jnp.ones_like(x),))[1]
    np.testing.assert_array_equal(forward, first(x))
