"""How much information a recurrent network keeps about a stimulus, where, and for how long.

The packages load on first use, so that ``import fisherjax`` costs next to nothing.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_PACKAGES = (
    "connectivity",
    "datasets",
    "dmft",
    "dynamics",
    "fisher",
    "geometry",
    "meanfield",
    "networks",
    "numerics",
    "optimize",
    "plot",
    "report",
    "simulate",
    "tasks",
    "training",
)

__all__ = ["__version__", *_PACKAGES]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> ModuleType:
    if name in _PACKAGES:
        return importlib.import_module(f"fisherjax.{name}")
    raise AttributeError(f"module 'fisherjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
