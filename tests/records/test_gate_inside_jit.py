"""The gate for arrays that are looked at where they lie: large ones, and those that other processes hold a part of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _arrays


@pytest.mark.usefixtures("as_user")
def test_a_known_array_that_stays_is_looked_at_inside_jit_too(monkeypatch):
    monkeypatch.setattr(_arrays, "_LARGE", 0)
    known, broken = jnp.arange(3.0), jnp.array([0.0, jnp.nan, 2.0])
    doubled = jax.jit(lambda x: x * _arrays.as_real("known", known, "n", minimum=0.0, maximum=2.0))
    np.testing.assert_array_equal(doubled(2.0), [0, 2, 4])
    for array, message in ((broken, "known must be finite, but 1 of its 3"), (known - 1, "known must be at least 0")):
        with pytest.raises(ValueError, match=message):
            jax.jit(lambda x, array=array: x * _arrays.as_real("known", array, minimum=0.0))(2.0)
