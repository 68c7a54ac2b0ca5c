"""The stationary autocorrelation in continuous time as the root of a discretized boundary-value problem.

With Δ_p(τ) at Legendre nodes of [0, L] and its limit Δ_p(∞) as unknowns, the weak form of

    Δ_p″ = Δ_p − Σ_q G_pq E[φ(a)φ(b)],   Cov(a, b) = Δ_q(τ), Var = Δ_q(0),
    Δ_p′(0) = −s₂_p,    Δ_p′(L) = −κ (Δ_p(L) − Δ_p(∞)),    Δ_p(∞) = Σ_q G_pq E[φ(a)φ(b)]_∞

is one square system. Because the variance Δ_q(0) is an unknown like the others, it stays regular at the
transition to chaos, where the profile at a fixed variance does not.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from scipy.special import eval_legendre, roots_jacobi

from fisherjax._linalg import spectral_radius
from fisherjax._theory import Structure
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._nonlinearity import TwoPointMoments


class LobattoRule(NamedTuple):
    """Rule on [−1, 1] whose nodes include both ends, exact for polynomials up to degree 2n − 3.

    Its mass matrix is diagonal, so that −d²/dx² becomes a symmetric stiffness matrix Dᵀ diag(weights) D, and a
    flux through an end enters as a boundary term.
    """

    nodes: Float[Array | np.ndarray, " n"]
    weights: Float[Array | np.ndarray, " n"]
    derivative: Float[Array | np.ndarray, "n n"]
    barycentric: Float[Array | np.ndarray, " n"]


@functools.cache
def lobatto_rule(num_nodes: int) -> LobattoRule:
    """Gauss–Lobatto–Legendre rule with `num_nodes` ≥ 3 nodes.

    References
    ----------
    Canuto, Hussaini, Quarteroni & Zang (2006), Spectral Methods, section 2.3.
    """
    degree = num_nodes - 1
    inner, _ = roots_jacobi(degree - 1, 1, 1)
    nodes = np.concatenate([[-1.0], (inner - inner[::-1]) / 2, [1.0]])
    top = eval_legendre(degree, nodes)
    gaps = nodes[:, None] - nodes + np.eye(num_nodes)
    derivative = top[:, None] / top / gaps
    # rows sum to zero: the derivative of a constant vanishes to rounding, which the corner formulas do not give
    np.fill_diagonal(derivative, 0.0)
    np.fill_diagonal(derivative, -derivative.sum(axis=1))
    weights = 2 / (degree * num_nodes * top**2)
    return LobattoRule(nodes, weights, derivative, 1 / top)


def interpolate(
    rule: LobattoRule, values: Float[Array, "n *channels"], points: Float[Array, " m"]
) -> Float[Array, "m *channels"]:
    """The polynomial through `values` at the nodes of a rule, at points of [−1, 1], by the barycentric formula."""
    gaps = points[:, None] - jnp.asarray(rule.nodes, points.dtype)
    # not zero alone: where a gap is computed twice, it may round to zero once
    hit = jnp.abs(gaps) < 8 * jnp.finfo(points.dtype).eps
    terms = jnp.asarray(rule.barycentric, points.dtype) / jnp.where(hit, 1, gaps)
    terms = jnp.where(jnp.any(hit, axis=1, keepdims=True), hit.astype(points.dtype), terms)
    return jnp.tensordot(terms / jnp.sum(terms, axis=1, keepdims=True), values, axes=1)


T = TypeVar("T")

_NEWTON_STEPS = 24

Unknowns = Float[Array, "rows P"]  # values at the nodes, then the limit


class Interval(NamedTuple):
    """[0, L] under the map τ = w sinh(β (1 + x)/2), sinh β = L/w, of [−1, 1].

    Nodes are dense within w of zero, where the moments of a network with large variance change quickly.
    """

    length: Float[Array, ""]
    width: Float[Array, ""]

    @property
    def stretch(self) -> Float[Array, ""]:
        """β."""
        return jnp.arcsinh(self.length / self.width)

    def lags(self, nodes: Float[Array | np.ndarray, " n"]) -> Float[Array, " n"]:
        """τ at points of [−1, 1]."""
        return self.width * jnp.sinh(self.stretch * (1 + jnp.asarray(nodes, self.width.dtype)) / 2)

    def points(self, lags: Float[Array, " n"]) -> Float[Array, " n"]:
        """Points of [−1, 1] at lags within the interval."""
        return 2 * jnp.arcsinh(lags / self.width) / self.stretch - 1


class Root(NamedTuple):
    """Solution of the discretized problem, and the size of the last Newton step relative to the variance."""

    unknowns: Unknowns
    last_step: Float[Array, ""]


def pair_moments(phi: Nonlinearity, variance: Array, covariance: Array) -> TwoPointMoments:
    """Moments of φ and its derivatives over a pair of variance Δ and the given covariance, written in Δ − C."""
    variance = jnp.broadcast_to(variance, covariance.shape)
    return phi.two_point(variance, variance - covariance)


def memory_matrix(phi: Nonlinearity, structure: Structure, variance: Array, limit: Array) -> Float[Array, "P P"]:
    """M_pq = G_pq E[φ′(a) φ′(b)] at infinite lag."""
    return structure.total_gain * pair_moments(phi, variance, limit).slope_overlap


def decay_rate(phi: Nonlinearity, structure: Structure, variance: Array, limit: Array) -> Float[Array, ""]:
    """κ = √(1 − ρ(M)), the rate at which the autocorrelation approaches its limit."""
    radius = spectral_radius(memory_matrix(phi, structure, variance, limit))
    return jnp.sqrt(jnp.maximum(1 - radius, jnp.finfo(radius.dtype).eps))


def solve_profile(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, guess: Unknowns
) -> Root:
    """Newton's method from `guess`; derivatives in the structure by the implicit function theorem."""

    def equations(unknowns: Unknowns) -> Unknowns:
        return _residual(phi, rule, structure, interval, unknowns)

    def solve(_: Callable, start: Unknowns) -> tuple[Unknowns, Array]:
        return _newton(phi, rule, structure, interval, start)

    return Root(*jax.lax.custom_root(equations, guess, solve, solve_tangent, has_aux=True))


