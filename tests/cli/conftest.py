"""Commands run in the test's own process: they keep their programs, in a home that is nobody else's."""

import contextlib
import os
import resource
import subprocess
import sys

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Where compiled programs are kept: tests that run beside these may write the same file at the same time."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", autouse=True)
def _programs_are_kept(home):
    enabled = jax.config.jax_enable_compilation_cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        jax.config.update("jax_enable_compilation_cache", True)
        reset_cache()
        yield
    jax.config.update("jax_enable_compilation_cache", enabled)
    reset_cache()


@pytest.fixture
def start(home):
    """Starts Python with some words."""

    def started(*words):
        command, environment = [sys.executable, *map(str, words)], {**os.environ, "HOME": str(home)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return started


@pytest.fixture
def small_disk():
    """Where this process may write no file of more than so many bytes."""

    @contextlib.contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
