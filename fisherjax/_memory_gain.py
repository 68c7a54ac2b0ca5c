"""The gain with which random weights keep a sequence best: a rule for initial weights, from the overlap of states."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize_scalar

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_not_negative, check_scalar, is_traced, require
from fisherjax._types import ArrayLike, Scalar
from fisherjax.nonlinearities._nonlinearity import Nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, as_nonlinearity

_READ_NOISE = 1e-4  # σ_o² of the rule
_AROUND = (0.35, 1.0, 3.0)  # of the gain that is expected, one after the other: farther off the ratio does not rank
_GRID, _CLOSE = 71, 1e-6
_MOST_TOKENS = 10  # pairs of sequences are told apart by which they share, 2 to this power
_SETTLED = 300  # steps to a stationary state, near enough to begin a search


class _Overlap(NamedTuple):
    """Second moment of a unit, and its overlap with the same unit after another sequence, by the tokens they share."""

    variance: Float[Array, ""]
    overlap: Float[Array, " pairs"]


def memory_ratio(
    gains: ArrayLike,
    delay: int,
    *,
    noise_std: Scalar,
    input_variance: Scalar,
    length: int = 3,
    num_symbols: int = 4,
    nonlinearity: NonlinearityLike = "tanh",
) -> Float[Array, " n"]:
    r"""ρ(g): how far sequences end apart that differ in one token, over what hides it, in a random network of gain g.

    Two sequences that share the tokens of a set s, from rest, have the second moment and the overlap

    .. math::
        Δ^+ = g² E[φ²] + v·(\text{inputs now}) + σ², \quad
        C_s^+ = g² E_{Δ, C_s}[φφ] + v·[\text{they share the token now}]

    With S_k the mean of E[φφ] at recall k over pairs that share token k, less that over pairs that do not,
    ρ = mean_k S_k/(Eφ² − S_k + σ_o²), σ_o² = 10⁻⁴. The order parameters are those of Gaussian and of orthogonal
    weights; it is of the latter that the maximum is a good gain.

    Parameters
    ----------
    gains
        g (n,).
    delay
        T, steps between the last token and the cue, which comes one step before recall.
    noise_std
        σ, process noise of a unit.
    input_variance
        v, variance of an input weight: each token and the cue are one input of size 1.
    length, num_symbols
        Tokens of a sequence, at most 10, and symbols that a token may be.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind, or out of range.
    """
    given = as_real("gains", gains, "n", minimum=0.0)
    task, phi = _checked(delay, noise_std, input_variance, length, num_symbols, nonlinearity)
    return _ratio(given, *(jnp.asarray(part, given.dtype) for part in (noise_std, input_variance)), *task, phi)


def memory_gain(
    delay: int,
    *,
    noise_std: Scalar,
    input_variance: Scalar,
    length: int = 3,
    num_symbols: int = 4,
    nonlinearity: NonlinearityLike = "tanh",
) -> float:
    """g*, the gain of orthogonal weights that remember best over a delay: the maximum of `memory_ratio`.

    A network whose gain is less forgets; one whose gain is more keeps its own activity instead of the input. Without
    noise 1 + √(3/(4T)) is a rule of thumb for tanh units: at v = 1/15 g* − 1 is 1.00, 1.06 and 1.14 times that for
    delays T of 60, 200 and 1000. With noise g* → argmax g²(Eφ′)² in the stationary state, which stays above 1.
    Parameters and errors are those of `memory_ratio`.

    Returns
    -------
    g*, the local maximum next to the limit for long delays: where T·v is large ρ may rise again at gains far above.
    """
    task, phi = _checked(delay, noise_std, input_variance, length, num_symbols, nonlinearity)
    with jax.enable_x64(True):  # noqa: FBT003
        sigma, variance = (jnp.asarray(float(part)) for part in (noise_std, input_variance))
        expected = max(1 + np.sqrt(3 / (4 * max(task[0], 1))), _noisy_limit(sigma, phi))
        for reach in _AROUND:
            places = np.linspace(max(expected - reach, 0.05), expected + reach, _GRID)
            values = np.asarray(_ratio(jnp.asarray(places), sigma, variance, *task, phi))
            peaks = 1 + np.flatnonzero((values[1:-1] >= values[:-2]) & (values[1:-1] >= values[2:]))
            if peaks.size:
                break
        else:
            raise ValueError(f"no gain near {expected:.3g} has the largest memory_ratio over this delay; look at that")
        peak = int(peaks[np.argmin(np.abs(places[peaks] - expected))])

        def less(gain: float) -> float:
            return -float(_ratio(jnp.asarray([gain]), sigma, variance, *task, phi)[0])

        around = (places[peak - 1], places[peak + 1])
        found: Any = minimize_scalar(less, bounds=around, method="bounded", options={"xatol": _CLOSE})
        return float(found.x)


def _checked(
    delay: int, noise_std: Scalar, input_variance: Scalar, length: int, num_symbols: int, nonlinearity: NonlinearityLike
) -> tuple[tuple[int, int, int], Nonlinearity]:
    """Delay, length and number of symbols, and φ."""
    check_not_negative(noise_std=noise_std)
    check_scalar("input_variance", input_variance, minimum=0.0, strict=True)
    require(
        not is_traced((noise_std, input_variance)), "noise_std and input_variance must be known numbers, not traced"
    )
    length = check_integer("length", length, minimum=1)
    require(length <= _MOST_TOKENS, f"length must be at most {_MOST_TOKENS}, got {length}")
    symbols = check_integer("num_symbols", num_symbols, minimum=2)
    return (check_integer("delay", delay, minimum=0), length, symbols), as_nonlinearity(nonlinearity)


@jax.jit(static_argnums=(4, 5, 6))
def _ratio(
    gains: Array,
    noise_std: Array,
    input_variance: Array,
    delay: Array,
    length: int,
    num_symbols: int,
    phi: Nonlinearity,
) -> Array:
    shared = np.array(list(itertools.product((0.0, 1.0), repeat=length)))  # "pairs token"
    # how often a pair shares just these, the token in question aside
    weights = np.where(shared > 0, 1 / num_symbols, 1 - 1 / num_symbols)
    others = np.prod(weights, axis=1)[:, None] / weights
    told = jnp.asarray(others * np.where(shared > 0, 1.0, -1.0), gains.dtype)
    tokens = jnp.asarray(shared.T, gains.dtype)
    cue = jnp.zeros((length + 1, len(shared)), gains.dtype).at[0].set(1)

    def one(gain: Array) -> Array:
        def follow(state: _Overlap, active: Array, alike: Array) -> _Overlap:
            variance = gain**2 * phi.second_moment(state.variance) + input_variance * active + noise_std**2
            each = jnp.broadcast_to(state.variance, alike.shape)
            return _Overlap(variance, gain**2 * phi.overlap(each, each, state.overlap) + input_variance * alike)

        def step(state: _Overlap, now: tuple[Array, Array]) -> tuple[_Overlap, _Overlap]:
            state = follow(state, *now)
            return state, state

        state = _Overlap(jnp.zeros((), gains.dtype), jnp.zeros(len(shared), gains.dtype))
        state, _ = jax.lax.scan(step, state, (jnp.ones(length, gains.dtype), tokens))
        silence = jnp.zeros((), gains.dtype), jnp.zeros(len(shared), gains.dtype)
        state = jax.lax.fori_loop(0, delay, lambda _, state: follow(state, *silence), state)
        _, recall = jax.lax.scan(step, state, (cue[:, 0], cue))
        recall = _Overlap(recall.variance[1:], recall.overlap[1:])
        each = jnp.broadcast_to(recall.variance[:, None], recall.overlap.shape)
        signal = jnp.einsum("ks,sk->k", phi.overlap(each, each, recall.overlap), told)
        return jnp.mean(signal / (phi.second_moment(recall.variance) - signal + _READ_NOISE))

    return jax.vmap(one)(gains)


def _noisy_limit(noise_std: Array, phi: Nonlinearity) -> float:
    """The gain with the largest g²(Eφ′)² in the stationary state: the limit for long delays."""
    if float(noise_std) == 0:
        return 1.0
    places = np.linspace(0.8, 2.4, 81)
    return float(places[int(np.argmax(np.asarray(_memory(jnp.asarray(places), noise_std, phi))))])


@jax.jit(static_argnums=2)
def _memory(gains: Array, noise_std: Array, phi: Nonlinearity) -> Array:
    def settle(_: Array, variance: Array) -> Array:
        return noise_std**2 + gains**2 * phi.second_moment(variance)

    variance = jax.lax.fori_loop(0, _SETTLED, settle, jnp.zeros_like(gains))
    return (gains * phi.mean_slope(variance)) ** 2