def relax(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, guess: Unknowns, num_steps: int
) -> Unknowns:
    """Plain iteration (1 − ∂²)Δ ← G E[φφ], from which Newton's method sets out when several populations interact."""
    stiffness, mass = matrices(rule, interval)
    operator = stiffness + jnp.diag(mass).at[-1, -1].add(1.0)
    factors = jax.scipy.linalg.lu_factor(operator)

    def step(_: int | Array, unknowns: Unknowns) -> Unknowns:
        drive = pair_moments(phi, unknowns[0], unknowns).overlap @ structure.total_gain.T
        weak = (mass[:, None] * drive[:-1]).at[0].add(structure.intensity).at[-1].add(unknowns[-1])
        return _physical(jnp.concatenate([jax.scipy.linalg.lu_solve(factors, weak), drive[-1:]]))

    return jax.lax.fori_loop(0, num_steps, step, guess)


def matrices(rule: LobattoRule, interval: Interval) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    """Stiffness and (diagonal) mass matrix on the interval."""
    dtype = interval.length.dtype
    derivative, weights = jnp.asarray(rule.derivative, dtype), jnp.asarray(rule.weights, dtype)
    half = interval.stretch / 2
    slope = interval.width * half * jnp.cosh(half * (1 + jnp.asarray(rule.nodes, dtype)))
    return (derivative.T * (weights / slope)) @ derivative, weights * slope


