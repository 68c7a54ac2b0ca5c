"""What structures are allowed: limits on positive functions of a gain matrix, and the synaptic budget."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, require
from fisherjax._types import Scalar
from fisherjax.connectivity import Family, GainMatrix
from fisherjax.connectivity import spectral_radius as weight_spectral_radius
from fisherjax.meanfield import diffusion_operator
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike


def _positive(limit: Scalar) -> Float[Array, ""]:
    check_scalar("limit", limit, minimum=0.0, strict=True)
    return jnp.asarray(limit, float)  # pyright: ignore[reportArgumentType]


class Constraint(eqx.Module):
    """A limit on a positive function of the gain matrix: `measure(g)` ≤ `limit`."""

    limit: Float[Array, ""] = eqx.field(converter=_positive)

    @abc.abstractmethod
    def measure(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        """The quantity that is limited."""

    def excess(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        """Relative amount above the limit; feasible where it is at most 0."""
        return self.measure(gain_matrix) / self.limit.astype(gain_matrix.gains.dtype) - 1


class WeightRadius(Constraint):
    """Spectral radius of the weights, √ρ(G) ≤ limit."""

    def measure(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return weight_spectral_radius(gain_matrix)


class MaximumGain(Constraint):
    """Largest gain, max g_pq ≤ limit."""

    def measure(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return jnp.max(gain_matrix.gains)


class DiffusionRadius(Constraint):
    """Spectral radius of the Fisher diffusion operator at the stationary state, ρ(A) ≤ limit."""

    noise_std: Float[Array, ""]
    nonlinearity: Nonlinearity = eqx.field(static=True)

    def __init__(self, limit: Scalar, *, noise_std: Scalar, nonlinearity: NonlinearityLike = "tanh"):
        """Validate and convert."""
        self.limit = _positive(limit)
        check_scalar("noise_std", noise_std, minimum=0.0, strict=True)
        self.noise_std = jnp.asarray(noise_std, float)  # pyright: ignore[reportArgumentType]
        self.nonlinearity = as_nonlinearity(nonlinearity)

    def measure(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        operator = diffusion_operator(gain_matrix, noise_std=self.noise_std, nonlinearity=self.nonlinearity)
        return operator.spectral_radius


class Budget(Constraint):
    """Mean synaptic budget Σ_pq f_p g_pq² f_q = limit, an equality.

    It is met exactly by one common factor on all gains, √(limit / budget): a reparametrization of
    the family by shapes, not a clip. The family's box then bounds the shape; bound the gains
    themselves with `MaximumGain`.

    Examples
    --------
    >>> from fisherjax import connectivity, optimize
    >>> scaled = optimize.Budget(1.0).rescale(connectivity.homogeneous(3.0, 2))
    >>> print(float((scaled.gains**2).mean()))
    1.0
    """

    def measure(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return gain_matrix.mean_synaptic_budget

    def rescale(self, gain_matrix: GainMatrix) -> GainMatrix:
        """The gain matrix of the same shape that meets the budget."""
        limit = self.limit.astype(gain_matrix.gains.dtype)
        return gain_matrix.scaled(jnp.sqrt(limit / gain_matrix.mean_synaptic_budget))

    def check_feasible(self, family: Family) -> None:
        """Refuse a family none of whose members has a positive budget to rescale."""
        _, high = family.bounds
        measure = float(self.measure(family.build(jnp.asarray(high))))
        require(
            measure > 0,
            f"the budget of {float(self.limit):g} is infeasible: the family's largest gains give {measure:g}",
        )
