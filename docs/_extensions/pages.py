"""Programs on pages run before a site is built, and examples of the gallery begin afresh."""

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.display import status_iterator

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from programs import blocks, check


def _of_pages(app: Sphinx) -> Iterator[tuple[str, str, str]]:
    for page in sorted(Path(app.srcdir).rglob("*.md")):
        for code, printed in blocks(page.read_text()):
            yield page.name, code, printed


def _check_pages(app: Sphinx) -> None:
    """Before anything is built; what ran before and has not changed is not run again."""
    kept = Path(app.outdir).parent / "programs.json"
    known = set(json.loads(kept.read_text())) if kept.exists() else set()
    programs = list(_of_pages(app))
    for name, code, printed in status_iterator(
        programs,
        "running programs of pages… ",
        "teal",
        len(programs),
        stringify_func=lambda program: program[0],
    ):
        digest = hashlib.sha256(f"{code}\0{printed}".encode()).hexdigest()
        if digest in known:
            continue
        try:
            check(code, printed)
        except Exception as error:
            logging.getLogger(__name__).warning(
                "a program of %s fails: %s\n%s", name, error, code
            )
        else:
            known.add(digest)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(sorted(known)))


def no_arguments(_: Any, __: Any) -> list[str]:
    """What examples of the gallery find on their command line."""
    return []


def fresh(_: Any, __: Any) -> None:
    """Every example of the gallery begins in float32, with the memory of none before it."""
    jax.config.update("jax_enable_x64", False)
    jax.clear_caches()
    # what a warning says is shown, not on whose machine
    warnings.formatwarning = lambda message, category, *_, **__: (
        f"{category.__name__}: {message}\n"
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Run programs when a build begins."""
    app.connect("builder-inited", _check_pages)
    return {"parallel_read_safe": True}
