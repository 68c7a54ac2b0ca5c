"""Moment closure of one given network: its mean, covariance and information, differentiable in every weight."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_flag, check_integer, is_traced, warn
from fisherjax._linalg import with_slopes
from fisherjax._runtime import Devices, check_allocation, full_precision, map_length, on_devices
from fisherjax._types import Record, Stimulus
from fisherjax.networks import RNN, FlowNetwork, RateNetwork
from fisherjax.networks._protocol import READINGS, Protocol

from ._closure_flow import flow_scan
from ._closure_step import LIMIT, State, closure_scan, value_moments
from ._curve import Asked, FisherCurve, as_question, mean_curve, over_draws
from ._gaussian import by_group

CLOSED = (RateNetwork, RNN, FlowNetwork)
ClosedNetwork: TypeAlias = RateNetwork | RNN | FlowNetwork

_LIVE_MATRICES = 16  # N × N arrays that one step of value and sensitivity keeps alive


class ClosureMoments(Record):
    """Mean and covariance of the state at times 1…T, and their derivatives in K stimulus parameters."""

    times: Float[Array, " T"]
    mean: Float[Array, "T N"]
    covariance: Float[Array, "T N N"]
    mean_slope: Float[Array, "T K N"]
    covariance_slope: Float[Array, "T K N N"]


@full_precision
def closure_curve(
    network: ClosedNetwork | Sequence[ClosedNetwork],
    *,
    stimulus: Stimulus,
    num_steps: int,
    form: str = "linear",
    protocol: Protocol = "pulse",
    read: Literal["state", "output"] = "state",
    mehler_order: int = 3,
    higher_cumulants: bool = True,
    devices: Devices = None,
) -> FisherCurve:
    r"""Predict the Fisher information of one given network, by closing its moments as a Gaussian's.

    .. math::
        m^+ &= J\,E[φ(x)] + b, \qquad Σ^+ = σ² I + J K J^T, \\
        K_{ii} &= \operatorname{Var} φ(x_i), \qquad
        K_{ij} = Σ_{k=1}^{order} E[φ^{(k)}(x_i)]\,E[φ^{(k)}(x_j)]\,Σ_{ij}^k / k!

    Expectations are over x ~ N(m, Σ); the sum is Mehler's. ∂m and ∂Σ follow by a forward derivative in θ.
    States are not quite Gaussian. The third cumulants Q_ij = κ(x_i, x_i, x_j) and the pair cumulants
    c_ij = κ(x_i, x_i, x_j, x_j), of order 1/N each, add up coherently, and are followed as well. With
    a = E φ′, b = E φ″, d = ∂_m Var φ, v = ∂_V Var φ and δ the changes by a unit's own cumulants Q_ii and c_ii,

    .. math::
        m^+ &\mathrel{+}= J\,δE[φ], \qquad K_{ii} \mathrel{+}= δ\operatorname{Var} φ_i, \qquad
        K_{ij} \mathrel{+}= ½ (Q_{ij} b_i a_j + Q_{ji} a_i b_j) + ¼ b_i c_{ij} b_j, \\
        Q^+ &= (J∘J) M J^T, \qquad c^+ = (J∘J) P (J∘J)^T, \\
        M_{ac} &= a_c (d_a Σ_{ac} + v_a Q_{ac}) + ½ b_c (d_a Q_{ca} + v_a (c_{ac} + 2 Σ_{ac}^2)), \\
        P_{ac} &= d_a Σ_{ac} d_c + v_a Q_{ac} d_c + d_a Q_{ca} v_c + v_a (c_{ac} + 2 Σ_{ac}^2) v_c
                  - 2 (a_a Σ_{ac} a_c)^2, \\
        M_{aa} &= κ_3(φ_a), \qquad P_{aa} = κ_4(φ_a).

    An approximation for a nonlinear network, exact for φ = identity. It estimates its own error as it runs,
    `.model_error` (what single units' higher cumulants and third cumulants of three different senders change), and ends
    where that exceeds a tenth: NaN from there on, and a warning. In 80 networks (N = 60 to 500; random with gains 1 to
    2, σ = 0.1 and 0.5, θ = 0.1 and 1, and the default optimum of ``fisherjax optimize``) simulated with 60 000 to
    200 000 trials, the linear form was off by no more than that, two standard errors and 0.8 %; the largest error until
    the end was 1.5 % in the median network, 4 % in one of ten and 10 % at worst. At gain 1 it is below what simulation
    can tell for ten steps, as for the default optimum at N = 500; at N = 100 that optimum ends after nine to eleven
    steps, since by then its units are nearly bistable. Without higher cumulants the linear form is up to twice too high
    after ten steps at gains of 1.3 and more.

    Of a `FlowNetwork` higher cumulants are not followed; `.model_error` tells of them by how far the closure raises the
    linear form above its limit at small noise, and by correlated noise that is wide enough for φ to bend. In 30
    networks the linear form was within 5 % plus twice that share (N = 100, gains 0.5 to 2, σ = 0.1 to 0.6, θ = 0.1
    and 1, six time constants), where small noise alone was off by up to 300 %. It ends at a tenth as well.

    Cost of a map: twelve N × N products a step, value and sensitivity together (four without higher cumulants), one and
    a Cholesky factor for the estimate of the error; the steps are rematerialized, so that a gradient in J keeps about
    6 N² numbers per step.

    Parameters
    ----------
    network
        A `RateNetwork`, an `RNN` (its current is closed), or a `FlowNetwork`; or several draws of one, which are
        averaged. Of other networks there is no closure: use `linearized_curve` or `simulated_curve`.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    num_steps
        Number of steps T.
    form
        ``"linear"``: ∂mᵀΣ⁻¹∂m, noise correlations counted, what a linear read-out reaches.
        ``"independent"``: Σ_i ∂m_i²/Σ_ii, correlations ignored (the diagonal form, what the large-N theory
        predicts). ``"total"``: linear + ½ tr[(Σ⁻¹∂Σ)²], what a Gaussian state would hold.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    protocol
        How the stimulus enters: ``"pulse"``, ``"sustained"``, or a function θ ↦ inputs (T, I).
    read
        What is read: the ``"state"``, or the ``"output"`` of a trained network.
    mehler_order
        Terms of Mehler's series between two units.
    higher_cumulants
        Whether to follow Q and c; without them this is the plain Gaussian closure, and tells nothing of its error.
    devices
        Divide the work among devices: draws if there are several, the rows of the N × N matrices of a single one.
        A number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    FisherCurve, differentiable in every array argument. For several draws it is their mean, with the
    standard error over draws, and ends where the first of them does.

    Raises
    ------
    ValueError
        If the network has no noise, an argument has the wrong shape, sign or value, or there are fewer devices.
    TypeError
        If the network is of another kind.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from fisherjax import connectivity, fisher, networks
    >>> weights = connectivity.sample_weights(connectivity.homogeneous(1.0), 50, key=jax.random.key(0))
    >>> network = networks.RateNetwork(weights, jnp.ones(50), noise_std=0.5)
    >>> print(fisher.closure_curve(network, stimulus=0.5, num_steps=2).total.round(0))
    [119.  23.]
    """
    closure = (check_integer("mehler_order", mehler_order, minimum=1), check_flag("higher_cumulants", higher_cumulants))
    check_choice("read", read, READINGS)
    drawn, theta, how = as_question(network, stimulus, num_steps, form, protocol, read, kinds=CLOSED)
    how, matrices = how._replace(closure=closure), _LIVE_MATRICES * (1 + theta.size)
    live = matrices * drawn[0].state_size ** 2 * drawn[0].dtype.itemsize
    with on_devices(devices):
        curve, neglected = _closure_curve(drawn, theta, how, map_length(len(drawn), live))
    _warn_where_it_ends("Fisher information is not finite", curve.total, neglected)
    return curve


@full_precision
def closure_moments(
    network: ClosedNetwork,
    *,
    stimulus: Stimulus,
    num_steps: int,
    protocol: Protocol = "pulse",
    read: Literal["state", "output"] = "state",
    mehler_order: int = 3,
    higher_cumulants: bool = True,
) -> ClosureMoments:
    """Mean and covariance of what is read of a network under the closure, with derivatives in the stimulus.

    What `closure_curve` computes its information from; the locally optimal read-out at step t is
    `optimal_decoder(moments.mean_slope[t, 0], moments.covariance[t])`. Observation noise is not included.

    Parameters
    ----------
    network
        A `RateNetwork`, an `RNN` or a `FlowNetwork`.
    stimulus
        θ, scalar, or (K,).
    num_steps
        Number of steps T.
    protocol, read
        As of `closure_curve`.
    mehler_order
        Terms of Mehler's series between two units.
    higher_cumulants
        Whether to follow third and pair cumulants, as `closure_curve` does.

    Raises
    ------
    ValueError
        If the stimulus does not match the network, or the result would not fit into memory.
    """
    closure = (check_integer("mehler_order", mehler_order, minimum=1), check_flag("higher_cumulants", higher_cumulants))
    check_choice("read", read, READINGS)
    (network,), theta, how = as_question(
        (network,), stimulus, num_steps, "total", protocol, read, kinds=CLOSED, noisy=False
    )
    size = sum(how.sizes)
    check_allocation("covariances", (how.num_steps * (1 + theta.size), size, size), network.dtype)
    moments, neglected = _closure_moments(network, theta, how._replace(closure=closure))
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
        f"there the closure is beyond its limit{draws}: the higher cumulants that it leaves out change information by "
        f"more than {LIMIT:.0%} by its own estimate. Use simulated_curve there, more units, or lower gains"
        if (left_out > LIMIT).any()
        else "moments left the float range, or the closed covariance is not positive definite (strongly correlated "
        "states?); lower the gains, raise noise_std or mehler_order, or use float64"
    )
    warn(f"{what} from time {first + 1} on: {reason}")


@eqx.filter_jit
def _closure_moments(network: ClosedNetwork, theta: Array, how: Asked) -> tuple[ClosureMoments, Float[Array, " T"]]:
    moments, neglected = _scan(network, theta, how, lambda *moments: moments)
    times = network.time_step * jnp.arange(1, how.num_steps + 1, dtype=theta.dtype)
    return ClosureMoments(times, *moments), neglected


@eqx.filter_jit
def _closure_curve(
    drawn: Sequence[ClosedNetwork], theta: Array, how: Asked, batch_size: int
) -> tuple[FisherCurve, Float[Array, "draws T"]]:
    def measure(network: ClosedNetwork, theta: Array) -> tuple[Array, Array]:
        observed = network.observation_noise_std**2

        def read_out(mean: Array, covariance: Array, slope: Array, change: Array) -> Float[Array, "groups K K"]:
            noise = observed * jnp.eye(len(mean), dtype=mean.dtype)
            return by_group(slope, covariance + noise, change, how.form, how.sizes)

        return _scan(network, theta, how, read_out)

    values, neglected = over_draws(measure, drawn, theta, batch_size)
    curve = mean_curve(values, how.form, how.times, scalar=theta.ndim == 0, time_step=drawn[0].time_step)
    estimated = how.closure[1] or isinstance(drawn[0], FlowNetwork)
    return dataclasses.replace(curve, model_error=jnp.mean(neglected, axis=0) if estimated else None), neglected


def _scan(
    network: ClosedNetwork, theta: Array, how: Asked, read_out: Callable[..., Any]
) -> tuple[Any, Float[Array, " T"]]:
    """`read_out(mean, covariance, mean slope, covariance slope)` of what is read, at every step."""
    moments = _read_moments(network, how)

    def seen(state: State, slope: State) -> Any:
        (mean, covariance), (change, covariance_change) = with_slopes(moments, (state,), (slope,))
        return read_out(mean, covariance, change, covariance_change)

    if isinstance(network, FlowNetwork):
        return flow_scan(network, how.protocol, theta, how.num_steps, seen)
    return closure_scan(network, how.protocol, theta, how.num_steps, how.closure, seen)


def _read_moments(network: ClosedNetwork, how: Asked) -> Callable[[State], tuple[Array, Array]]:
    """Mean and covariance of what is read, from the moments of the current."""

    def of_current(state: State) -> tuple[Array, Array]:
        return state.mean, state.covariance

    def of_rates(state: State) -> tuple[Array, Array]:
        return value_moments(network.nonlinearity, how.closure[0], state)

    if not isinstance(network, RNN):
        return of_current
    if how.read == "state":
        return of_current if network.activation == "inside" else of_rates
    weights, bias = network.output_weights, network.output_bias

    def of_output(state: State) -> tuple[Array, Array]:
        mean, covariance = of_rates(state)
        outputs = weights @ mean
        return outputs if bias is None else outputs + bias, weights @ covariance @ weights.T

    return of_output
