"""What networks that were trained to read angles know of them, where, and how well it can be estimated."""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, get_args

import jax

from fisherjax._errors import (
    as_path,
    check_callable,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_key,
    check_optional,
    check_scalar,
    require,
)
from fisherjax._runtime import digest, key_words
from fisherjax._types import Key, Record
from fisherjax.fisher import FisherEstimate
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._case import OrientationCase, Plan, trained_case
from ._estimates import EstimatorVariance, estimates_by_method, estimator_variance
from ._losses import AngleLoss
from ._network import AngleNetwork, Encoding
from ._reading import in_single_precision
from ._stimuli import Gratings, Shown, Stimuli, as_stimuli
from ._training import Frozen, check_loss, first_network

_ANGLE = math.pi / 4  # at which methods are compared
_FEWEST_IMAGES = 40  # training images whose information can be estimated


class OrientationStudy(Record):
    """Networks trained in several ways, and for the first of them estimates of the same information by all methods.

    Parameters
    ----------
    stimuli
        What was turned, in words.
    cases
        One per loss, concentration and frozen part.
    estimates
        By several methods, at θ = 45°.
    variance
        Of three of them over many data sets; None where none were asked for.
    """

    stimuli: str
    cases: tuple[OrientationCase, ...]
    estimates: dict[str, FisherEstimate]
    variance: EstimatorVariance | None = None


def orientation_study(
    *,
    key: Key,
    stimuli: Stimuli = "gratings",
    size: int | None = None,
    num_images: int | None = None,
    num_steps: int = 4000,
    losses: Sequence[AngleLoss] = ("cosine",),
    concentrations: Sequence[float] = (0.0,),
    frozen: Sequence[Frozen] = ("none",),
    encoding: Encoding | None = None,
    nonlinearity: NonlinearityLike | None = None,
    start: AngleNetwork | None = None,
    num_angles: int = 100,
    relative_error: float = 0.03,
    max_trials: int = 2_000_000,
    num_trials: int = 2000,
    num_decoded: int = 1000,
    num_replicates: int = 120,
    robust: bool = False,
    folder: str | os.PathLike[str] | None = None,
    callback: Callable[[str], object] | None = None,
) -> OrientationStudy:
    """Train networks to read the angle of noisy images, and ask what their outputs know, and how one tells.

    Every loss, with every concentration of the training angles about θ = 0, with every part frozen: networks that start
    from the same weights. Their outputs are the response, not the decoded angle, whose information is less.

    Parameters
    ----------
    key
        JAX random key.
    stimuli, size, num_images, num_steps
        Of `vision.train_angle_network`: what is turned, the side of the images, how many there are for training, and
        steps of Adam. With `num_images` the training images are asked about as well as fresh ones.
    losses, concentrations, frozen
        Of `vision.train_angle_network`, several of each.
    encoding, nonlinearity, start
        Of `vision.train_angle_network`, for all networks.
    num_angles, relative_error, max_trials
        Angles of the profile, its target standard error, and all trials of one at most.
    num_trials
        Of the methods that are compared.
    num_decoded
        Trials at each angle for the error of the decoder.
    num_replicates
        Data sets for the variance of estimates; 0 for no such study.
    robust
        Whether information is also told with outlying trials set aside: of the `num_decoded` trials at each angle, a
        fifth of a second each, and by two of the methods. (The decoder always is.)
    folder
        Where every case is kept as ``case-*.npz`` when it is done; those that are there are not computed again.
    callback
        Called with what is done next.

    Raises
    ------
    ValueError
        If a number is out of range, a word unknown, or a file is of other settings.
    TypeError
        If `key` is not a JAX key, or an argument is something else.
    """
    train_key, profile_key, sample_key, method_key, study_key = jax.random.split(check_key("key", key), 5)
    shown = as_stimuli(stimuli, size, start)
    first = first_network(shown, start, encoding, nonlinearity, key=train_key)
    ways = _ways(losses, concentrations, frozen, first.encoding)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    num_replicates = check_integer("num_replicates", num_replicates, minimum=0)
    require(num_replicates == 0 or num_replicates > 2, f"num_replicates must be 0 or above 2, got {num_replicates}")
    tell = (lambda _: None) if callback is None else check_callable("callback", callback)
    check_scalar("relative_error", relative_error, minimum=0.0, strict=True)
    settings: dict[str, Any] = {
        "num_steps": check_integer("num_steps", num_steps, minimum=1),
        "num_images": check_optional(check_integer, "num_images", num_images, minimum=_FEWEST_IMAGES),
        "num_angles": check_integer("num_angles", num_angles, minimum=3),
        "relative_error": relative_error,
        "max_trials": check_integer("max_trials", max_trials, minimum=1),
        "num_decoded": check_integer("num_decoded", num_decoded, minimum=2),
        "robust": check_flag("robust", robust),
    }
    settings |= {"size": shown.size, "stimuli": _described(shown), "encoding": first.encoding}
    settings |= {"nonlinearity": str(first.nonlinearity), "start": None if start is None else digest(start)[:8]}
    settings |= {"key": " ".join(map(str, key_words(key)))}
    plan = Plan(shown, start, encoding, nonlinearity, settings, None if folder is None else as_path("folder", folder))
    keys = (train_key, profile_key, sample_key)
    cases = tuple(trained_case(plan, *way, keys=keys, tell=tell) for way in ways)
    respond = in_single_precision(cases[0].network, shown)
    tell("comparing methods")
    estimates = estimates_by_method(respond, _ANGLE, num_trials, method_key, robust=robust)
    variance = None
    if num_replicates:
        tell("where the variance comes from")
        variance = estimator_variance(respond, _ANGLE, jax.random.split(study_key, num_replicates))
    return OrientationStudy(shown.title, cases, estimates, variance)


def _described(stimuli: Shown) -> str:
    """Title and fingerprint: what a file must have been computed from."""
    if isinstance(stimuli, Gratings):
        return stimuli.title
    return f"{stimuli.title} ({digest(stimuli)[:8]}, symmetry {stimuli.symmetry})"


def _ways(losses: Any, concentrations: Any, frozen: Any, encoding: str) -> list[tuple[Any, float, Any]]:
    """All ways of training, checked before the first network is trained."""
    known = ", ".join(get_args(AngleLoss))
    for loss in check_instance("losses", losses, Sequence, f"a list of {known}"):
        check_loss("losses", loss, encoding)
    for word in check_instance("frozen", frozen, Sequence, f"a list of {', '.join(get_args(Frozen))}"):
        check_choice("frozen", word, get_args(Frozen))
    for number in check_instance("concentrations", concentrations, Sequence, "a list of numbers"):
        check_scalar("concentrations", number, minimum=0.0)
    ways: list[Any] = list(itertools.product(losses, map(float, concentrations), frozen))
    require(len(ways) > 0, "losses, concentrations and frozen must each hold at least one")
    return ways
