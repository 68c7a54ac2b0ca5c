"""Commands run in the test's own process: they keep their programs, in a home that is nobody else's."""

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Where compiled programs are kept: tests that run beside these may write the same file at the same time."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch, home):
    monkeypatch.setenv("HOME", str(home))
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", True)
    reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", enabled)
    reset_cache()
