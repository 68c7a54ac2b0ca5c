"""Fisher information predicted by the large-N theory."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_jax
from fisherjax._errors import check_integer, is_traced
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import check_gain_matrix
from fisherjax.meanfield import propagate
from fisherjax.meanfield._drive import Entering
from fisherjax.meanfield._recursion import Trajectory, told_trajectory
from fisherjax.networks._protocol import Protocol
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._curve import FisherCurve, warn_if_not_finite
from ._moments import scalar_if
from ._structured import as_structure_question, check_noise, structure_information

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
    ensemble: str = "gaussian",
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    protocol: Protocol = "pulse",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
    observation_noise_std: Scalar = 0.0,
    observed: ArrayLike | None = None,
    at: Sequence[int] | None = None,
) -> FisherCurve:
    r"""Fisher information of a structure about a stimulus, at large N: exact at leading order.

    .. math::
        \text{independent: } F_p(t) = N o_p f_p D_p / (V_p + σ_o^2), \qquad
        \text{linear: } F(t) = ∂m^T (Σ + σ_o^2 I)^{-1} ∂m

    The independent form counts units as independent. The linear form counts their noise correlations, which change it
    by a factor of order one however large N is: it is what the best linear read-out reaches, mostly 0.2 to 0.9 of the
    independent form; more than that where one population tells what noise another receives, or an input lasts. It is a
    recursion of a few numbers per population: the share of each unit's noise that the rest of the network leaves
    unexplained, its price, and one collective mode per population; derived, and tested against simulation, in
    docs/theory.md. It is approached as 1/N, within some percent at N = 400.

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
    ensemble
        Law of the weights: ``"gaussian"``, or ``"orthogonal"``, g times a matrix that is uniform among the orthogonal
        ones: one population, an odd nonlinearity, a pulse. The independent form is the same for both.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`. The linear form needs one without kinks.
    input_pattern, protocol, bias, bias_std, input_pattern_std
        What enters, and how, as in `meanfield.propagate`: a pulse on population 0 by default.
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
        If both noise levels vanish, an argument has the wrong shape or sign, or, in the linear form, the nonlinearity
        has a kink.

    References
    ----------
    Qin & Sharpee (2025), Fisher information diffusion in structured recurrent networks, for the independent form.

    Examples
    --------
    >>> from fisherjax import connectivity, fisher
    >>> chain = connectivity.feedforward_chain(1.2, num_populations=3, recurrent=0.8)
    >>> curve = fisher.meanfield_curve(chain, stimulus=0.1, noise_std=0.1, num_steps=3, form="linear")
    >>> print([f"{value:.1f}" for value in curve.total])
    ['22.7', '7.2', '2.4']
    """
    num_units = check_integer("num_units", num_units, minimum=1)
    arrays, how = as_structure_question(
        gain_matrix,
        stimulus,
        noise_std,
        num_steps,
        form,
        nonlinearity,
        Entering(protocol, input_pattern, bias, bias_std, input_pattern_std),
        observation_noise_std,
        observed,
        at,
        ensemble=ensemble,
    )
    by_population, total, order = structure_information(arrays, how)
    curve = _in_units(how.times, by_population, total, num_units, stimulus, form)
    return _told(curve, order if order is None else told_trajectory(order, how.phi))


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
    check_gain_matrix(gain_matrix)
    check_noise(noise_std, 0.0)
    order = propagate(
        gain_matrix,
        stimulus=stimulus,
        noise_std=noise_std,
        num_steps=num_steps,
        nonlinearity=nonlinearity,
        input_pattern=input_pattern,
    )
    times = tuple(range(1, len(order.times) + 1))
    by_population, total = _diffused(gain_matrix.fractions, order)
    curve = _in_units(times, by_population, total, num_units, stimulus, "independent")
    return _told(curve, order)


@jax.jit
def _diffused(
    fractions: Float[Array, " P"], order: Trajectory
) -> tuple[Float[Array, "T P K K"], Float[Array, "T K K"]]:
    """Information of every population, as the operators carry it on, and the sum."""

    def step(information: Array, operator: Array) -> tuple[Array, Array]:
        return jnp.einsum("pq,qab->pab", operator, information), information

    share = fractions / order.noise_variance[0]
    by_population = jax.lax.scan(step, share[:, None, None] * order.sensitivity[0], order.diffusion)[1]
    # it goes on from variances that have left their range
    known = jnp.isfinite(order.sensitivity).reshape(len(order.times), -1).all(axis=1)
    by_population = jnp.where(known[:, None, None, None], by_population, jnp.nan)
    return by_population, jnp.sum(by_population, axis=1)


def _told(curve: FisherCurve, order: Trajectory | None) -> FisherCurve:
    """The curve, after a warning of where it ends, unless the trajectory has told that."""
    if order is not None and not is_traced(curve.total) and np.isnan(np.asarray(order.sensitivity)).any():
        return curve
    return warn_if_not_finite(curve, _REASONS[curve.form])


def _in_units(
    times: tuple[int, ...], by_population: Array, total: Array, num_units: int, stimulus: Stimulus, form: str
) -> FisherCurve:
    """The curve of a network of `num_units`, without the axes of the parameters if the stimulus is one number."""
    by_population, total = _times(num_units, by_population, total, scalar=np.ndim(stimulus) == 0)  # pyright: ignore[reportArgumentType]
    return FisherCurve(as_jax(np.asarray(times, total.dtype)), by_population, total, form=form)


@jax.jit(static_argnames="scalar")
def _times(num_units: int | Array, by_population: Array, total: Array, *, scalar: bool) -> tuple[Array, Array]:
    return scalar_if(scalar, (num_units * by_population, num_units * total))
