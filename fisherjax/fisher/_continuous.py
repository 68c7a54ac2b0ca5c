"""Fisher information in continuous time: a pulse or a step, from two replicas and from simulation."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_finite, check_integer, check_key, check_scalar, is_traced, require
from fisherjax._types import Key, Scalar
from fisherjax.connectivity import GainMatrix, population_index, population_sizes, sample_weights
from fisherjax.meanfield import Replicas, covariance_rows
from fisherjax.networks import RateNetwork
from fisherjax.numerics import Nonlinearity, as_nonlinearity, coarse_nonlinearity, progress_bar
from fisherjax.simulate import SensitivityMoments, check_allocation, checked_times, drift, solve_additive, solver_grid

from ._curve import FisherCurve, mean_curve, warn_if_not_finite
from ._simulated import information_with_error

_PROTOCOLS = ("pulse", "step")
_LONGEST = 4000
_BLOCKS = 10


def continuous_curve(
    gain_matrix: GainMatrix,
    *,
    times: object,
    stimulus: Scalar = 0.0,
    noise: Scalar | Float[Array | np.ndarray, " P"],
    protocol: str = "pulse",
    settle: Scalar = 0.0,
    num_units: int = 1,
    nonlinearity: object = "tanh",
    input_pattern: object = None,
    dt: Scalar = 0.05,
) -> FisherCurve:
    """Large-N Fisher information about a stimulus in ẋ = −x + J φ(x) + θ w u(t) + √(2 s₂) ξ(t), unit by unit.

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
    noise
        s₂ > 0 as in `meanfield.autocorrelation`; one number, or one per population.
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
    check_choice("protocol", protocol, _PROTOCOLS)
    num_units = check_integer("num_units", num_units, minimum=1)
    check_scalar("stimulus", stimulus)
    dtype = gain_matrix.gains.dtype
    intensity, pattern = _parameters(gain_matrix, noise, input_pattern)
    recorded = _times_after_onset(times, dtype)
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


def simulated_continuous_curve(
    gain_matrix: GainMatrix,
    *,
    times: object,
    stimulus: Scalar = 0.0,
    noise: Scalar,
    num_units: int,
    num_trials: int,
    num_draws: int,
    key: Key,
    protocol: str = "pulse",
    settle: Scalar = 0.0,
    nonlinearity: object = "tanh",
    input_pattern: object = None,
    dt: Scalar = 0.05,
    dtype: DTypeLike = jnp.float32,
    progress: bool = False,
) -> FisherCurve:
    """Measure what `continuous_curve` predicts, in simulated networks and with their exact derivative in θ.

    Every trial carries its derivative r′ = ∂x/∂θ at fixed noise, ṙ′ = −r′ + J (φ′(x) r′) + w u(t), and information is
    estimated without bias as in `simulated_curve`. Arguments are those of `continuous_curve`, with

    Parameters
    ----------
    num_trials
        Trials per network, at least 20.
    num_draws
        Networks drawn, each with its own pattern w; the standard error is over networks if there are several.
    key
        JAX random key.
    dt
        Longest step of the stochastic solver.
    dtype
        Float type of the simulation.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    ValueError, TypeError
        As `continuous_curve`; if `key` is not a JAX key.
    """
    key = check_key("key", key)
    check_choice("protocol", protocol, _PROTOCOLS)
    num_trials = check_integer("num_trials", num_trials, minimum=2 * _BLOCKS)
    num_draws = check_integer("num_draws", num_draws, minimum=1)
    check_scalar("stimulus", stimulus)
    check_scalar("noise", noise, minimum=0.0, strict=True)
    check_scalar("settle", settle, minimum=0.0)
    _, pattern = _parameters(gain_matrix, noise, input_pattern)
    recorded = _times_after_onset(times, dtype)
    sizes = population_sizes(gain_matrix, num_units)
    check_allocation("states and derivatives", (2 * len(recorded), num_trials, num_units), jnp.dtype(dtype))
    spread = pattern[population_index(gain_matrix, num_units)].astype(dtype)
    values, errors = [], []
    with progress_bar("simulating networks", num_draws, enabled=progress) as advance:
        for draw_key in jax.random.split(key, num_draws):
            weight_key, pattern_key, noise_key = jax.random.split(draw_key, 3)
            network = RateNetwork(
                sample_weights(gain_matrix, num_units, key=weight_key, dtype=dtype),
                spread * jax.random.normal(pattern_key, (num_units,), dtype),
                noise_std=float(noise) ** 0.5,
                nonlinearity=as_nonlinearity(nonlinearity),
            )
            value, error = _one_network(
                network, stimulus, recorded, settle, dt, noise_key, num_trials, sizes, pulse=protocol == "pulse"
            )
            values.append(value)
            errors.append(error)
            advance()
    curve = mean_curve(jnp.stack(values), "independent", scalar=True, errors=jnp.stack(errors))
    curve = eqx.tree_at(lambda c: c.times, curve, recorded)
    return warn_if_not_finite(curve, "states or their derivatives left the float range (unstable weights?)")


class _Grid(NamedTuple):
    """Times from rest, where the stimulus begins on it, and where the recorded times are."""

    times: np.ndarray
    onset: int
    recorded: np.ndarray


