"""Moment closure of one given network: its mean, covariance and information, differentiable in every weight."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_integer
from fisherjax._types import Result, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix, population_sizes
from fisherjax.networks import RateNetwork
from fisherjax.numerics import AXES, Devices, Nonlinearity, full_precision, on_devices, spread, spread_map
from fisherjax.simulate import check_allocation, map_length

from ._curve import FisherCurve, as_draws, mean_curve, warn_if_not_finite
from ._gaussian import FORMS, by_group
from ._meanfield import check_noise

_LIVE_MATRICES = 16  # N × N arrays that one step of value and sensitivity keeps alive


class ClosureMoments(Result):
    """Mean and covariance of the state at times 1…T, and their derivatives in K stimulus parameters."""

    times: Float[Array, " T"]
    mean: Float[Array, "T N"]
    covariance: Float[Array, "T N N"]
    mean_slope: Float[Array, "T K N"]
    covariance_slope: Float[Array, "T K N N"]


class _State(NamedTuple):
    mean: Float[Array, " N"]
    covariance: Float[Array, "N N"]
    third: Float[Array, "N N"] | None  # joint cumulants κ(x_i, x_i, x_j)


@full_precision
def closure_curve(
    weights: object,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    input_vector: object,
    form: str = "linear",
    nonlinearity: object = "tanh",
    observation_noise_std: Scalar = 0.0,
    sustained_input: object = None,
    gain_matrix: GainMatrix | None = None,
    mehler_order: int = 3,
    third_cumulants: bool = True,
    devices: Devices = None,
) -> FisherCurve:
    r"""Predict the Fisher information of one given network, by closing its moments as a Gaussian's.

    .. math::
        m^+ &= J\,E[φ(x)] + b, \qquad Σ^+ = σ² I + J K J^T, \\
        K_{ii} &= \operatorname{Var} φ(x_i), \qquad
        K_{ij} = Σ_{k=1}^{order} E[φ^{(k)}(x_i)]\,E[φ^{(k)}(x_j)]\,Σ_{ij}^k / k!

    Expectations are over x ~ N(m, Σ); the sum is Mehler's. ∂m and ∂Σ follow by a forward derivative in θ.
    States are not quite Gaussian: the third cumulants Q_ij = κ(x_i, x_i, x_j), of order 1/N, add up
    coherently in the direction that carries the signal, and are followed as well,

    .. math::
        K_{ij} &\mathrel{+}= ½ (Q_{ij} E φ''_i E φ'_j + Q_{ji} E φ'_i E φ''_j), \qquad Q^+ = (J∘J) M J^T, \\
        M_{ac} &= E φ'_c (Σ_{ac} ∂_m + Q_{ac} ∂_v) \operatorname{Var} φ_a
                 + ½ Q_{ca} E φ''_c ∂_m \operatorname{Var} φ_a, \qquad M_{aa} = κ_3(φ_a).

    An approximation for a nonlinear network, exact for φ = identity. At N = 200 it agrees with simulation to
    a few per mille in the independent form and about one per cent in the linear one (g = 1.3); without the
    third cumulants the linear form is up to 8 % too high there, and 23 % at g = 1.5. Ascending it by gradient
    leads to networks where it breaks down: confirm what an ascent finds with `simulated_curve`, and stop the
    ascent where the two part (examples/ascend_weights.py).

    Cost: eight N × N products per step, value and sensitivity together (four without third cumulants); the
    steps are rematerialised, so that a gradient in J keeps about 4 N² numbers per step.

    Parameters
    ----------
    weights
        J (N, N), or several draws (draws, N, N), which are averaged.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    noise_std
        σ, process noise. May be 0 only with observation noise.
    num_steps
        Number of steps T.
    input_vector
        w (N,), or (N, K) for a vector stimulus: x(0) = w θ.
    form
        ``"linear"``: ∂mᵀΣ⁻¹∂m, noise correlations counted, what a linear read-out reaches.
        ``"independent"``: Σ_i ∂m_i²/Σ_ii, correlations ignored (the diagonal form, what the large-N theory
        predicts). ``"total"``: linear + ½ tr[(Σ⁻¹∂Σ)²], what a Gaussian state would hold.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    observation_noise_std
        σ_obs, noise added to what is read out.
    sustained_input
        b (N,), added at every step.
    gain_matrix
        Structure that divides the units into populations, for information by population; one if absent.
    mehler_order
        Terms of Mehler's series between two units.
    third_cumulants
        Whether to follow Q; without it this is the plain Gaussian closure.
    devices
        Divide the work among devices: draws if there are several, the rows of the N × N matrices of a single one.
        A number, ``"all"``, or what `numerics.device_mesh` takes.

    Returns
    -------
    FisherCurve, differentiable in every array argument. For several draws it is their mean, with the
    standard error over draws.

    Raises
    ------
    ValueError
        If both noise levels vanish, an argument has the wrong shape, sign or value, or there are fewer devices.
    """
    check_choice("form", form, FORMS)
    check_noise(noise_std, observation_noise_std)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    mehler_order = check_integer("mehler_order", mehler_order, minimum=1)
    draws = as_draws(weights)
    network = RateNetwork(
        draws[0],
        input_vector,
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        sustained_input=sustained_input,
        nonlinearity=nonlinearity,
    )
    network.initial_state(stimulus)
    theta = jnp.asarray(stimulus).astype(draws.dtype)
    units = network.num_units
    sizes = (units,) if gain_matrix is None else population_sizes(gain_matrix, units)
    live = _LIVE_MATRICES * (1 + theta.size) * units**2 * draws.dtype.itemsize
    closure = (mehler_order, bool(third_cumulants))
    with on_devices(devices):
        curve = _closure_curve(network, draws, theta, num_steps, form, sizes, closure, map_length(len(draws), live))
    return warn_if_not_finite(
        curve,
        "moments left the float range, or the closed covariance is not positive definite (strongly correlated "
        "states?); lower the gains, raise noise_std or mehler_order, or use float64",
    )


@full_precision
def closure_moments(
    network: RateNetwork,
    *,
    stimulus: Stimulus,
    num_steps: int,
    mehler_order: int = 3,
    third_cumulants: bool = True,
) -> ClosureMoments:
    """Mean and covariance of a network's state under the closure, with derivatives in the stimulus.

    What `closure_curve` computes its information from; the locally optimal read-out at step t is
    `optimal_decoder(moments.mean_slope[t, 0], moments.covariance[t])`. Observation noise is not included.

    Parameters
    ----------
    network
        The network, N units.
    stimulus
        θ, scalar, or (K,).
    num_steps
        Number of steps T.
    mehler_order
        Terms of Mehler's series between two units.
    third_cumulants
        Whether to follow third cumulants, as `closure_curve` does.

    Raises
    ------
    ValueError
        If the stimulus does not match the network, or the result would not fit into memory.
    """
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    mehler_order = check_integer("mehler_order", mehler_order, minimum=1)
    network.initial_state(stimulus)
    theta = jnp.asarray(stimulus).astype(network.weights.dtype)
    shape = (num_steps * (1 + theta.size), network.num_units, network.num_units)
    check_allocation("covariances", shape, network.weights.dtype)
    return _closure_moments(network, theta, num_steps, (mehler_order, bool(third_cumulants)))


@jax.jit(static_argnums=(2, 3))
def _closure_moments(network: RateNetwork, theta: Array, num_steps: int, closure: tuple[int, bool]) -> ClosureMoments:
    moments = _scan(network, theta, num_steps, closure, lambda state, slope: (*state[:2], *slope[:2]))
    return ClosureMoments(jnp.arange(1, num_steps + 1, dtype=theta.dtype), *moments)


@jax.jit(static_argnums=(3, 4, 5, 6, 7))
def _closure_curve(
    network: RateNetwork,
    draws: Array,
    theta: Array,
    num_steps: int,
    form: str,
    sizes: tuple[int, ...],
    closure: tuple[int, bool],
    batch_size: int,
) -> FisherCurve:
    def measure(weights: Array, network: RateNetwork, theta: Array) -> Float[Array, "T groups K K"]:
        observed = network.observation_noise_std**2 * jnp.eye(network.num_units, dtype=theta.dtype)

        def read_out(state: _State, slope: _State) -> Float[Array, "groups K K"]:
            return by_group(slope.mean, state.covariance + observed, slope.covariance, form, sizes)

        return _scan(eqx.tree_at(lambda tree: tree.weights, network, weights), theta, num_steps, closure, read_out)

    if len(draws) > 1:
        values = spread_map(measure, draws, network, theta, batch_size=batch_size)
    else:
        values = measure(draws[0], network, theta)[None]
    return mean_curve(values, form, scalar=theta.ndim == 0)


def _scan(
    network: RateNetwork, theta: Array, num_steps: int, closure: tuple[int, bool], read_out: Callable[..., Any]
) -> Any:
    """`read_out(state, slope)` at every step, `slope` being the state's derivative, one row per parameter."""
    directions = jnp.eye(max(1, theta.size), dtype=theta.dtype).reshape(-1, *theta.shape)
    mehler_order, third_cumulants = closure

    def start(theta: Array) -> _State:
        mean = network.mean_step(network.initial_state(theta))
        eye = jnp.eye(network.num_units, dtype=theta.dtype)
        return _State(mean, network.noise_std**2 * eye, 0 * eye if third_cumulants else None)

    @jax.checkpoint
    def step(carry: tuple[_State, _State], _: None) -> tuple[tuple[_State, _State], Any]:
        state, slope = carry
        advance = functools.partial(_step, network, mehler_order)
        following, change = jax.vmap(lambda tangent: jax.jvp(advance, (state,), (tangent,)), out_axes=(None, 0))(slope)
        return (following, change), read_out(state, slope)

    first, slope = jax.vmap(lambda tangent: jax.jvp(start, (theta,), (tangent,)), out_axes=(None, 0))(directions)
    # the state after the last step is not read out, so it is not computed either
    carry, values = jax.lax.scan(step, (first, slope), length=num_steps - 1)
    return jax.tree.map(lambda rows, row: jnp.concatenate([rows, row[None]]), values, read_out(*carry))


