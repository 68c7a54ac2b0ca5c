"""Fisher information through time: one type for theory and measurement."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_choice, check_instance, check_integer, is_traced, require, warn
from fisherjax._runtime import spread_map
from fisherjax._types import Record, Stimulus
from fisherjax.networks import Network
from fisherjax.networks._protocol import Protocol, Reading, check_protocol, check_reading, check_times, populations_read
from fisherjax.simulate._draw import check_network

from ._gaussian import FORMS
from ._moments import scalar_if


class FisherCurve(Record):
    """Fisher information about the stimulus in what is read of a network, at T times (steps 1…T of a map).

    Units are 1/θ². For a vector stimulus with K entries every value is a (K, K) matrix.

    `form` says which information it is: ``"independent"`` adds the information of single units and
    ignores their noise correlations, Σ_i (∂m_i)²/Σ_ii; ``"linear"`` counts them, ∂mᵀ Σ⁻¹ ∂m, and is what
    the best linear read-out reaches; ``"total"`` adds the covariance term of a Gaussian.
    In the independent form populations add up to the total; in the others each population is read out alone.
    """

    times: Float[Array, " T"]
    by_population: Float[Array, "T P *KK"]
    total: Float[Array, "T *KK"]
    standard_error: Float[Array, "T *KK"] | None = None
    """Standard error of `total`, one standard deviation; None for theory."""
    form: str = eqx.field(static=True, default="independent")
    by_population_error: Float[Array, "T P *KK"] | None = None
    model_error: Float[Array, " T"] | None = None
    """Relative size of what an approximation leaves out, by its own estimate; None where there is no such estimate."""

    @property
    def retention(self) -> Float[Array, "T *KK"]:
        """Total information relative to that of the first step."""
        return self.total / self.total[0]

    def first_non_finite(self) -> float | None:
        """First time at which the total is NaN or infinite, None if it is finite throughout."""
        finite = np.isfinite(np.asarray(self.total)).reshape(self.total.shape[0], -1).all(axis=1)
        return None if finite.all() else float(self.times[int(np.argmin(finite))])


def as_networks(network: Network | Sequence[Network], kinds: tuple[type, ...] = (Network,)) -> tuple[Any, ...]:
    """One network, or several draws of one kind and size, as several; refused by name if it is neither.

    Raises
    ------
    TypeError
        If it is no network, or one of another kind.
    ValueError
        If there are none, or they differ in more than their numbers.
    """
    networks = tuple(network) if isinstance(network, list | tuple) else (network,)
    require(bool(networks), "network must be at least one network, got none")
    for draw in networks:
        check_network(draw)
        if kinds != (Network,):
            hint = "of others the information can be linearized_curve or simulated_curve"
            check_instance("network", draw, kinds, hint)
    first, *others = ((jax.tree.structure(draw), [leaf.shape for leaf in jax.tree.leaves(draw)]) for draw in networks)
    for index, other in enumerate(others, 1):
        same = other == first
        require(same, f"network: draws must differ in their numbers only, but draw {index} is another network than 0")
    return networks


class Asked(NamedTuple):
    """What of a question about a network is fixed when its answer is compiled."""

    protocol: Protocol
    read: Reading
    num_steps: int
    times: tuple[int, ...]  # steps after which it is read
    form: str
    sizes: tuple[int, ...]  # of the groups that are told apart in what is read
    closure: tuple[int, bool] = (3, True)  # order of Mehler's series, and whether higher cumulants are followed


def as_question(
    network: Network | Sequence[Network],
    stimulus: Stimulus,
    num_steps: int,
    form: str,
    protocol: Protocol,
    read: Any,
    at: Sequence[int] | None = None,
    *,
    kinds: tuple[type, ...] = (Network,),
    forms: tuple[str, ...] = FORMS,
    noisy: bool = True,
) -> tuple[tuple[Any, ...], Array, Asked]:
    """The draws of a network, the stimulus as an array, and what is asked, all checked; nothing is compiled or run.

    Raises
    ------
    TypeError, ValueError
        As `as_networks`, `check_noise` (if `noisy`), `check_entry` and `check_reading`; if a form or number is wrong.
    """
    check_choice("form", form, forms)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    drawn = as_networks(network, kinds)
    if noisy:
        check_noise(drawn[0])
    theta = check_entry(drawn[0], protocol, stimulus, num_steps)
    sizes = populations_read(drawn[0], read, check_reading(drawn[0], read))
    return drawn, theta, Asked(protocol, read, num_steps, check_times(at, num_steps), form, sizes)


def over_draws(measure: Callable[[Any, Array], Any], drawn: Sequence[Network], theta: Array, batch_size: int) -> Any:
    """`measure(network, theta)` of every draw, along a new leading axis."""
    if len(drawn) == 1:
        return jax.tree.map(lambda part: part[None], measure(drawn[0], theta))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)
    return spread_map(measure, stacked, theta, batch_size=batch_size)


def check_noise(network: Network) -> None:
    """Refuse a network without any noise, in which information would be infinite."""
    levels = (network.noise_std, network.observation_noise_std)
    if not is_traced(levels):
        require(
            any(bool(np.any(np.asarray(level) > 0)) for level in levels),
            "network has noise_std 0, so that the noise variance vanishes and Fisher information is infinite; give it "
            "noise_std > 0, or observation_noise_std > 0",
        )


@jax.jit(static_argnames=("form", "steps", "scalar"))
def mean_curve(
    values: Float[Array, "draws T groups K K"] | tuple[Float[Array, "T groups K K"], ...],
    form: str,
    steps: tuple[int, ...],
    *,
    scalar: bool,
    time_step: Float[Array, ""] | float = 1.0,
    errors: Float[Array, "draws T groups K K"] | tuple[Float[Array, "T groups K K"], ...] | None = None,
) -> FisherCurve:
    """Mean over draws; its error is over draws if there are several, else that of the only one, if known.

    The first group is all that is read, the others are the populations; `steps` are those after which it is read.
    """
    draws = len(values)
    error = None if errors is None else errors[0]
    values = jnp.stack(values)
    if draws > 1:
        error = jnp.std(values, axis=0, ddof=1) / math.sqrt(draws)
    value, error = scalar_if(scalar, (jnp.mean(values, axis=0), error))
    return FisherCurve(
        times=time_step * jnp.asarray(steps, value.dtype),
        by_population=value[:, 1:],
        total=value[:, 0],
        standard_error=None if error is None else error[:, 0],
        form=form,
        by_population_error=None if error is None else error[:, 1:],
    )


def warn_if_not_finite(curve: FisherCurve, reason: str) -> FisherCurve:
    """Return the curve, NaN from its first failure on; warn of the time at which that is, and why it happens."""
    step = None if is_traced(curve.total) else curve.first_non_finite()
    if step is not None:
        warn(f"Fisher information is not finite from time {step:g} on: {reason}")
    return curve if step is None and not is_traced(curve.total) else _ended(curve)


@jax.jit
def _ended(curve: FisherCurve) -> FisherCurve:
    """A recursion that has broken goes on, and may look finite again: from the first failure on all is NaN."""
    steps = curve.total.shape[0]
    broken = jnp.cumsum(~jnp.isfinite(curve.total).reshape(steps, -1).all(axis=1)) > 0

    def cut(values: Array | None) -> Array | None:
        if values is None:
            return None
        return jnp.where(broken.reshape(steps, *[1] * (values.ndim - 1)), jnp.nan, values)

    names = ("by_population", "total", "standard_error", "by_population_error")
    return dataclasses.replace(curve, **{name: cut(getattr(curve, name)) for name in names})


_JUMP = 1e-4  # of the inputs: a smaller step in them is rounding


def check_entry(network: Network, protocol: Protocol, stimulus: Stimulus, num_steps: int) -> Array:
    """The stimulus as an array, if it can enter the network so and its inputs have a derivative in it.

    Raises
    ------
    TypeError, ValueError
        As `check_protocol`; if the inputs are no floats, are not finite, or jump at the stimulus.
    """
    theta = check_protocol(network, protocol, stimulus, num_steps)
    if isinstance(protocol, str):
        return theta
    inputs: Any = jax.eval_shape(protocol, theta)
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise TypeError(f"protocol must return floats, which have a derivative, got {inputs.dtype}")
    if not is_traced((theta, protocol)):
        _check_smooth(protocol, theta)
    return theta


def _check_smooth(protocol: Any, theta: Array) -> None:
    """Refuse inputs that are not finite, or whose change is another than their derivative says however near."""
    ones = jnp.ones_like(theta)
    inputs, slope = (np.asarray(part, np.float64) for part in jax.jvp(protocol, (theta,), (ones,)))
    check_finite("protocol(stimulus)", inputs)
    check_finite("the derivative of protocol", slope)
    eps = float(jnp.finfo(theta.dtype).eps)
    step = eps ** (1 / 3) * max(float(jnp.max(jnp.abs(theta))), 1.0)
    excess, size = [], float(np.linalg.norm(inputs))
    for near in (step, step / 8):
        moved = (theta + sign * jnp.asarray(near, theta.dtype) * ones for sign in (-1, 1))
        low, high = (np.asarray(protocol(value), np.float64) for value in moved)
        excess.append(np.linalg.norm(high - low - 2 * near * slope))
        size = max(size, float(np.linalg.norm(high)), float(np.linalg.norm(low)))
    # what a kink or a curve leaves shrinks with the step, a jump does not
    jumps = excess[1] > 0.5 * excess[0] and excess[1] > _JUMP * size
    require(
        not jumps,
        f"protocol jumps near {np.asarray(theta).tolist()}: its derivative does not say how the inputs change, and the "
        "information would be wrong; smooth it, or measure with fisher.estimate(method='common')",
    )
