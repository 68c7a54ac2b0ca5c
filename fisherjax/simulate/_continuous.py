"""Rate networks in continuous time at any times, with diffrax: adaptive without noise, stochastic with it."""

import math
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_key, check_positive, is_traced, require
from fisherjax._runtime import Precision, products_in
from fisherjax._runtime._memory import check_allocation
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.networks import FlowNetwork

_LONGEST = 2**30  # solver steps


def continuous_trajectories(
    network: FlowNetwork,
    *,
    times: ArrayLike,
    initial_state: ArrayLike,
    key: Key | None = None,
    dt: Scalar = 0.05,
    rtol: Scalar = 1e-6,
    atol: Scalar = 1e-6,
    precision: Precision = "float32",
) -> Float[Array, "T trials N"]:
    """Simulate dx = (−x + J φ(x) + b) dt + √2 σ dW, time in units of the time constant.

    Without noise (σ = 0) by Tsitouras' method of order 5 with adaptive steps, shared by all trials; with noise by
    the additive-noise Runge–Kutta method ShARK at the fixed step `dt`. σ is the standard deviation that an
    unconnected unit would have, as in `dmft.autocorrelation`.

    Parameters
    ----------
    network
        The network, N units. Its observation noise is not added, and its own `dt` plays no part.
    times
        Times to record (T,), increasing, at least 0.
    initial_state
        x(0), (trials, N), or (N,) for one trial.
    key
        JAX random key; needed where the network has noise.
    dt
        Longest step of the stochastic solver, which steps onto every recorded time; the error of moments is of
        second order in it.
    rtol, atol
        Tolerances of the adaptive solver. In chaos errors grow with the Lyapunov exponent whatever they are.
    precision
        Of products, as in `trajectories`; without noise errors of a lower one exceed tolerances as small as these.

    Returns
    -------
    States (T, trials, N) at `times`.

    Raises
    ------
    ValueError
        If a shape is wrong, times do not increase, `precision` is misspelt, or the result would not fit into memory.
    TypeError
        If there is noise and `key` is not a JAX key.

    References
    ----------
    Kidger (2021), On Neural Differential Equations, thesis, Oxford (diffrax).
    Foster, dos Reis & Strange (2023), High order splitting methods for SDEs satisfying a commutativity
    condition, arXiv:2210.17543 (ShARK).
    """
    hint = "make one with networks.FlowNetwork(weights, input_vector, noise_std=…)"
    dtype, units = check_instance("network", network, FlowNetwork, hint).dtype, network.num_units
    state = as_real("initial_state", initial_state, f"{units}", f"trials {units}", dtype=dtype).reshape(-1, units)
    recorded = checked_times(times, dtype)
    check_positive(dt=dt, rtol=rtol, atol=atol)
    check_allocation("trajectories", (len(recorded), *state.shape), dtype)
    if float(recorded[-1]) == 0:
        return state[None]
    noisy = is_traced(network.noise_std) or float(network.noise_std) > 0
    key = check_key("key", key) if noisy or key is not None else None
    with products_in(precision):
        if not noisy:
            return _adaptive(network, state, recorded, jnp.asarray(rtol, dtype), jnp.asarray(atol, dtype))
        return _stochastic(network, state, recorded, jnp.asarray(solver_grid(recorded, dt), dtype), key)


def checked_times(times: ArrayLike, dtype: Any) -> Float[Array, " T"]:
    """Times as an array.

    Raises
    ------
    ValueError
        If they are not one-dimensional, finite, increasing and at least 0.
    """
    require(not is_traced(times), "times must be known numbers, not traced: the steps of the solver end on them")
    recorded = as_real("times", times, "T", dtype=dtype)
    require(recorded.size > 0, "times must hold at least one number")
    concrete = np.asarray(recorded)
    require(bool((np.diff(concrete) > 0).all() and concrete[0] >= 0), "times must increase from at least 0")
    return recorded


def solver_grid(times: Float[Array | np.ndarray, " T"], dt: Scalar) -> Float[np.ndarray, " steps"]:
    """Times from 0 in steps of at most dt that hit every recorded time.

    Between its steps a solver of stochastic equations only interpolates, which loses variance.
    """
    marks = np.unique(np.concatenate([[0.0], np.asarray(times, np.float64)]))
    counts = np.ceil(np.diff(marks) / float(dt) - 1e-6).astype(int)
    parts = [np.linspace(a, b, max(1, n), endpoint=False) for a, b, n in zip(marks, marks[1:], counts, strict=False)]
    return np.concatenate([*parts, marks[-1:]])


@eqx.filter_jit
def _adaptive(network: FlowNetwork, state: Array, times: Array, rtol: Array, atol: Array) -> Array:
    import diffrax  # noqa: PLC0415

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda _t, x, network: network.velocity(x)),  # pyright: ignore[reportArgumentType]
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=state,
        args=network,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=_LONGEST,
        adjoint=diffrax.ForwardMode(),
    )
    return cast("Array", solution.ys)


@eqx.filter_jit
def _stochastic(network: FlowNetwork, state: Array, times: Array, grid: Array, key: Key) -> Array:
    return solve_additive(network.velocity, state, math.sqrt(2) * network.noise_std, times, grid, key)


def solve_additive(
    vector_field: Callable[[Array], Array],
    state: Float[Array, "*shape"],
    noise: Float[Array, "..."],
    times: Float[Array, " T"],
    grid: Float[Array, " steps"],
    key: Key,
) -> Float[Array, "T *shape"]:
    """States at `times` of dx = f(x) dt + noise dW, in steps between the points of `grid`."""
    import diffrax  # noqa: PLC0415
    import lineax  # noqa: PLC0415

    path = diffrax.UnsafeBrownianPath(jax.eval_shape(lambda: state), key, diffrax.SpaceTimeLevyArea)
    diffusion = lineax.DiagonalLinearOperator(jnp.broadcast_to(noise, state.shape))
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda _t, x, _args: vector_field(x)),
        diffrax.ControlTerm(lambda _t, _x, _args: diffusion, path),
    )
    solution = diffrax.diffeqsolve(
        terms,
        diffrax.ShARK(),
        t0=grid[0],
        t1=grid[-1],
        dt0=None,
        y0=state,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.StepTo(ts=grid),
        max_steps=_LONGEST,
        adjoint=diffrax.ForwardMode(),
    )
    return cast("Array", solution.ys)
