"""Work divided among devices, within one process: results are those of one device."""

import jax
import pytest

from fisherjax import numerics, simulate


def test_what_devices_may_be():
    one = jax.devices()[:1]
    assert numerics.device_mesh(None) is None
    for choice in (1, one):
        assert dict(numerics.device_mesh(choice).shape) == {"batch": 1, "rows": 1}
    assert numerics.device_mesh("all").size == len(jax.devices())
    mesh = numerics.device_mesh(one)
    assert numerics.device_mesh(mesh) is mesh
