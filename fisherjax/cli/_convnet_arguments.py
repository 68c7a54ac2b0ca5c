"""What the commands on convolutional recurrent networks can be told. Imports nothing heavy."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from ._common_arguments import Common

T = TypeVar("T", bound="ConvnetTrain")


@dataclass(frozen=True, kw_only=True)
class ConvnetTrain(Common):
    """Train a convolutional recurrent network (CordsNet) to classify images, in the published steps or directly."""

    data: Literal["digits", "gratings", "shapes", "cifar10"] = "digits"
    """Labelled images: handwritten digits of 8 × 8 (scikit-learn's), synthetic ones of 28 × 28, or CIFAR-10."""
    cifar: Path | None = None
    """Archive or folder of CIFAR-10; downloaded if absent."""
    images: int = 0
    """Training images; 0 for all (2000 of the synthetic ones)."""
    preset: str = ""
    """Architecture: R2-32, R4-32, R6-32, R2-28 …, R4-8; that of the data by default."""
    route: Literal["steps", "direct"] = "steps"
    """The published steps, or the recurrent network from random weights for as many updates."""
    alpha: float = 0.2
    """dt/τ of all areas."""
    blank_steps: int = 8
    """Time steps before the image."""
    image_steps: int = 20
    """Time steps with the image, and after it while training."""
    feedforward: int = 300
    """Updates of step 1, the feed-forward network with batch normalisation."""
    recurrence: int = 300
    """Updates of step 2, the recurrent weights whose steady state equals it."""
    linear: int = 60
    """Updates of step 3, the linear recurrent network."""
    anneal: int = 4
    """Updates per level of step 4, from linear to rectified in 20 levels."""
    fine_tune: int = 100
    """Updates of step 5, the rectified network."""
    batch_size: int = 64
    """Images per update."""
    learning_rate: float = 2e-3
    """Where the step size of Adam starts in every stage."""
    flip: bool = False
    """Mirror images at random."""
    crop: int = 0
    """Shift images at random by up to so many pixels."""
    mixup: float = 0.0
    """Mix pairs of images in shares from Beta(a, a); 0 for not."""
    noise_std: float = 0.0
    """Standard deviation of the state noise."""
    resume: bool = False
    """Go on from the checkpoints in --out."""

    def quickened(self: T) -> T:
        return replace(
            self, feedforward=40, recurrence=40, linear=10, anneal=1, fine_tune=10, image_steps=10, images=600
        )
