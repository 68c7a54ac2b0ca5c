"""Lyapunov exponents of a rate network in continuous time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from fisherjax._arrays import check_float_type
from fisherjax._errors import check_integer, check_key, check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record, Scalar
from fisherjax.connectivity import GainMatrix, homogeneous
from fisherjax.networks import FlowNetwork
from fisherjax.nonlinearities._registry import NonlinearityLike
from fisherjax.simulate import draw_networks

from ._lyapunov import lyapunov_spectrum
from ._tangents import BLOCKS

_STEPS_PER_QR = 5
_LONGEST_STEP = 1.0  # time constants; beyond three, even the decay of one unit grows


def _steps(duration: Scalar, settle: Scalar, dt: Scalar) -> tuple[int, int]:
    """Steps that are averaged over, and steps before."""
    check_scalar("duration", duration, minimum=0.0, strict=True)
    check_scalar("dt", dt, minimum=0.0, strict=True)
    check_scalar("dt", dt, maximum=_LONGEST_STEP)
    check_scalar("settle", settle, minimum=0.0)
    shortest = BLOCKS * _STEPS_PER_QR * float(dt)
    require(
        float(duration) >= shortest * (1 - 1e-9),
        f"duration must be at least {BLOCKS * _STEPS_PER_QR} steps of dt, {shortest:g}; got {float(duration):g}",
    )
    return round(float(duration) / float(dt)), round(float(settle) / float(dt))


class MeasuredExponent(Record):
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
    nonlinearity: NonlinearityLike = "tanh",
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
    duration, settle
        Time averaged over, rounded down to 20 blocks of five steps, and time before, in time constants.
    num_trials
        Initial states that are averaged over; several cost little more than one in a large network.
    dt
        Step of the flow, at most one time constant.
    dtype
        Float type of the simulation.

    Raises
    ------
    ValueError, TypeError
        As `lyapunov_spectrum`; if the duration is shorter than 100 steps.
    """
    key = check_key("key", key)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    check_integer("num_units", num_units, minimum=1)
    check_integer("num_trials", num_trials, minimum=1)
    average, warm_up = _steps(duration, settle, dt)
    check_scalar("noise_std", noise_std, minimum=0.0)
    dtype = check_float_type("dtype", dtype)
    if not isinstance(gain, GainMatrix):
        check_scalar("gain", gain, minimum=0.0)
    matrix = gain if isinstance(gain, GainMatrix) else homogeneous(gain)
    weight_key, flow_key = jax.random.split(key)
    networks = draw_networks(
        matrix,
        num_units,
        num_draws=num_draws,
        noise_std=noise_std,
        nonlinearity=nonlinearity,
        key=weight_key,
        kind=FlowNetwork,
        dt=dt,
        dtype=dtype,
    )
    spectra = []
    for network, draw_key in zip(networks, jax.random.split(flow_key, num_draws), strict=True):
        state_key, tangent_key = jax.random.split(draw_key)
        start = jax.random.normal(state_key, (num_trials, num_units), dtype)
        spectra.append(
            lyapunov_spectrum(
                network,
                start,
                key=tangent_key,
                num_steps=average,
                num_exponents=1,
                warm_up=warm_up,
                steps_per_qr=_STEPS_PER_QR,
                noisy=True,
            )
        )
    values = np.array([spectrum.exponents[0] for spectrum in spectra])
    resolved = np.flatnonzero(np.isfinite(values))  # of the others the spectrum has warned
    if not resolved.size:
        return MeasuredExponent(float("nan"), float("nan"), values)
    kept = values[resolved]
    error = kept.std(ddof=1) / np.sqrt(len(kept)) if len(kept) > 1 else spectra[resolved[0]].standard_error[0]
    return MeasuredExponent(float(kept.mean()), float(error), values)
