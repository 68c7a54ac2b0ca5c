"""A reference page for every package, written from its `__all__`: a table of names, then each of them."""

import importlib
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PACKAGES = (
    "connectivity", "nonlinearities", "networks", "networks.initializers", "tasks", "datasets", "meanfield", "dmft",
    "simulate", "fisher", "dynamics", "geometry", "training", "vision", "optimize", "plot", "report",
)  # fmt: skip
TOP = ("device_mesh", "on_devices")


def _page(package: str, names: list[str]) -> str:
    listed = "\n".join(f"   {name}" for name in names)
    described = "".join(
        f".. auto{_kind(package, name)}:: {package}.{name}\n\n" for name in names
    )
    return (
        f"{package}\n{'=' * len(package)}\n\n.. automodule:: {package}\n   :no-members:\n\n"
        f".. currentmodule:: {package}\n\n.. autosummary::\n   :nosignatures:\n\n{listed}\n\n{described}"
    )


def _kind(package: str, name: str) -> str:
    value = getattr(importlib.import_module(package), name)
    if isinstance(value, type):
        return "class"
    return "function" if callable(value) else "data"


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {"fisherjax": sorted(TOP)}
    for package in PACKAGES:
        public = importlib.import_module(f"fisherjax.{package}").__all__
        modules = {"initializers"}  # which have a page of their own
        pages[f"fisherjax.{package}"] = sorted(set(public) - modules, key=str.lower)
    for package, names in pages.items():
        text, path = _page(package, names), folder / f"{package}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _plain(_: Sphinx, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Bars of absolute values and stars of shapes are meant as they stand, outside of code and mathematics."""
    indent: int | None = None
    for place, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if indent is not None and line.strip() and depth <= indent:
            indent = None
        if ".. math::" in line or line.rstrip().endswith("::"):
            indent = depth
        elif indent is None and not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``|:math:`.*?`)", line)
            parts[::2] = [
                re.sub(r"(?<![\w*\\])\*(?=\w)|(?<!\\)\|", r"\\\g<0>", part)
                for part in parts[::2]
            ]
            lines[place] = "".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before any is read."""
    app.connect("builder-inited", _write, priority=100)
    app.connect("autodoc-process-docstring", _plain, priority=100)
    return {"parallel_read_safe": True}
