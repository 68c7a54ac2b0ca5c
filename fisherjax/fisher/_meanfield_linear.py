"""The linear information of a structure at N → ∞, from the order parameters of its independent form."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import require
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield._resolution import Order, known
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._conditional import conditional_moments
from fisherjax.nonlinearities._piecewise import PiecewiseSmooth

from ._collective import Fields, linear_information
from ._unexplained import Levels, Network, Reading, unexplained

_MOST_NUMBERS = 2**22  # nodes of all populations, times and read-outs that are followed at once


def check_linear(phi: Nonlinearity) -> None:
    """Refuse a nonlinearity for which there is no theory of the linear form, with what to use instead."""
    instead = "use form='independent', or fisher.closure_curve of networks drawn by simulate.draw_networks"
    require(
        phi.odd,
        "form='linear' needs an odd nonlinearity, φ(−x) = −φ(x), known outside jit: with others the fields of different "
        f"times are correlated, which the theory does not follow; {instead}",
    )
    kinks = phi.kinks if isinstance(phi, PiecewiseSmooth) else ()
    require(
        not kinks,
        f"form='linear' needs a smooth nonlinearity, but this one has a kink at {kinks[0] if kinks else 0:g}; {instead}",
    )


def linear_readings(
    gain_matrix: GainMatrix,
    phi: Nonlinearity,
    states: Order,
    noise_std: Array,
    observation_noise_std: Array,
    observed: Float[Array, "groups P"],
    times: tuple[int, ...],
) -> Float[Array, "t groups K K"]:
    """Information per unit at the given times, for each of several read-outs; NaN where D is not known."""
    steps = max(times)
    resolved = known(states, phi)[:steps]
    # of what comes after nothing may reach what came before
    states = jax.tree.map(
        lambda part: jnp.where(resolved.reshape(-1, *[1] * (part.ndim - 1)), part[:steps], part[:1]), states
    )
    fields = _fields(phi, states)
    network = Network(gain_matrix.gains**2, gain_matrix.fractions, noise_std**2, observation_noise_std**2)
    levels = Levels(fields.weights, fields.moments.slope, fields.moments.rest)

    def measure(parts: tuple[Array, Array]) -> Float[Array, "b K K"]:
        time, share = parts
        step = jnp.arange(1, steps + 1)[:, None]
        reading = Reading(*((step == time).astype(share.dtype), (step < time).astype(share.dtype)), share.T)
        found = unexplained(levels, network, reading, states.noise_variance)
        return linear_information(fields, network, reading, found)

    groups = len(observed)
    at = np.repeat(np.asarray(times), groups)
    shares = jnp.tile(observed, (len(times), 1))
    chunk = max(1, _MOST_NUMBERS // fields.weights.size)
    missing = -len(at) % chunk if chunk < len(at) else 0
    at, shares = jnp.asarray(np.pad(at, (0, missing), "edge")), jnp.pad(shares, ((0, missing), (0, 0)), "edge")
    parts = (at, shares) if chunk >= len(at) else (at.reshape(-1, chunk), shares.reshape(-1, chunk, shares.shape[-1]))
    found = measure(parts) if chunk >= len(at) else jax.lax.map(measure, parts)
    found = found.reshape(-1, *found.shape[-2:])[: len(times) * groups]
    found = found.reshape(len(times), groups, *found.shape[-2:])
    return jnp.where(resolved[np.asarray(times) - 1][:, None, None, None], found, jnp.nan)


def _fields(phi: Nonlinearity, states: Order) -> Fields:
    """The field of every population on nodes of its mean, at every time."""
    variance = states.noise_variance
    z, weights = phi.half_points(states.overlap, jnp.sqrt(1 + variance))
    active = states.overlap > 0
    root = jnp.sqrt(jnp.where(active, states.overlap, 1))[..., None]  # whose slope at zero would be infinite
    share = jnp.where(active[..., None], states.overlap_slope / (2 * root), 0)
    mean = jnp.where(active[..., None], root, 0) * z
    return Fields(
        weights=weights,
        moments=conditional_moments(phi, mean, variance[..., None]),
        mean_slope=jnp.moveaxis(share, -1, 0)[..., None] * z,
        private_slope=states.across,
        noise_slope=states.noise_slope,
        sensitivity=states.sensitivity,
    )
