"""One network: trained in one way, read, and kept in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax._runtime import check_settings, read_checkpoint, write_checkpoint
from fisherjax._types import Key, Record

from ._network import AngleNetwork
from ._reading import AngleReading, read_fresh, read_training_images
from ._stimuli import Shown, image_information
from ._training import AngleTraining, train_angle_network


class OrientationCase(Record):
    """A network trained in one way, and what its outputs know of the angle.

    Parameters
    ----------
    loss, concentration, frozen
        How it was trained, as of `vision.train_angle_network`.
    started
        Whether it went on from a given network.
    training
        The network, the loss of each step, and its images.
    fresh
        What is known of images that it has never seen.
    trained
        Of its training images; None where every step had fresh ones.
    share
        Information over that of the images themselves (`image_information`), mean over angles.
    settings
        What a file of this case must agree in to be gone on from.
    """

    loss: str
    concentration: float
    frozen: str
    started: bool
    training: AngleTraining
    fresh: AngleReading
    trained: AngleReading | None
    share: float
    settings: dict[str, Any]

    @property
    def network(self) -> AngleNetwork:
        """The trained network."""
        return self.training.network

    @property
    def label(self) -> str:
        """How it was trained, in words."""
        angles = "all angles alike" if self.concentration == 0 else f"angles κ = {self.concentration:g}"
        kept = {"none": "", "first": ", first layer frozen", "hidden": ", hidden layers frozen"}
        return f"{self.loss}, {angles}{kept[self.frozen]}{', from a base' if self.started else ''}"


class Plan(NamedTuple):
    """What all cases of a study share."""

    stimuli: Shown
    start: AngleNetwork | None
    encoding: Any
    nonlinearity: Any
    settings: dict[str, Any]
    folder: Path | None


def trained_case(
    plan: Plan,
    loss: Any,
    concentration: float,
    frozen: Any,
    *,
    keys: tuple[Key, Key, Key],
    tell: Callable[[str], object],
) -> OrientationCase:
    """One network: from its file, if there is one, or trained and sampled."""
    path = None if plan.folder is None else plan.folder / f"case-{loss}-{concentration:g}-{frozen}.npz"
    done = None if path is None else read_checkpoint(OrientationCase, path, resume=True)
    settings = plan.settings
    if done is not None:
        check_settings(done.settings, settings, path or "")
        return done
    train_key, *reading_keys = keys
    tell(f"training the network ({loss}, κ = {concentration:g}, frozen: {frozen})")
    training = train_angle_network(
        key=train_key, stimuli=plan.stimuli, num_images=settings["num_images"], num_steps=settings["num_steps"],
        loss=loss, encoding=plan.encoding, nonlinearity=plan.nonlinearity, concentration=concentration, frozen=frozen,
        start=plan.start,
    )  # fmt: skip
    tell("sampling the profile")
    sampled = {name: settings[name] for name in ("relative_error", "max_trials", "robust")}
    count, decoded = settings["num_angles"], settings["num_decoded"]
    fresh = read_fresh(training.network, plan.stimuli, count, decoded, keys=tuple(reading_keys), **sampled)
    trained = None
    if training.images is not None:
        trained = read_training_images(training.network, training.images, plan.stimuli, count, **sampled)
    of_images = image_information(plan.stimuli, fresh.profile.stimuli, reading_keys[1])
    share = float(np.mean(np.asarray(fresh.profile.value) / of_images))
    case = OrientationCase(
        loss, concentration, frozen, plan.start is not None, training, fresh, trained, share, settings
    )  # fmt: skip
    if path is not None:
        write_checkpoint(case, path)
    return case
