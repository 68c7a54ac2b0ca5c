"""Gauss–Lobatto–Legendre collocation: nodes, weights, derivative and interpolation on an interval."""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import eval_legendre, roots_jacobi


class LobattoRule(NamedTuple):
    """Rule on [−1, 1] whose nodes include both ends, exact for polynomials up to degree 2n − 3.

    Its mass matrix is diagonal, so that −d²/dx² becomes a symmetric stiffness matrix Dᵀ diag(weights) D, and a
    flux through an end enters as a boundary term.
    """

    nodes: Float[Array | np.ndarray, " n"]
    weights: Float[Array | np.ndarray, " n"]
    derivative: Float[Array | np.ndarray, "n n"]
    barycentric: Float[Array | np.ndarray, " n"]

    @property
    def stiffness(self) -> Float[Array | np.ndarray, "n n"]:
        """Matrix of ∫ u′ v′."""
        return (self.derivative.T * self.weights) @ self.derivative


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
    hit = gaps == 0
    terms = jnp.asarray(rule.barycentric, points.dtype) / jnp.where(hit, 1, gaps)
    terms = jnp.where(jnp.any(hit, axis=1, keepdims=True), hit.astype(points.dtype), terms)
    return jnp.tensordot(terms / jnp.sum(terms, axis=1, keepdims=True), values, axes=1)
