"""Lyapunov exponents of a rate network in continuous time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from fisherjax._arrays import as_real, check_float_type
from fisherjax._errors import check_instance, check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.connectivity import GainMatrix, homogeneous
from fisherjax.networks import RateNetwork
from fisherjax.numerics import full_precision
from fisherjax.simulate import FlowStep, drawn_network

from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ._tangents import BLOCKS

_STEPS_PER_QR = 5
_LONGEST_STEP = 1.0  # time constants; beyond three, even the decay of one unit grows


@full_precision
def flow_lyapunov_spectrum(
    network: RateNetwork,
    *,
    key: Key,
    duration: Scalar,
    num_exponents: int = 1,
    settle: Scalar = 50.0,
    dt: Scalar = 0.1,
    steps_per_qr: int = _STEPS_PER_QR,
    num_trials: int = 1,
    initial_state: object = None,
) -> LyapunovSpectrum:
    """Largest Lyapunov exponents of dx = (−x + J φ(x) + b) dt + √2 σ dW, per time constant.

    With noise, that of the network driven by one realisation of it: both neighbouring trajectories feel the
    same. What `dmft.autocorrelation(…).lyapunov_exponent` is for an infinitely large network; at N = 2000 it is
    lower by some per cent.

    Parameters
    ----------
    network
        The network, N units.
    key
        JAX random key, of the start, the tangent vectors and the noise.
    duration, settle
        Time averaged over, rounded down to 20 blocks of whole decompositions, and time before, in time constants.
    num_exponents
        How many, from the largest; cost grows in proportion.
    dt
        Step, at most one time constant: of order 5 in the flow, of first order in the noise.
    steps_per_qr
        Steps between decompositions.
    num_trials
        Initial states that are averaged over; several cost little more than one in a large network.
    initial_state
        x(0) (N,) or (trials, N); standard normal by default.

    Raises
    ------
    ValueError
        If a number is out of range, the duration is shorter than 20 decompositions, or the state diverges.
    TypeError
        If `key` is not a JAX key.
    """
    hint = "as simulate.drawn_network, networks.as_rate_network or networks.RateNetwork make one"
    check_instance("network", network, RateNetwork, hint)
    key = check_key("key", key)
    units, dtype = network.num_units, network.weights.dtype
    check_integer("num_exponents", num_exponents, minimum=1, maximum=units)
    trials = check_integer("num_trials", num_trials, minimum=1)
    interval = check_integer("steps_per_qr", steps_per_qr, minimum=1)
    steps, warm = _steps(duration, settle, dt, interval)
    tangent_key, state_key, noise_key = jax.random.split(key, 3)
    if initial_state is None:
        start = jax.random.normal(state_key, (trials, units), dtype)
    else:
        start = as_real("initial_state", initial_state, f"trials {units}", f"{units}", dtype=dtype)
    noisy = float(np.asarray(network.noise_std)) > 0
    normal = jax.random.normal(noise_key, (warm + steps, units), dtype) if noisy else None
    return lyapunov_spectrum(
        FlowStep(network, dt),
        start,
        normal,
        key=tangent_key,
        num_steps=steps,
        num_exponents=num_exponents,
        warm_up=warm,
        dt=dt,
        steps_per_qr=interval,
    )


def _steps(duration: Scalar, settle: Scalar, dt: Scalar, interval: int) -> tuple[int, int]:
    """Steps that are averaged over, and steps before."""
    check_scalar("duration", duration, minimum=0.0, strict=True)
    check_scalar("dt", dt, minimum=0.0, strict=True)
    check_scalar("dt", dt, maximum=_LONGEST_STEP)
    check_scalar("settle", settle, minimum=0.0)
    shortest = BLOCKS * interval * float(dt)
    require(
        float(duration) >= shortest * (1 - 1e-9),
        f"duration must be at least {BLOCKS} decompositions, {BLOCKS} · steps_per_qr · dt = {shortest:g}; "
        f"got {float(duration):g}",
    )
    return round(float(duration) / float(dt)), round(float(settle) / float(dt))


class MeasuredExponent(Result):
    """Largest Lyapunov exponent of simulated networks.

    Parameters
    ----------
    value
        Mean over draws, per time constant; over those in which it is resolved.
    standard_error
        Over draws; for one draw, that of its trajectory.
    by_draw
        (draws,), NaN where it is not resolved, see `LyapunovSpectrum`.
    """

    value: float
    standard_error: float
    by_draw: Float[np.ndarray, " draws"]


@full_precision
def measure_lyapunov_exponent(
    gain: Scalar | GainMatrix,
    *,
    num_units: int,
    num_draws: int,
    key: Key,
    noise_std: Scalar = 0.0,
    nonlinearity: object = "tanh",
    duration: Scalar = 50.0,
    settle: Scalar = 30.0,
    num_trials: int = 4,
    dt: Scalar = 0.1,
    dtype: DTypeLike = jnp.float32,
) -> MeasuredExponent:
    """Draw networks and measure each one's largest exponent: what `dmft.autocorrelation` predicts.

    Parameters
    ----------
    gain
        g, or a `GainMatrix`.
    num_units, num_draws
        N, and how many networks are drawn.
    key
        JAX random key.
    noise_std
        σ, as in `dmft.autocorrelation`.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    duration, settle, num_trials, dt
        As in `flow_lyapunov_spectrum`, for each network.
    dtype
        Float type of the simulation.

    Raises
    ------
    ValueError, TypeError
        As `flow_lyapunov_spectrum`.
    """
    key = check_key("key", key)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    check_integer("num_units", num_units, minimum=1)
    check_integer("num_trials", num_trials, minimum=1)
    _steps(duration, settle, dt, _STEPS_PER_QR)
    check_scalar("noise_std", noise_std, minimum=0.0)
    dtype = check_float_type("dtype", dtype)
    if not isinstance(gain, GainMatrix):
        check_scalar("gain", gain, minimum=0.0)
    matrix = gain if isinstance(gain, GainMatrix) else homogeneous(gain)
    spectra = []
    for draw_key in jax.random.split(key, num_draws):
        weight_key, flow_key = jax.random.split(draw_key)
        network = drawn_network(
            matrix, num_units, noise_std=noise_std, nonlinearity=nonlinearity, key=weight_key, dtype=dtype
        )
        spectra.append(
            flow_lyapunov_spectrum(
                network, key=flow_key, duration=duration, settle=settle, num_trials=num_trials, dt=dt
            )
        )
    values = np.array([spectrum.exponents[0] for spectrum in spectra])
    resolved = np.flatnonzero(np.isfinite(values))  # of the others the spectrum has warned
    if not resolved.size:
        return MeasuredExponent(float("nan"), float("nan"), values)
    kept = values[resolved]
    error = kept.std(ddof=1) / np.sqrt(len(kept)) if len(kept) > 1 else spectra[resolved[0]].standard_error[0]
    return MeasuredExponent(float(kept.mean()), float(error), values)
