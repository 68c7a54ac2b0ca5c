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
from ._convnet_data import CLASSES, Known, Pair, keep_known, labeled_pairs, load_known, standardization, standardized
from ._files import read_json, read_small, reading
from ._outcome import Outcome, section
from ._session import Session
from ._values import UsageError

_PRESETS = {"digits": "R4-8", "gratings": "R4-28", "shapes": "R4-28", "cifar10": "R4-32"}
_TEST_IMAGES = 500
_VALIDATION_SHARE = 0.1
_RANKED = ("picture", "rank", "class", "probability", "steps until above 0.8 for good")
_RECORDS = 50  # times at which activity is recorded


def run_convnet_train(command: ConvnetTrain, session: Session) -> Outcome:
    """Train, validate on the way, test on images that were never seen, and keep the network."""
    data_key, train_key, _ = jax.random.split(jax.random.key(command.seed), 3)
    with jax.enable_x64(False):  # float32: theory is not at stake
        (train, validation, test), preprocessing = _data(command, data_key)
        plan = _architecture(command)
        _check_sizes(command, train, plan)
        trained = _trained(command, session, plan, train, validation, train_key)
        keep_known(session.folder, Known(trained.network, preprocessing, CLASSES[command.data], command.data))
        weights = vision.save_checkpoint(trained.network, session.folder / "weights.safetensors")
        with session.stage("testing"):
            accuracy = vision.accuracy(trained.network, *test)
            logits = vision.respond(trained.network, test[0][:_TEST_IMAGES]).logits
            decided = vision.decisions(logits, test[1][:_TEST_IMAGES], onset=plan.blank_steps)
            bounds = vision.stability_certificate(trained.network)
    updates = sum(len(history.loss) for history in trained.histories.values())
    text = [
        f"{trained.network!r}",
        f"Accuracy on {len(test[1])} images that were neither trained nor validated on: {accuracy:.4f}.",
        (
            f"Certified: one fixed point for every image in {int(bounds.globally_stable.sum())} of {plan.depth} areas, "
            f"locally stable fixed points in {int(bounds.locally_stable.sum())}. What is not certified may be stable."
        ),
    ]
    caption = "Training, decisions through time, and stability bounds."
    drawn = (trained, decided, bounds)
    picture = Picture("training.png", caption, save_convolutional_training, *drawn, onset=plan.blank_steps)
    table = _stage_table(trained)
    results = {"accuracy": accuracy, "test_images": len(test[1]), "updates": updates}
    arrays = {name: getattr(decided, name) for name in ("accuracy", "confidence", "reaction_time")}
    return Outcome(
        title=f"A convolutional recurrent network on {command.data}",
        sections=[section("Training", text, picture, table)],
        results=results | {name: getattr(bounds, name) for name in ("globally_stable", "locally_stable")},
        arrays=arrays | {name: getattr(bounds, name) for name in ("singular", "symmetric", "jacobian_radius")},
        table=table,
        sentences=[
            f"accuracy {accuracy:.4f} on {len(test[1])} test images after {updates} updates",
            f"weights under the published names: {weights}",
        ],
    )


def _check_sizes(command: ConvnetTrain, train: Pair, plan: vision.Architecture) -> None:
    shape, count, side = train[0].shape[1:], len(train[1]), min(plan.image_shape[:2])
    if shape != plan.image_shape:
        raise UsageError(
            f"--preset {command.preset} is for images of {plan.image_shape}, --data {command.data} has {shape}"
        )
    if command.batch_size > count:
        raise UsageError(f"--batch-size must be at most the {count} training images, got {command.batch_size}")
    if command.crop >= side:
        raise UsageError(f"--crop must be below the side of an image, {side}, got {command.crop}")


def _trained(
    command: ConvnetTrain, session: Session, plan: vision.Architecture, train: Pair, validation: Pair, key: jax.Array
) -> vision.ConvolutionalTraining:
    session.checkpoint("stage-*.npz")
    steps = vision.StageSteps(
        command.feedforward, command.recurrence, command.linear, command.anneal, command.fine_tune
    )
    options: dict[str, Any] = {
        "batch_size": command.batch_size,
        "learning_rate": command.learning_rate,
        "augmentation": vision.Augmentation(command.flip, command.crop, command.mixup),
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


def _architecture(command: ConvnetTrain) -> vision.Architecture:
    return vision.architecture(
        command.preset or _PRESETS[command.data],
        num_classes=len(CLASSES[command.data]),
        alpha=command.alpha,
        blank_steps=command.blank_steps,
        image_steps=command.image_steps,
    )


def _data(command: ConvnetTrain, key: jax.Array) -> tuple[tuple[Pair, Pair, Pair], datasets.Preprocessing]:
    """Training, validation and test images, standardized alike, and how."""
    train, test = labeled_pairs(command.data, command.images, command.cifar, key)
    count = len(train[1]) if command.images == 0 else command.images
    if count > len(train[1]):
        raise UsageError(f"--images: {command.data} has {len(train[1])} training images, got {count}")
    images, labels = train[0][:count], train[1][:count]
    preprocessing = standardization(images)
    held = max(1, round(_VALIDATION_SHARE * count))
    standard, tested = (standardized(preprocessing, part) for part in (images, test[0]))
    pairs = ((standard[held:], labels[held:]), (standard[:held], labels[:held]), (tested, test[1]))
    return pairs, preprocessing


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
        rows, sections, probabilities = [], [], []
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
            sections.append(_picture_section(path, place, ranked))
    return Outcome(
        title=f"{len(pictures)} picture{'s' if len(pictures) > 1 else ''} through a network",
        sections=sections,
        results={"rows": [dict(zip(_RANKED, row, strict=True)) for row in rows], "network": repr(known.network)},
        arrays={"probabilities": np.stack(probabilities)},
        table=Table(_RANKED, rows),
    )


def _picture_section(path: Path, place: Path, ranked: list[list[Any]]) -> Section:
    caption = "What the network sees, its most probable classes, and the mean activity of every area."
    return section(path.name, [], Figure(place, caption), Table(_RANKED[1:], [row[1:] for row in ranked]))


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
