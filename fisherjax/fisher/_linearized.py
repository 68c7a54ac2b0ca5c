"""Fisher information of any network at small noise: fluctuations linearized around the noiseless trajectory."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import directions_of, with_slopes
from fisherjax._runtime import Devices, full_precision, map_length, on_devices, recorded_scan
from fisherjax._types import Stimulus
from fisherjax.networks import Network
from fisherjax.networks._protocol import Protocol, Reading, entered, entered_with_slopes, reading
from fisherjax.simulate._trajectories import ready

from ._curve import Asked, FisherCurve, as_question, mean_curve, over_draws, warn_if_not_finite
from ._gaussian import by_group

_LIVE_MATRICES = 8  # S × S arrays that one step keeps alive
_ROWS = 16  # of what is read, whose derivatives in all noise are taken together


@full_precision
def linearized_curve(
    network: Network | Sequence[Network],
    *,
    stimulus: Stimulus,
    num_steps: int,
    form: str = "linear",
    protocol: Protocol = "pulse",
    read: Reading = "state",
    at: Sequence[int] | None = None,
    devices: Devices = None,
) -> FisherCurve:
    r"""Predict the Fisher information of any network at small noise.

    Along the noiseless trajectory x⁺ = F(x, u, 0), with A = ∂F/∂x and B = ∂F/∂ξ taken from the step itself,

    .. math::
        ∂x^+ = A\,∂x + \frac{∂F}{∂u} ∂u, \qquad Σ^+ = A Σ A^T + B B^T, \qquad
        μ' = H\,∂x, \quad S = H Σ H^T + σ_{obs}^2 1,

    H being the derivative of what is read, and information is μ'ᵀ S⁻¹ μ' (linear), Σ_i μ'_i²/S_ii (independent), or
    the Gaussian total with ∂S. Exact for a linear network, and else in the limit of small noise: errors are of relative
    order σ². Rectified units count as active or silent as they are on the noiseless trajectory.

    Cost: two products of the step's Jacobian with S × S numbers per step, without the Jacobian being written down;
    steps are rematerialized, so that a gradient in any parameter of the network keeps S² + K S numbers per step. Where
    few numbers are read of a large state, as of an image network, S is worked out backwards from them instead, and
    no covariance of the state is formed.

    Parameters
    ----------
    network
        Any `Network`, or several draws of one, which are averaged.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    num_steps
        Number of steps T.
    form
        ``"linear"``, ``"independent"``, or ``"total"``.
    protocol
        How the stimulus enters: ``"pulse"`` sets x(0), ``"sustained"`` is an input at every step, or a function
        θ ↦ inputs (T, I).
    read
        What is read: the ``"state"``, the ``"output"``, or a function of the state.
    at
        After which steps to read, counted from 1; all T by default.
    devices
        Divide draws among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    FisherCurve, differentiable in every array of the network. For several draws it is their mean, with the standard
    error over draws.

    Raises
    ------
    ValueError
        If the network has no noise, an argument has the wrong shape or value, or there are fewer devices.
    TypeError
        If `network` is none, or the protocol or what is read cannot be traced.
    """
    drawn, theta, how = as_question(network, stimulus, num_steps, form, protocol, read, at)
    live = _LIVE_MATRICES * drawn[0].state_size ** 2 * drawn[0].dtype.itemsize
    with on_devices(devices):
        curve = _linearized_curve(drawn, theta, how, map_length(len(drawn), live))
    return warn_if_not_finite(
        curve,
        "the state left the float range, or the covariance of what is read is singular to rounding (fewer noisy "
        "directions than numbers that are read?); give the network observation_noise_std, or read less",
    )


class _Fluctuations(NamedTuple):
    """The noiseless state, and the covariance of what surrounds it."""

    state: Float[Array, " S"]
    covariance: Any  # (S, S), or None where it is not followed


@eqx.filter_jit
def _linearized_curve(drawn: Sequence[Network], theta: Array, how: Asked, batch_size: int) -> FisherCurve:
    size = sum(how.sizes)
    backward = how.form != "total" and size * len(how.times) < 2 * drawn[0].state_size
    information = _backward if backward else _forward

    def measure(network: Network, theta: Array) -> Array:
        return information(ready(network), theta, how)

    values = over_draws(measure, drawn, theta, batch_size)
    return mean_curve(values, how.form, how.times, scalar=theta.ndim == 0, time_step=drawn[0].time_step)


def _forward(network: Network, theta: Array, how: Asked) -> Float[Array, "T groups K K"]:
    """Σ of the whole state, carried along; its derivative too if the form needs it."""
    seen, unit = reading(network, how.read), _unit_of_noise(network)
    observed = (network.observation_noise_std / unit) ** 2
    is_total = how.form == "total"

    def advance(now: _Fluctuations, given: Array | None) -> _Fluctuations:
        return _advanced(network, now, given, unit)

    def read_out(now: _Fluctuations) -> _Fluctuations:
        if how.read == "state":
            return now
        value, push = jax.linearize(seen, now.state)
        half = jax.vmap(push)(now.covariance)
        return _Fluctuations(value, jax.vmap(push)(half.T))

    def along(function: Callable[..., _Fluctuations], mean: Callable[..., Array], at: Any, slopes: Any) -> Any:
        """The function of fluctuations, and its slopes: of mean and covariance, or only of the mean."""
        if is_total:
            return with_slopes(function, at, slopes)
        means = tuple(part.state if isinstance(part, _Fluctuations) else part for part in at)
        mean_slopes = tuple(part.state if isinstance(part, _Fluctuations) else part for part in slopes)
        return function(*at), _Fluctuations(with_slopes(mean, means, mean_slopes)[1], None)

    def information(now: _Fluctuations, slope: _Fluctuations) -> Array:
        shown, change = along(read_out, seen, (now,), (slope,))
        noise = observed * jnp.eye(len(shown.state), dtype=shown.state.dtype)
        return by_group(change.state / unit, shown.covariance + noise, change.covariance, how.form, how.sizes)

    @jax.checkpoint
    def step(carry: Any, now: Any) -> Any:
        moments, slope = carry
        given, given_slope = now
        return along(advance, network.step, (moments, given), (slope, given_slope))

    (state, inputs), (slope, input_slopes) = entered_with_slopes(network, how.protocol, theta, how.num_steps)
    still = jnp.zeros((state.size, state.size), state.dtype)
    moments = _Fluctuations(state, still)
    slope = _Fluctuations(slope, jnp.broadcast_to(still, (len(slope), *still.shape)) if is_total else None)
    looked = jax.checkpoint(lambda carry: information(*carry))
    return recorded_scan(step, looked, (moments, slope), (inputs, input_slopes), how.num_steps, how.times)


def _unit_of_noise(network: Network) -> Float[Array, ""]:
    """The largest σ, in whose square covariances are told: that of a small one may be below the float range."""
    largest = jnp.maximum(jnp.max(jnp.abs(network.noise_std)), jnp.max(network.observation_noise_std))
    return jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1))


def _advanced(network: Network, now: _Fluctuations, given: Array | None, unit: Array) -> _Fluctuations:
    """F(x), and A Σ Aᵀ + B Bᵀ in units of a variance."""
    silent = jnp.zeros_like(now.state)
    state, push = jax.linearize(lambda state, noise: network.step(state, given, noise), now.state, silent)
    carry = jax.vmap(lambda row: push(row, silent))
    kicks = jax.vmap(lambda row: push(silent, row))(jnp.eye(len(silent), dtype=silent.dtype) / unit)
    covariance = carry(carry(now.covariance).T) + kicks.T @ kicks
    return _Fluctuations(state, (covariance + covariance.T) / 2)


def _backward(network: Network, theta: Array, how: Asked) -> Float[Array, "T groups K K"]:
    """S = R Rᵀ with R the derivative of what is read in the noise of all steps before, one row per number read.

    For what is read in few numbers of a large state: no covariance of the state is formed.
    """
    seen, unit = reading(network, how.read), _unit_of_noise(network)
    observed = (network.observation_noise_std / unit) ** 2

    def path(network: Network, theta: Array, noise: Array) -> Float[Array, "T O"]:
        state, inputs = entered(network, how.protocol, theta, how.num_steps)

        @jax.checkpoint
        def step(state: Array, now: Any) -> tuple[Array, Array]:
            given, kick = now
            state = network.step(state, given, kick)
            return state, seen(state)

        return jax.lax.scan(step, state, (inputs, noise))[1]

    silent = jnp.zeros((how.num_steps, network.state_size), theta.dtype)
    values, slopes = with_slopes(lambda theta: path(network, theta, silent), (theta,), (directions_of(theta),))
    size = values.shape[1]
    back = jax.vjp(lambda noise: path(network.in_reverse(), theta, noise), silent)[1]

    def row(place: Array) -> Array:
        time, number = place // size, place % size
        return back(jnp.zeros_like(values).at[time, number].set(1))[0]

    def covariance(time: Array) -> Float[Array, "O O"]:
        rows = jax.lax.map(row, time * size + jnp.arange(size), batch_size=_ROWS).reshape(size, -1)
        rows /= unit
        product = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
        return product + observed * jnp.eye(size, dtype=rows.dtype)

    def information(time: Array) -> Array:
        return by_group(slopes[:, time] / unit, covariance(time), None, how.form, how.sizes)

    return jax.lax.map(information, jnp.asarray(how.times) - 1)
