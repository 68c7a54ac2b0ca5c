"""Every test runs in float64, with strict type promotion and every shape annotation checked."""

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

# Most of the time goes into compiling small programs once: cheaper ones are right to the same digits. The environment
# tells the processes that tests start too, and the workers among which tests are divided.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
# where in Python each operation of a program comes from is written down, but nobody looks it up
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
# Tests are divided among all cores: a second thread for small matrices only waits for its turn.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import equinox as eqx
import jax
import numpy as np
import platforms
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

_MOST_MAPS = 46_000  # at the end of a file; one file takes up to some 15 000
# begun first, processes beside programs, so that all workers end together
_LONGEST = [
    "devices/test_devices",
    "dmft/test_autocorrelation",
    "laws/test_compilation",
    "resume/test_kill",
    "laws/test_every_question",
    "fisher/test_samples",
    "test_readme",
    "cli/test_convnet",
    "fisher/test_closure",
    "optimize/test_optimize",
    "cli/test_optimize",
    "nonlinearities/test_moments",
    "dynamics/test_every_network",
]
# less than half the time of compiling, and a tenth less again
_CHEAP_COMPILING = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")


def _knows(flag):
    """Whether this XLA has a flag: it ends the process that asks for one it has not."""
    command, environment = [sys.executable, "-c", "import jax; jax.devices()"], os.environ | {"XLA_FLAGS": flag}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


_asked = [flag for flag in _CHEAP_COMPILING if flag not in os.environ.get("XLA_FLAGS", "")]
for _flags in [" ".join(_asked)] if _asked and _knows(" ".join(_asked)) else filter(_knows, _asked):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flags}".strip()

threadpool_limits(1)  # of what was loaded before the environment said so
gc.disable()  # until all is imported
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
platforms.enter()
jax.config.update("jax_enable_compilation_cache", False)  # of no folder: a key of every program is made all the same

install_import_hook("fisherjax", "beartype.beartype")

settings.register_profile(
    "fixed", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    """Files are handed out in this order."""
    order = {Path(__file__).parent / f"{name}.py": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish():
    """What was imported stays: the collector need not look through it again, and looks less often."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Free what was compiled before it is too much: a process may hold 65 530 memory maps, a program takes several."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > _MOST_MAPS:
        eqx.clear_caches()
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def key():
    return jax.random.key(20260101)


@pytest.fixture
def num_programs():
    """How many programs a compiled function has, once those of things that are gone have been let go of."""

    def count(function):
        gc.collect()
        return getattr(function, "_cached", function)._cache_size()

    return count


@pytest.fixture
def two_populations():
    """The two-population network of the acceptance grid, at unit scale."""
    from fisherjax.connectivity import GainMatrix

    return GainMatrix(np.array([[1.14258878, 0.68555327], [1.59962429, 0.91407102]]), np.array([0.3, 0.7]))


@pytest.fixture
def as_user():
    """Without the annotation checker, which users do not run: our own messages must appear."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture
def optimized_here():
    """Where running takes longer than compiling: programs compiled as users have them."""

    @contextlib.contextmanager
    def optimized():
        jax.config.update("jax_disable_most_optimizations", False)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", True)

    return optimized
