"""A user's own pictures through a trained convolutional recurrent network."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import vision
from fisherjax.plot._convolutional_pages import save_response
from fisherjax.report import Figure, Section, Table

from ._convnet_arguments import ConvnetRun
from ._convnet_data import Known, load_known
from ._files import read_json, read_small
from ._limits import UsageError
from ._session import Session
from ._shared import say_where, write_report

HEADER = ("picture", "rank", "class", "probability", "steps until above 0.8 for good")

_RECORDS = 50  # times at which activity is recorded


def run_convnet_run(command: ConvnetRun, session: Session) -> None:
    """Preprocess, respond, and draw every picture by itself."""
    with jax.enable_x64(False):
        known = load_known(command)
        names = _class_names(command, known)
        key = jax.random.key(command.seed)
        preprocess = known.preprocessing.inverted() if command.invert else known.preprocessing
        pictures = [_preprocessed(preprocess, path) for path in command.images]
        rows: list[list[object]] = []
        sections = []
        probabilities = []
        for index, (path, picture) in enumerate(zip(command.images, pictures, strict=True)):
            with session.stage(str(path)):
                response = _respond(command, known, picture, jax.random.fold_in(key, index))
                figure = save_response(
                    session.folder / f"{index + 1:02d}-{_plain(path.stem)}.png",
                    preprocess.intensities(picture),
                    response,
                    names,
                    top=command.top,
                )
            found = _ranked(path, response, names, command.top)
            rows += found
            probabilities.append(np.asarray(response.probabilities))
            print(f"{path.name}: " + ", ".join(f"{row[2]} {float(row[3]):.1%}" for row in found))  # pyright: ignore[reportArgumentType]
            caption = "What the network sees, its most probable classes, and the mean activity of every area."
            sections.append(
                Section(path.name, [], [Figure(figure, caption), Table(HEADER[1:], [r[1:] for r in found])])
            )
    session.write_table(HEADER, rows)
    session.write_results(
        {"rows": [dict(zip(HEADER, row, strict=True)) for row in rows], "network": repr(known.network)}
    )
    session.write_arrays(probabilities=np.stack(probabilities))
    session.write_manifest()
    write_report(session, f"{len(pictures)} picture{'s' if len(pictures) > 1 else ''} through a network", sections)
    say_where(session)


def _respond(command: ConvnetRun, known: Known, picture: np.ndarray, key: Any) -> vision.Response:
    plan = known.network.architecture
    total = plan.blank_steps + plan.image_steps + command.offset_steps
    return vision.respond(
        known.network,
        jnp.asarray(picture),
        offset_steps=command.offset_steps,
        areas="all",
        at=np.unique(np.linspace(1, total, min(total, _RECORDS)).round().astype(int)).tolist(),
        key=key if float(known.network.noise_std) > 0 else None,
    )


def _ranked(path: Path, response: vision.Response, names: tuple[str, ...], top: int) -> list[list[object]]:
    """The most probable classes when the image vanishes."""
    scores = np.asarray(response.logits)[: response.offset, None]
    last = np.asarray(response.probabilities)[response.offset - 1]
    order = np.argsort(-last)[:top]
    decided = vision.decisions(scores, order[:1], onset=response.onset)
    reaction = float(decided.reaction_time[0])
    return [
        [str(path), rank + 1, names[index], float(last[index]), reaction if rank == 0 and np.isfinite(reaction) else ""]
        for rank, index in enumerate(order)
    ]


def _preprocessed(preprocess: Any, path: Path) -> np.ndarray:
    try:
        return preprocess(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _class_names(command: ConvnetRun, known: Known) -> tuple[str, ...]:
    count = known.network.architecture.num_classes
    if command.classes is None:
        return known.names or tuple(f"class {index}" for index in range(count))
    name = f"--classes {command.classes}"
    if command.classes.suffix == ".json":
        names = read_json(command.classes, name)
    else:
        names = read_small(command.classes, name).strip().splitlines()
    if not isinstance(names, list) or len(names) != count:
        given = len(names) if isinstance(names, list) else f"a {type(names).__name__}"
        raise UsageError(f"--classes {command.classes}: the network has {count} classes, got {given}")
    return tuple(str(name).strip() for name in names)


def _plain(stem: str) -> str:
    """A file name without anything that a folder or a page might not like."""
    return re.sub(r"[^\w.-]+", "-", stem)[:40] or "picture"
