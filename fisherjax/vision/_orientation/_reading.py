"""What the outputs of one network tell about the angle, of fresh images and of those that it was trained on."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax import fisher
from fisherjax._types import Key, Record
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._profile import InformationProfile
from fisherjax.fisher._respond import sample_paths
from fisherjax.fisher._trial_profile import profile_of_trials
from fisherjax.fisher._trials import set_aside

from ._network import AngleNetwork, decode_angle
from ._stimuli import Respond, Shown, respond_to_angle


class AngleReading(Record):
    """What outputs tell about the angle of images of one sort, and how well it is decoded, at M angles.

    Parameters
    ----------
    profile
        Linear Fisher information of the outputs, in 1/rad², with intervals.
    robust
        The same of trials that are no outliers; None where it was not asked for.
    means, covariances
        Of the outputs (M, outputs), (M, outputs, outputs).
    decoder
        Bias and variance of `decode_angle`, with and without outliers, and the least variance that the bias allows.
    """

    profile: InformationProfile
    robust: InformationProfile | None
    means: Float[Array, "M outputs"]
    covariances: Float[Array, "M outputs outputs"]
    decoder: CramerRao


def in_single_precision(network: AngleNetwork, stimuli: Shown) -> Respond:
    """Responses in float32: sampling errors are percents."""
    return respond_to_angle(jax.tree.map(lambda x: x.astype(jnp.float32), network), stimuli)


def read_fresh(
    network: AngleNetwork,
    stimuli: Shown,
    num_angles: int,
    num_decoded: int,
    *,
    keys: tuple[Key, Key],
    robust: bool,
    relative_error: float,
    max_trials: int,
) -> AngleReading:
    """Information to a target error, within a budget of trials; all else from `num_decoded` trials at each angle."""
    profile_key, sample_key = keys
    angles = _evenly(network, num_angles, jnp.float32)
    respond = in_single_precision(network, stimuli)
    # images and networks are continuous in the angle by construction: there is no jump to look for
    sampled = {"relative_error": relative_error, "max_trials": max_trials, "check": False}
    profile = fisher.information_profile(respond, angles, key=profile_key, **sampled)
    # the same images at all angles: differences of the bias, of which the bound is made, have little noise then
    paths = _paths(respond, angles, jax.random.split(sample_key, num_decoded))
    return _reading(network, profile, paths, robust=robust)


def read_training_images(
    network: AngleNetwork,
    images: Array,
    stimuli: Shown,
    num_angles: int,
    *,
    robust: bool,
    relative_error: float,
    max_trials: int,
) -> AngleReading:
    """The same of the images (keys) that it was trained on, each turned to every angle; of the first, if they are many.

    They are a sample of all images, and corrected and judged as one: of a network that has never seen them the
    expectation is that of fresh images, and what is more is what it learned by heart.
    """
    dtype = network.weights[0].dtype  # that of training: another one draws other noise from the same key
    angles = _evenly(network, num_angles, dtype)
    keys = images[: max(max_trials // num_angles, 1)]
    paths = _paths(respond_to_angle(network, stimuli), angles, keys)
    everything = jnp.ones(paths[0].shape[:2], bool)
    profile = profile_of_trials(angles, *paths, everything, relative_error=relative_error)
    return _reading(network, profile, paths, robust=robust)


def _evenly(network: AngleNetwork, num_angles: int, dtype: Any) -> Float[Array, " num_angles"]:
    """Angles that divide the circle of the network."""
    return jnp.linspace(0, 2 * math.pi / network.symmetry, num_angles, endpoint=False, dtype=dtype)


@eqx.filter_jit
def _paths(respond: Respond, angles: Float[Array, " M"], keys: Array) -> tuple[Array, Array]:
    """Outputs and their derivatives (M, n, outputs), for images of these keys turned to each angle."""
    return jax.lax.map(lambda angle: sample_paths(respond, angle, keys), angles)


def _reading(
    network: AngleNetwork, profile: InformationProfile, paths: tuple[Array, Array], *, robust: bool
) -> AngleReading:
    outputs, angles = paths[0], profile.stimuli
    decoded = decode_angle(outputs, encoding=network.encoding, symmetry=network.symmetry)  # pyright: ignore[reportArgumentType]
    without = None
    if robust:
        kept = jnp.asarray(np.stack([set_aside(robust, part)[0][0] for part in outputs]))
        without = profile_of_trials(angles, *paths, kept, relative_error=profile.relative_error)
    # where information is not told from none, the bound is that of the most that it may be
    value, most = np.asarray(profile.value), np.asarray(profile.interval)[:, 1]
    information = np.maximum(np.where(value > 0, value, most), np.finfo(value.dtype).tiny)
    return AngleReading(
        profile=profile,
        robust=without,
        means=jnp.mean(outputs, axis=1),
        covariances=jax.vmap(lambda part: jnp.atleast_2d(jnp.cov(part.T)))(outputs),
        decoder=fisher.cramer_rao(decoded, angles, information, period=2 * math.pi / network.symmetry),
    )
