"""What the commands on convolutional recurrent networks can be told. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from ._arguments import Common
from ._values import Amount, Count, Limits, Size, Whole

Preset = Literal["R2-32", "R4-32", "R6-32", "R2-28", "R4-28", "R6-28", "R2-8", "R4-8", "R2", "R4", "R6", "R8"]
Part = Literal["stability", "growth", "decisions", "robustness", "relaxation", "information", "distortions"]
PARTS: tuple[Part, ...] = ("stability", "growth", "decisions", "robustness", "relaxation", "information", "distortions")


DATA = ("digits", "gratings", "shapes", "mnist", "fashion-mnist", "cifar10", "cifar100")
"""Data sets that have names."""


@dataclass(frozen=True, kw_only=True)
class ConvnetTrain(Common):
    """Train a convolutional recurrent network (CordsNet) to classify images, in the published steps or directly."""

    data: str = "digits"
    """digits (scikit-learn's, of 8 × 8), gratings or shapes (synthetic, of 28 × 28), mnist, fashion-mnist, cifar10 or
    cifar100 (downloaded once), or a path: what those are handed out as; ImageNet's archives; pictures in a folder for
    each class; an .npz or .mat with `images` and `labels`. Pictures are read while the network learns."""
    images: Whole = 0
    """Training images; 0 for all (2000 of the synthetic ones)."""
    preset: Preset | None = None
    """Architecture, for images of 224 × 224 (R8), 32 × 32, 28 × 28 or 8 × 8; that of the data by default."""
    skip_bad: bool = False
    """Show the next picture in place of one that cannot be read, and say so, instead of stopping."""
    route: Literal["steps", "direct"] = "steps"
    """The published steps, or the recurrent network from random weights for as many updates."""
    alpha: Annotated[float, Limits(0, 1, strict=True)] = 0.2
    """dt/τ of all areas."""
    blank_steps: Whole = 8
    """Time steps before the image."""
    image_steps: Count = 20
    """Time steps with the image, and after it while training."""
    feedforward: Count = 300
    """Updates of step 1, the feed-forward network with batch normalization."""
    recurrence: Count = 300
    """Updates of step 2, the recurrent weights whose steady state equals it."""
    linear: Count = 60
    """Updates of step 3, the linear recurrent network."""
    anneal: Count = 4
    """Updates per level of step 4, from linear to rectified in 20 levels."""
    fine_tune: Count = 100
    """Updates of step 5, the rectified network."""
    batch_size: Count = 64
    """Images per update."""
    learning_rate: Size = 2e-3
    """Where the step size of Adam starts in every stage."""
    flip: bool = False
    """Mirror images at random."""
    crop: Whole = 0
    """Shift images at random by up to so many pixels."""
    mixup: Amount = 0.0
    """Mix pairs of images in shares from Beta(a, a); 0 for not."""
    area: Annotated[float, Limits(0, 1, strict=True)] = 1.0
    """Show parts of pictures from files at random, of at least this share of their area; .08 is usual for ImageNet."""
    noise_std: Amount = 0.0
    """Standard deviation of the state noise."""
    resume: bool = False
    """Go on from the checkpoints in --out."""

    def quick_sizes(self) -> dict[str, Any]:
        updates = {"feedforward": 40, "recurrence": 40, "linear": 10, "anneal": 1, "fine_tune": 10}
        return updates | {"image_steps": 10, "images": 600}


@dataclass(frozen=True, kw_only=True)
class Saved(Common):
    """Which network, and how it is run."""

    checkpoint: Path = Path("results/network.npz")
    """A network that fisherjax trained, or a published checkpoint (.pt, .pth, .safetensors, .npz)."""
    alpha: Annotated[float, Limits(0, 1, strict=True)] | None = None
    """dt/τ of all areas; what the file says, or the published 0.2."""
    blank_steps: Whole | None = None
    """Time steps before the image; what the file says, or the published 100."""
    image_steps: Count | None = None
    """Time steps with the image; what the file says, or the published 100."""
    noise_std: Amount | None = None
    """Standard deviation of the state noise; what the file says, or none."""


@dataclass(frozen=True, kw_only=True)
class ConvnetRun(Saved):
    """Show pictures of your own to a trained convolutional recurrent network (CordsNet)."""

    out: Path = Path("results/pictures")
    """Folder for everything that is written."""
    images: Positional[tuple[Path, ...]] = ()
    """Pictures: PNG, JPEG, or whatever Pillow reads."""
    classes: Path | None = None
    """Names of the classes in order: one per line, or a JSON list."""
    top: Count = 5
    """Most probable classes to report."""
    offset_steps: Whole = 0
    """Time steps after the image has vanished."""
    areas: tuple[Whole, ...] = ()
    """Areas whose activity is written to arrays.npz; none by default."""
    at: tuple[Count, ...] = ()
    """Time steps, counted from 1 and rising, at which it is; where figures have it by default."""
    invert: bool = False
    """Swap dark and bright, as for ink on paper shown to a network that knows bright strokes on black."""


@dataclass(frozen=True, kw_only=True)
class ConvnetAnalyze(Saved):
    """Stability, decisions, robustness and Fisher information of a trained convolutional recurrent network."""

    out: Path = Path("results/analysis")
    """Folder for everything that is written."""
    checkpoint: Positional[Path] = Path("results/network.npz")
    """A network that fisherjax trained, or a published checkpoint (.pt, .pth, .safetensors, .npz)."""
    data: str = "auto"
    """Images to analyze with: what it was trained on, or photographs without labels where that is not known; or what
    `convnet train` takes."""
    parts: tuple[Part, ...] = ()
    """What to analyze; all by default, but no growth, information or distortions beyond 100 000 units."""
    images: Count = 200
    """Test images for decisions, robustness and relaxation."""
    trials: Whole = 0
    """Simulated responses per parameter, beside the predicted Fisher information; 0 for enough: 400, 4 per channel."""
    eigenvalues: Count = 6
    """Leading eigenvalues of every Jacobian."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"images": 40, "eigenvalues": 2}


@dataclass(frozen=True, kw_only=True)
class ConvnetEvaluate(Saved):
    """How often a trained convolutional recurrent network (CordsNet) is right, at every step, with intervals."""

    out: Path = Path("results/evaluation")
    """Folder for everything that is written."""
    checkpoint: Positional[Path] = Path("results/network.npz")
    """A network that fisherjax trained, or a published checkpoint (.pt, .pth, .safetensors, .npz)."""
    data: str = "auto"
    """Labeled images: those that it was trained on, or what `convnet train` takes."""
    split: Literal["test", "train", "all"] = "test"
    """Images that training sets aside, those that it learns from and validates on, or both."""
    images: Whole = 0
    """Number of images, the first ones (of pictures in files, some of every class); 0 for all."""
    offset_steps: Whole = 0
    """Time steps after the image has vanished."""
    confidence: Annotated[float, Limits(0, 1, strict=True)] = 0.95
    """Of the intervals."""
    skip_bad: bool = False
    """Show the next picture in place of one that cannot be read, and say so, instead of stopping."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"images": 200}
