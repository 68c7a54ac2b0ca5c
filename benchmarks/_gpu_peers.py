"""Torch on the device that JAX computes on, where it is installed and sees it; None elsewhere."""

import functools
from collections.abc import Callable
from typing import Any

import jax

DEVICE = "cpu" if jax.default_backend() == "cpu" else "cuda"


@functools.cache
def torch_or_none() -> Any:
    """Torch, if it can compute where JAX does."""
    try:
        import torch
    except ImportError:
        return None
    return torch if DEVICE == "cpu" or torch.cuda.is_available() else None


def synchronized(function: Callable[[], Any], *, allow: bool) -> Callable[[], Any]:
    """A function of torch on the device, which returns when it is done; `allow` for TensorFloat-32."""
    torch = torch_or_none()

    def run() -> Any:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allow
        with torch.device(DEVICE):
            found = function()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return found

    return run


def made(function: Callable[[], Any]) -> Any:
    """What a function makes of torch, on the device."""
    with torch_or_none().device(DEVICE):
        return function()
