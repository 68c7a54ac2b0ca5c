"""What every command can be told, with its defaults. Imports nothing heavy: `--help` must be quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from ._values import Amount, Count, Limits, Real, Share, Size, Whole

Nonlinearity = Literal[
    "tanh", "erf", "relu", "threshold-linear", "retanh", "logistic", "sigmoid", "softplus", "identity", "linear"
]

SMOOTH = ("tanh", "erf", "identity", "linear", "logistic", "sigmoid", "softplus")
"""Nonlinearities for which there is a theory of noise correlations."""

Structure = Literal[
    "toeplitz", "symmetric-toeplitz", "generalized-toeplitz", "circulant", "chain", "free", "homogeneous"
]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Arguments of every command that computes something."""

    out: Path = Path("results")
    """Folder for everything that is written."""
    seed: Annotated[int, Limits(0, 2**32 - 1)] = 0
    """Seed of all randomness."""
    config: Path | None = None
    """TOML file whose entries replace the defaults of this command; the command line wins over it."""
    quick: bool = False
    """A small version that ends in seconds, to see that everything works; what else is said stays."""
    format: Literal["png", "pdf", "svg"] = "png"
    """Figures as PDF or SVG too, for a paper; the report holds PNG."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute."""
    devices: str = "1"
    """How many devices share the work, or all; several on a CPU are threads of this machine."""
    distributed: bool = False
    """One of several processes that work together; what the scheduler (SLURM, Open MPI) says is found by itself."""
    coordinator: str = ""
    """Address host:port of the first process, where no scheduler tells."""
    num_processes: Whole = 0
    """How many processes there are, where no scheduler tells."""
    process_id: Annotated[int, Limits(-1, 10**9)] = -1
    """Number of this one, from 0, where no scheduler tells."""
    force: bool = False
    """Write into a folder that is not empty."""

    def usual(self) -> dict[str, Any]:
        """Values of what was not said, where they depend on other arguments."""
        return {}

    def quick_sizes(self) -> dict[str, Any]:
        """Sizes for a quick look, which replace those that were not said on the command line or in a config."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Asked(Common):
    """Arguments of what one network can be asked; without --network it is asked of something else."""

    network: Path | None = None
    """The network that is asked: a saved network, training or checkpoint (.npz), or a file of torch (.pt, .pth,
    .safetensors)."""
    stimulus: tuple[Real, ...] = (0.1,)
    """Size θ of the stimulus; for a network with several inputs as many numbers, or one for all of them."""
    noise_std: Amount | None = None
    """Standard deviation σ of the process noise; that of the file with --network, and else 0.1, by default."""
    observation_noise_std: Amount | None = None
    """Standard deviation of the noise of what is read; that of the file with --network, and else none, by default."""
    protocol: Literal["pulse", "sustained"] = "pulse"
    """How the stimulus enters: before the first step, or at every step."""
    pattern: Path | None = None
    """What the number --stimulus multiplies with --network (.npy, in the shape of its inputs): an input that is there
    at the first step (pulse) or at every step. Needed for images, and for more than 12 inputs."""
    read: Literal["state", "output"] = "state"
    """What is read with --network."""
    steps: Count = 10
    """Number of time steps."""
    nonlinearity: Nonlinearity | None = None
    """What a unit does to its input: tanh by default. A saved network has its own; a file of torch does not say it."""


@dataclass(frozen=True, kw_only=True)
class Structured(Asked):
    """Arguments that describe a structured network."""

    gain: Amount = 1.0
    """Gain of a homogeneous network; used where no gains are given."""
    gains: Path | None = None
    """Gain matrix as text (P rows of P numbers, spaces or commas) or a saved GainMatrix or Optimum (.npz)."""
    fractions: tuple[Size, ...] = ()
    """Share of each population; equal if absent."""
    units: Count = 1000
    """Number of units N."""

    def usual(self) -> dict[str, Any]:
        return {} if self.network else {"noise_std": 0.1, "nonlinearity": "tanh"}


@dataclass(frozen=True, kw_only=True)
class Entered(Structured):
    """Arguments that say what else enters a structured network, and what is read of it."""

    means: Path | None = None
    """Mean weights, N times the mean of J, as text (P rows of P numbers): an excitatory population has a column of
    positive numbers, an inhibitory one of negative ones."""
    bias: tuple[Real, ...] = ()
    """What is added to every unit at every step: one number, or one per population."""
    bias_std: tuple[Amount, ...] = ()
    """How far the bias differs from unit to unit, for good: one number, or one per population."""
    observed: tuple[Share, ...] = ()
    """Share of the units of each population that is read, from 0 to 1; all by default."""


@dataclass(frozen=True, kw_only=True)
class Optimize(Common):
    """Optimize a structured network's Fisher information, check it by simulation, see it."""

    structure: Structure = "toeplitz"
    """Family of gain matrices to search."""
    populations: Count = 5
    """Number of equal populations."""
    objective: Literal["log-fisher", "integrated", "retention"] = "log-fisher"
    """What to maximize at the last step."""
    form: Literal["linear", "independent"] = "linear"
    """Information with noise correlations counted, what a read-out can get, or units counted as independent; the
    latter by default where the nonlinearity has a kink."""
    steps: Count = 10
    """Time T at which information counts."""
    stimulus: Real = 0.1
    """Size θ of the stimulus pulse on population 0."""
    noise_std: Size = 0.1
    """Standard deviation σ of the process noise."""
    nonlinearity: Nonlinearity = "tanh"
    """What a unit does to its input."""
    budget: Amount = 1.0
    """Mean synaptic budget Σ f_p g_pq² f_q; 0 for none."""
    max_radius: Amount = 0.0
    """Largest spectral radius of the weights; 0 for no limit."""
    bounds: tuple[Amount, Amount] = (0.0, 5.0)
    """Lowest and highest gain parameter (of the shape, where there is a budget)."""
    algorithm: Literal["differential-evolution", "cma-es"] = "differential-evolution"
    """Global search of the first stage."""
    population_size: Annotated[int, Limits(4, 10**6)] = 64
    """Candidates per generation."""
    generations: Count = 25
    """Generations of the first stage."""
    restarts: Count = 2
    """Independent searches."""
    refine_steps: Whole = 60
    """Gradient steps of the second stage."""
    units: Count = 1000
    """Units N of the simulated networks."""
    trials: Count = 200
    """Trials per simulated network."""
    draws: Count = 6
    """Weight draws that are simulated."""
    images: Count = 60
    """Natural image patches for the geometry."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def usual(self) -> dict[str, Any]:
        return {} if self.nonlinearity in SMOOTH else {"form": "independent"}

    def quick_sizes(self) -> dict[str, Any]:
        search = {"generations": 25, "refine_steps": 10, "population_size": 24, "restarts": 1}
        return search | {"units": max(300, self.populations), "trials": 60, "draws": 2, "images": 24}


@dataclass(frozen=True, kw_only=True)
class Curve(Entered):
    """Predict Fisher information over time: of a structure by the exact theory, of one network at small noise."""

    protocol: Literal["pulse", "sustained", "stream"] = "pulse"  # pyright: ignore[reportIncompatibleVariableOverride]
    """How the stimulus enters: before the first step, at every step, or as a stream of inputs, of each of which is told
    what is known in the end: as many numbers as there are steps, or one, the size of normal ones."""


@dataclass(frozen=True, kw_only=True)
class Simulate(Entered):
    """Measure Fisher information in simulated networks, or in one that is given, beside the theory."""

    trials: Count = 200
    """Trials per network."""
    draws: Count = 4
    """Weight draws."""
    form: Literal["independent", "linear"] = "independent"
    """Information of single units added up, or with noise correlations (needs more trials than numbers are read); the
    latter by default with --network."""

    def usual(self) -> dict[str, Any]:
        return {**super().usual(), **({"form": "linear"} if self.network else {})}

    def quick_sizes(self) -> dict[str, Any]:
        if self.network:
            return {}
        return {"units": 200, "trials": 60 if self.form == "independent" else 2 * self.units, "draws": 2}


@dataclass(frozen=True, kw_only=True)
class Geometry(Structured):
    """Follow the distances between images through networks of a structure, or between stimuli through a given one."""

    data: str = "natural"
    """natural (patches of photographs), cifar10, cifar100, or a path: a CIFAR-10 archive or folder, or your own images
    (n × height × width [× 3]) as .npy, or as .npz with `images` and perhaps `labels` inside. With --network random by
    default: normal numbers of standard deviation --stimulus for its inputs; images must have their size."""
    split: Literal["train", "test"] = "train"
    """Which part of CIFAR."""
    images: Count = 100
    """Number of images, or of random stimuli."""
    size: Annotated[int, Limits(1, 150)] = 16
    """Side of a natural patch in pixels; the photographs allow 150."""
    color: bool = False
    """Whether to keep color; luminance otherwise."""
    preprocess: Literal["none", "contrast", "whiten"] = "none"
    """Contrast normalization of each image, or whitening (ZCA) of all."""
    projection: Literal["random", "identity", "crop"] = "random"
    """How images become states of population 0."""
    trials: Count = 20
    """Trials averaged per image."""
    draws: Count = 3
    """Weight draws."""

    def usual(self) -> dict[str, Any]:
        return {**super().usual(), **({"data": "random"} if self.network else {})}

    def quick_sizes(self) -> dict[str, Any]:
        return {"images": 24, "units": 300, "trials": 5, "draws": 2}


@dataclass(frozen=True, kw_only=True)
class Estimate(Asked):
    """Estimate Fisher information from samples: of your recording, of responses to two conditions, or of a network."""

    responses: tuple[Path, ...] = ()
    """Your responses. With --stimulus a recording (.csv, .tsv, .parquet, .npz, .mat, .h5, .nwb): trials × units, with
    the stimulus of each trial. Without it two conditions: one file that names the condition of each trial, or two
    files. A table (.csv, .tsv, also .gz) whose column `condition`, or else the first, names it; arrays (.npz, .mat)
    `minus` and `plus` (trials × units) and perhaps `separation`, or `responses` and `stimulus` or `condition`; two
    .npy."""
    stimulus: tuple[str, ...] = ("0.1",)  # pyright: ignore[reportIncompatibleVariableOverride]
    """With --responses the column or array that holds the stimulus of each trial. With --network the size θ of the
    stimulus; for a network with several inputs as many numbers, or one for all of them."""
    array: str = ""
    """The array that holds the responses, where a file has several; of NWB `units` or the name of a series."""
    block: str = ""
    """The column or array that names the session or block of each trial: errors are between blocks then."""
    exclude: tuple[str, ...] = ()
    """Columns of a table that are no units."""
    axes: str = ""
    """Which axis of an array is which, as "units stimuli trials"."""
    window: tuple[Real, ...] = ()
    """Start and stop of the responses in seconds after the start of each trial of an NWB file."""
    stimulus_unit: str = ""
    """Unit of the stimulus, as deg, for axes and tables."""
    missing: Literal["refuse", "drop", "pairwise"] = "refuse"
    """Trials with missing values: refuse or drop them, or take units that were never recorded together as
    independent (pairwise)."""
    drop_rare: bool = False
    """Leave out units that leave their most common value in less than one trial of a hundred."""
    conditions: tuple[str, ...] = ()
    """The two conditions to compare, where a file holds more."""
    separation: Amount = 0.0
    """Total stimulus difference Δθ between the two conditions; 0 for what the file says."""
    period: Annotated[float, Limits(0, strict=True, infinite=True)] | None = None
    """Circle that the stimulus lives on, as 360 for degrees: differences go the shorter way; inf for none."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row of a table names its columns."""
    separator: Literal["auto", "comma", "semicolon", "tab", "bar", "space"] = "auto"
    """What stands between the cells of a table."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """Decimal mark of a table."""
    robust: bool = False
    """Set trials far outside the rest aside before anything is estimated."""
    blocks: Annotated[int, Limits(1, 10**9)] | None = None
    """Length of runs of consecutive trials that may be correlated with one another; they count as fewer."""
    trials: Count = 2000
    """Trials of the given network."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"trials": 500} if self.network else {}


