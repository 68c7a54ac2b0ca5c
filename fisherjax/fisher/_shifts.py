r"""The linear information of a network whose state has no bearing on how it responds: a linear one, or one at rest.

What enters shifts all units of a population alike, or each by a number of its own. A shift v̄ of the read-out, carried
back to time k, is the extremum of (docs/theory.md)

    Σ_k Σ_p f_p {2 s_p v̄_p − y_p u_p² − [u_p − Σ_r M_rp f_r v̄_r(k+1)]²/τ_p}(k) − Σ_p f_p (e_p(t) + σ_o²)/o_p v̄_p(t)²

with v̄ = a u before the read-out and s the shift that enters at time k: F = HᵀQ⁻¹H for all inputs at once. It is exact
at N → ∞. What enters each unit by a number of its own, of variance P, adds Σ_k Σ_p f_p P_p B_p(k).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import solve_block_tridiagonal
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield._drive import Drive
from fisherjax.nonlinearities import Nonlinearity

from ._unexplained import Levels, Network, Reading, Unexplained, price_of, values, worth


def shift_information(
    entering: tuple[Float[Array, "T P K"], Float[Array, "T P K K"]],
    levels: Levels,
    network: Network,
    reading: Reading,
    found: Unexplained,
) -> Float[Array, "b K K"]:
    """∂mᵀΣ⁻¹∂m per unit of the network, for each read-out."""
    shifts, private = entering
    f, price = network.fractions[:, None], price_of(found.value, network, reading)
    alone = jnp.einsum("kpb,kpij->bij", f * values(found, levels, network, reading), private)
    a, rest = (jnp.sum(levels.weights * part, axis=-1)[..., None] for part in (levels.slope, levels.rest))
    y = a**2 * found.noise + rest
    # the last v̄ is free: there a = 1, y = 0 and B is its price
    last, before = reading.last[:, None], reading.before[:, None]
    kept = last + before * a
    tau = last * worth(found.noise, network, reading) + before * price
    diagonal, upper = _assembled(tau, before * y, kept, reading, network)
    source = jnp.einsum("kpb,kpi->kbpi", f * kept, shifts)
    source = jnp.concatenate([jnp.zeros_like(source), source], axis=2)
    extremum = jax.vmap(solve_block_tridiagonal, in_axes=1, out_axes=1)(diagonal, upper, -source)
    return alone + jnp.einsum("kbxi,kbxj->bij", source, extremum)


def _assembled(
    tau: Float[Array, "T P b"], y: Array, kept: Array, reading: Reading, network: Network
) -> tuple[Float[Array, "T b s s"], Float[Array, "m b s s"]]:
    """Diagonal and upper blocks in z(k) = (λ, u): τλ² − 2λ(u − Mᵀf v̄(k+1)) − y u², which no τ = 0 makes singular."""
    f, means = network.fractions, network.means
    count, steps = len(f), len(tau)
    inner = (reading.last + reading.before)[..., None]  # "T b 1"
    eye = jnp.eye(count, dtype=f.dtype)

    def spread(entries: Float[Array, "T P b"]) -> Float[Array, "T b P P"]:
        return (f * jnp.moveaxis(entries, 1, 2))[..., None] * eye

    tied = -jnp.broadcast_to(jnp.diag(f), (steps, inner.shape[1], count, count)) * inner[..., None]
    own = jnp.block([[spread(tau), tied], [tied, -spread(y)]])
    own += (1 - inner)[..., None] * jnp.eye(2 * count, dtype=f.dtype)
    carried = jnp.zeros((steps - 1, inner.shape[1], count, count), f.dtype)
    if means is not None:
        following = jnp.moveaxis(kept[1:], 1, 2)[..., None, :]  # v̄ of what comes next, over its u
        carried = (f[:, None] * means.T * f) * following * reading.before[:-1, :, None, None]
    none = jnp.zeros_like(carried)
    return own, jnp.block([[none, carried], [none, none]])


def entering_at(
    gain_matrix: GainMatrix, phi: Nonlinearity, drive: Drive, num_steps: int
) -> tuple[Float[Array, "T P K"], Float[Array, "T P K K"]]:
    """What enters at times 1…T: shifts of whole populations, and the covariance of what differs between units."""
    slope = jax.jvp(phi, (drive.start,), (jnp.ones_like(drive.start),))[1]
    sent = slope[:, None] * drive.start_slope
    count = sent.shape[1]
    shifts = jnp.zeros((num_steps, *sent.shape), sent.dtype) if drive.mean_slope is None else drive.mean_slope
    private = jnp.zeros((num_steps, *sent.shape, count), sent.dtype)
    if drive.random_slope is not None:
        private += jnp.einsum("thpi,thpj->tpij", drive.random_slope, drive.random_slope)
    begun = jnp.einsum("pq,qi,qj->pij", gain_matrix.variance_gain, sent, sent)
    return shifts.at[0].add(gain_matrix.mean_gain @ sent), private.at[0].add(begun)
