"""How much information a recurrent network keeps about a stimulus, where, and for how long.

The packages load on first use, so that ``import fisherjax`` costs next to nothing.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_PACKAGES = (
    "connectivity", "datasets", "dmft", "dynamics", "fisher", "geometry", "meanfield", "networks", "nonlinearities",
    "optimize", "plot", "report", "simulate", "tasks", "training", "vision",
)  # fmt: skip
_FUNCTIONS = ("device_mesh", "on_devices")

__all__ = ["__version__", *_FUNCTIONS, *_PACKAGES]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"fisherjax.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("fisherjax._runtime"), name)
    raise AttributeError(f"module 'fisherjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