def _grid(recorded: Array, settle: Scalar, dt: Scalar, *, pulse: bool) -> _Grid:
    """Steps of at most `dt`; at a pulse the onset is there twice, before and after the jump."""
    check_scalar("settle", settle, minimum=0.0)
    check_scalar("dt", dt, minimum=0.0, strict=True)
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
    phi: Nonlinearity, total_gain: Array, noise: Array, pattern2: Array, steps: Array, waveform: Array, theta: Array
) -> tuple[Float[Array, "steps P"], Float[Array, "steps P"]]:
    """D and the noise variance Δ − C at every point of the grid."""
    populations = len(noise)

    def overlap(theta_a: Array, theta_b: Array) -> tuple[Array, Array]:
        replicas = Replicas(
            steps=steps,
            noise=jnp.eye(2, dtype=noise.dtype)[..., None] * noise,
            initial=jnp.zeros((2, 2, populations), noise.dtype),
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


def _one_network(
    network: RateNetwork,
    stimulus: Scalar,
    recorded: Array,
    settle: Scalar,
    dt: Scalar,
    key: Key,
    num_trials: int,
    sizes: tuple[int, ...],
    *,
    pulse: bool,
) -> tuple[Array, Array]:
    dtype = network.weights.dtype
    before_key, after_key = jax.random.split(key)
    state = jnp.zeros((num_trials, network.num_units), dtype)
    if float(settle) > 0:
        end = jnp.asarray([float(settle)], dtype)
        state = _spontaneous(network, state, end, jnp.asarray(solver_grid(end, dt), dtype), before_key)
    theta, grid = jnp.asarray(stimulus).astype(dtype), jnp.asarray(solver_grid(recorded, dt), dtype)
    moments = _responding(network, state, theta, recorded, grid, after_key, pulse)
    return information_with_error(moments, sizes)


@jax.jit
def _spontaneous(network: RateNetwork, state: Array, end: Array, grid: Array, key: Key) -> Array:
    noise = jnp.sqrt(2 * network.noise_std**2)
    return solve_additive(lambda x: drift(network, x), state, noise, end, grid, key)[0]


@jax.jit(static_argnums=6)
def _responding(
    network: RateNetwork,
    state: Array,
    theta: Array,
    recorded: Array,
    grid: Array,
    key: Key,
    pulse: bool,  # noqa: FBT001
) -> SensitivityMoments:
    """Moments of states and derivatives after the onset, in blocks of trials."""
    pattern = network.input_vector
    push = jnp.zeros_like(pattern) if pulse else pattern

    def vector_field(joint: Float[Array, "2 trials N"]) -> Float[Array, "2 trials N"]:
        state, tangent = joint
        response, slope = jax.jvp(network.nonlinearity, (state,), (jnp.ones_like(state),))
        products = jnp.stack([response, slope * tangent]) @ network.weights.T
        return products - joint + jnp.stack([theta * push + network.sustained_input, push])[:, None]

    jump = pattern if pulse else jnp.zeros_like(pattern)
    start = jnp.stack([state + theta * jump, jnp.broadcast_to(jump, state.shape)])
    noise = jnp.stack([jnp.sqrt(2 * network.noise_std**2), jnp.zeros_like(network.noise_std)])[:, None, None]
    states, tangents = jnp.moveaxis(solve_additive(vector_field, start, noise, recorded, grid, key), 1, 0)
    blocks = np.array_split(np.arange(state.shape[0]), _BLOCKS)
    parts = [_block(states[:, rows[0] : rows[-1] + 1], tangents[:, rows[0] : rows[-1] + 1]) for rows in blocks]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _block(states: Float[Array, "T trials N"], tangents: Float[Array, "T trials N"]) -> SensitivityMoments:
    """Moments of one block of trials, with an axis of length one for blocks."""
    count = jnp.full(1, states.shape[1], states.dtype)
    mean, slope = jnp.mean(states, axis=1), jnp.mean(tangents, axis=1)
    scatter = jnp.sum((states - mean[:, None]) ** 2, axis=1)
    slope_scatter = jnp.sum((tangents - slope[:, None]) ** 2, axis=1)
    return SensitivityMoments(
        count, mean[None], slope[None, :, None], scatter[None], slope_scatter[None, :, None, None]
    )


def _times_after_onset(times: object, dtype: Any) -> Float[Array, " T"]:
    recorded = checked_times(times, dtype)
    require(float(recorded[0]) > 0, f"times must be above 0, after the onset; the first is {float(recorded[0]):g}")
    return recorded


def _parameters(gain_matrix: GainMatrix, noise: object, input_pattern: object) -> tuple[Array, Array]:
    """Noise and input strength of every population."""
    count, dtype = gain_matrix.num_populations, gain_matrix.gains.dtype
    intensity = jnp.asarray(noise).astype(dtype)
    require(
        intensity.shape in {(), (count,)}, f"noise must be a number or have shape ({count},), got {intensity.shape}"
    )
    check_finite("noise", intensity)
    if not is_traced(intensity):
        lowest = float(np.asarray(intensity).min())
        require(lowest > 0, f"noise must be above 0, got {lowest:g}: without it Fisher information is infinite")
    pattern = (
        jnp.zeros(count, dtype).at[0].set(1) if input_pattern is None else jnp.asarray(input_pattern).astype(dtype)
    )
    require(pattern.shape == (count,), f"input_pattern must have shape ({count},), got {pattern.shape}")
    check_finite("input_pattern", pattern)
    return jnp.broadcast_to(intensity, (count,)), pattern
