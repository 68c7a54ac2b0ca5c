"""A question about a structure at large N, checked, and its answer as one compiled program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_not_negative, is_traced, require
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix
from fisherjax.connectivity._sampling import check_ensemble
from fisherjax.meanfield._drive import Drive, Entering, as_drive
from fisherjax.meanfield._fields import fields_over_time
from fisherjax.meanfield._recursion import Trajectory, trajectory_of
from fisherjax.networks._protocol import check_times, is_named
from fisherjax.nonlinearities import Identity, Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._meanfield_linear import check_linear, linear_prices, linear_readings
from ._shifts import entering_at
from ._unexplained import Network

FORMS_AT_LARGE_N = ("independent", "linear")

_NO_TOTAL = (
    "form='total' has no theory at large N: the covariance term is of order N as well, and nothing is known of it; use "
    "form='linear', or fisher.closure_curve(form='total') of networks drawn by simulate.draw_networks"
)


class Structured(NamedTuple):
    """A question about a structure, as arrays."""

    gain_matrix: GainMatrix
    drive: Drive
    noise_std: Float[Array, ""]
    observation_noise_std: Float[Array, ""]
    observed: Float[Array, " P"]


class StructuredHow(NamedTuple):
    """What of it is fixed when its answer is compiled."""

    phi: Nonlinearity
    num_steps: int
    form: str
    times: tuple[int, ...]
    still: bool = False  # whether the state is known to have no bearing on how it responds
    ensemble: str = "gaussian"


def as_structure_question(
    gain_matrix: GainMatrix,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    form: str,
    nonlinearity: NonlinearityLike,
    entering: Entering,
    observation_noise_std: Scalar,
    observed: ArrayLike | None,
    at: Sequence[int] | None,
    *,
    ensemble: str = "gaussian",
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
    check_gain_matrix(gain_matrix, means=True)
    drive = as_drive(gain_matrix, stimulus, num_steps, entering)
    if check_ensemble(ensemble, gain_matrix) == "orthogonal":
        require(
            phi.odd and drive.is_pulse,
            "ensemble='orthogonal' is followed for an odd nonlinearity and a pulse, without bias: else its fields are "
            "correlated in time, which for orthogonal weights is not derived; use ensemble='gaussian'",
        )
    still = False
    if form == "linear":
        check_linear(phi)
        still = isinstance(phi, Identity) or (phi.odd and _at_rest(stimulus, entering))
    count, dtype = gain_matrix.num_populations, gain_matrix.gains.dtype
    shares = as_shares(np.ones(count) if observed is None else observed, count, dtype=dtype)
    process, observation = (
        as_real(name, value, "", dtype=dtype) for name, value in _named(noise_std, observation_noise_std)
    )
    asked = Structured(gain_matrix, drive, process, observation, shares)
    return asked, StructuredHow(phi, num_steps, form, check_times(at, num_steps), still, ensemble)


def _at_rest(stimulus: Stimulus, entering: Entering) -> bool:
    """Whether nothing is known to move the state from 0: no bias, and inputs that are nothing."""
    given = (stimulus, entering.bias, entering.bias_std)
    if is_traced(given) or any(part is not None and np.any(np.asarray(part)) for part in given):
        return False
    if is_named(entering.protocol):
        return True
    with jax.ensure_compile_time_eval():
        theta = jnp.asarray(stimulus, float)
        inputs = entering.protocol(theta)  # pyright: ignore[reportCallIssue]
        return not is_traced(inputs) and not np.any(np.asarray(inputs))


def as_shares(observed: ArrayLike, count: int, *, dtype: Any) -> Float[Array, " P"]:
    """The share of the units of each population that is read out."""
    hint = "the share of the units of each population that is read out"
    shares = as_real("observed", observed, str(count), dtype=dtype, minimum=0.0, hint=hint)
    if not is_traced(shares):
        require(float(jnp.max(shares)) <= 1, f"observed must hold shares of at most 1, got {float(jnp.max(shares)):g}")
        require(float(jnp.max(shares)) > 0, "observed must hold a share above 0: nothing would be read out")
    return shares


@jax.jit(static_argnames=("how", "alone"))
def structure_information(
    asked: Structured, how: StructuredHow, *, alone: bool = True
) -> tuple[Float[Array, "t P K K"], Float[Array, "t K K"], Trajectory | None]:
    """Information per unit at the times asked for, by population and in total, and the trajectory if one was followed.

    Unless `alone`, that of single populations is not computed in the linear form, where it costs as much as the total.
    """
    gain_matrix, steps = asked.gain_matrix, how.times[-1]
    given = (gain_matrix, how.phi, asked.drive.until(steps), asked.noise_std, steps)
    if how.form == "independent":
        order, chosen = trajectory_of(fields_over_time(*given), gain_matrix, how.phi), np.asarray(how.times) - 1
        noise = order.noise_variance[chosen] + asked.observation_noise_std**2
        share = gain_matrix.fractions * asked.observed / noise
        by_population = share[..., None, None] * order.sensitivity[chosen]
        return by_population, jnp.sum(by_population, axis=1), order
    groups = asked.observed[None]
    if alone:
        groups = jnp.concatenate([groups, jnp.diag(asked.observed)])
    network, entering = _network(asked), None
    if network.means is not None and how.still:
        entering = entering_at(gain_matrix, how.phi, asked.drive.until(steps), steps)
    small = how.form == "small-signal"
    fields = fields_over_time(*given, linear=True)
    orthogonal = how.ensemble == "orthogonal"
    if orthogonal:
        small |= how.still
    found = linear_readings(
        how.phi, fields, network, groups, how.times, small_signal=small, entering=entering, orthogonal=orthogonal
    )
    return found[:, 1:], found[:, 0], None


@jax.jit(static_argnames="how")
def structure_prices(asked: Structured, how: StructuredHow) -> Float[Array, "m P"]:
    """τ_q(k), the price of a unit's noise, at times 1…T − 1 for the last read-out."""
    steps = how.times[-1]
    given = (asked.gain_matrix, how.phi, asked.drive.until(steps), asked.noise_std, steps)
    return linear_prices(fields_over_time(*given, linear=True), _network(asked), asked.observed)


def _network(asked: Structured) -> Network:
    noises, gain_matrix = (asked.noise_std**2, asked.observation_noise_std**2), asked.gain_matrix
    means = None if gain_matrix.centered and asked.drive.is_pulse else gain_matrix.means
    return Network(gain_matrix.gains**2, gain_matrix.fractions, *noises, means)


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


def _named(noise_std: Scalar, observation_noise_std: Scalar) -> tuple[tuple[str, Scalar], ...]:
    return ("noise_std", noise_std), ("observation_noise_std", observation_noise_std)
