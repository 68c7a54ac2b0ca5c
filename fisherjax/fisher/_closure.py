"""Moment closure of one given network: its mean, covariance and information, differentiable in every weight."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_flag, check_instance, check_integer, is_traced, warn
from fisherjax._types import Result, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Devices, full_precision, on_devices, spread_map
from fisherjax.simulate import check_allocation, map_length

from ._closure_step import LIMIT, State, closure_scan
from ._curve import FisherCurve, as_draws, mean_curve, pulse, sizes_of
from ._gaussian import FORMS, by_group
from ._meanfield import check_noise

_LIVE_MATRICES = 16  # N × N arrays that one step of value and sensitivity keeps alive
_JUDGING_MATRICES = 6  # and those that its account of what it leaves out adds


class ClosureMoments(Result):
    """Mean and covariance of the state at times 1…T, and their derivatives in K stimulus parameters."""

    times: Float[Array, " T"]
    mean: Float[Array, "T N"]
    covariance: Float[Array, "T N N"]
    mean_slope: Float[Array, "T K N"]
    covariance_slope: Float[Array, "T K N N"]


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

    An approximation for a nonlinear network, exact for φ = identity. It estimates what it leaves out as it runs
    (fourth cumulants, skewness of single units), as a share of the information, `.model_error`. In 62 networks whose
    linear form was measured as well the error stayed within about three times that share; without amplification (random
    weights of gain 1) it is below one per cent for twenty steps. Where the share exceeds a tenth the curve ends: NaN
    from there on, and a warning. Up to there the linear form was off by 7 % (median over networks of the largest
    error), 17 % in one network of ten and 32 % at worst, mostly too high; networks that amplify strongly reach the
    limit after some ten steps at N = 100 to 600. Ascending it by gradient leads to such networks: confirm what an
    ascent finds with `simulated_curve` (examples/ascend_weights.py). Without third cumulants the linear form is up to
    8 % too high at g = 1.3, and 23 % at g = 1.5, which `.model_error` does not count.

    Cost: eight N × N products per step, value and sensitivity together (four without third cumulants), two and a
    Cholesky factor for the account of what is left out; the steps are rematerialised, so that a gradient in J keeps
    about 4 N² numbers per step.

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
    standard error over draws, and ends where the first of them does.

    Raises
    ------
    ValueError
        If both noise levels vanish, an argument has the wrong shape, sign or value, or there are fewer devices.
    """
    check_choice("form", form, FORMS)
    check_noise(noise_std, observation_noise_std)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    closure = (check_integer("mehler_order", mehler_order, minimum=1), check_flag("third_cumulants", third_cumulants))
    draws = as_draws(weights)
    network = RateNetwork(
        draws[0],
        input_vector,
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        sustained_input=sustained_input,
        nonlinearity=nonlinearity,
    )
    theta, units = pulse(network, stimulus), network.num_units
    sizes = sizes_of(gain_matrix, units)
    live = (_LIVE_MATRICES * (1 + theta.size) + _JUDGING_MATRICES) * units**2 * draws.dtype.itemsize
    with on_devices(devices):
        curve, neglected = _closure_curve(
            network, draws, theta, num_steps, form, sizes, closure, map_length(len(draws), live)
        )
    _warn_where_it_ends("Fisher information is not finite", curve.total, neglected)
    return curve


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
    check_instance("network", network, RateNetwork, "networks.RateNetwork(weights, input_vector, noise_std=…)")
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    closure = (check_integer("mehler_order", mehler_order, minimum=1), check_flag("third_cumulants", third_cumulants))
    theta = pulse(network, stimulus)
    shape = (num_steps * (1 + theta.size), network.num_units, network.num_units)
    check_allocation("covariances", shape, network.weights.dtype)
    moments, neglected = _closure_moments(network, theta, num_steps, closure)
    _warn_where_it_ends("the moments are not finite", moments.mean, neglected)
    return moments


def _warn_where_it_ends(what: str, values: Array, neglected: Float[Array, "*draws T"]) -> None:
    """Warn of the first time at which values are NaN, and of the reason: broken, or not to be believed."""
    if is_traced(values):
        return
    finite = np.isfinite(np.asarray(values)).reshape(len(values), -1).all(axis=1)
    if finite.all():
        return
    first = int(np.argmin(finite))
    left_out = np.asarray(neglected).reshape(-1, len(values))[:, first]
    draws = f" in {int((left_out > LIMIT).sum())} of {len(left_out)} draws" if len(left_out) > 1 else ""
    reason = (
        f"there the closure is beyond its limit{draws}: what it leaves out (fourth cumulants, skewness of single "
        f"units) changes information by more than {LIMIT:.0%} by its own estimate. Use simulated_curve there, more "
        "units, or lower gains"
        if (left_out > LIMIT).any()
        else "moments left the float range, or the closed covariance is not positive definite (strongly correlated "
        "states?); lower the gains, raise noise_std or mehler_order, or use float64"
    )
    warn(f"{what} from time {first + 1} on: {reason}")


@jax.jit(static_argnums=(2, 3))
def _closure_moments(
    network: RateNetwork, theta: Array, num_steps: int, closure: tuple[int, bool]
) -> tuple[ClosureMoments, Float[Array, " T"]]:
    moments, neglected = closure_scan(network, theta, num_steps, closure, lambda state, slope: (*state[:2], *slope[:2]))
    return ClosureMoments(jnp.arange(1, num_steps + 1, dtype=theta.dtype), *moments), neglected


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
) -> tuple[FisherCurve, Float[Array, "draws T"]]:
    def measure(weights: Array, network: RateNetwork, theta: Array) -> tuple[Float[Array, "T groups K K"], Array]:
        observed = network.observation_noise_std**2 * jnp.eye(network.num_units, dtype=theta.dtype)

        def read_out(state: State, slope: State) -> Float[Array, "groups K K"]:
            return by_group(slope.mean, state.covariance + observed, slope.covariance, form, sizes)

        drawn = eqx.tree_at(lambda tree: tree.weights, network, weights)
        return closure_scan(drawn, theta, num_steps, closure, read_out)

    if len(draws) > 1:
        values, neglected = spread_map(measure, draws, network, theta, batch_size=batch_size)
    else:
        values, neglected = jax.tree.map(lambda part: part[None], measure(draws[0], network, theta))
    curve = mean_curve(values, form, scalar=theta.ndim == 0)
    return dataclasses.replace(curve, model_error=jnp.mean(neglected, axis=0)), neglected
