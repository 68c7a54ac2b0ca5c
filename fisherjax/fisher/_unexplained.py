r"""How much of each unit's noise the rest of a large network explains: the bulk of the linear information.

At N → ∞ the quadratic form ∂mᵀΣ⁻¹∂m of a random network, read out at time t, depends on the covariance through two
numbers per population and time k: e, the variance of a unit's noise that the other units leave unexplained, and τ, the
price of a unit's noise to the read-out. Read-outs are the last axis here, which is the longest.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import solve_block_tridiagonal

_MOST_SWEEPS = 3000


class Levels(NamedTuple):
    """Times 1…T on n nodes of the mean field, P populations."""

    weights: Float[Array, "T P n"]
    slope: Float[Array, "T P n"]  # a = E φ′
    rest: Float[Array, "T P n"]  # η = Var φ − a² V


class Network(NamedTuple):
    """What does not depend on time."""

    squares: Float[Array, "P P"]  # g²
    fractions: Float[Array, " P"]
    noise: Float[Array, ""]  # σ²
    observation_noise: Float[Array, ""]  # σ_o²
    means: Float[Array, "P P"] | None = None  # M, of a network whose states have means


class Reading(NamedTuple):
    """b read-outs: which is at which time, which is later, and the share of every population that each observes."""

    last: Float[Array, "T b"]
    before: Float[Array, "T b"]
    observed: Float[Array, "P b"]


class Unexplained(NamedTuple):
    """e_p(k), and B_p(k), information per unit about a small signal at time k > 1; NaN where they were not found."""

    noise: Float[Array, "T P b"]
    value: Float[Array, "T P b"]


def price_of(value: Float[Array, "T P b"], network: Network, reading: Reading) -> Float[Array, "T P b"]:
    """τ_q(k) = Σ_p g_pq² f_p B_p(k + 1) before the read-out, 0 from there on."""
    following = jnp.concatenate([value[1:], jnp.zeros_like(value[:1])])
    return reading.before[:, None] * (prices_of(network) @ following)


def worth(noise: Float[Array, "T P b"], network: Network, reading: Reading) -> Float[Array, "T P b"]:
    """B_p(t) = o_p/(e_p + σ_o²) at the time of the read-out, 0 at other times."""
    return reading.last[:, None] * reading.observed / (noise + network.observation_noise)


def values(found: Unexplained, levels: Levels, network: Network, reading: Reading) -> Float[Array, "T P b"]:
    """B_p(k) at all times, the first among them, with its derivatives."""
    price = price_of(found.value, network, reading)
    return worth(found.noise, network, reading) + _averages(levels, found.noise, price)[0]


def first_value(found: Unexplained, levels: Levels, network: Network, reading: Reading) -> Float[Array, "P b"]:
    """B_p(1), the information per unit about a signal at the first time that is too small to change anything."""
    level = jax.tree.map(lambda part: part[0], levels)
    price = price_of(found.value, network, reading)[0]
    return worth(found.noise, network, reading)[0] + _averages(level, found.noise[0], price)[0]


def prices_of(network: Network) -> Float[Array, "P P"]:
    return network.squares.T * network.fractions


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def unexplained(
    tolerance: float, levels: Levels, network: Network, reading: Reading, variance: Float[Array, "T P"]
) -> Unexplained:
    r"""Solve for e and B, until no e changes by more than a share `tolerance`; `variance` is V, from which e starts.

    .. math::
        e_p(1) &= σ², \quad e_p(k+1) = σ² + Σ_q G_{pq} ⟨y/(1 + τ_q y)⟩_q(k), \quad y = a² e_q(k) + η \\
        B_p(t) &= o_p/(e_p(t) + σ_o²), \quad B_q(k) = ⟨τ_q a²/(1 + τ_q y)⟩_q(k), \quad τ_q(k) = Σ_p g_{pq}² f_p B_p(k+1)

    Sweeps to the first time and back to the read-out are monotone. Derivatives are those of the implicit function: the
    equations say that Σ f ⟨ln(1 + τy)⟩ − Σ f B (e − σ²) + Σ f o ln(e(t) + σ_o²) is stationary in e and B, so that their
    Jacobian is symmetric, and block-tridiagonal in k.
    """
    start = jnp.broadcast_to(variance[..., None], (*variance.shape, reading.last.shape[-1]))
    inner = _inner(reading)

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        _, _, change, count = state
        return jnp.any(change > tolerance) & (count < _MOST_SWEEPS)

    def sweep(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        noise, _, _, count = state
        value = _downwards(levels, network, reading, noise)
        new = _upwards(levels, network, reading, price_of(value, network, reading))
        change = jnp.max(inner * jnp.abs(new - noise) / new, axis=(0, 1))
        return new, value, change, count + 1

    begun = (start, start, jnp.full(start.shape[-1], jnp.inf, variance.dtype), jnp.zeros((), int))
    noise, value, change, _ = jax.lax.while_loop(unfinished, sweep, begun)
    found = change <= tolerance
    return Unexplained(jnp.where(found, noise, jnp.nan), jnp.where(found, value, jnp.nan))


@unexplained.defjvp
def _unexplained_jvp(tolerance, primals, tangents):
    levels, network, reading, _ = primals
    found = unexplained(tolerance, *primals)
    _, source = jax.jvp(lambda *given: _residual(found, *given), primals[:3], tangents[:3])
    value, noise = _newton(found, levels, network, reading, source)
    # at the first time noise is that of the process, and B follows from what is later
    first = jnp.broadcast_to(tangents[1].noise, noise.shape[1:])
    return found, Unexplained(
        jnp.concatenate([first[None], noise]), jnp.concatenate([jnp.zeros_like(first)[None], value])
    )


def _downwards(levels: Levels, network: Network, reading: Reading, noise: Array) -> Array:
    """B at every time, from the read-out to the first."""

    def step(after: Array, now: tuple[Levels, Array, Array, Array]) -> tuple[Array, Array]:
        level, e, top, before = now
        here = top + _averages(level, e, before * (prices_of(network) @ after))[0]
        return here, here

    read = worth(noise, network, reading)
    return jax.lax.scan(step, jnp.zeros_like(read[0]), (levels, noise, read, reading.before), reverse=True)[1]


def _upwards(levels: Levels, network: Network, reading: Reading, price: Array) -> Array:
    """The noise e at every time, from the first to the read-out."""
    gain = network.squares * network.fractions

    def step(e: Array, now: tuple[Levels, Array, Array]) -> tuple[Array, Array]:
        level, price, before = now
        arriving = gain @ _averages(level, e, price)[1]
        # beyond the read-out nothing matters, and nothing may overflow
        return network.noise + jnp.where(before > 0, arriving, 0), e

    first = jnp.broadcast_to(network.noise, price.shape[1:])
    return jax.lax.scan(step, first, (levels, price, reading.before))[1]


def averages(weights: Float[Array, "*T P n"], terms: Float[Array, "... P n b"]) -> Float[Array, "... P b"]:
    """Means over the nodes; of many read-outs as products, which compilers do fast."""
    if terms.shape[-1] == 1:
        return jnp.sum(weights * terms[..., 0], axis=-1)[..., None]
    return jnp.einsum("...n,...nb->...b", weights, terms, precision=jax.lax.Precision.HIGHEST)


def _averages(level: Levels, e: Array, price: Array) -> tuple[Array, Array]:
    """⟨τa²/(1 + τy)⟩ and ⟨y/(1 + τy)⟩ (…, P, b)."""
    gain, rest = level.slope[..., None] ** 2, level.rest[..., None]
    e, price = e[..., None, :], price[..., None, :]
    y = gain * e + rest
    inverse = 1 / (1 + price * y)
    return averages(level.weights, price * gain * inverse), averages(level.weights, y * inverse)


def _residual(found: Unexplained, levels: Levels, network: Network, reading: Reading) -> Float[Array, "m p b"]:
    """What must vanish, at times 2…T: f (σ² + G⟨y/(1 + τy)⟩ − e), then f (⟨τa²/(1 + τy)⟩ + o/(e + σ_o²) − B)."""
    e = found.noise.at[0].set(network.noise)
    valued, noise = _averages(levels, e, price_of(found.value, network, reading))
    arriving = network.noise + (network.squares * network.fractions) @ noise[:-1]
    parts = (arriving - e[1:], (valued + worth(e, network, reading) - found.value)[1:])
    fractions = network.fractions[:, None] * _inner(reading)[1:]
    return jnp.concatenate([fractions * part for part in parts], axis=1)


def _newton(
    found: Unexplained, levels: Levels, network: Network, reading: Reading, source: Float[Array, "m p b"]
) -> tuple[Float[Array, "m P b"], Float[Array, "m P b"]]:
    """The changes of B and e that take a small residual back to zero."""
    gain = levels.slope[..., None] ** 2
    tau, e = price_of(found.value, network, reading)[..., None, :], found.noise[..., None, :]
    y = gain * e + levels.rest[..., None]
    inverse = 1 / (1 + tau * y) ** 2
    f, prices = network.fractions[:, None], prices_of(network)
    at_end = worth(found.noise, network, reading) / (found.noise + network.observation_noise)
    by_noise = -f * (averages(levels.weights, (tau * gain) ** 2 * inverse) + at_end)
    by_price = -f * averages(levels.weights, y**2 * inverse) * reading.before[:, None]
    mixed = f * averages(levels.weights, gain * inverse) * reading.before[:, None]

    count, inner = len(f), jnp.moveaxis(_inner(reading)[1:], 1, 2)[..., None]
    eye = jnp.eye(2 * count, dtype=f.dtype)
    values = jnp.einsum("qp,kqb,qr->kbpr", prices, by_price[:-1], prices)
    across = jnp.broadcast_to(-jnp.diag(network.fractions), values.shape)
    own = jnp.moveaxis(by_noise[1:], 1, 2)[..., None] * eye[:count, :count]
    diagonal = inner * jnp.block([[values, across], [across, own]]) + (1 - inner) * eye
    # e at one time is tied to B at the next
    tied = jnp.moveaxis(mixed[1:-1], 1, 2)[..., None] * prices
    none = jnp.zeros_like(tied)
    blocks = (diagonal, jnp.block([[none, none], [tied, none]]), -jnp.moveaxis(source, 1, 2)[..., None])
    moved = jax.vmap(solve_block_tridiagonal, in_axes=1, out_axes=1)(*blocks)
    moved = jnp.moveaxis(moved[..., 0], 1, 2)
    return moved[:, :count], moved[:, count:]


def _inner(reading: Reading) -> Float[Array, "T 1 b"]:
    """1 where e and B are unknown: after the first time, up to the read-out."""
    return (reading.last + reading.before).at[0].set(0)[:, None]
