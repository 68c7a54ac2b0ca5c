"""Training of a convolutional recurrent network on labelled images."""

from typing import Any

import jax
import numpy as np

from fisherjax import datasets, dynamics, networks, plot, training
from fisherjax.report import Figure, Section, Table

from ._convnet_arguments import ConvnetTrain
from ._parse import UsageError
from ._session import Session
from ._shared import say_where, write_report

HEADER = ("stage", "updates", "last loss", "validation accuracy")

_PRESETS = {"digits": "R4-8", "gratings": "R4-28", "shapes": "R4-28", "cifar10": "R4-32"}
_CLASSES = {"digits": 10, "gratings": 8, "shapes": len(datasets.SHAPES), "cifar10": 10}
_SYNTHETIC_SIZE, _SYNTHETIC_IMAGES, _TEST_IMAGES = 28, 2000, 500
_VALIDATION_SHARE = 0.1

Pair = tuple[np.ndarray, np.ndarray]


def run_convnet_train(command: ConvnetTrain, session: Session) -> None:
    """Train, validate on the way, test on images that were never seen, draw, and keep the network."""
    keys = jax.random.split(jax.random.key(command.seed), 3)
    with jax.enable_x64(False):  # float32: theory is not at stake
        train, validation, test = _data(command, keys[0])
        plan = _architecture(command)
        _check_checkpoints(command, session)
        options: dict[str, Any] = {
            "batch_size": command.batch_size,
            "learning_rate": command.learning_rate,
            "augmentation": training.Augmentation(command.flip, command.crop, command.mixup),
            "validation": validation,
            "folder": session.folder,
            "progress": session.progress,
            "noise_std": command.noise_std,
        }
        steps = training.StageSteps(
            command.feedforward, command.recurrence, command.linear, command.anneal, command.fine_tune
        )
        with session.stage("training"):
            if command.route == "steps":
                trained = training.train_cordsnet(plan, *train, key=keys[1], steps=steps, **options)
            else:
                trained = training.train_directly(plan, *train, key=keys[1], num_steps=steps.total, **options)
        trained.save(session.folder / "training.npz")
        trained.network.save(session.folder / "network.npz")
        weights = networks.save_cordsnet(trained.network, session.folder / "weights.safetensors")
        with session.stage("testing and drawing"):
            accuracy = training.accuracy(trained.network, *test)
            logits = networks.respond(trained.network, test[0][:_TEST_IMAGES]).logits
            decided = dynamics.decisions(logits, test[1][:_TEST_IMAGES], onset=plan.blank_steps)
            bounds = dynamics.stability_certificate(trained.network)
            figure = plot.save_convolutional_training(
                session.folder / "training.png", trained, decided, bounds, onset=plan.blank_steps
            )
    rows = [
        [name, len(one.loss), float(one.loss[-1]), float(np.round(one.validation_accuracy[-1], 4))]
        for name, one in trained.histories.items()
    ]
    session.write_table(HEADER, rows)
    facts = {"accuracy": accuracy, "test_images": len(test[1]), "updates": sum(int(row[1]) for row in rows)}
    facts |= {"globally_stable": bounds.globally_stable, "locally_stable": bounds.locally_stable}
    session.write_results(facts)
    session.write_arrays(
        accuracy=decided.accuracy, confidence=decided.confidence, reaction_time=decided.reaction_time,
        singular=bounds.singular, symmetric=bounds.symmetric, jacobian_radius=bounds.jacobian_radius,
    )  # fmt: skip
    session.write_manifest()
    text = [
        f"{trained.network!r}",
        f"Accuracy on {len(test[1])} images that were neither trained nor validated on: {accuracy:.4f}.",
        (
            f"Certified: one fixed point for every image in {int(bounds.globally_stable.sum())} of {plan.depth} areas, "
            f"locally stable fixed points in {int(bounds.locally_stable.sum())}. What is not certified may be stable."
        ),
    ]
    items = [Figure(figure, "Training, decisions through time, and stability bounds."), Table(HEADER, rows)]
    write_report(session, f"A convolutional recurrent network on {command.data}", [Section("Training", text, items)])
    print(f"accuracy {accuracy:.4f} on {len(test[1])} test images after {facts['updates']} updates")
    print(f"weights under the published names: {weights}")
    say_where(session)


def _architecture(command: ConvnetTrain) -> networks.Architecture:
    return networks.architecture(
        command.preset or _PRESETS[command.data],
        num_classes=_CLASSES[command.data],
        alpha=command.alpha,
        blank_steps=command.blank_steps,
        image_steps=command.image_steps,
    )


def _check_checkpoints(command: ConvnetTrain, session: Session) -> None:
    found = sorted(session.folder.glob("stage-*.npz"))
    if command.resume and not found:
        raise UsageError(f"--resume: there are no checkpoints in {session.folder}")
    if not command.resume:
        for path in found:
            path.unlink()  # --force: the folder is to be written anew


def _data(command: ConvnetTrain, key: jax.Array) -> tuple[Pair, Pair, Pair]:
    """Training, validation and test images, standardised by the mean and deviation of the training images."""
    train, test = _pairs(command, key)
    count = len(train[1]) if command.images == 0 else command.images
    if not 10 <= count <= len(train[1]):
        raise UsageError(f"--images: {command.data} has 10 to {len(train[1])} training images, got {count}")
    images, labels = train[0][:count], train[1][:count]
    mean, spread = images.mean(), images.std()
    held = max(1, round(_VALIDATION_SHARE * count))
    standard = ((images - mean) / spread).astype(np.float32)
    tested = ((test[0] - mean) / spread).astype(np.float32)
    return (standard[held:], labels[held:]), (standard[:held], labels[:held]), (tested, test[1])


def _pairs(command: ConvnetTrain, key: jax.Array) -> tuple[Pair, Pair]:
    if command.data == "digits":
        return datasets.digits(), datasets.digits(split="test")
    if command.data == "cifar10":
        try:
            loaded = [datasets.cifar10(command.cifar, split=split) for split in ("train", "test")]
        except (OSError, ImportError) as error:
            raise UsageError(f"--data cifar10: {error}") from error
        (a, b), (c, d) = loaded
        return (np.float32(a) / 255, b), (np.float32(c) / 255, d)  # pyright: ignore[reportReturnType]
    draw = datasets.oriented_gratings if command.data == "gratings" else datasets.shapes
    keys = jax.random.split(key)
    total = command.images or _SYNTHETIC_IMAGES
    pairs = [draw(n, key=k, size=_SYNTHETIC_SIZE) for n, k in zip((total, _TEST_IMAGES), keys, strict=True)]
    (a, b), (c, d) = [(np.asarray(images), np.asarray(labels)) for images, labels in pairs]
    return (a, b), (c, d)
