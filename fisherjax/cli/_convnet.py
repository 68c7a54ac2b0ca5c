"""Training of a convolutional recurrent network on labeled images, and a user's own pictures through one."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import datasets, vision
from fisherjax.plot._convolutional_pages import save_convolutional_training, save_response
from fisherjax.report import Figure, Section, Table
from fisherjax.report._html import Picture

from ._convnet_arguments import ConvnetRun, ConvnetTrain
from ._convnet_data import (
    Given,
    Known,
    check_kind_of,
    in_memory,
    keep_known,
    load_known,
    place_of,
    standardized,
    usual_preprocessing,
)
from ._files import read_json, read_small, reading
from ._image_data import ImageData, fewer, named_images, set_aside, size_of
from ._outcome import Outcome, section
from ._session import Session
from ._values import UsageError

_TEST_IMAGES = 500
_VALIDATION_SHARE = 0.1
_RANKED = ("picture", "rank", "class", "probability", "steps until above 0.8 for good")
_RECORDS = 50  # times at which activity is recorded


def run_convnet_train(command: ConvnetTrain, session: Session) -> Outcome:
    """Train, validate on the way, test on images that were never seen, and keep the network."""
    data_key, train_key, _ = jax.random.split(jax.random.key(command.seed), 3)
    with jax.enable_x64(False):  # float32: theory is not at stake
        data = named_images(command.data, ("train", "test"), command.images, data_key)
        plan = _architecture(command, data)
        preprocessing, (train, validation, test) = _parts(command, plan, data)
        trained = _trained(command, session, plan, train, validation, train_key)
        keep_known(session.folder, Known(trained.network, preprocessing, data.classes, place_of(command.data)))
        weights = vision.save_checkpoint(trained.network, session.folder / "weights.safetensors")
        with session.stage("testing"):
            tested = vision.evaluate(trained.network, *test, progress=session.progress)
            images, labels = in_memory(test, _TEST_IMAGES)
            logits = vision.respond(trained.network, images).logits
            decided = vision.decisions(logits, labels, onset=plan.blank_steps)
            bounds = vision.stability_certificate(trained.network)
    updates = sum(len(history.loss) for history in trained.histories.values())
    text = [
        f"{trained.network!r}",
        (
            f"Accuracy on {tested.num_images} images that were neither trained nor validated on: {tested.accuracy:.4f} "
            f"({tested.top_1_interval[-1, 0]:.4f} to {tested.top_1_interval[-1, 1]:.4f})."
        ),
        (
            f"Certified: one fixed point for every image in {int(bounds.globally_stable.sum())} of {plan.depth} areas, "
            f"locally stable fixed points in {int(bounds.locally_stable.sum())}. What is not certified may be stable."
        ),
    ]
    caption = "Training, decisions through time, and stability bounds."
    drawn = (trained, decided, bounds)
    picture = Picture("training.png", caption, save_convolutional_training, *drawn, onset=plan.blank_steps)
    table = _stage_table(trained)
    results = {"accuracy": tested.accuracy, "test_images": tested.num_images, "updates": updates}
    arrays = {name: getattr(decided, name) for name in ("accuracy", "confidence", "reaction_time")}
    return Outcome(
        title=f"A convolutional recurrent network on {command.data}",
        sections=[section("Training", text, picture, table)],
        results=results | {name: getattr(bounds, name) for name in ("globally_stable", "locally_stable")},
        arrays=arrays | {name: getattr(bounds, name) for name in ("singular", "symmetric", "jacobian_radius")},
        table=table,
        sentences=[
            f"accuracy {tested.accuracy:.4f} on {tested.num_images} test images after {updates} updates",
            f"weights under the published names: {weights}",
        ],
    )


def _trained(
    command: ConvnetTrain, session: Session, plan: vision.Architecture, train: Given, validation: Given, key: jax.Array
) -> vision.ConvolutionalTraining:
    session.checkpoint("stage-*.npz")
    steps = vision.StageSteps(
        command.feedforward, command.recurrence, command.linear, command.anneal, command.fine_tune
    )
    options: dict[str, Any] = {
        "batch_size": command.batch_size,
        "learning_rate": command.learning_rate,
        "augmentation": vision.Augmentation(command.flip, command.crop, command.mixup, command.area),
        "held_out": validation,
        "folder": session.folder,
        "progress": session.progress,
        "noise_std": command.noise_std,
    }
    with session.stage("training"):
        if command.route == "steps":
            trained = vision.train(plan, *train, key=key, steps=steps, **options)
        else:
            trained = vision.train_directly(plan, *train, key=key, num_steps=steps.total, **options)
        return session.save("training", trained)


def _stage_table(trained: vision.ConvolutionalTraining) -> Table:
    rows = [
        [name, len(history.loss), float(history.loss[-1]), float(np.round(history.held_out_accuracy[-1], 4))]
        for name, history in trained.histories.items()
    ]
    return Table(("stage", "updates", "last loss", "validation accuracy"), rows)


def _architecture(command: ConvnetTrain, data: ImageData) -> vision.Architecture:
    return vision.architecture(
        command.preset or data.preset,
        num_classes=len(data.classes),
        alpha=command.alpha,
        blank_steps=command.blank_steps,
        image_steps=command.image_steps,
    )


def _parts(
    command: ConvnetTrain, plan: vision.Architecture, data: ImageData
) -> tuple[datasets.Preprocessing, tuple[Given, Given, Given]]:
    """How images are standardized, and those to train, to validate and to test on."""
    known = fewer(data.parts["train"], command, command.data)
    check_kind_of(known, command, command.data, plan)
    train, validation = set_aside(known, _VALIDATION_SHARE)
    if command.batch_size > size_of(train):
        raise UsageError(f"--batch-size must be at most the {size_of(train)} training images, got {command.batch_size}")
    side = min(plan.image_shape[:2])
    if command.crop >= side:
        raise UsageError(f"--crop must be below the side of an image, {side}, got {command.crop}")
    preprocessing = usual_preprocessing(known, plan.image_shape)
    given = [
        standardized(preprocessing, part, skip_bad=command.skip_bad) for part in (train, validation, data.parts["test"])
    ]
    return preprocessing, (given[0], given[1], given[2])


def run_convnet_run(command: ConvnetRun, session: Session) -> Outcome:
    """Preprocess, respond, and draw every picture by itself."""
    with jax.enable_x64(False):
        known = load_known(command)
        names = _class_names(command, known)
        preprocess = known.preprocessing.inverted() if command.invert else known.preprocessing
        pictures = []
        for path in command.images:
            with reading("", path):
                pictures.append(preprocess(path))
        _check_activity(command, known.network.architecture)
        rows, sections, probabilities, activity = [], [], [], []
        for index, (path, picture) in enumerate(zip(command.images, pictures, strict=True)):
            with session.stage(str(path)):
                key = jax.random.fold_in(jax.random.key(command.seed), index)
                response = _respond(command, known, picture, key)
                # drawn at once: the response of a large network is not kept
                place = session.folder / f"{index + 1:02d}-{_plain(path.stem)}.png"
                save_response(place, preprocess.intensities(picture), response, names, top=command.top)
            ranked = _ranked(path, response, names, command.top)
            print(f"{path.name}: " + ", ".join(f"{row[2]} {row[3]:.1%}" for row in ranked))
            rows += ranked
            probabilities.append(np.asarray(response.probabilities))
            activity.append(_handed_out(command, response))
            sections.append(_picture_section(path, place, ranked))
    return Outcome(
        title=f"{len(pictures)} picture{'s' if len(pictures) > 1 else ''} through a network",
        sections=sections,
        results={"rows": [dict(zip(_RANKED, row, strict=True)) for row in rows], "network": repr(known.network)},
        arrays={"probabilities": np.stack(probabilities)}
        | {name: np.stack([one[name] for one in activity]) for name in activity[0]},
        table=Table(_RANKED, rows),
    )


def _picture_section(path: Path, place: Path, ranked: list[list[Any]]) -> Section:
    caption = "What the network sees, its most probable classes, and the mean activity of every area."
    return section(path.name, [], Figure(place, caption), Table(_RANKED[1:], [row[1:] for row in ranked]))


def _respond(command: ConvnetRun, known: Known, picture: np.ndarray, key: Any) -> vision.Response:
    plan = known.network.architecture
    total = plan.blank_steps + plan.image_steps + command.offset_steps
    drawn = np.linspace(1, total, min(total, _RECORDS)).round().astype(int)
    return vision.respond(
        known.network,
        jnp.asarray(picture),
        offset_steps=command.offset_steps,
        areas="all",
        at=np.unique([*drawn, *command.at]).tolist(),
        key=key if float(known.network.noise_std) > 0 else None,
    )


def _check_activity(command: ConvnetRun, plan: vision.Architecture) -> None:
    """Refuse areas and steps that there are not."""
    total = plan.blank_steps + plan.image_steps + command.offset_steps
    if command.areas and max(command.areas) >= plan.depth:
        raise UsageError(f"--areas must be from 0 to {plan.depth - 1}, got {max(command.areas)}")
    if command.at and (list(command.at) != sorted(set(command.at)) or command.at[-1] > total):
        raise UsageError(f"--at must rise within 1…{total}, got {' '.join(map(str, command.at))}")


def _handed_out(command: ConvnetRun, response: vision.Response) -> dict[str, np.ndarray]:
    """Activity (records, height, width, channels) of the areas that are asked for, and its steps."""
    if not command.areas:
        return {}
    chosen = np.isin(response.recorded, command.at) if command.at else np.ones(len(response.recorded), bool)
    maps = {f"activity_area_{area}": np.asarray(response.activity[area])[chosen] for area in command.areas}
    return {"activity_steps": response.recorded[chosen], **maps}


def _ranked(path: Path, response: vision.Response, names: tuple[str, ...], top: int) -> list[list[Any]]:
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
        raise UsageError(f"{name}: the network has {count} classes, got {given}")
    return tuple(str(name).strip() for name in names)


def _plain(stem: str) -> str:
    """A file name without anything that a folder or a page might not like."""
    return re.sub(r"[^\w.-]+", "-", stem)[:40] or "picture"
