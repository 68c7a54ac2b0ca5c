"""Everything that is asked of a trained convolutional recurrent network, with times, levels and trials that fit it."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax import fisher
from fisherjax._arrays import as_class_numbers
from fisherjax._errors import check_callable, check_choice, check_instance, check_integer, check_key, require
from fisherjax._linalg import Spectrum
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.datasets import gabor
from fisherjax.fisher import FisherCurve
from fisherjax.fisher._eigendistortions import Eigendistortion

from ._convolution_spectrum import StabilityCertificate, stability_certificate
from ._decisions import Decisions, decisions
from ._network import ConvolutionalRNN, check_network
from ._relaxation import Relaxation, relaxation
from ._respond import channel_means, respond, shown
from ._robustness import Robustness, robustness
from ._spectra import TrajectorySpectrum, TransientGrowth, spectrum, trajectory_spectrum, transient_growth

PARTS = ("stability", "growth", "decisions", "robustness", "relaxation", "information", "distortions")
LARGE = 100_000  # units beyond which growth, information and distortions take hours
PATCH = {"angle": 0.6, "contrast": 1.0, "position": 0.0}  # of which there is information: rad, 1, pixels

_LONG = ("growth", "information", "distortions")
_LEVELS = {
    "noise": (0.0, 0.25, 0.5, 1.0, 2.0),
    "contrast": (0.0, 0.3, 0.6, 0.8, 0.9, 0.95),
    "occlusion": (0.0, 0.05, 0.1, 0.2, 0.4),
    "blur": (0.0, 0.03, 0.06, 0.1, 0.15),  # shares of the shorter side
    "state": (0.0, 0.1, 0.2, 0.5, 1.0),  # root mean square activities
}
_DEFAULT_NOISE = 0.02  # in root mean square activities, where the network has none and information is asked for
_TIMES = 8
_RELAXED = 8  # images
_FEWEST_STEPS = 20  # after the image


class Analysis(Record):
    """What a convolutional recurrent network is like; None for what was not asked, or has no answer.

    Parameters
    ----------
    parts
        What was asked, of `vision.analyze`.
    image
        The image of stability, growth and distortions (height, width, colors).
    activity
        Root mean square of r when it vanishes.
    certificate
        Bounds for every image; None with feedback, where the areas form no chain.
    areas
        Leading eigenvalues of every area if all its units were active.
    trajectory
        Leading eigenvalues of the Jacobian at up to eight times of the response.
    growth
        Of a perturbation when the image appears.
    decisions, robustness
        Of images with labels; accuracy by corruption, of the state up to a σ of its root mean square.
    relaxation
        To the baseline, of up to eight images; None without blank steps.
    predicted, simulated
        Linear Fisher information of the channel means of the last area about angle, contrast and position of a Gabor
        patch, at small noise and in simulation; None of a network that is silent and without noise.
    noise_std, num_trials
        σ of the state that they are at: the network's, or a fiftieth of the activity if it has none; responses that
        were simulated.
    most_noticeable, least_noticeable
        Distortions of the image that the logits at the end show most and least.
    """

    parts: tuple[str, ...]
    image: Float[np.ndarray, "height width colors"]
    activity: float
    certificate: StabilityCertificate | None = None
    areas: tuple[Spectrum, ...] | None = None
    trajectory: TrajectorySpectrum | None = None
    growth: TransientGrowth | None = None
    decisions: Decisions | None = None
    robustness: dict[str, Robustness] | None = None
    relaxation: Relaxation | None = None
    predicted: dict[str, FisherCurve] | None = None
    simulated: dict[str, FisherCurve] | None = None
    noise_std: float | None = None
    num_trials: int | None = None
    most_noticeable: Eigendistortion | None = None
    least_noticeable: Eigendistortion | None = None


def analyze(
    network: ConvolutionalRNN,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    parts: Sequence[str] | None = None,
    num_eigenvalues: int = 6,
    num_trials: int | None = None,
    callback: Callable[[str], object] | None = None,
) -> Analysis:
    """Stability, decisions, robustness and Fisher information of a trained convolutional recurrent network.

    Parameters
    ----------
    network
        Computed with in its own precision; float64 gives spectra to rounding, float32 takes a quarter of the time.
    images, labels
        Floats (n, height, width, colors) and classes (n,); without labels there are no decisions and no robustness.
    key
        JAX random key. Every part has its own, whichever others are asked.
    parts
        Which of stability, growth, decisions, robustness, relaxation, information and distortions; all by default, but
        no growth, information or distortions beyond 100 000 units, where they take hours.
    num_eigenvalues
        Of the Jacobian at every time.
    num_trials
        Simulated responses per parameter; 400, or 4 per channel of the last area, by default.
    callback
        Called with the name of every part before it is computed.

    Raises
    ------
    ValueError
        If a part is misspelt, images do not fit the network or labels the images, or there are too few trials for the
        covariance of the channels.
    TypeError
        If `key` is not a JAX key, or an argument is something else.
    """
    plan = check_network(network).architecture
    pictures = plan.as_pictures("images", images)
    if labels is not None:
        labels = as_class_numbers("labels", labels, len(pictures), plan.num_classes)
    keys: dict[str, Key] = dict(zip(PARTS, jax.random.split(check_key("key", key), len(PARTS)), strict=True))
    asked = _asked(parts, plan.num_units)
    num_eigenvalues = check_integer("num_eigenvalues", num_eigenvalues, minimum=1)
    trials = _trials(num_trials, plan.channels[-1])
    tell = (lambda _: None) if callback is None else check_callable("callback", callback)
    state = respond(network, pictures[:1]).state
    activity = float(jnp.sqrt(sum(jnp.sum(area**2) for area in state) / plan.num_units))
    ask: dict[str, Callable[[Key], dict[str, Any]]] = {
        "stability": lambda key: _stability(network, pictures[0], num_eigenvalues, key),
        "growth": lambda key: _growth(network, pictures[0], key),
        "decisions": lambda _: _decisions(network, pictures, labels),
        "robustness": lambda key: _robustness(network, pictures, labels, activity, key),
        "relaxation": lambda _: _relaxation(network, pictures),
        "information": lambda key: _information(network, activity, trials, key),
        "distortions": lambda key: _distortions(network, pictures[0], key),
    }
    answers: dict[str, Any] = {}
    for part in asked:
        tell(part)
        answers |= ask[part](keys[part])
    return Analysis(asked, np.asarray(pictures[0]), activity, **answers)


def _asked(parts: Sequence[str] | None, num_units: int) -> tuple[str, ...]:
    """The parts that are computed, in order."""
    if parts is None:
        return tuple(part for part in PARTS if num_units <= LARGE or part not in _LONG)
    for part in check_instance("parts", parts, Sequence, f"a list of {', '.join(PARTS)}"):
        check_choice("parts", part, PARTS)
    return tuple(part for part in PARTS if part in parts)


def _trials(num_trials: int | None, channels: int) -> int:
    if num_trials is None:
        return max(400, 4 * channels)
    least = max(20, math.ceil((channels + 3) / 0.9) + 1)  # each tenth is left out once
    count = check_integer("num_trials", num_trials, minimum=1)
    require(count >= least, f"num_trials must be at least {least} for {channels} channels, got {count}")
    return count


def _times(start: int, end: int) -> list[int]:
    """Up to eight steps after `start` until `end`."""
    return np.unique(np.linspace(start, end, min(end - start, _TIMES) + 1).round().astype(int))[1:].tolist()


def _stability(network: ConvolutionalRNN, image: Array, num_eigenvalues: int, key: Key) -> dict[str, Any]:
    plan = network.architecture
    times = _times(0, max(1, plan.blank_steps + plan.image_steps - 1))  # the next step still has the image
    return {
        "certificate": None if plan.feedback else stability_certificate(network),
        "areas": spectrum(network, key=key),
        "trajectory": trajectory_spectrum(network, image, at=times, key=key, num_eigenvalues=num_eigenvalues),
    }


def _growth(network: ConvolutionalRNN, image: Array, key: Key) -> dict[str, Any]:
    steps = _times(0, network.architecture.image_steps)
    return {"growth": transient_growth(network, image, steps=steps, key=key)}


def _decisions(network: ConvolutionalRNN, images: Array, labels: Array | None) -> dict[str, Any]:
    if labels is None:
        return {}
    logits = respond(network, images).logits
    return {"decisions": decisions(logits, labels, onset=network.architecture.blank_steps)}


def _robustness(
    network: ConvolutionalRNN, images: Array, labels: Array | None, activity: float, key: Key
) -> dict[str, Any]:
    if labels is None:
        return {}
    height, width, _ = network.architecture.image_shape
    units = {"blur": min(height, width), "state": activity}
    found = {}
    for index, (corruption, levels) in enumerate(_LEVELS.items()):
        strengths = np.array(levels) * units.get(corruption, 1)
        own_key = jax.random.fold_in(key, index)
        found[corruption] = robustness(network, images, labels, key=own_key, levels=strengths, corruption=corruption)
    return {"robustness": found}


def _relaxation(network: ConvolutionalRNN, images: Array) -> dict[str, Any]:
    plan = network.architecture
    if not plan.blank_steps:
        return {}
    return {"relaxation": relaxation(network, images[:_RELAXED], offset_steps=max(_FEWEST_STEPS, plan.image_steps))}


def _information(network: ConvolutionalRNN, activity: float, trials: int, key: Key) -> dict[str, Any]:
    """About every parameter of a Gabor patch while the others are known."""
    if float(network.noise_std) == 0:
        if activity == 0:
            return {}  # no noise level suggests itself
        network = network.replaced(noise_std=_DEFAULT_NOISE * activity)
    plan = network.architecture
    at = _times(plan.blank_steps, plan.blank_steps + plan.image_steps)
    base, patch = jnp.array(list(PATCH.values())), functools.partial(_patch, plan.image_shape)
    predicted, simulated = {}, {}
    keys = jax.random.split(key, len(PATCH))
    for name, parameter_key, direction in zip(PATCH, keys, jnp.eye(len(PATCH)), strict=True):
        # base and direction are arguments: one program serves all parameters
        protocol = shown(network, jax.tree_util.Partial(patch, base, direction))
        asked: dict[str, Any] = {"stimulus": 0.0, "num_steps": protocol.num_steps, "protocol": protocol}
        asked |= {"read": channel_means(network), "at": at}
        predicted[name] = fisher.linearized_curve(network, **asked)
        simulated[name] = fisher.simulated_curve(network, **asked, key=parameter_key, num_trials=trials)
    at_noise = {"noise_std": float(network.noise_std), "num_trials": trials}
    return {"predicted": predicted, "simulated": simulated, **at_noise}


def _patch(image_shape: tuple[int, int, int], base: Array, direction: Array, value: Array) -> Array:
    """A Gabor patch whose parameters move along a direction."""
    return gabor(image_shape, **dict(zip(PATCH, base + value * direction, strict=True)))


def _distortions(network: ConvolutionalRNN, image: Array, key: Key) -> dict[str, Any]:
    most, least = fisher.eigendistortions(jax.tree_util.Partial(_logits, network), image, key=key)
    return {"most_noticeable": most, "least_noticeable": least}


def _logits(network: ConvolutionalRNN, image: Array) -> Array:
    return network(image)
