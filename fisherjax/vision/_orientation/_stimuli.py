"""What is turned: gratings, or pieces of pictures; how much a perfect reader could tell, and what a network answers."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_integer, check_optional, require, suggest, told
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.datasets import grating_moments, gratings, turned_pictures
from fisherjax.datasets._turned import TurnedPictures

from ._network import AngleNetwork

_SIZE = 21  # of images where nothing says it
_PIECES = 256  # over which the information of pictures is averaged

Respond = Callable[[Any, Any], Any]


class Gratings(Record):
    """`datasets.gratings` of one size; turned by π they are the same."""

    size: int = eqx.field(static=True)
    symmetry: ClassVar[int] = 2
    title: ClassVar[str] = "gratings"

    def __call__(self, angles: ArrayLike, *, key: Key) -> Float[Array, "*angles size size"]:
        """One image for each angle, each with its own noise."""
        return gratings(angles, key=key, size=self.size)


Shown: TypeAlias = Gratings | TurnedPictures
"""Called with angles and a key they draw images; they have a size, a symmetry and a title."""

Stimuli: TypeAlias = str | Shown
"""Gratings or photographs by their names, or what `datasets.turned_pictures` makes."""


def as_stimuli(stimuli: Any, size: int | None = None, start: Any = None) -> Shown:
    """Stimuli from their name, at the given size, that of a network, or a usual one; those that have a size keep it.

    Raises
    ------
    ValueError
        If there are none of that name, or the size is another than theirs.
    TypeError
        If they are something else.
    """
    size = check_optional(check_integer, "size", size, minimum=2)
    if isinstance(stimuli, TurnedPictures | Gratings):
        require(size in {None, stimuli.size}, f"size must be that of stimuli, {stimuli.size}, got {size}")
        return stimuli
    names = ("gratings", "photographs")
    if not isinstance(stimuli, str) or stimuli not in names:
        kind = ValueError if isinstance(stimuli, str) else TypeError
        raise kind(
            f"stimuli must be 'gratings', 'photographs' or what datasets.turned_pictures makes of your own pictures; "
            f"got {told(stimuli)}{suggest(stimuli, names)}"
        )
    if size is None:
        size = start.size if isinstance(start, AngleNetwork) else _SIZE
    return Gratings(size) if stimuli == "gratings" else turned_pictures(size=size)


def respond_to_angle(network: AngleNetwork, stimuli: Stimuli = "gratings") -> Respond:
    """The network's noisy response to a stimulus as a function of angle and key, for `fisher.estimate`.

    Parameters
    ----------
    network
        An `AngleNetwork`.
    stimuli
        "gratings", "photographs", or what `datasets.turned_pictures` makes.

    Raises
    ------
    ValueError
        If the stimuli are of another size than the network reads.
    TypeError
        If an argument is something else.
    """
    check_instance("network", network, AngleNetwork, "vision.angle_network(key=key)")
    # one function for all networks: what is compiled for one serves the next
    return jax.tree_util.Partial(_output, network, as_stimuli(stimuli, network.size))


def _output(network: AngleNetwork, stimuli: Shown, angle: Scalar, key: Key) -> Float[Array, " outputs"]:
    return network(stimuli(angle, key=key))


def image_information(stimuli: Shown, angles: Float[Array, " M"], key: Key) -> Float[np.ndarray, " M"]:
    r"""Information that the images themselves hold about the angle.

    Of gratings the linear one, exact, pixels being independent: Σ (∂⟨pixel⟩/∂θ)²/variance. Of pictures that for an
    observer who knows which piece is shown, Σ (∂pixel/∂θ)²/σ², its mean over pieces: no reader of any kind has more,
    since Fisher information is convex in the law of the images.
    """
    if isinstance(stimuli, Gratings):
        return np.asarray(jax.lax.map(functools.partial(_of_a_grating, stimuli.size), angles))
    return np.asarray(_of_pieces(stimuli, angles, jax.random.split(key, _PIECES)))


def _of_a_grating(size: int, angle: Float[Array, ""]) -> Float[Array, ""]:
    moments = functools.partial(grating_moments, size=size)
    (_, variance), (slope, _) = jax.jvp(moments, (angle,), (jnp.ones_like(angle),))
    return jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0))


@eqx.filter_jit
def _of_pieces(stimuli: TurnedPictures, angles: Float[Array, " M"], keys: Array) -> Float[Array, " M"]:
    def at(angle: Array) -> Array:
        # the noise does not move with the angle
        slope = lambda key: jax.jvp(lambda a: stimuli(a, key=key), (angle,), (jnp.ones_like(angle),))[1]  # noqa: E731
        return jnp.sum(jax.vmap(slope)(keys) ** 2) / len(keys)

    return jax.lax.map(at, angles) / stimuli.noise_std.astype(angles.dtype) ** 2
