"""Networks, preprocessing and standardized images that the commands on convolutional recurrent networks share."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax import datasets, vision
from fisherjax._types import write_atomically
from fisherjax.datasets._sources import Pictures

from ._arguments import Common
from ._convnet_arguments import DATA, Saved
from ._files import holds_record, load_record, part_of, read_json, reading
from ._image_data import Pair, spaced
from ._values import UsageError

PREPROCESSING, NAMES = "preprocessing.npz", "classes.json"


class Given(NamedTuple):
    """What training and evaluation take: standardized images and labels, or pictures."""

    images: np.ndarray | Pictures
    labels: np.ndarray | None


class Known(NamedTuple):
    """A network, what its pictures go through, names of its classes (none if unknown), and the data it was made on."""

    network: vision.ConvolutionalRNN
    preprocessing: datasets.Preprocessing
    names: tuple[str, ...]
    data: str | None


def usual_preprocessing(part: Pair | Pictures, image_shape: tuple[int, int, int]) -> datasets.Preprocessing:
    """By mean and deviation of all pixels of images in memory, at their own size; of pictures, as for ImageNet."""
    if isinstance(part, Pictures):
        return shrunk(image_shape)
    images = part[0]
    colors = images.shape[-1]
    mean, std = float(images.mean()), float(images.std())
    return datasets.Preprocessing(
        images.shape[1:], resize=min(images.shape[1:3]), mean=(mean,) * colors, std=(std,) * colors
    )


def shrunk(image_shape: tuple[int, int, int]) -> datasets.Preprocessing:
    """What pictures of any size go through."""
    gray: dict[str, Any] = {} if image_shape[2] == 3 else {"mean": (0.5,), "std": (0.25,)}
    return datasets.Preprocessing(image_shape, **gray)


def standardized(preprocessing: datasets.Preprocessing, part: Pair | Pictures, *, skip_bad: bool = False) -> Given:
    """Images as a network expects them: float32 and standardized, or pictures that will be."""
    if isinstance(part, Pictures):
        return Given(part.prepared(preprocessing, bad="skip" if skip_bad else "refuse"), None)
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    return Given(((part[0] - mean) / std).astype(np.float32), part[1])


def in_memory(part: Given, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first so many images, and their labels; of pictures, some of every class."""
    if isinstance(part.images, Pictures):
        pixels, labels = spaced(part.images, count).pixels()
        return np.asarray(part.images.preprocessing.standardized(pixels)), labels
    return part.images[:count], np.asarray(part.labels)[:count]


def check_kind_of(part: Pair | Pictures, command: Common, data: str, plan: vision.Architecture) -> None:
    """Refuse images of another size, and options that only pictures in files have."""
    if isinstance(part, Pictures):
        return
    if part[0].shape[1:] != plan.image_shape:
        raise UsageError(f"--data {data} has images of {part[0].shape[1:]}, the network expects {plan.image_shape}")
    skip_bad, area = getattr(command, "skip_bad", False), getattr(command, "area", 1)
    if skip_bad or area < 1:
        wrong = "--skip-bad" if skip_bad else "--area"
        raise UsageError(f"{wrong} belongs to pictures in files; --data {data} holds arrays")


def place_of(data: str) -> str:
    """A data set as later commands find it again: its name, or the whole path."""
    return data if data in DATA else str(Path(data).expanduser().absolute())


def keep_known(folder: Path, known: Known) -> None:
    """Write the network and, beside it, what `load_known` finds there."""
    known.network.save(folder / "network.npz")
    known.preprocessing.save(folder / PREPROCESSING)
    checksum = _checksum(known.data, known.names)
    names = json.dumps({"data": known.data, "classes": known.names, "checksum": checksum}) + "\n"
    write_atomically(folder / NAMES, names.encode())


def load_known(command: Saved) -> Known:
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
        return shrunk(plan.image_shape)
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
    return data if isinstance(data, str) else None, tuple(names)


def _checksum(data: str | None, names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([data, list(names)]).encode()).hexdigest()


def _network(path: Path) -> vision.ConvolutionalRNN:
    """What fisherjax saved, or a checkpoint under the published names."""
    if holds_record(path, "checkpoint"):
        saved = load_record(path, "checkpoint")
        return part_of(saved, vision.ConvolutionalRNN, f"checkpoint {path}", "network to run")
    with reading("checkpoint", path):
        return vision.load_checkpoint(path)
