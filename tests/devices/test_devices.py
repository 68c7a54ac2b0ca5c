"""Work divided among devices and processes: results are those of one device."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh
from processes import PATIENCE, ended, free_port

from fisherjax import _runtime, connectivity, networks, simulate

SCRIPT = Path(__file__).parent / "sharded.py"


def start(num_devices, *words):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    # on a busy machine eight threads on two cores may keep each other waiting for longer than XLA's forty seconds
    patient = f"--xla_cpu_collective_call_terminate_timeout_seconds={PATIENCE}"
    devices = f"--xla_force_host_platform_device_count={num_devices}"
    environment["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), devices, patient])
    command = [sys.executable, str(SCRIPT), *(str(word) for word in words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_eight_devices():
    ((output, _, code),) = ended([start(8)])
    assert code == 0, output
    assert output.endswith("8 devices, 1 processes\n")


def test_two_processes():
    """What eight devices of one process cannot show; of a search that it goes on to the same bits."""
    port = free_port()
    processes = [start(1, index, 2, port, "simulate, 13", "simulate, rows", "pictures") for index in range(2)]
    for output, _, code in ended(processes):
        assert code == 0, output
        assert output.count("WRONG") == 0
        assert "2 devices, 2 processes\n" in output


def test_what_devices_may_be():
    one = jax.devices()[:1]
    assert _runtime.device_mesh(None) is None
    for choice in (1, "all", one):
        assert dict(_runtime.device_mesh(choice).shape) == {"batch": len(jax.devices()), "rows": 1}
    mesh = _runtime.device_mesh(one)
    assert _runtime.device_mesh(mesh) is mesh


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (0, "devices must be at least 1"),
        (1000, r"devices=1000, but there are .*xla_force_host_platform_device_count=1000"),
        ("some", "devices must be a number, 'all'"),
        ([], "devices must hold at least one device"),
        (Mesh(jax.devices()[:1], ("x",)), r"a mesh must have axes \('batch', 'rows'\)"),
    ],
)
def test_wrong_devices(devices, message):
    with pytest.raises(ValueError, match=message):
        _runtime.device_mesh(devices)
    with pytest.raises(ValueError, match="cannot share the rows of a matrix 3 ways"):
        _runtime.device_mesh(1, num_row_shards=3)


def test_without_a_mesh_nothing_is_spread(key):
    values = jax.random.normal(key, (5, 2))
    assert _runtime.spread(values, "batch") is values
    doubled = _runtime.spread_map(lambda row, factor: factor * row, values, jnp.asarray(2.0))
    assert jnp.array_equal(doubled, 2 * values)


def test_rows_are_divided_where_one_device_has_no_room(monkeypatch):
    monkeypatch.setattr("fisherjax._runtime._memory.available_bytes", lambda: 1000)
    assert _runtime.row_shards(2**40, None) == 1
    assert _runtime.row_shards(2**40, 1) == 1


@pytest.mark.parametrize(("precision", "error"), [("tensorfloat32", 2e-3), ("bfloat16", 2e-2)])
def test_precision_of_the_products(key, precision, error, as_user):
    """One step without noise, against the whole precision; the operands of bfloat16 have 8 bits."""
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), 200, key=key, dtype=jnp.float32)
    settings = {"stimulus": 1.0, "num_steps": 1, "num_trials": 1, "key": key}
    exact, found = (
        simulate.trajectories(networks.RateNetwork(weights, jnp.ones(200), noise_std=0.0), precision=p, **settings)
        for p in ("float32", precision)
    )
    assert found.dtype == jnp.float32
    difference = float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact))
    assert difference < error
    assert (difference > 1e-4) == (precision == "bfloat16")
    with pytest.raises(ValueError, match="precision must be one of"):
        simulate.trajectories(networks.RateNetwork(weights, jnp.ones(200), noise_std=0.0), precision="half", **settings)
