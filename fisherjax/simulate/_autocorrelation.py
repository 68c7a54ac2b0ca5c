"""Autocorrelation measured in simulated continuous-time networks, with errors over weight draws."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, check_float_type
from fisherjax._errors import (
    check_choice,
    check_counts,
    check_flag,
    check_instance,
    check_integer,
    check_key,
    check_not_negative,
    check_positive,
    require,
)
from fisherjax._runtime import PRECISIONS, Precision, progress_bar
from fisherjax._types import Key, Record, Scalar
from fisherjax.connectivity import GainMatrix, homogeneous
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.networks import FlowNetwork
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity

from ._continuous import continuous_trajectories
from ._draw import draw_networks


class MeasuredAutocorrelation(Record):
    """Autocorrelation of simulated networks; what `dmft.autocorrelation` predicts for infinitely large ones.

    Parameters
    ----------
    lags
        τ (T,).
    values
        Mean over units, time, trials and draws (T,), or (T, P) for a `GainMatrix`.
    standard_error
        Over draws, of `values`; zero for one draw.
    by_draw
        The mean of each draw (draws, T) or (draws, T, P).
    """

    lags: Float[np.ndarray, " T"]
    values: Float[np.ndarray, "T *P"]
    standard_error: Float[np.ndarray, "T *P"]
    by_draw: Float[np.ndarray, "draws T *P"]

    @property
    def variance(self) -> Float[np.ndarray, "*P"]:
        """Δ(0)."""
        return np.asarray(self.values[0])


def trajectory_autocorrelation(
    states: Float[Array | np.ndarray, "T trials N"], *, num_lags: int, sizes: tuple[int, ...] | None = None
) -> Float[Array, "lags P"]:
    """Mean of x_i(t) x_i(t + k) over t, trials and the units of each population, for k = 0 … num_lags − 1.

    Parameters
    ----------
    states
        A stationary stretch of trajectories at equal time steps.
    num_lags
        Number of lags, at most T. Few pairs contribute near T: half of it is a sensible limit.
    sizes
        Units of each population, in order; all in one if absent.

    Raises
    ------
    ValueError
        If there are more lags than times, or the sizes do not add up.
    """
    states = as_real("states", states, "T trials units")
    length, _, units = states.shape
    num_lags = check_integer("num_lags", num_lags, minimum=1)
    require(num_lags <= length, f"num_lags must be at most the number of times {length}, got {num_lags}")
    groups = (units,)
    if sizes is not None:
        check_instance("sizes", sizes, (tuple, list))
        groups = tuple(check_integer("sizes", size, minimum=1) for size in sizes)
    require(sum(groups) == units, f"sizes must add up to the {units} units, got {sum(groups)}")
    return _correlate(states, num_lags, groups)


@jax.jit(static_argnums=(1, 2))
def _correlate(states: Float[Array, "T trials N"], num_lags: int, sizes: tuple[int, ...]) -> Float[Array, "lags P"]:
    length, _, _ = states.shape
    pairs = (length - jnp.arange(num_lags)).astype(states.dtype)[:, None]
    ends = np.cumsum(sizes)
    # one trial at a time: the padded transforms of all would take several times the memory of the states
    padded = 2 ** int(np.ceil(np.log2(length + num_lags)))

    def one_trial(path: Float[Array, "T N"]) -> Array:
        power = jnp.abs(jnp.fft.rfft(path, n=padded, axis=0)) ** 2
        grouped = [jnp.mean(part, axis=1) for part in jnp.split(power, ends[:-1], axis=1)]
        return jnp.fft.irfft(jnp.stack(grouped, axis=1), n=padded, axis=0)[:num_lags] / pairs

    return jnp.mean(jax.lax.map(one_trial, jnp.moveaxis(states, 1, 0)), axis=0)


def measure_autocorrelation(
    gain: Scalar | GainMatrix,
    *,
    num_units: int,
    num_draws: int,
    key: Key,
    noise_std: Scalar = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    max_lag: Scalar = 20.0,
    spacing: Scalar = 0.25,
    duration: Scalar = 100.0,
    settle: Scalar = 50.0,
    num_trials: int = 4,
    dt: Scalar = 0.05,
    dtype: DTypeLike = jnp.float32,
    precision: Precision = "float32",
    progress: bool = False,
) -> MeasuredAutocorrelation:
    """Draw networks, simulate each in continuous time, and average x(t) x(t + τ).

    Parameters
    ----------
    gain
        g, or a `GainMatrix`.
    num_units
        N.
    num_draws
        Networks drawn; errors are over them.
    key
        JAX random key.
    noise_std
        σ, as in `dmft.autocorrelation`.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    max_lag, spacing
        Longest lag and step between lags, in units of the time constant.
    duration, settle
        Time that is averaged over, and time before that is left out.
    num_trials
        Initial conditions per network, from independent normal states. They share the matrix products.
    dt
        Step of the stochastic solver; without noise the solver is adaptive.
    dtype
        Float type of the simulation.
    precision
        Of its products, as in `trajectories`.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    ValueError
        If a number is out of range, `precision` is misspelt, or `max_lag` is longer than half of `duration`.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    num_draws, num_trials = check_counts(num_draws=num_draws, num_trials=num_trials)
    check_positive(max_lag=max_lag, spacing=spacing, duration=duration, dt=dt)
    check_not_negative(settle=settle, noise_std=noise_std)
    require(
        2 * float(max_lag) <= float(duration),
        f"max_lag {float(max_lag):g} must be at most half of duration {float(duration):g}",
    )
    check_flag("progress", progress)
    check_choice("precision", precision, PRECISIONS)
    dtype = check_float_type("dtype", dtype)
    nonlinearity = as_nonlinearity(nonlinearity)
    matrix = gain if isinstance(gain, GainMatrix) else homogeneous(gain)
    sizes = population_sizes(matrix, num_units)
    steps = np.arange(0, float(duration) + 1e-9, float(spacing))
    num_lags = int(np.floor(float(max_lag) / float(spacing) + 1e-9)) + 1
    measured = []
    with progress_bar("simulating networks", num_draws, enabled=progress) as advance:
        for draw_key in jax.random.split(key, num_draws):
            weight_key, state_key, noise_key = jax.random.split(draw_key, 3)
            (network,) = draw_networks(
                matrix, num_units, num_draws=1, noise_std=noise_std, nonlinearity=nonlinearity, key=weight_key,
                kind=FlowNetwork, dtype=dtype,
            )  # fmt: skip
            start = jax.random.normal(state_key, (num_trials, num_units), dtype)
            states = continuous_trajectories(
                network, times=float(settle) + steps, initial_state=start, key=noise_key, dt=dt, precision=precision
            )
            measured.append(np.asarray(trajectory_autocorrelation(states, num_lags=num_lags, sizes=sizes), np.float64))
            advance()
    by_draw = np.stack(measured)
    by_draw = by_draw if isinstance(gain, GainMatrix) else by_draw[..., 0]
    spread = by_draw.std(axis=0, ddof=1) / np.sqrt(num_draws) if num_draws > 1 else np.zeros_like(by_draw[0])
    return MeasuredAutocorrelation(steps[:num_lags], by_draw.mean(axis=0), spread, by_draw)
