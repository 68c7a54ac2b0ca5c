"""Fisher information predicted by the large-N theory."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_not_negative, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.meanfield import propagate
from fisherjax.meanfield._fields import fields_over_time
from fisherjax.meanfield._recursion import (
    Trajectory,
    as_trajectory,
    input_parameters,
    order_parameters,
    told_trajectory,
)
from fisherjax.networks._protocol import check_times
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._curve import FisherCurve, warn_if_not_finite
from ._meanfield_linear import check_linear, linear_prices, linear_readings
from ._moments import scalar_if
from ._unexplained import Network

FORMS_AT_LARGE_N = ("independent", "linear")

_NO_TOTAL = (
    "form='total' has no theory at large N: the covariance term is of order N as well, and nothing is known of it; use "
    "form='linear', or fisher.closure_curve(form='total') of networks drawn by simulate.draw_networks"
)
_REASONS = {
    "independent": "D/V left the float range; lower the gains, raise noise_std, or take another unit of the stimulus",
    "linear": "the noise that is left unexplained was not found, or left the float range; lower the gains, raise "
    "noise_std, or use float64",
}


@full_precision
def meanfield_curve(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_units: int = 1,
    form: str = "independent",
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
    observed: ArrayLike | None = None,
    at: Sequence[int] | None = None,
) -> FisherCurve:
    r"""Fisher information of a structure about a stimulus pulse, at large N: exact at leading order.

    .. math::
        \text{independent: } F_p(t) = N o_p f_p D_p / (V_p + σ_o^2), \qquad
        \text{linear: } F(t) = ∂m^T (Σ + σ_o^2 I)^{-1} ∂m

    The independent form counts units as independent. The linear form counts their noise correlations, which change it
    by a factor of order one however large N is: it is what the best linear read-out reaches, mostly 0.2 to 0.9 of the
    independent form; more than that where one population tells what noise another receives. It is a recursion of a few
    numbers per population: the share of each unit's noise that the rest of the network leaves unexplained, its price,
    and one collective mode per population; derived, and tested against simulation, in docs/theory.md. It is
    approached as 1/N, within some percent at N = 400.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    stimulus
        θ, scalar, or (K,) for a Fisher matrix.
    noise_std
        σ, process noise. May be 0 only in the independent form, with observation noise.
    num_steps
        Number of steps T.
    num_units
        N; information is proportional to it. With 1, information per unit.
    form
        ``"independent"`` or ``"linear"``. There is none for ``"total"``: its covariance term, ½ tr[(Σ⁻¹∂Σ)²], is of
        order N as well, and no theory of it is known; see `closure_curve`.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`. The linear form needs a smooth and odd one.
    input_pattern
        w, (P,) or (P, K); population 0 by default.
    observation_noise_std
        σ_obs, noise added to what is read out.
    observed
        o (P,), share of the units of each population that is read out, from 0 to 1; all by default.
    at
        Steps after which it is read, by default all of 1…T. The linear form costs that many times as much.

    Returns
    -------
    FisherCurve, differentiable in every array argument. In the linear form a population's information is what it tells
    when it is read out alone, so that populations do not add up.

    Raises
    ------
    ValueError
        If both noise levels vanish, an argument has the wrong shape or sign, or the linear form does not exist for this
        nonlinearity.

    References
    ----------
    Qin & Sharpee (2025), Fisher information diffusion in structured recurrent networks, for the independent form.
    """
    num_units = check_integer("num_units", num_units, minimum=1)
    arrays, how = as_structure_question(
        gain_matrix,
        stimulus,
        noise_std,
        num_steps,
        form,
        nonlinearity,
        input_pattern,
        observation_noise_std,
        observed,
        at,
    )
    by_population, total, order = structure_information(arrays, how)
    curve = _in_units(how.times, by_population, total, num_units, stimulus, form)
    return _told(curve, order if order is None else told_trajectory(order, how.phi))


class Structured(NamedTuple):
    """A question about a structure, as arrays."""

    gain_matrix: GainMatrix
    theta: Float[Array, " K"]
    pattern: Float[Array, "P K"]
    noise_std: Float[Array, ""]
    observation_noise_std: Float[Array, ""]
    observed: Float[Array, " P"]


class StructuredHow(NamedTuple):
    """What of it is fixed when its answer is compiled."""

    phi: Nonlinearity
    num_steps: int
    form: str
    times: tuple[int, ...]


def as_structure_question(
    gain_matrix: GainMatrix,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    form: str,
    nonlinearity: NonlinearityLike,
    input_pattern: ArrayLike | None,
    observation_noise_std: Scalar,
    observed: ArrayLike | None,
    at: Sequence[int] | None,
) -> tuple[Structured, StructuredHow]:
    """The question that `meanfield_curve` asks, checked; nothing is compiled or run.

    Raises
    ------
    TypeError, ValueError
        As `meanfield_curve`.
    """
    require(form != "total", _NO_TOTAL)
    check_choice("form", form, FORMS_AT_LARGE_N)
    check_noise(noise_std, observation_noise_std, process=form == "linear")
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    phi = as_nonlinearity(nonlinearity)
    if form == "linear":
        check_linear(phi)
    theta, pattern = input_parameters(gain_matrix, stimulus, input_pattern)
    count, dtype = gain_matrix.num_populations, theta.dtype
    shares = np.ones(count) if observed is None else observed
    hint = "the share of the units of each population that is read out"
    shares = as_real("observed", shares, str(count), dtype=dtype, minimum=0.0, hint=hint)
    if not is_traced(shares):
        require(float(jnp.max(shares)) <= 1, f"observed must hold shares of at most 1, got {float(jnp.max(shares)):g}")
        require(float(jnp.max(shares)) > 0, "observed must hold a share above 0: nothing would be read out")
    process, observation = (
        as_real(name, value, "", dtype=dtype) for name, value in _named(noise_std, observation_noise_std)
    )
    asked = Structured(gain_matrix, theta, pattern, process, observation, shares)
    return asked, StructuredHow(phi, num_steps, form, check_times(at, num_steps))


@jax.jit(static_argnames=("how", "alone"))
def structure_information(
    asked: Structured, how: StructuredHow, *, alone: bool = True
) -> tuple[Float[Array, "t P K K"], Float[Array, "t K K"], Trajectory | None]:
    """Information per unit at the times asked for, by population and in total, and the trajectory if one was followed.

    Unless `alone`, that of single populations is not computed in the linear form, where it costs as much as the total.
    """
    gain_matrix, steps = asked.gain_matrix, how.times[-1]
    given = (gain_matrix, how.phi, asked.theta, asked.pattern, asked.noise_std, steps)
    if how.form == "independent":
        order, chosen = as_trajectory(*order_parameters(*given), how.phi), np.asarray(how.times) - 1
        noise = order.noise_variance[chosen] + asked.observation_noise_std**2
        share = gain_matrix.fractions * asked.observed / noise
        by_population = share[..., None, None] * order.sensitivity[chosen]
        return by_population, jnp.sum(by_population, axis=1), order
    groups = asked.observed[None]
    if alone:
        groups = jnp.concatenate([groups, jnp.diag(asked.observed)])
    network = _network(asked)
    small = how.form == "small-signal"
    found = linear_readings(how.phi, fields_over_time(*given), network, groups, how.times, small_signal=small)
    return found[:, 1:], found[:, 0], None


@jax.jit(static_argnames="how")
def structure_prices(asked: Structured, how: StructuredHow) -> Float[Array, "m P"]:
    """τ_q(k), the price of a unit's noise, at times 1…T − 1 for the last read-out."""
    steps = how.times[-1]
    given = (asked.gain_matrix, how.phi, asked.theta, asked.pattern, asked.noise_std, steps)
    return linear_prices(fields_over_time(*given), _network(asked), asked.observed)


def _network(asked: Structured) -> Network:
    noises = (asked.noise_std**2, asked.observation_noise_std**2)
    return Network(asked.gain_matrix.gains**2, asked.gain_matrix.fractions, *noises)


@full_precision
def operator_curve(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    num_units: int = 1,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
) -> FisherCurve:
    """Fisher information carried by the bare diffusion operator, F(t+1) = A(t) F(t): an approximation.

    Exact as θ → 0 in the independent form. At finite stimulus it leaves out that the state and its derivative are
    correlated and overestimates, by tens of per cent to tenfold; `meanfield_curve` is exact. Parameters as there.

    References
    ----------
    Qin & Sharpee (2025), Fisher information diffusion in structured recurrent networks.
    """
    num_units = check_integer("num_units", num_units, minimum=1)
    check_noise(noise_std, 0.0)
    order = propagate(
        gain_matrix,
        stimulus=stimulus,
        noise_std=noise_std,
        num_steps=num_steps,
        nonlinearity=nonlinearity,
        input_pattern=input_pattern,
    )
    share = gain_matrix.fractions / order.noise_variance[0]
    by_population = _diffused(order.diffusion, share[:, None, None] * order.sensitivity[0])
    # it goes on from variances that have left their range
    known = jnp.isfinite(order.sensitivity).reshape(len(order.times), -1).all(axis=1)
    by_population = jnp.where(known[:, None, None, None], by_population, jnp.nan)
    times = tuple(range(1, len(order.times) + 1))
    curve = _in_units(times, by_population, jnp.sum(by_population, axis=1), num_units, stimulus, "independent")
    return _told(curve, order)


@jax.jit
def _diffused(operators: Float[Array, "T P P"], start: Float[Array, "P K K"]) -> Float[Array, "T P K K"]:
    def step(information: Array, operator: Array) -> tuple[Array, Array]:
        return jnp.einsum("pq,qab->pab", operator, information), information

    return jax.lax.scan(step, start, operators)[1]


def check_noise(noise_std: Scalar, observation_noise_std: Scalar, *, process: bool = False) -> None:
    """Refuse noise levels for which the variance that information is measured in would vanish."""
    check_not_negative(**dict(_named(noise_std, observation_noise_std)))
    if is_traced((noise_std, observation_noise_std)) or float(noise_std) > 0:
        return
    require(
        not process,
        "noise_std is 0: the linear form needs process noise, noise_std > 0; use form='independent' without it",
    )
    require(
        float(observation_noise_std) > 0,
        "noise_std is 0, so the noise variance vanishes and Fisher information is infinite; "
        "set noise_std > 0, or observation_noise_std > 0 where it is offered",
    )


def _told(curve: FisherCurve, order: Trajectory | None) -> FisherCurve:
    """The curve, after a warning of where it ends, unless the trajectory has told that."""
    if order is not None and not is_traced(curve.total) and np.isnan(np.asarray(order.sensitivity)).any():
        return curve
    return warn_if_not_finite(curve, _REASONS[curve.form])


def _named(noise_std: Scalar, observation_noise_std: Scalar) -> tuple[tuple[str, Scalar], ...]:
    return ("noise_std", noise_std), ("observation_noise_std", observation_noise_std)


def _in_units(
    times: tuple[int, ...], by_population: Array, total: Array, num_units: int, stimulus: Stimulus, form: str
) -> FisherCurve:
    """The curve of a network of `num_units`, without the axes of the parameters if the stimulus is one number."""
    values = (num_units * by_population, num_units * total)
    by_population, total = scalar_if(np.ndim(stimulus) == 0, values)  # pyright: ignore[reportArgumentType]
    return FisherCurve(jnp.asarray(times, total.dtype), by_population, total, form=form)
