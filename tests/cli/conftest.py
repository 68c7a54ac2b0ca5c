"""Commands run in the test's own process: what they set for a whole run is put back, and the home is nobody else's."""

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

_SET = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_traceback_filtering",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Where compiled programs are kept: tests that run beside these may write the same file at the same time."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch, home):
    monkeypatch.setenv("HOME", str(home))
    before = {name: getattr(jax.config, name) for name in _SET}
    jax.config.update("jax_enable_compilation_cache", True)
    reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()
