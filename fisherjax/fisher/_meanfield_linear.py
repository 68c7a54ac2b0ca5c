"""The linear information of a structure at N → ∞, from the order parameters of its independent form."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax.meanfield._fields import Fields
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._registry import check_smooth

from ._collective import linear_information
from ._orthogonal import orthogonal_information
from ._shifts import shift_information
from ._unexplained import Levels, Network, Reading, first_value, price_of, unexplained

_LOOSE = 1e-3  # of a search, which ranks to some 1e-6 by it
_MOST_NUMBERS = 2**22  # nodes of all populations, times and read-outs that are followed at once


def check_linear(phi: Nonlinearity) -> None:
    """Refuse a nonlinearity for which there is no theory of the linear form, with what to use instead."""
    instead = "use form='independent', or fisher.closure_curve of networks drawn by simulate.draw_networks"
    check_smooth("form='linear'", phi, instead)


def linear_readings(
    phi: Nonlinearity,
    fields: Fields,
    network: Network,
    observed: Float[Array, "groups P"],
    times: tuple[int, ...],
    *,
    small_signal: bool,
    entering: tuple[Float[Array, "T P K"], Float[Array, "T P K K"]] | None = None,
    orthogonal: bool = False,
) -> Float[Array, "t groups K K"]:
    """Information per unit at the given times, for each of several read-outs; NaN where it was not found.

    With `small_signal`, that of a signal so small that it changes nothing on its way: one pass, for searches. With
    what is `entering` at every time, that of a network whose state has no bearing on how it responds. The weights are
    Gaussian, or orthogonal.
    """
    steps, groups = len(fields.weights), len(observed)
    # of what comes after nothing may reach what came before
    known = jnp.isfinite(fields.sensitivity).all(axis=(-2, -1))
    known &= fields.overlap + fields.noise_variance <= min(phi.largest_variance, float(jnp.finfo(fields.weights).max))
    finite = jnp.cumsum(~known.all(axis=1)) == 0
    fields = jax.tree.map(lambda part: jnp.where(finite.reshape(-1, *[1] * (part.ndim - 1)), part, part[:1]), fields)
    levels, exact = _levels(fields)
    tolerance = _LOOSE if small_signal else exact

    def measure(parts: tuple[Array, Array]) -> Float[Array, "b K K"]:
        time, share = parts
        reading = _reading(steps, time, share)
        if orthogonal:
            return orthogonal_information(phi, fields, network, reading, small_signal=small_signal)
        found = unexplained(tolerance, levels, network, reading, fields.noise_variance)
        if small_signal and network.means is None:
            value = network.fractions[:, None] * first_value(found, levels, network, reading)
            return jnp.einsum("pb,pij->bij", value, fields.sensitivity[0])
        if entering is not None:
            return shift_information(entering, levels, network, reading, found)
        return linear_information(fields, network, reading, found)

    parts = (jnp.repeat(jnp.asarray(times), groups), jnp.tile(observed, (len(times), 1)))
    found = _in_chunks(measure, parts, max(1, _MOST_NUMBERS // fields.weights.size))
    found = found.reshape(len(times), groups, *found.shape[-2:])
    return jnp.where(finite[np.asarray(times) - 1][:, None, None, None], found, jnp.nan)


def linear_prices(fields: Fields, network: Network, observed: Float[Array, " P"]) -> Float[Array, "m P"]:
    """τ, the price of a unit's noise, at all times before the last."""
    reading = _reading(len(fields.weights), jnp.asarray([len(fields.weights)]), observed[None])
    levels, exact = _levels(fields)
    found = unexplained(exact, levels, network, reading, fields.noise_variance)
    return price_of(found.value, network, reading)[:-1, :, 0]


def _levels(fields: Fields) -> tuple[Levels, float]:
    """What the bulk needs of the fields, and how exactly it can be found."""
    levels = Levels(fields.weights, fields.moments.slope, fields.moments.rest)
    return levels, 4 * float(jnp.finfo(fields.weights.dtype).eps)


def _reading(steps: int, time: Array, share: Float[Array, "b P"]) -> Reading:
    step = jnp.arange(1, steps + 1)[:, None]
    return Reading((step == time).astype(share.dtype), (step < time).astype(share.dtype), share.T)


def _in_chunks(measure: Callable[[tuple[Array, Array]], Array], parts: tuple[Array, Array], length: int) -> Array:
    """`measure` of so many of the parts at a time."""
    count = len(parts[0])
    if count <= length:
        return measure(parts)
    missing = -count % length
    padded = (jnp.concatenate([part, jnp.repeat(part[-1:], missing, axis=0)]) for part in parts)
    found = jax.lax.map(measure, tuple(part.reshape(-1, length, *part.shape[1:]) for part in padded))
    return found.reshape(-1, *found.shape[2:])[:count]
