"""Programs of many small operations, which take longer to compile than to run."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

# on a CPU: a program of some thousand operations compiles in 2/5 of the time and runs as fast
_CHEAP = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


class SmallProgram:
    """A function under `equinox.filter_jit`, compiled cheaply; for whole programs, not within others.

    XLA takes its options by name and refuses those that it does not know: then, on other devices, and where JAX is told
    to leave optimizations out anyway, there are none.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self._jitted(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """Trace a call."""
        return self._jitted.lower(*arguments)

    @property
    def _cached(self) -> Any:
        return self._jitted._cached

    @functools.cached_property
    def _jitted(self) -> Any:
        return eqx.filter_jit(self._function, **_options())


@functools.cache
def _options() -> dict[str, Any]:
    if jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return {}
    options: dict[str, Any] = {"compiler_options": _CHEAP}
    try:
        jax.jit(lambda: 0.0, **options)()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
