"""Labeled images, networks and preprocessing that the commands on convolutional recurrent networks share."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fisherjax import datasets, vision
from fisherjax._types import write_atomically
from fisherjax.datasets._offline import SHAPES

from ._convnet_arguments import ConvnetAnalyze, ConvnetRun
from ._files import holds_record, load_record, part_of, read_json, reading
from ._values import UsageError

CLASSES: dict[str, tuple[str, ...]] = {
    "digits": tuple("0123456789"),
    "gratings": tuple(f"{180 * k / 8:g}°" for k in range(8)),
    "shapes": SHAPES,
    "cifar10": datasets.CIFAR10_CLASSES,
}
PREPROCESSING, NAMES = "preprocessing.npz", "classes.json"

_SYNTHETIC_SIZE, _SYNTHETIC_IMAGES, _TEST_IMAGES = 28, 2000, 500

Pair = tuple[np.ndarray, np.ndarray]


class Known(NamedTuple):
    """A network, what its pictures go through, names of its classes (none if unknown), and the data it was made on."""

    network: vision.ConvolutionalRNN
    preprocessing: datasets.Preprocessing
    names: tuple[str, ...]
    data: str | None


def labeled_pairs(data: str, count: int, cifar: Path | None, key: jax.Array) -> tuple[Pair, Pair]:
    """Training and test images with intensities as they come, and labels; `count` matters to synthetic ones."""
    if data == "digits":
        return datasets.digits(), datasets.digits(split="test")
    if data == "cifar10":
        with reading("--data", data):
            (a, b), (c, d) = [datasets.cifar10(cifar, split=split) for split in ("train", "test")]
        return (np.float32(a) / 255, b), (np.float32(c) / 255, d)  # pyright: ignore[reportReturnType]
    draw = datasets.oriented_gratings if data == "gratings" else datasets.shapes
    keys = jax.random.split(key)
    sizes = (count or _SYNTHETIC_IMAGES, _TEST_IMAGES)
    pairs = [draw(n, key=k, size=_SYNTHETIC_SIZE) for n, k in zip(sizes, keys, strict=True)]
    (a, b), (c, d) = [(np.asarray(images), np.asarray(labels)) for images, labels in pairs]
    return (a, b), (c, d)


def standardization(images: np.ndarray) -> datasets.Preprocessing:
    """Preprocessing by the mean and deviation of all pixels of the training images, at their own size."""
    colors = images.shape[-1]
    mean, std = float(images.mean()), float(images.std())
    return datasets.Preprocessing(
        images.shape[1:], resize=min(images.shape[1:3]), mean=(mean,) * colors, std=(std,) * colors
    )


def standardized(preprocessing: datasets.Preprocessing, images: np.ndarray) -> np.ndarray:
    """Images of the right size, float32, with the mean and deviation of the preprocessing."""
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    return ((images - mean) / std).astype(np.float32)


def keep_known(folder: Path, known: Known) -> None:
    """Write the network and, beside it, what `load_known` finds there."""
    known.network.save(folder / "network.npz")
    known.preprocessing.save(folder / PREPROCESSING)
    checksum = _checksum(known.data, known.names)
    names = json.dumps({"data": known.data, "classes": known.names, "checksum": checksum}) + "\n"
    write_atomically(folder / NAMES, names.encode())


def load_known(command: ConvnetRun | ConvnetAnalyze) -> Known:
    """The network in a file, saved here or published, with what the command changes, and what lies beside it."""
    path = command.checkpoint
    if path.is_dir():
        raise UsageError(f"checkpoint {path} is a folder; name the file in it")
    if not path.is_file():
        raise UsageError(f"checkpoint {path} does not exist")
    network = _network(path).replaced(
        alpha=command.alpha,
        blank_steps=command.blank_steps,
        image_steps=command.image_steps,
        noise_std=command.noise_std,
    )
    plan, named = network.architecture, path.with_name(NAMES)
    data, names = _class_names(named) if named.exists() else (None, ())
    return Known(network, _preprocessing(path, plan), names if len(names) == plan.num_classes else (), data)


def _preprocessing(checkpoint: Path, plan: vision.Architecture) -> datasets.Preprocessing:
    """That beside the checkpoint, or the usual one."""
    beside = checkpoint.with_name(PREPROCESSING)
    if not beside.exists():
        gray: dict[str, Any] = {} if plan.image_shape[2] == 3 else {"mean": (0.5,), "std": (0.25,)}
        return datasets.Preprocessing(plan.image_shape, **gray)
    saved = load_record(beside, "preprocessing")
    preprocessing = part_of(saved, datasets.Preprocessing, str(beside), "preprocessing")
    if preprocessing.image_shape != plan.image_shape:
        raise UsageError(f"{beside} is for images of {preprocessing.image_shape}, {checkpoint} for {plan.image_shape}")
    return preprocessing


def _class_names(path: Path) -> tuple[str | None, tuple[str, ...]]:
    """Which data a network was trained on, if any is named, and names of its classes."""
    kept = read_json(path, str(path))
    if isinstance(kept, dict):
        data, names = kept.get("data"), kept.get("classes")
    else:
        data, names = None, kept
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path} cannot be read as names of classes: it must hold a list of them, as text")
    if isinstance(kept, dict) and "checksum" in kept and kept["checksum"] != _checksum(data, names):
        raise UsageError(f"{path} was changed or damaged since it was written; names of your own are a plain list")
    return data if isinstance(data, str) and data in CLASSES else None, tuple(names)


def _checksum(data: str | None, names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([data, list(names)]).encode()).hexdigest()


def _network(path: Path) -> vision.ConvolutionalRNN:
    """What fisherjax saved, or a checkpoint under the published names."""
    if holds_record(path, "checkpoint"):
        saved = load_record(path, "checkpoint")
        return part_of(saved, vision.ConvolutionalRNN, f"checkpoint {path}", "network to run")
    with reading("checkpoint", path):
        return vision.load_checkpoint(path)