def _step(network: RateNetwork, mehler_order: int, state: _State) -> _State:
    mean, covariance, third = state
    phi, weights = network.nonlinearity, network.weights
    weights = spread(weights, AXES)
    variance = jnp.diagonal(covariance)
    response, *slopes = phi.derivative_means(mean, variance, max(mehler_order, 2))
    values = jnp.zeros_like(covariance)
    for order in range(mehler_order, 0, -1):
        slope = slopes[order - 1]
        values = covariance * (slope[:, None] * slope / math.factorial(order) + values)
    next_third = None
    if third is not None:
        skew = third * slopes[1][:, None] * slopes[0]
        values += (skew + skew.T) / 2
        next_third = weights**2 @ _value_cumulants(phi, mean, covariance, third, slopes) @ weights.T
    values = spread(_with_diagonal(values, phi.value_variance(mean, variance)), AXES)
    following = spread(weights @ values, AXES) @ weights.T
    noise = network.noise_std**2 * jnp.eye(network.num_units, dtype=mean.dtype)
    following = spread((following + following.T) / 2 + noise, AXES)
    return _State(weights @ response + network.sustained_input, following, next_third)


def _value_cumulants(
    phi: Nonlinearity, mean: Array, covariance: Array, third: Array, slopes: list[Array]
) -> Float[Array, "N N"]:
    """κ(φ_a, φ_a, φ_c) to first order in the correlation of a and c and in their third cumulants."""
    variance, one = jnp.diagonal(covariance), jnp.ones_like(mean)
    by_mean = jax.jvp(lambda m: phi.value_variance(m, variance), (mean,), (one,))[1][:, None]
    by_variance = jax.jvp(lambda v: phi.value_variance(mean, v), (variance,), (one,))[1][:, None]
    pairs = slopes[0] * (by_mean * covariance + by_variance * third) + slopes[1] / 2 * by_mean * third.T
    return _with_diagonal(pairs, phi.value_third_cumulant(mean, variance))


def _with_diagonal(matrix: Array, diagonal: Array) -> Array:
    return jnp.where(np.eye(len(matrix), dtype=bool), diagonal, matrix)
