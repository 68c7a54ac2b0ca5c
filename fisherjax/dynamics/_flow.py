"""Lyapunov exponents of a rate network in continuous time."""

import jax
import numpy as np

from fisherjax._errors import check_integer, check_key, check_scalar
from fisherjax._types import Key, Scalar
from fisherjax.networks import RateNetwork
from fisherjax.simulate import FlowStep

from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum


def flow_lyapunov_spectrum(
    network: RateNetwork,
    *,
    key: Key,
    duration: Scalar,
    num_exponents: int = 1,
    settle: Scalar = 50.0,
    dt: Scalar = 0.1,
    steps_per_qr: int = 5,
    num_trials: int = 1,
    initial_state: object = None,
) -> LyapunovSpectrum:
    """Largest Lyapunov exponents of dx = (−x + J φ(x) + b) dt + √2 σ dW, per time constant.

    With noise, that of the network driven by one realisation of it: both neighbouring trajectories feel the
    same. What `meanfield.autocorrelation(…).lyapunov_exponent` is for an infinitely large network; at N = 2000 it is
    lower by some per cent.

    Parameters
    ----------
    network
        The network, N units.
    key
        JAX random key, of the start, the tangent vectors and the noise.
    duration, settle
        Time averaged over, and time before, in time constants.
    num_exponents
        How many, from the largest; cost grows in proportion.
    dt
        Step: of order 5 in the flow, of first order in the noise.
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
    key = check_key("key", key)
    for name, value in (("duration", duration), ("dt", dt)):
        check_scalar(name, value, minimum=0.0, strict=True)
    check_scalar("settle", settle, minimum=0.0)
    steps, warm = round(float(duration) / float(dt)), round(float(settle) / float(dt))
    tangent_key, state_key, noise_key = jax.random.split(key, 3)
    units, dtype = network.num_units, network.weights.dtype
    start = initial_state
    if start is None:
        start = jax.random.normal(state_key, (check_integer("num_trials", num_trials, minimum=1), units), dtype)
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
        steps_per_qr=steps_per_qr,
    )
