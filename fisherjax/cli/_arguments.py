"""What every command can be told, with its defaults. Imports nothing heavy: `--help` must be quick."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from tyro.conf import Positional

from ._common_arguments import Common
from ._convnet_arguments import ConvnetAnalyse, ConvnetRun, ConvnetTrain

T = TypeVar("T", bound=Common)

Structure = Literal[
    "toeplitz", "symmetric-toeplitz", "generalized-toeplitz", "circulant", "chain", "free", "homogeneous"
]


@dataclass(frozen=True, kw_only=True)
class Network(Common):
    """Arguments that describe a structured network and its stimulus."""

    gain: float = 1.0
    """Gain of a homogeneous network; used where no gains are given."""
    gains: Path | None = None
    """Gain matrix as text (P rows of P numbers, spaces or commas) or a saved GainMatrix or Optimum (.npz)."""
    fractions: tuple[float, ...] = ()
    """Share of each population; equal if absent."""
    stimulus: float = 0.1
    """Size θ of the stimulus pulse."""
    noise_std: float = 0.1
    """Standard deviation σ of the process noise."""
    steps: int = 10
    """Number of time steps."""
    units: int = 1000
    """Number of units N."""
    nonlinearity: str = "tanh"
    """tanh, erf, relu, threshold-linear, logistic or identity."""


@dataclass(frozen=True, kw_only=True)
class Optimize(Common):
    """Optimise a structured network's Fisher information, check it by simulation, see it."""

    structure: Structure = "toeplitz"
    """Family of gain matrices to search."""
    populations: int = 5
    """Number of equal populations."""
    objective: Literal["log-fisher", "integrated", "retention"] = "log-fisher"
    """What to maximise at the last step."""
    steps: int = 10
    """Time T at which information counts."""
    stimulus: float = 0.1
    """Size θ of the stimulus pulse on population 0."""
    noise_std: float = 0.1
    """Standard deviation σ of the process noise."""
    nonlinearity: str = "tanh"
    """tanh, erf, relu, threshold-linear, logistic or identity."""
    budget: float = 1.0
    """Mean synaptic budget Σ f_p g_pq² f_q; 0 for none."""
    max_radius: float = 0.0
    """Largest spectral radius of the weights; 0 for no limit."""
    bounds: tuple[float, float] = (0.0, 5.0)
    """Lowest and highest gain parameter (of the shape, where there is a budget)."""
    algorithm: Literal["differential-evolution", "cma-es"] = "differential-evolution"
    """Global search of the first stage."""
    population_size: int = 64
    """Candidates per generation."""
    generations: int = 150
    """Generations of the first stage."""
    restarts: int = 2
    """Independent searches."""
    refine_steps: int = 60
    """Gradient steps of the second stage."""
    units: int = 1000
    """Units N of the simulated networks."""
    trials: int = 200
    """Trials per simulated network."""
    draws: int = 6
    """Weight draws that are simulated."""
    images: int = 60
    """Natural image patches for the geometry."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def quickened(self: T) -> T:
        search = {"generations": 30, "refine_steps": 10, "population_size": 24, "restarts": 1}
        return replace(self, **search, units=300, trials=60, draws=2, images=24)


@dataclass(frozen=True, kw_only=True)
class Curve(Network):
    """Predict Fisher information over time for a given structure, by the exact theory and the bare operator."""


@dataclass(frozen=True, kw_only=True)
class Simulate(Network):
    """Measure Fisher information in simulated networks, beside the theory."""

    trials: int = 200
    """Trials per network."""
    draws: int = 4
    """Weight draws."""
    form: Literal["independent", "linear"] = "independent"
    """Information of single units added up, or with noise correlations (needs more trials than units)."""

    def quickened(self) -> "Simulate":
        return replace(self, units=200, trials=60 if self.form == "independent" else 400, draws=2)


@dataclass(frozen=True, kw_only=True)
class Geometry(Network):
    """Follow the distances between images through a network, predicted and simulated."""

    data: str = "natural"
    """natural (patches of photographs), cifar10, cifar100, or a path: a CIFAR-10 archive or folder, or your own images
    (n × height × width [× 3]) as .npy, or as .npz with `images` and perhaps `labels` inside."""
    split: Literal["train", "test"] = "train"
    """Which part of CIFAR."""
    images: int = 100
    """Number of images."""
    size: int = 16
    """Side of a natural patch in pixels."""
    color: bool = False
    """Whether to keep colour; luminance otherwise."""
    preprocess: Literal["none", "contrast", "whiten"] = "none"
    """Contrast normalisation of each image, or whitening (ZCA) of all."""
    projection: Literal["random", "identity", "crop"] = "random"
    """How images become states of population 0."""
    trials: int = 20
    """Trials averaged per image."""
    draws: int = 3
    """Weight draws."""

    def quickened(self: T) -> T:
        return replace(self, images=24, units=300, trials=5, draws=2)


@dataclass(frozen=True, kw_only=True)
class Estimate(Common):
    """Estimate Fisher information from samples: of your own responses, or of a network that reads orientations."""

    responses: tuple[Path, ...] = ()
    """Your responses: an .npz with arrays `minus` and `plus` (trials × units) and perhaps `separation`; one .csv whose
    first column names two conditions; or two .csv files, one per condition."""
    separation: float = 0.0
    """Total stimulus difference Δθ between the two conditions."""
    size: int = 21
    """Side of the grating images in pixels; 101 in the original study."""
    training_steps: int = 4000
    """Steps of Adam."""
    angles: int = 100
    """Angles of the profile."""
    relative_error: float = 0.03
    """Target standard error of the profile."""
    budget: int = 2_000_000
    """Trials of the profile, all angles together."""
    trials: int = 2000
    """Trials of the methods that are compared."""

    def quickened(self: T) -> T:
        return replace(self, training_steps=800, angles=24, relative_error=0.06, budget=100_000, trials=500)


@dataclass(frozen=True, kw_only=True)
class Dmft(Common):
    """Dynamic mean-field theory in continuous time beside simulation: transition to chaos, autocorrelation, regimes."""

    gain: float = 2.0
    """Gain g of a homogeneous network; used where no gains are given."""
    gains: Path | None = None
    """Gain matrix as text (P rows of P numbers, spaces or commas) or a saved GainMatrix or Optimum (.npz)."""
    fractions: tuple[float, ...] = ()
    """Share of each population; equal if absent."""
    noise: float = 0.0
    """Noise intensity s₂: the variance that an unconnected unit would have."""
    nonlinearity: str = "tanh"
    """tanh, erf, relu, threshold-linear, logistic or identity."""
    units: int = 1000
    """Units N of the simulated networks."""
    draws: int = 5
    """Networks drawn for the autocorrelation; for every measured exponent at most three."""
    duration: float = 100.0
    """Time that is averaged over, in time constants."""
    max_lag: float = 20.0
    """Longest lag shown, in time constants; at most half of the duration."""
    grid: int = 30
    """Gains and noise levels of the phase diagram, each."""

    def quickened(self) -> "Dmft":
        return replace(self, units=200, draws=2, duration=40.0, max_lag=min(self.max_lag, 20.0), grid=10)


Task = Literal[
    "flip-flop",
    "integrator",
    "sine-wave",
    "copy-memory",
    "adding",
    "perceptual-decision",
    "delayed-match",
    "context-integration",
]


@dataclass(frozen=True, kw_only=True)
class Train(Common):
    """Train a recurrent network on a task, under biological constraints if asked."""

    task: Positional[Task] = "flip-flop"
    """What to learn."""
    network: Literal["rnn", "continuous", "gru", "lstm"] = "rnn"
    """Kind of network."""
    units: int = 64
    """Number of units N."""
    nonlinearity: str = "tanh"
    """tanh, erf, relu, logistic, softplus or identity (rnn and continuous)."""
    dale: float = 0.0
    """Share of excitatory units under Dale's law; 0 for no law."""
    autapses: bool = True
    """Whether units may drive themselves."""
    rank: int = 0
    """Rank of the recurrent weights; 0 for full."""
    noise_std: float = 0.0
    """Standard deviation of the noise on every unit's current."""
    steps: int = 1000
    """Training steps."""
    batch_size: int = 64
    """Trials per step."""
    trial_steps: int = 0
    """Time steps per trial; 0 for the task's own."""
    learning_rate: float = 2e-3
    """Step size of Adam."""
    target_accuracy: float = 0.0
    """Stop as soon as held-out accuracy is as good; 0 to go on."""
    checkpoint_every: int = 500
    """Training steps between checkpoints."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def quickened(self: T) -> T:
        return replace(self, steps=200, units=32)


@dataclass(frozen=True, kw_only=True)
class FixedPoints(Common):
    """Find and draw the fixed points of a trained network."""

    checkpoint: Positional[Path] = Path("results/checkpoint.npz")
    """A checkpoint, or a saved Training or network (.npz)."""
    task: Task | None = None
    """Task whose trials tell which states the network visits; that of the checkpoint by default."""
    inputs: tuple[float, ...] = ()
    """Input that is held, one number per channel; zero if absent."""
    candidates: int = 1024
    """States to start from."""
    spread: float = 0.1
    """Noise added to them, relative to the spread of visited states."""
    noise_std: float = 0.2
    """Noise per unit of the step that kicks the state off a fixed point in the transition graph."""
    tolerance: float = 1e-16
    """Largest q = ½‖F(x) − x‖² of a fixed point."""

    def quickened(self: T) -> T:
        return replace(self, candidates=128)


@dataclass(frozen=True, kw_only=True)
class Sweep(Common):
    """Run a command for every combination of some arguments, in one job or in many, and put the results together."""

    plan: Positional[Path]
    """TOML file with `command`, [fixed] arguments of all points, lists of values to [vary], and perhaps `out` and what
    to [show]."""
    shard: str = "1/1"
    """This process's part i/n of the points, i from 1: for job arrays."""
    merge: bool = False
    """Only put together what is there."""
    out: Path = Path()
    """Folder for everything that is written; results/NAME for a plan NAME.toml by default."""


@dataclass(frozen=True)
class Info:
    """Print versions, device and precision."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute."""


Command = (
    Optimize
    | Curve
    | Simulate
    | Estimate
    | Geometry
    | Dmft
    | Train
    | FixedPoints
    | ConvnetTrain
    | ConvnetRun
    | ConvnetAnalyse
    | Sweep
    | Info
)
COMMANDS: dict[str, Command] = {
    "optimize": Optimize(),
    "curve": Curve(),
    "simulate": Simulate(),
    "estimate": Estimate(),
    "geometry": Geometry(),
    "dmft": Dmft(),
    "train": Train(),
    "fixed-points": FixedPoints(),
    "convnet-train": ConvnetTrain(),
    "convnet-run": ConvnetRun(),
    "convnet-analyse": ConvnetAnalyse(),
    "sweep": Sweep(plan=Path("sweep.toml")),
    "info": Info(),
}
