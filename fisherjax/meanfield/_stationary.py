"""Stationary states of the population theory, all that there are, and how fast trajectories part in one."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import qmc

from fisherjax._arrays import as_real
from fisherjax._errors import check_not_negative, is_traced, require
from fisherjax._linalg import spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._theory import largest_variance
from fisherjax._types import ArrayLike, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._resting import Resting, Start, StationaryState, as_resting, slope_second_moment, solve_stationary


@full_precision
def stationary_state(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    start: ArrayLike | StationaryState | None = None,
) -> StationaryState:
    r"""Where the means and variances of a structure come to rest.

    .. math::
        μ = M f ⟨φ⟩ + b, \quad Δ - μ^2 = σ² + β² + G ⟨φ²⟩, \quad V = σ² + G ⟨\mathrm{Var}(φ | m)⟩

    over x ~ N(μ, Δ − μ²) and its noise-mean m ~ N(μ, Δ − μ² − V). An input that lasts is a bias, w θ. The variance is
    reached from above, so that at σ = 0 an active state is preferred to the silent one. Iteration comes first,
    then Newton steps; derivatives are by the implicit function theorem.

    Parameters
    ----------
    gain_matrix
        Structure, P populations, with or without means.
    noise_std
        σ, at least 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    bias, bias_std
        b and β, a number or (P,), as in `propagate`.
    start
        Means from which to start, a number or (P,); 0 by default. Or a state, to which Newton's method finds the
        nearest: so one that is not stable is followed, and differentiated. `stationary_states` finds them.

    Returns
    -------
    StationaryState, differentiable in the gains, the means, the fractions, σ, b and β. Check `.converged`: an unbounded
    nonlinearity above its threshold has no stationary state; and `.stable`: the state may be one that a network leaves.

    Raises
    ------
    ValueError
        If `noise_std` or `bias_std` is negative, or a shape does not fit.

    Examples
    --------
    >>> from fisherjax import connectivity, meanfield
    >>> state = meanfield.stationary_state(connectivity.homogeneous(1.5), noise_std=0.1)
    >>> print(state.variance.round(3))
    [0.813]
    """
    phi = as_nonlinearity(nonlinearity)
    check_not_negative(noise_std=noise_std)
    resting = as_resting(gain_matrix, noise_std, bias, bias_std)
    if start is None:
        return solve_stationary(resting, phi)
    if isinstance(start, StationaryState):
        return solve_stationary(resting, phi, Start(start.mean, start.variance - start.mean**2), settle=False)
    mean = as_real("start", start, "", str(gain_matrix.num_populations), dtype=gain_matrix.gains.dtype)
    spread = largest_variance(resting.total_gain, resting.entering, phi)
    return solve_stationary(resting, phi, Start(jnp.broadcast_to(mean, spread.shape), spread))


_LOG_STARTS = 5  # of so many places
_SAME = 1e-6  # relative to the activity


@full_precision
def stationary_states(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
) -> list[StationaryState]:
    """All stationary states that are found from 32 places, by iteration and by Newton's method; stable ones first.

    Newton's method finds states that a network leaves, too. Parameters and errors are those of `stationary_state`, to
    which each can be given, as `start`, for its derivatives.

    Returns
    -------
    List of StationaryState, then in the order of the mean of the first population; empty where nothing comes to rest.
    Without means and bias there is the state of `stationary_state` alone.
    """
    phi = as_nonlinearity(nonlinearity)
    check_not_negative(noise_std=noise_std)
    resting = as_resting(gain_matrix, noise_std, bias, bias_std)
    require(not is_traced(resting), "stationary_states needs known numbers: how many states there are depends on them")
    if not resting.has_means:
        only = solve_stationary(resting, phi)
        return [only] if bool(only.converged) else []
    starts = _places(resting, phi)
    found = [
        jax.tree.map(lambda part, place=place: part[place], states)
        for states in (_solve_all(resting, phi, starts, settle=settle) for settle in (True, False))
        for place in np.flatnonzero(np.asarray(states.converged))
    ]
    return sorted(_distinct(found), key=lambda state: (not bool(state.stable), *np.asarray(state.mean).tolist()))


@jax.jit(static_argnames=("phi", "settle"))
def _solve_all(resting: Resting, phi: Nonlinearity, starts: Start, *, settle: bool) -> StationaryState:
    return jax.vmap(lambda start: solve_stationary(resting, phi, start, settle=settle))(starts)


def _places(resting: Resting, phi: Nonlinearity) -> Start:
    """Places that fill the means and variances that a state may have, rest among them."""
    count, dtype = len(resting.noise), resting.noise.dtype
    spread = largest_variance(resting.total_gain, resting.entering, phi)
    most = jnp.max(jnp.abs(phi(jnp.linspace(-_FARTHEST, _FARTHEST, 401, dtype=dtype))))
    bound = jnp.zeros(count, dtype) if resting.bias is None else jnp.abs(resting.bias)
    if resting.mean_gain is not None:
        bound += jnp.abs(resting.mean_gain) @ jnp.full(count, most)
    unit = jnp.asarray(qmc.Sobol(2 * count, scramble=False).random_base2(_LOG_STARTS), dtype)
    return Start((2 * unit[:, :count] - 1) * bound, unit[:, count:] * spread)


_FARTHEST = 20.0  # states among which the largest value of φ is looked for


def _distinct(states: list[StationaryState]) -> list[StationaryState]:
    """One of each kind."""
    kept: list[StationaryState] = []
    for state in states:
        scale = float(jnp.sqrt(jnp.max(state.variance))) + _SAME
        if all(
            float(jnp.max(jnp.abs(state.mean - other.mean))) > _SAME * scale
            or float(jnp.max(jnp.abs(state.variance - other.variance))) > _SAME * scale**2
            for other in kept
        ):
            kept.append(state)
    return kept


def require_convergence(state: StationaryState, what: str) -> None:
    """Refuse to go on from a state that is known (not traced) not to have settled."""
    if is_traced(state.converged) or bool(state.converged):
        return
    raise ValueError(
        f"{what} needs a stationary state, and the variance does not settle (residual {float(state.residual):.3g}): "
        "the nonlinearity grows without bound and the gain is above its threshold; lower the gains"
    )


@jax.jit
def growth_rate(gain_matrix: GainMatrix, slope_square: Float[Array, " P"]) -> Array:
    """½ ln ρ(G ∘ ⟨φ′²⟩), the growth rate of an infinitesimal perturbation of single units."""
    # of gains relative to the largest, whose squares neither overflow nor vanish
    largest = jnp.max(gain_matrix.gains)
    relative = gain_matrix.gains / jnp.where(largest > 0, largest, 1)
    radius = spectral_radius(relative**2 * gain_matrix.fractions * slope_square)
    return jnp.log(radius) / 2 + jnp.where(largest > 0, jnp.log(jnp.where(largest > 0, largest, 1)), -jnp.inf)


@full_precision
def lyapunov_exponent(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    start: ArrayLike | StationaryState | None = None,
) -> Float[Array, ""]:
    """Largest Lyapunov exponent of the discrete-time network, per step; −∞ without weights.

    That of perturbations that differ between units is ½ ln ρ(G ∘ ⟨φ′²⟩). With means or a bias the logarithm of the
    state's `growth`, that of perturbations which shift whole populations, may be the larger one.

    Under a transformation (jit, vmap) a network without stationary state gives NaN instead of an error.

    Parameters
    ----------
    gain_matrix
        Structure, P populations, with or without means.
    noise_std
        σ, at least 0; the same noise drives both neighboring trajectories.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    bias, bias_std, start
        As in `stationary_state`.

    Raises
    ------
    ValueError
        If the network has no stationary state.

    References
    ----------
    Molgedey, Schuchhardt & Schuster (1992), Suppressing chaos in neural networks by noise,
    Phys. Rev. Lett. 69, 3717.

    Examples
    --------
    >>> from fisherjax import connectivity, meanfield
    >>> print(f"{meanfield.lyapunov_exponent(connectivity.homogeneous(0.8), noise_std=0.1):.2f}")
    -0.25
    """
    phi = as_nonlinearity(nonlinearity)
    state = stationary_state(
        gain_matrix, noise_std=noise_std, nonlinearity=phi, bias=bias, bias_std=bias_std, start=start
    )
    require_convergence(state, "the Lyapunov exponent")
    resting = as_resting(gain_matrix, noise_std, bias, bias_std)
    exponent = growth_rate(gain_matrix, slope_second_moment(resting, phi, state))
    if resting.has_means:
        exponent = jnp.maximum(exponent, jnp.log(state.growth))
    return jnp.where(state.converged, exponent, jnp.nan)