def _residual(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, unknowns: Unknowns
) -> Unknowns:
    profile, limit = unknowns[:-1], unknowns[-1]
    stiffness, mass = matrices(rule, interval)
    drive = pair_moments(phi, profile[0], unknowns).overlap @ structure.total_gain.T
    kappa = decay_rate(phi, structure, profile[0], limit)
    weak = stiffness @ profile + mass[:, None] * (profile - drive[:-1])
    weak = weak.at[0].add(-structure.intensity).at[-1].add(kappa * (profile[-1] - limit))
    return jnp.concatenate([weak, (limit - drive[-1])[None]])


def _jacobian(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, unknowns: Unknowns
) -> Float[Array, "m m"]:
    """Derivative of the residual but for that of κ, which multiplies the tiny Δ(L) − Δ(∞).

    Written out, since it is nearly diagonal: automatic differentiation would push a tangent per unknown
    through all moments.
    """
    count, populations = unknowns.shape
    stiffness, mass = matrices(rule, interval)
    moments = pair_moments(phi, unknowns[0], unknowns)
    kappa = decay_rate(phi, structure, unknowns[0], unknowns[-1])
    weights = jnp.append(mass, 1.0)
    unit, nodes, last = jnp.eye(populations, dtype=mass.dtype), np.arange(count), count - 1
    by_own = -structure.total_gain * moments.slope_overlap[:, None, :] + unit
    by_variance = -structure.total_gain * moments.curvature_value[:, None, :]
    jacobian = jnp.zeros((count, populations, count, populations), mass.dtype)
    jacobian = jacobian.at[:last, :, :last, :].add(jnp.einsum("ij,pq->ipjq", stiffness, unit))
    jacobian = jacobian.at[nodes, :, nodes, :].add(weights[:, None, None] * by_own)
    jacobian = jacobian.at[:, :, 0, :].add(weights[:, None, None] * by_variance)
    jacobian = jacobian.at[last - 1, :, last - 1, :].add(kappa * unit).at[last - 1, :, last, :].add(-kappa * unit)
    return jacobian.reshape(count * populations, count * populations)


def _newton(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, start: Unknowns
) -> tuple[Unknowns, Array]:
    """Newton steps until they stop shrinking at the level of rounding."""
    eps = float(jnp.finfo(start.dtype).eps)

    def going(carry: tuple[Array, Unknowns, Array, Array]) -> Array:
        index, _, size, before = carry
        stalled = (before < 1e3 * eps**0.5) & (size > before / 4)
        return (index < _NEWTON_STEPS) & (size > 4 * eps) & ~stalled

    def step(carry: tuple[Array, Unknowns, Array, Array]) -> tuple[Array, Unknowns, Array, Array]:
        index, unknowns, before, _ = carry
        residual = _residual(phi, rule, structure, interval, unknowns)
        matrix = _jacobian(phi, rule, structure, interval, unknowns)
        change = jnp.linalg.solve(matrix, residual.ravel()).reshape(unknowns.shape)
        moved = _physical(unknowns - change)
        size = jnp.max(jnp.abs(change)) / jnp.maximum(jnp.max(moved[0]), jnp.finfo(start.dtype).tiny)
        return index + 1, moved, size, before

    far = jnp.asarray(jnp.inf, start.dtype)
    _, unknowns, size, _ = jax.lax.while_loop(going, step, (jnp.asarray(0, jnp.int32), start, far, far))
    return unknowns, size


def _physical(unknowns: Unknowns) -> Unknowns:
    """No correlation above the variance."""
    variance = jnp.maximum(unknowns[0], jnp.finfo(unknowns.dtype).tiny)
    return jnp.clip(unknowns, -variance, variance)


def solve_tangent(linear: Callable[[T], T], right: T) -> T:
    """Solve a small linear system given as a function of a pytree, by its dense matrix."""
    flat, shaped = ravel_pytree(right)
    columns = jax.vmap(lambda unit: ravel_pytree(linear(shaped(unit)))[0], out_axes=-1)
    return shaped(jnp.linalg.solve(columns(jnp.eye(flat.size, dtype=flat.dtype)), flat))
