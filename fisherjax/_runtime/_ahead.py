"""Programs that are compiled beside what runs before they are needed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax


def compiled_ahead(function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
    """Trace a call of a jitted function here, and compile it in a thread of its own.

    Wait for the result before the first call, which then compiles nothing. Several processes compile in step.
    """
    lowered = function.lower(*arguments)  # pyright: ignore[reportFunctionMemberAccess]
    pool = ThreadPoolExecutor(1)
    compiling = pool.submit(lowered.compile)
    pool.shutdown(wait=jax.process_count() > 1)
    return compiling
