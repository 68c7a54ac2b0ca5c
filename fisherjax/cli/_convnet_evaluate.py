"""How often a trained convolutional recurrent network is right, on labeled images of any number."""

from typing import Any

import jax
import numpy as np

from fisherjax import networks, vision
from fisherjax.datasets._sources import Pictures
from fisherjax.plot._convolutional_pages import save_evaluation
from fisherjax.report import Table
from fisherjax.report._html import Picture
from fisherjax.vision._evaluation import Evaluation

from ._convnet_arguments import ConvnetEvaluate
from ._convnet_data import Given, Known, check_kind_of, load_known, standardized
from ._image_data import ImageData, Pair, fewer, named_images
from ._outcome import Outcome, section
from ._session import Session
from ._values import UsageError

_CLASSES = ("class", "images", "right", "most often taken for", "how often")


def run_convnet_evaluate(command: ConvnetEvaluate, session: Session) -> Outcome:
    """Respond to all images, count, and say of every class what it is taken for."""
    known = load_known(command)
    known = known._replace(network=networks.in_precision(known.network, np.float32))
    plan = known.network.architecture
    with jax.enable_x64(False):
        given, names = _given(command, known)
        with session.stage("evaluating"):
            found = vision.evaluate(
                known.network,
                *given,
                offset_steps=command.offset_steps,
                confidence=command.confidence,
                progress=session.progress,
            )
            session.save("evaluation", found)
    end = found.offset - 1
    best = [(float(share[end]), float(low[end]), float(high[end])) for share, (low, high) in _shares(found)]
    text = [
        f"{known.network!r}, {found.num_images} images ({command.split}) of {_source(command, known)}.",
        f"When the image vanishes, the most probable class is right for {_told(best[0])} of the images"
        + (f", one of the five most probable for {_told(best[1])}" if plan.num_classes > 5 else "")
        + f" ({100 * found.confidence:g} % Wilson intervals).",
    ]
    picture = Picture(
        "evaluation.png", "Right decisions through time, and what classes are taken for.", save_evaluation, found, names
    )
    table = _table(found, names)
    results = {"images": found.num_images, "confidence": found.confidence, "loss": float(found.loss[end])}
    for name, (share, low, high) in zip(("top_1", "top_5"), best, strict=True):
        results |= {name: share, f"{name}_interval": [low, high]}
    return Outcome(
        title="How often a network is right",
        sections=[section("Evaluation", text, picture, table)],
        results=results | {"network": repr(known.network)},
        arrays={name: getattr(found, name) for name in ("top_1", "top_5", "top_1_interval", "loss", "confusion")},
        table=table,
        sentences=text[1:],
    )


def _shares(found: Evaluation) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(found.top_1, found.top_1_interval.T), (found.top_5, found.top_5_interval.T)]


def _told(share: tuple[float, float, float]) -> str:
    return f"{share[0]:.2%} ({share[1]:.2%} to {share[2]:.2%})"


def _source(command: ConvnetEvaluate, known: Known) -> str:
    return str(known.data) if command.data == "auto" else command.data


def _given(command: ConvnetEvaluate, known: Known) -> tuple[Given, tuple[str, ...]]:
    """Images that the network is to be asked about, numbered by its own classes, and their names."""
    if command.data == "auto" and known.data is None:
        raise UsageError("convnet evaluate: what the network was trained on is not known; name images with --data")
    splits = ("train", "test") if command.split == "all" else (command.split,)
    data = named_images(_source(command, known), splits, 0, jax.random.key(command.seed))
    part = fewer(_numbered(_joined(list(data.parts.values())), data, known), command, _source(command, known))
    check_kind_of(part, command, _source(command, known), known.network.architecture)
    count = known.network.architecture.num_classes
    fits = data.classes if len(data.classes) == count else tuple(f"class {index}" for index in range(count))
    return standardized(known.preprocessing, part, skip_bad=command.skip_bad), known.names or fits


def _joined(parts: list[Pair | Pictures]) -> Pair | Pictures:
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    if isinstance(first, Pictures) and isinstance(second, Pictures):
        return Pictures(first.places + second.places, np.concatenate([first.labels, second.labels]), first.classes)
    images, labels = (np.concatenate(both) for both in zip(first, second, strict=True))  # pyright: ignore[reportArgumentType]
    return images, labels


def _numbered(part: Pair | Pictures, data: ImageData, known: Known) -> Pair | Pictures:
    """Labels as the network numbers its classes: by their names where all are known to it, else in their order."""
    count = known.network.architecture.num_classes
    if known.names and set(data.classes) <= set(known.names):
        number = np.array([known.names.index(name) for name in data.classes], np.int32)
        if isinstance(part, Pictures):
            return Pictures(part.places, number[part.labels], known.names, bad=part.bad)
        return part[0], number[part[1]]
    if len(data.classes) != count:
        raise UsageError(f"--data has {len(data.classes)} classes, the network {count}, and names do not tell which")
    return part


def _table(found: Evaluation, names: tuple[str, ...]) -> Table:
    """One row for every class that there is, the least recognized first."""
    counts = found.confusion.sum(axis=1)
    rows: list[list[Any]] = []
    for index in np.flatnonzero(counts):
        others = np.where(np.arange(len(names)) == index, -1, found.confusion[index])
        share = found.confusion[index, index] / counts[index]
        rest = int(others.max())
        rows.append([names[index], int(counts[index]), float(share), names[others.argmax()] if rest > 0 else "", rest])
    return Table(_CLASSES, sorted(rows, key=lambda row: row[2]))
