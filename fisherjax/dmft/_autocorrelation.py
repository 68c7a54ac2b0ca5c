"""Stationary dynamic mean-field theory in continuous time: autocorrelation, chaos, memory."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_positive, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._theory import REGIMES, as_structure
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity

from ._profile import lobatto_rule
from ._steady import NUM_NODES, SteadyState, profile_at, steady_state

_SHORTEST = 6.0  # relaxation times that an interval must have
_LAGS = 257


class Autocorrelation(Record):
    """Stationary autocorrelation Δ(τ) = ⟨x(t) x(t+τ)⟩ of the units, and what follows from it.

    For one population given by its gain, the population axis is absent. Time is in units of the time constant τ.

    Parameters
    ----------
    lags
        τ (T,), at least 0.
    values
        Δ(τ), second moment over units and time (T,) or (T, P).
    variance
        Δ(0), () or (P,).
    static_variance
        Δ(∞), the variance over units of their time averages; 0 for an odd nonlinearity.
    noise_std
        σ, standard deviation that an unconnected unit would have.
    lyapunov_exponent
        Largest exponent λ, with the noise the same in both trajectories.
    local_growth
        Right edge of the spectrum of the Jacobian at one moment, −1 + √ρ(G ∘ E[φ′²]): above 0, the state is
        expanded in some directions at every moment, which does not yet make it chaotic.
    memory
        ρ(M), M_pq = G_pq E[φ′(a)φ′(b)] for replicas with independent noise: the spectral radius of the Fisher
        diffusion operator, by which information about a pulse decays as exp(−2 (1 − √ρ) t).
    relaxation_time
        1/κ = 1/√(1 − ρ(M)), decay time of Δ(τ) − Δ(∞) at long lags.
    residual
        Size of the last Newton step relative to the variance.
    converged
        False where there is no stationary state or the residual is above the tolerance.
    """

    lags: Float[Array, " T"]
    values: Float[Array, "T *P"]
    variance: Float[Array, "*P"]
    static_variance: Float[Array, "*P"]
    noise_std: Float[Array, "*P"]
    lyapunov_exponent: Float[Array, ""]
    local_growth: Float[Array, ""]
    memory: Float[Array, ""]
    relaxation_time: Float[Array, ""]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]

    @property
    def ground_state_energy(self) -> Float[Array, ""]:
        """E₀ = 1 − (1 + λ)², negative in chaos."""
        return 1 - (1 + self.lyapunov_exponent) ** 2

    @property
    def regime(self) -> str:
        """One of `REGIMES`: silent, fixed (static but not silent), driven, expanding, chaotic."""
        return REGIMES[int(regime_index(self, self.noise_std))]


def regime_index(state: Autocorrelation | SteadyState, noise: Array) -> Array:
    """Place in `REGIMES` of a state under noise of any measure."""
    quiet, active = jnp.max(noise) == 0, jnp.max(state.variance) > 0
    ordered = jnp.where(quiet, jnp.where(active, 1, 0), jnp.where(state.local_growth > 0, 3, 2))
    return jnp.where(state.lyapunov_exponent > 0, 4, ordered)


@full_precision
def autocorrelation(
    gain: Scalar | GainMatrix,
    *,
    noise_std: Scalar | Float[Array | np.ndarray, " P"] = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    lags: ArrayLike | None = None,
    max_lag: Scalar | None = None,
    num_nodes: int = NUM_NODES,
    tolerance: float | None = None,
) -> Autocorrelation:
    """Solve the stationary dynamic mean-field theory of ẋ = −x + J φ(x) + √2 σ ξ(t) for N → ∞.

    Δ_p″ = Δ_p − Σ_q G_pq E[φ(a)φ(b)], (a, b) Gaussian with variance Δ_q(0) and covariance Δ_q(τ), and Δ_p′(0⁺) = −σ_p².
    Below the transition without noise the state is silent (or, where φ(0) ≠ 0, a fixed point): this is what
    is returned then, with `regime` "silent" (or "fixed"). One population starts from the energy condition,
    several from a relaxation of the coupled profile; Newton's method on Legendre nodes follows. φ need not be
    odd; then Δ(∞) > 0, the variance of the units' time averages, is solved for too.

    Parameters
    ----------
    gain
        g, standard deviation of √N J of one population, or a `GainMatrix`.
    noise_std
        σ, standard deviation that an unconnected unit would have; ξ is white noise, ⟨ξ(t)ξ(s)⟩ = δ(t − s), and σ² the
        intensity s₂ of the literature. One number, or one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`. A function of yours takes seconds, tanh and the other
        mixtures of error functions milliseconds.
    lags
        Lags to return, in units of τ; by default 257 from 0 to `max_lag`.
    max_lag
        Longest of the default lags, at least 6 relaxation times; 14 of them by default. The solution does not depend
        on it.
    num_nodes
        Collocation nodes, graded towards zero lag. For tanh 97 give Δ₀ to 1e-11 and λ to 1e-9 up to g = 100, λ to 3e-8
        at g = 1000 and to a few 10⁻⁴ at 10⁵, beyond which (variances above 10¹⁰) no solution is given.
    tolerance
        Largest last Newton step relative to the variance; 1e-10 in float64, 1e-4 in float32. Near the
        transition rounding alone limits it to about 1e-16 / κ².

    Returns
    -------
    Autocorrelation, differentiable (implicitly) in gain, fractions and noise. Under a transformation (jit, vmap)
    a network without stationary state gives NaN and `.converged` False instead of an error.

    Raises
    ------
    ValueError
        If gain or noise is negative, the interval is too short, the tolerance is below what the float type
        can reach, or the activity grows without bound.

    References
    ----------
    Sompolinsky, Crisanti & Sommers (1988), Chaos in random neural networks, Phys. Rev. Lett. 61, 259.
    Schuecker, Goedeke & Helias (2018), Optimal sequence memory in driven random networks, Phys. Rev. X 8, 041029.

    Examples
    --------
    >>> from fisherjax import dmft
    >>> found = dmft.autocorrelation(2.0)
    >>> print(found.regime, f"{found.variance:.2f}")
    chaotic 1.92
    """
    phi = as_nonlinearity(nonlinearity)
    structure = as_structure(gain, noise_std)
    dtype = structure.total_gain.dtype
    accuracy = _checked_tolerance(tolerance, dtype)
    rule = lobatto_rule(check_integer("num_nodes", num_nodes, minimum=9))
    if max_lag is not None:
        check_positive(max_lag=max_lag)
    places = None if lags is None else _checked_lags(lags, dtype)
    state = steady_state(phi, rule, structure, jnp.asarray(accuracy, dtype))
    _require_solution(state, accuracy)
    if max_lag is not None:
        _require_decay(state, max_lag)
    if places is None:
        end = state.interval.length if max_lag is None else jnp.asarray(max_lag).astype(dtype)
        places = end * jnp.linspace(0, 1, _LAGS, dtype=dtype)
    by_population = (profile_at(rule, state, places), state.unknowns[0], state.unknowns[-1], structure.noise_std)
    if not isinstance(gain, GainMatrix):
        by_population = tuple(part[..., 0] for part in by_population)
    # what follows the profile and its interval is the same in both records
    return Autocorrelation(places, *by_population, *state[2:])


def _checked_tolerance(tolerance: float | None, dtype: Any) -> float:
    single = dtype == jnp.float32
    if tolerance is None:
        return 1e-4 if single else 1e-10
    check_positive(tolerance=tolerance)
    reachable = 100 * float(jnp.finfo(dtype).eps)
    hint = "; call jax.config.update('jax_enable_x64', True), or pass a float64 gain" if single else ""
    require(
        tolerance >= reachable, f"tolerance {tolerance:g} cannot be reached in {dtype}, at best {reachable:.1g}{hint}"
    )
    return float(tolerance)


def _checked_lags(lags: ArrayLike, dtype: Any) -> Float[Array, " T"]:
    places = as_real("lags", lags, "T", dtype=dtype, minimum=0.0)
    require(places.size > 0, "lags must hold at least one number")
    return places


def _require_decay(state: SteadyState, max_lag: Scalar) -> None:
    """Refuse a horizon at which the correlation is known (not traced) not to have decayed."""
    if is_traced((state, max_lag)):
        return
    active = float(np.max(np.asarray(state.unknowns[0] - state.unknowns[-1]))) > 0
    needed = _SHORTEST * float(state.relaxation_time)
    require(
        not active or float(max_lag) >= needed,
        f"max_lag {float(max_lag):g} is too short for the correlation to decay; it must be at least {needed:.3g}",
    )


def _require_solution(state: SteadyState, tolerance: float) -> None:
    """Refuse what is known (not traced) to be no solution."""
    if is_traced(state):
        return
    require(
        bool(state.converged),
        "the activity has no stationary state: the nonlinearity grows without bound and the gain is above its "
        "threshold; the variance is above 10¹⁰, where the exponent is not resolved; or Newton's method failed "
        f"(last step {float(state.residual):.1g}, tolerance {tolerance:g}), which more num_nodes may cure",
    )
