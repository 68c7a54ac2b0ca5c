"""Training of a convolutional recurrent network on labeled images."""

from typing import Any

import jax
import numpy as np

from fisherjax import datasets, vision
from fisherjax.plot._convolutional_pages import save_convolutional_training
from fisherjax.report import Figure, Section, Table

from ._convnet_arguments import ConvnetTrain
from ._convnet_data import CLASSES, Known, Pair, keep_known, labeled_pairs, standardization, standardized
from ._limits import UsageError
from ._session import Session
from ._shared import say_where, write_report

HEADER = ("stage", "updates", "last loss", "validation accuracy")

_PRESETS = {"digits": "R4-8", "gratings": "R4-28", "shapes": "R4-28", "cifar10": "R4-32"}
_TEST_IMAGES = 500
_VALIDATION_SHARE = 0.1


def run_convnet_train(command: ConvnetTrain, session: Session) -> None:
    """Train, validate on the way, test on images that were never seen, draw, and keep the network."""
    keys = jax.random.split(jax.random.key(command.seed), 3)
    with jax.enable_x64(False):  # float32: theory is not at stake
        (train, validation, test), preprocessing = _data(command, keys[0])
        plan = _architecture(command)
        if train[0].shape[1:] != plan.image_shape:
            raise UsageError(
                f"--preset {command.preset} is for images of {plan.image_shape}, --data {command.data} has "
                f"{train[0].shape[1:]}"
            )
        if command.batch_size > len(train[1]):
            raise UsageError(
                f"--batch-size must be at most the {len(train[1])} training images, got {command.batch_size}"
            )
        if command.crop >= min(plan.image_shape[:2]):
            raise UsageError(
                f"--crop must be below the side of an image, {min(plan.image_shape[:2])}, got {command.crop}"
            )
        session.checkpoint("stage-*.npz")
        options: dict[str, Any] = {
            "batch_size": command.batch_size,
            "learning_rate": command.learning_rate,
            "augmentation": vision.Augmentation(command.flip, command.crop, command.mixup),
            "held_out": validation,
            "folder": session.folder,
            "progress": session.progress,
            "noise_std": command.noise_std,
        }
        steps = vision.StageSteps(
            command.feedforward, command.recurrence, command.linear, command.anneal, command.fine_tune
        )
        with session.stage("training"):
            if command.route == "steps":
                trained = vision.train(plan, *train, key=keys[1], steps=steps, **options)
            else:
                trained = vision.train_directly(plan, *train, key=keys[1], num_steps=steps.total, **options)
        trained.save(session.folder / "training.npz")
        keep_known(session.folder, Known(trained.network, preprocessing, CLASSES[command.data], command.data))
        weights = vision.save_checkpoint(trained.network, session.folder / "weights.safetensors")
        with session.stage("testing and drawing"):
            accuracy = vision.accuracy(trained.network, *test)
            logits = vision.respond(trained.network, test[0][:_TEST_IMAGES]).logits
            decided = vision.decisions(logits, test[1][:_TEST_IMAGES], onset=plan.blank_steps)
            bounds = vision.stability_certificate(trained.network)
            figure = save_convolutional_training(
                session.folder / "training.png", trained, decided, bounds, onset=plan.blank_steps
            )
    rows = [
        [name, len(one.loss), float(one.loss[-1]), float(np.round(one.held_out_accuracy[-1], 4))]
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
    standard, tested = (standardized(preprocessing, one) for one in (images, test[0]))
    pairs = ((standard[held:], labels[held:]), (standard[:held], labels[:held]), (tested, test[1]))
    return pairs, preprocessing
