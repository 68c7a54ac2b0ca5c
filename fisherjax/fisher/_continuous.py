"""Fisher information about a pulse or a step in continuous time, from the theory of two replicas."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_positive, check_scalar, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._theory import as_structure
from fisherjax._types import ArrayLike, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.dmft._two_time import Replicas, covariance_rows
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, coarse_nonlinearity
from fisherjax.simulate._continuous import checked_times, solver_grid

from ._curve import FisherCurve, warn_if_not_finite

PROTOCOLS = ("pulse", "step")
_LONGEST = 4000


@full_precision
def continuous_curve(
    gain_matrix: GainMatrix,
    *,
    times: ArrayLike,
    stimulus: Scalar = 0.0,
    noise_std: Scalar | Float[Array | np.ndarray, " P"],
    protocol: str = "pulse",
    settle: Scalar = 0.0,
    num_units: int = 1,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: Any = None,
    dt: Scalar = 0.05,
) -> FisherCurve:
    """Large-N Fisher information about a stimulus in ẋ = −x + J φ(x) + θ w u(t) + √2 σ ξ(t), unit by unit.

    F_p(t) = N f_p D_p(t) / (Δ_p(t) − C_p(t)), with D = ∂²C/∂θ∂θ′: C(t, s; θ, θ′) is the covariance between two
    replicas with the same weights, independent noise and stimuli θ and θ′, from two-time dynamic mean-field
    theory. The network is at rest, x = 0, a time `settle` before the stimulus; the pattern w has independent
    Gaussian entries, of standard deviation w_p in population p. As θ → 0, and in a network that has settled with C = 0,
    a pulse gives D(t) = e^{−2t} Σ_k t^{2k}/(k!)² M^k w², M_pq = G_pq (E φ′_q)².

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    times
        Times after the onset (T,), above 0, increasing, in time constants.
    stimulus
        θ: the area of the pulse, or the height of the step.
    noise_std
        σ > 0 as in `dmft.autocorrelation`; one number, or one per population.
    protocol
        ``"pulse"``: u(t) = δ(t), x jumps by θ w; ``"step"``: u(t) = 1 from t = 0 on.
    settle
        Time of spontaneous activity before the stimulus.
    num_units
        N; information is proportional to it.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w (P,); population 0 by default.
    dt
        Step; the error is of second order in it. Time and memory grow as ((settle + times[-1]) / dt)².

    Returns
    -------
    FisherCurve in the independent form.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or sign, or there are more than 4000 steps.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    num_units = check_integer("num_units", num_units, minimum=1)
    check_scalar("stimulus", stimulus)
    dtype = check_gain_matrix(gain_matrix).gains.dtype
    intensity, pattern = noise_and_pattern(gain_matrix, noise_std, input_pattern)
    recorded = times_after_onset(times, dtype)
    grid = _grid(recorded, settle, dt, pulse=protocol == "pulse")
    require(
        len(grid.times) <= _LONGEST,
        f"{len(grid.times)} steps are more than {_LONGEST}: the cost grows with their square; lengthen dt",
    )
    waveform = _waveform(grid, protocol)
    sensitivity, variance = _sensitivity(
        coarse_nonlinearity(nonlinearity),
        gain_matrix.variance_gain,
        intensity,
        pattern**2,
        jnp.asarray(np.diff(grid.times), dtype),
        jnp.asarray(waveform, dtype),
        jnp.asarray(stimulus).astype(dtype),
    )
    share = num_units * gain_matrix.fractions
    by_population = (share * sensitivity / variance)[grid.recorded]
    curve = FisherCurve(recorded, by_population, jnp.sum(by_population, axis=1))
    return warn_if_not_finite(curve, "the variance of the states left the float range; lower the gains, or use float64")


class _Grid(NamedTuple):
    """Times from rest, where the stimulus begins on it, and where the recorded times are."""

    times: np.ndarray
    onset: int
    recorded: np.ndarray


def _grid(recorded: Array, settle: Scalar, dt: Scalar, *, pulse: bool) -> _Grid:
    """Steps of at most `dt`; at a pulse the onset is there twice, before and after the jump."""
    check_scalar("settle", settle, minimum=0.0)
    check_positive(dt=dt)
    begin = float(settle)
    before = solver_grid(np.array([begin]), dt) if begin > 0 else np.zeros(1)
    after = solver_grid(np.asarray(recorded), dt)
    times = np.concatenate([before, begin + (after if pulse else after[1:])])
    onset = len(before) if pulse else len(before) - 1
    return _Grid(times, onset, onset + np.searchsorted(after, np.asarray(recorded, np.float64)))


def _waveform(grid: _Grid, protocol: str) -> Float[np.ndarray, " steps"]:
    """What an unconnected unit makes of u(t)."""
    elapsed = grid.times - grid.times[grid.onset]
    response = np.exp(-elapsed) if protocol == "pulse" else -np.expm1(-elapsed)
    return np.where(np.arange(len(elapsed)) >= grid.onset, response, 0.0)


@jax.jit(static_argnums=0)
def _sensitivity(
    phi: Nonlinearity, total_gain: Array, intensity: Array, pattern2: Array, steps: Array, waveform: Array, theta: Array
) -> tuple[Float[Array, "steps P"], Float[Array, "steps P"]]:
    """D and the noise variance Δ − C at every point of the grid."""
    populations = len(intensity)

    def overlap(theta_a: Array, theta_b: Array) -> tuple[Array, Array]:
        replicas = Replicas(
            steps=steps,
            intensity=jnp.eye(2, dtype=intensity.dtype)[..., None] * intensity,
            initial=jnp.zeros((2, 2, populations), intensity.dtype),
            input=waveform[:, None] * jnp.stack([theta_a, theta_b]),
            pattern=pattern2,
        )

        def keep(rows: Any, index: Array) -> Array:
            return jnp.stack([rows.covariance[index, 0, 1], rows.covariance[index, 0, 0]])

        _, kept = covariance_rows(phi, total_gain, replicas, keep)
        # the part of the overlap that follows the input is the same in variance and overlap
        direct = theta_a * theta_b * waveform[:, None] ** 2 * pattern2
        return kept[:, 0] + direct, kept[:, 1] - kept[:, 0]

    one = jnp.ones_like(theta)

    def slope(theta_b: Array) -> tuple[Array, Array]:
        (_, variance), (derivative, _) = jax.jvp(lambda a: overlap(a, theta_b), (theta,), (one,))
        return derivative, variance

    (_, variance), (mixed, _) = jax.jvp(slope, (theta,), (one,))
    return mixed, variance


def times_after_onset(times: ArrayLike, dtype: Any) -> Float[Array, " T"]:
    """Recorded times, checked to be above 0."""
    recorded = checked_times(times, dtype)
    require(float(recorded[0]) > 0, f"times must be above 0, after the onset; the first is {float(recorded[0]):g}")
    return recorded


def noise_and_pattern(gain_matrix: GainMatrix, noise_std: Any, input_pattern: Any) -> tuple[Array, Array]:
    """Noise intensity σ² and input strength of every population."""
    count, dtype = gain_matrix.num_populations, gain_matrix.gains.dtype
    intensity = as_structure(gain_matrix, noise_std).intensity
    if not is_traced(intensity):
        lowest = float(np.asarray(intensity).min())
        require(lowest > 0, f"noise_std must be above 0, got {lowest:g}: without it Fisher information is infinite")
    if input_pattern is None:
        return intensity, jnp.zeros(count, dtype).at[0].set(1)
    return intensity, as_real("input_pattern", input_pattern, f"{count}").astype(dtype)