@dataclass(frozen=True, kw_only=True)
class Orientation(Common):
    """Train networks to read angles, and estimate what they know of them: where, and how well it can be told."""

    stimuli: str = "gratings"
    """What is turned: gratings, photographs (pieces of those that ship), or your own: a picture or a folder of
    pictures."""
    symmetry: Annotated[int, Limits(1, 360)] = 1
    """Of your own pictures: turned by 360°/k they are the same, so that angles are told only up to that. Gratings have
    2, photographs 1."""
    window: Annotated[float, Limits(0, 1, strict=True)] = 0.75
    """Diameter of the round window in which a picture is shown, as a share of its shorter side."""
    noise_std: Size = 0.5
    """Noise of a pixel of pictures, in standard deviations of the picture."""
    images: Annotated[int, Limits(0, 10**7)] = 0
    """Training images, each of which is shown at all angles; they are asked about as well as fresh ones then. 0 for
    fresh ones in every step."""
    loss: tuple[Literal["cosine", "angle", "squared", "root", "von-mises"], ...] = ("cosine",)
    """What training minimizes: 1 − cos of the decoded angle's error, its square, the outputs' squared distance from
    what they should be, that distance, or −log p of a von Mises law. Each of several losses, concentrations and frozen
    parts is trained with each."""
    concentration: tuple[Amount, ...] = (0.0,)
    """Concentration κ of the von Mises law of the training angles about 0; 0 for uniform."""
    frozen: tuple[Literal["none", "first", "hidden"], ...] = ("none",)
    """What keeps its weights, random or those of --base: none, the first layer, or all hidden ones."""
    base: Path | None = None
    """A network to go on from (network.npz of another run of this command); random weights otherwise."""
    encoding: Literal["vector", "population", "scalar"] | None = None
    """What the outputs stand for: (cos kθ, sin kθ), eight tuned ones, or the angle itself; vector, or that of --base,
    by default."""
    nonlinearity: Nonlinearity | None = None
    """What a hidden unit does to its input; relu, or that of --base, by default."""
    size: Annotated[int, Limits(3, 10**4)] | None = None
    """Side of the images in pixels; 21, or that of --base, by default; 101 in the original study."""
    training_steps: Count = 4000
    """Steps of Adam."""
    angles: Annotated[int, Limits(3, 10**6)] = 100
    """Angles of the profile."""
    relative_error: Size = 0.03
    """Target standard error of the profile."""
    budget: Count = 2_000_000
    """Trials of one profile, all angles together."""
    trials: Count = 2000
    """Trials of the methods that are compared."""
    robust: bool = False
    """Tell information also with trials far outside the rest set aside."""
    resume: bool = False
    """Go on with the networks that are in --out."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"training_steps": 800, "angles": 24, "relative_error": 0.06, "budget": 100_000, "trials": 500}


@dataclass(frozen=True, kw_only=True)
class Dmft(Common):
    """Dynamic mean-field theory in continuous time beside simulation: transition to chaos, autocorrelation, regimes."""

    gain: Size = 2.0
    """Gain g of a homogeneous network; used where no gains are given."""
    gains: Path | None = None
    """Gain matrix as text (P rows of P numbers, spaces or commas) or a saved GainMatrix or Optimum (.npz)."""
    fractions: tuple[Size, ...] = ()
    """Share of each population; equal if absent."""
    noise_std: Amount = 0.0
    """Noise σ: the standard deviation that an unconnected unit would have."""
    nonlinearity: Nonlinearity = "tanh"
    """What a unit does to its input."""
    units: Annotated[int, Limits(2, 10**9)] = 1000
    """Units N of the simulated networks."""
    draws: Count = 5
    """Networks drawn for the autocorrelation; for every measured exponent at most three."""
    duration: Size = 100.0
    """Time that is averaged over, in time constants."""
    max_lag: Size = 20.0
    """Longest lag shown, in time constants; at most half of the duration."""
    grid: Annotated[int, Limits(2, 10**4)] = 30
    """Gains and noise levels of the phase diagram, each."""

    def quick_sizes(self) -> dict[str, Any]:
        lag = min(20.0, self.duration / 2)
        return {"units": 200, "draws": 2, "duration": max(40.0, 2 * self.max_lag), "max_lag": lag, "grid": 10}


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
    kind: Literal["rnn", "continuous", "gru", "lstm"] = "rnn"
    """Kind of network."""
    units: Count = 64
    """Number of units N."""
    nonlinearity: Nonlinearity = "tanh"
    """What a unit does to its input (rnn and continuous)."""
    dale: Share = 0.0
    """Share of excitatory units under Dale's law; 0 for no law."""
    autapses: bool = True
    """Whether units may drive themselves."""
    rank: Whole = 0
    """Rank of the recurrent weights; 0 for full."""
    initializer: Literal["default", "glorot", "orthogonal", "memory"] = "default"
    """Recurrent weights to start from; memory: orthogonal ones with the gain that keeps a sequence best over the delay
    of copy-memory, which is told."""
    delay: Whole = 0
    """Steps for which copy-memory keeps its symbols, in place of --trial-steps; 0 for the task's own."""
    length: Count = 3
    """Symbols that copy-memory repeats."""
    symbols: Count = 4
    """Kinds of symbols that copy-memory has, at least 2."""
    noise_std: Amount = 0.0
    """Standard deviation of the noise on every unit's current."""
    steps: Count = 1000
    """Training steps."""
    batch_size: Count = 64
    """Trials per step."""
    trial_steps: Whole = 0
    """Time steps per trial; 0 for the task's own."""
    learning_rate: Size = 2e-3
    """Step size of Adam."""
    target_accuracy: Share = 0.0
    """Stop as soon as held-out accuracy is as good; 0 to go on."""
    checkpoint_every: Count = 500
    """Training steps between checkpoints."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"steps": 200, "units": max(32, self.rank)}


@dataclass(frozen=True, kw_only=True)
class FixedPoints(Common):
    """Find and draw the fixed points of a network."""

    network: Path = Path("results/checkpoint.npz")
    """A saved network, training or checkpoint (.npz), or a file of torch (.pt, .pth, .safetensors)."""
    nonlinearity: Nonlinearity | None = None
    """That of a file of torch, which does not say it: tanh by default."""
    task: Task | None = None
    """Task whose trials tell which states the network visits; that of a checkpoint by default, and for any other
    network trajectories from around rest."""
    inputs: tuple[Real, ...] = ()
    """Input that is held, one number per channel; zero if absent."""
    candidates: Count = 1024
    """States to start from."""
    spread: Amount = 0.1
    """Noise added to them, relative to the spread of visited states."""
    noise_std: Amount = 0.2
    """Noise per unit of the step that kicks the state off a fixed point in the transition graph."""
    tolerance: Size = 1e-16
    """Largest q = ½‖F(x) − x‖² of a fixed point."""

    def quick_sizes(self) -> dict[str, Any]:
        return {"candidates": 128}


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
