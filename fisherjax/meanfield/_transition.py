"""Where a network becomes chaotic, and where it starts to expand: gains at which a growth rate vanishes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, require
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import LobattoRule, Nonlinearity, as_nonlinearity, lobatto_rule, spectral_radius

from ._autocorrelation import as_structure
from ._profile import Structure
from ._stationary import growth_rate, variance_from_above
from ._steady import NUM_NODES, steady_state

_WIDEST = 5.0  # of log gain above the gain that destabilises the silent network
_WIDEST_DISCRETE = 9.2


def critical_gain(
    *,
    noise_std: Scalar | None = None,
    noise: Scalar | Float[Array, " P"] | None = None,
    nonlinearity: object = "tanh",
    gain_matrix: GainMatrix | None = None,
) -> Float[Array, ""]:
    """Gain at which the network becomes chaotic: λ(g_c) = 0, λ its largest Lyapunov exponent.

    Give `noise_std` for the network in discrete time, λ = ½ ln ρ(G ∘ E[φ′²]), or `noise` for the one in
    continuous time, λ from `autocorrelation`. The gains of `gain_matrix` are scaled by one factor, which is
    returned.

    Parameters
    ----------
    noise_std
        σ ≥ 0 of the discrete-time network x(t+1) = J φ(x(t)) + σ ξ(t).
    noise
        s₂ ≥ 0 of the continuous-time network ẋ = −x + J φ(x) + √(2 s₂) ξ(t); one number, or one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.

    Returns
    -------
    Scalar, differentiable in the noise and in the structure. NaN if the exponent keeps its sign over the
    range that is searched, up to 10⁴ (continuous time: 150) times the gain that destabilises the silent network.

    Raises
    ------
    ValueError
        If the noise is negative, or not exactly one of `noise_std` and `noise` is given.
    """
    given = (noise_std is None) + (noise is None)
    require(given == 1, "give either noise_std (discrete time) or noise (continuous time)")
    phi = as_nonlinearity(nonlinearity)
    shape = GainMatrix(jnp.ones((1, 1))) if gain_matrix is None else gain_matrix
    if noise_std is not None:
        check_scalar("noise_std", noise_std, minimum=0.0)
        return _discrete(shape, jnp.asarray(noise_std).astype(shape.gains.dtype), phi)
    structure = as_structure(shape, noise)
    return _continuous(structure, lobatto_rule(NUM_NODES), phi, local=False)


def local_stability_gain(
    *, noise: Scalar | Float[Array, " P"], nonlinearity: object = "tanh", gain_matrix: GainMatrix | None = None
) -> Float[Array, ""]:
    """Gain at which the Jacobian at one moment starts to expand: ρ(G ∘ E[φ′²]) = 1 in the stationary state.

    In continuous time noise moves chaos to higher gains than this, `critical_gain(noise=…)`: between the
    two the network expands at every moment, in directions that change too fast to add up. In discrete time the two
    coincide. Parameters and return value are those of `critical_gain`.
    """
    shape = GainMatrix(jnp.ones((1, 1))) if gain_matrix is None else gain_matrix
    return _continuous(as_structure(shape, noise), lobatto_rule(NUM_NODES), as_nonlinearity(nonlinearity), local=True)


@jax.jit(static_argnums=2, static_argnames="local")
def _continuous(structure: Structure, rule: LobattoRule, phi: Nonlinearity, *, local: bool) -> Float[Array, ""]:
    def growth(log_factor: Array, structure: Structure) -> Array:
        scaled = Structure(structure.total_gain * jnp.exp(2 * log_factor), structure.noise)
        tolerance = jnp.sqrt(jnp.finfo(log_factor.dtype).eps).astype(log_factor.dtype)
        state = steady_state(phi, rule, scaled, jnp.zeros_like(tolerance), tolerance)
        resting = variance_from_above(scaled.total_gain, jnp.zeros_like(scaled.noise), phi)
        at_rest = spectral_radius(scaled.total_gain * phi.slope_second_moment(resting)) - 1
        driven = state.local_growth if local else state.lyapunov_exponent
        # activity without bound counts as unstable
        return jnp.where(jnp.all(scaled.noise == 0), at_rest, jnp.where(state.converged, driven, 1.0))

    slope = phi.mean_slope(jnp.zeros_like(structure.noise[0]))
    silent = -jnp.log(spectral_radius(structure.total_gain) * slope**2) / 2
    start = jax.lax.stop_gradient(silent)
    found = _crossing(growth, structure, start - 0.7, start + _WIDEST)
    # without noise and with φ(0) = 0 the transition is where the silent state, a root for all gains, loses stability
    quiet = jnp.all(structure.noise == 0) & (phi(jnp.zeros_like(start)) == 0)
    return jnp.where(quiet, jnp.exp(silent), found)


@jax.jit(static_argnums=2)
def _discrete(shape: GainMatrix, sigma: Array, phi: Nonlinearity) -> Float[Array, ""]:
    def growth(log_factor: Array, parameters: tuple[GainMatrix, Array]) -> Array:
        structure, sigma = parameters
        scaled = GainMatrix(structure.gains * jnp.exp(log_factor), structure.fractions)
        return growth_rate(scaled, variance_from_above(scaled.variance_gain, sigma**2, phi), phi)

    # below the gain that destabilises the silent state, noise can only lower the exponent
    slope = phi.mean_slope(jnp.zeros_like(sigma))
    lowest = jax.lax.stop_gradient(-jnp.log(spectral_radius(shape.variance_gain) * slope**2) / 2)
    return _crossing(growth, (shape, sigma), lowest - 0.7, lowest + _WIDEST_DISCRETE)


def _crossing(function: Callable, parameters: object, lower: Array, upper: Array) -> Float[Array, ""]:
    """Exp of where a function of log gain changes sign; NaN if it does not."""
    eps = float(jnp.finfo(lower.dtype).eps)
    solution = optx.root_find(
        function,
        optx.Bisection(rtol=10 * eps, atol=10 * eps, flip="detect"),
        (lower + upper) / 2,
        parameters,
        options={"lower": lower, "upper": upper},
        throw=False,
        max_steps=64,
    )
    # rounding keeps the function from vanishing to the last digit; a jump across zero is no crossing
    left = jax.lax.stop_gradient(jnp.abs(function(solution.value, parameters)))
    return jnp.where(left < eps**0.5, jnp.exp(solution.value), jnp.nan)
