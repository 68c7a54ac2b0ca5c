"""The Fisher diffusion operator of the stationary state: spectrum, alignment, non-normality, horizon."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from fisherjax._errors import check_integer, check_positive, is_traced, require
from fisherjax._linalg import numerical_abscissa, perron_vectors, spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity import spectral_radius as weight_spectral_radius
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity

from ._drive import input_parameters
from ._recursion import bare_operator
from ._resting import Resting, StationaryState, as_resting, slope_overlap
from ._stationary import require_convergence, stationary_state


class Alignment(Record):
    """How a stimulus meets the operator's slow mode; as a number, its input overlap."""

    input_overlap: Float[Array, ""]
    """cos(l, u): how much of the first step's information lies along the left Perron vector."""
    readout_overlap: Float[Array, ""]
    """Share of the right Perron vector that lies in the read-out populations."""
    spectral_radius: Float[Array, ""]
    weight_spectral_radius: Float[Array, ""]
    transient_gain: Float[Array, ""]

    def __float__(self) -> float:
        return float(self.input_overlap)


class DiffusionOperator(Record):
    """A_pq = f_p g_pq² κ_q V_q / V_p, which carries population Fisher information one step: F(t+1) ≈ A F(t).

    Exact in the limit of a small stimulus on the stationary state.
    """

    matrix: Float[Array, "P P"]
    gain_matrix: GainMatrix
    converged: Bool[Array, ""]
    """Whether the stationary state was found; under jit or vmap check it, elsewhere failure is an error."""

    @property
    def spectral_radius(self) -> Float[Array, ""]:
        """ρ(A), factor by which information shrinks per step in the long run; at most 1 − σ²/max Δ."""
        return spectral_radius(self.matrix)

    @property
    def eigenvalues(self) -> Complex[Array, " P"]:
        """Eigenvalues, by decreasing modulus."""
        values = jnp.linalg.eigvals(self.matrix)
        return values[jnp.argsort(-jnp.abs(values))]

    @property
    def left_vector(self) -> Float[Array, " P"]:
        """Left Perron vector l ≥ 0, Σl = 1: where information must start in order to last."""
        return perron_vectors(self.matrix)[0]

    @property
    def right_vector(self) -> Float[Array, " P"]:
        """Right Perron vector r ≥ 0, Σr = 1: where lasting information is found."""
        return perron_vectors(self.matrix)[1]

    @property
    def numerical_abscissa(self) -> Float[Array, ""]:
        """ω(A), largest eigenvalue of the symmetric part; above ρ(A) the operator amplifies transiently."""
        return numerical_abscissa(self.matrix)

    def transient_gain(self, num_steps: int = 100) -> Float[Array, ""]:
        """max_t ‖A^t‖₂ over t = 0…`num_steps`: 1 for a contraction, above 1 where non-normality amplifies."""
        return _largest_power(self.matrix, check_integer("num_steps", num_steps, minimum=1))

    def first_information(self, input_pattern: ArrayLike | None = None) -> Float[Array, " P"]:
        """Distribution u = F(1)/ΣF(1) of a small stimulus over populations after the first step; 0 if none gets on."""
        return _first_information(self.gain_matrix, input_parameters(self.gain_matrix, 0.0, input_pattern)[1][:, 0])

    def alignment(self, input_pattern: ArrayLike | None = None, readout: ArrayLike | None = None) -> Alignment:
        """Overlap of the input with the left, and of the read-out with the right, Perron vector.

        Parameters
        ----------
        input_pattern
            w (P,); population 0 by default.
        readout
            Indices of the populations that are read out; all by default.
        """
        populations = range(self.matrix.shape[0])
        chosen = jnp.asarray(list(populations) if readout is None else np.atleast_1d(np.asarray(readout)))
        return _alignment(self, self.first_information(input_pattern), chosen)

    def memory_horizon(
        self, fraction: float = 0.1, input_pattern: ArrayLike | None = None, max_steps: int = 10_000
    ) -> int | None:
        """Steps until total information first falls below `fraction` of its value at the first step.

        Returns None where it is still above after `max_steps` steps.
        """
        check_positive(fraction=fraction)
        check_integer("max_steps", max_steps, minimum=1)
        require(
            self.gain_matrix.centered,
            "memory_horizon follows the operator alone, but with means the populations' shifts carry information too: "
            "use fisher.meanfield_curve",
        )
        require(not is_traced(self.matrix), "memory_horizon needs concrete numbers: it is a whole number of steps")

        def unfinished(carry: tuple[Array, Array]) -> Array:
            step, information = carry
            return (jnp.sum(information) >= fraction) & (step < max_steps)

        def advance(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            step, information = carry
            return step + 1, self.matrix @ information

        start = (jnp.asarray(0), self.first_information(input_pattern))
        steps, information = jax.lax.while_loop(unfinished, advance, start)
        return int(steps) if float(jnp.sum(information)) < fraction else None


@jax.jit
def _first_information(gain_matrix: GainMatrix, pattern: Float[Array, " P"]) -> Float[Array, " P"]:
    shifted = gain_matrix.mean_gain @ pattern
    received = gain_matrix.fractions * (gain_matrix.variance_gain @ pattern**2 + shifted**2)
    return _over(received, jnp.sum(received))


@jax.jit
def _alignment(operator: DiffusionOperator, start: Array, readout: Array) -> Alignment:
    left, right = perron_vectors(operator.matrix)
    norm = jnp.linalg.norm(jnp.where(jnp.any(start > 0), start, 1))  # of information that is there: else u = 0
    return Alignment(
        input_overlap=left @ start / (jnp.linalg.norm(left) * norm),
        readout_overlap=jnp.sum(right[readout]),
        spectral_radius=operator.spectral_radius,
        weight_spectral_radius=weight_spectral_radius(operator.gain_matrix),
        transient_gain=operator.transient_gain(),
    )


def _over(values: Array, scale: Array) -> Array:
    """The ratio, and its limit 0 where both are zero, with a derivative of 0."""
    return jnp.where(scale > 0, values / jnp.where(scale > 0, scale, 1), 0)


@jax.jit(static_argnums=1)
def _largest_power(matrix: Array, num_steps: int) -> Float[Array, ""]:
    """max(1, max_t ‖A^t‖₂) over t = 1…num_steps."""

    def step(power: Array, _: None) -> tuple[Array, Array]:
        power = matrix @ power
        return power, jnp.linalg.norm(power, ord=2)

    _, norms = jax.lax.scan(step, jnp.eye(matrix.shape[0], dtype=matrix.dtype), length=num_steps)
    return jnp.maximum(jnp.max(norms), 1)


@full_precision
def diffusion_operator(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    start: ArrayLike | StationaryState | None = None,
) -> DiffusionOperator:
    """Fisher diffusion operator at the stationary state reached from independent replicas.

    It carries what differs between the units of a population. With means a stimulus also shifts whole populations,
    which feeds the former: `propagate` follows both.

    Parameters
    ----------
    gain_matrix
        Structure, P populations, with or without means.
    noise_std
        σ, above 0: without noise there is no noise variance for information to be measured in.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    bias, bias_std, start
        As in `stationary_state`.

    Raises
    ------
    ValueError
        If `noise_std` is not positive, or the network has no stationary state.

    References
    ----------
    Qin & Sharpee (2025), Fisher information diffusion in structured recurrent networks.
    """
    check_positive(noise_std=noise_std)
    phi = as_nonlinearity(nonlinearity)
    entering = {"noise_std": noise_std, "bias": bias, "bias_std": bias_std}
    state = stationary_state(gain_matrix, nonlinearity=phi, start=start, **entering)
    require_convergence(state, "the diffusion operator")
    return _operator_at(gain_matrix, as_resting(gain_matrix, **entering), phi, state)


@jax.jit(static_argnames="phi")
def _operator_at(
    gain_matrix: GainMatrix, resting: Resting, phi: Nonlinearity, state: StationaryState
) -> DiffusionOperator:
    kappa = slope_overlap(resting, phi, state)
    matrix = bare_operator(gain_matrix, kappa, state.noise_variance, state.noise_variance)
    return DiffusionOperator(matrix, gain_matrix, state.converged)
