"""Largest Lyapunov exponent in continuous time: the ground state of a Schrödinger operator on the lag axis.

Two neighboring trajectories with the same weights and noise drift apart as e^{λt}, where (1 + λ)² is the
largest eigenvalue μ of ψ_p″ + Σ_q G_pq E[φ′(a)φ′(b)]_q(τ) ψ_q; for one population 1 − μ = E₀ is the ground-state
energy of −∂² + 1 − g² C_{φ′}(Δ(τ)). Beyond the interval the eigenfunction decays as e^{−kτ}, k² = μ − ρ(M). Written
in k instead of μ the problem stays regular when the well is so shallow that its state hardly decays.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import spectral_radius
from fisherjax._theory import Structure
from fisherjax.nonlinearities import Nonlinearity

from ._legendre import LobattoRule
from ._profile import Interval, Unknowns, matrices, pair_moments, solve_tangent

_NEWTON_STEPS = 12


class _State(NamedTuple):
    """Eigenfunction at the nodes, and its decay rate k beyond the last."""

    function: Float[Array, "n P"]
    decay: Float[Array, ""]


def lyapunov_of_profile(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, unknowns: Unknowns
) -> Float[Array, ""]:
    """λ = −1 + √μ of a stationary profile, differentiable in the structure and the profile."""
    slopes = structure.total_gain * pair_moments(phi, unknowns[0], unknowns).slope_overlap[:, None, :]
    radius = spectral_radius(slopes[-1])
    stiffness, mass = matrices(rule, interval)
    guess = _ground_state(stiffness, mass, *jax.lax.stop_gradient((slopes[:-1], radius)))

    def equations(state: _State) -> _State:
        function, decay = state
        weak = stiffness @ function + mass[:, None] * (
            (radius + decay**2) * function - jnp.einsum("npq,nq->np", slopes[:-1], function)
        )
        weak = weak.at[-1].add(decay * function[-1])
        return _State(weak, jnp.sum(mass[:, None] * guess.function * function) - 1)

    def solve(_: Callable, start: _State) -> _State:
        def step(_: int | Array, state: _State) -> _State:
            residual, linear = jax.linearize(equations, state)
            change = solve_tangent(linear, residual)
            return jax.tree.map(jnp.subtract, state, change)

        return jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)

    state = jax.lax.custom_root(equations, guess, solve, solve_tangent)
    return jnp.sqrt(radius + state.decay**2) - 1


def _ground_state(stiffness: Array, mass: Array, slopes: Float[Array, "n P P"], radius: Array) -> _State:
    """Leading eigenpair with a free end at L, from which Newton's method sets out."""
    nodes, populations, _ = slopes.shape
    root = jnp.sqrt(mass)
    kinetic = -stiffness / (root[:, None] * root)
    if populations == 1:
        values, vectors = jnp.linalg.eigh(kinetic + jnp.diag(slopes[:, 0, 0]))
        value, vector = values[-1], vectors[:, -1:]
    else:
        matrix = jnp.einsum("ij,pq->ipjq", kinetic, jnp.eye(populations, dtype=mass.dtype))
        matrix = matrix.at[jnp.arange(nodes), :, jnp.arange(nodes), :].add(slopes)
        size = nodes * populations
        values, vectors = jnp.linalg.eig(matrix.reshape(size, size))
        best = jnp.argmax(values.real)
        value, vector = values[best].real, vectors[:, best].real.reshape(nodes, populations)
    vector = vector / jnp.linalg.norm(vector) / root[:, None]
    gap = jnp.maximum(value - radius, jnp.finfo(mass.dtype).eps * radius)
    return _State(vector, jnp.sqrt(gap))
