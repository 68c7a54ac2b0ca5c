"""What the commands on convolutional recurrent networks can be told. Imports nothing heavy."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from tyro.conf import Positional

from ._common_arguments import Common

T = TypeVar("T", bound="ConvnetTrain")
A = TypeVar("A", bound="ConvnetAnalyse")

Part = Literal["stability", "growth", "decisions", "robustness", "relaxation", "information", "distortions"]
PARTS: tuple[Part, ...] = (
    "stability",
    "growth",
    "decisions",
    "robustness",
    "relaxation",
    "information",
    "distortions",
)


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


@dataclass(frozen=True, kw_only=True)
class Saved(Common):
    """Which network, and how it is run."""

    alpha: float | None = None
    """dt/τ of all areas; what the file says, or the published 0.2."""
    blank_steps: int | None = None
    """Time steps before the image; what the file says, or the published 100."""
    image_steps: int | None = None
    """Time steps with the image; what the file says, or the published 100."""
    noise_std: float | None = None
    """Standard deviation of the state noise; what the file says, or none."""


@dataclass(frozen=True, kw_only=True)
class ConvnetRun(Saved):
    """Show pictures of your own to a trained convolutional recurrent network (CordsNet)."""

    out: Path = Path("results/pictures")
    """Folder for everything that is written."""
    images: Positional[tuple[Path, ...]] = ()
    """Pictures: PNG, JPEG, or whatever Pillow reads."""
    checkpoint: Path = Path("results/network.npz")
    """A network that fisherjax trained, or a published checkpoint (.pt, .pth, .safetensors, .npz)."""
    classes: Path | None = None
    """Names of the classes in order: one per line, or a JSON list."""
    top: int = 5
    """Most probable classes to report."""
    offset_steps: int = 0
    """Time steps after the image has vanished."""
    invert: bool = False
    """Swap dark and bright, as for ink on paper shown to a network that knows bright strokes on black."""


@dataclass(frozen=True, kw_only=True)
class ConvnetAnalyse(Saved):
    """Stability, decisions, robustness and Fisher information of a trained convolutional recurrent network."""

    out: Path = Path("results/analysis")
    """Folder for everything that is written."""
    checkpoint: Positional[Path] = Path("results/network.npz")
    """A network that fisherjax trained, or a published checkpoint (.pt, .pth, .safetensors, .npz)."""
    data: Literal["auto", "digits", "gratings", "shapes", "cifar10", "photographs"] = "auto"
    """Images to analyse with: what it was trained on, or photographs without labels where that is not known."""
    cifar: Path | None = None
    """Archive or folder of CIFAR-10; downloaded if absent."""
    parts: tuple[Part, ...] = ()
    """What to analyse; all by default, but no growth, information or distortions beyond 100 000 units."""
    images: int = 200
    """Test images for decisions, robustness and relaxation."""
    trials: int = 0
    """Simulated responses per parameter, beside the predicted Fisher information; 0 for enough: 400, 4 per channel."""
    eigenvalues: int = 6
    """Leading eigenvalues of every Jacobian."""

    def quickened(self: A) -> A:
        return replace(self, images=40, eigenvalues=2)
