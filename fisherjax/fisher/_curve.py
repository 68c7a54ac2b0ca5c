"""Fisher information through time: one type for theory and measurement."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, is_traced, require, warn
from fisherjax._runtime import spread_map
from fisherjax._types import Record
from fisherjax.networks import Network
from fisherjax.simulate._draw import check_network


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
    if isinstance(network, Network):
        networks = (network,)
    elif isinstance(network, list | tuple):
        networks = tuple(network)
        require(bool(networks), "network must be at least one network, got none")
    else:
        networks = (network,)
    for one in networks:
        check_network(one)
        if kinds != (Network,):
            check_instance(
                "network", one, kinds, "of others the information can be linearized_curve or simulated_curve"
            )
    first = jax.tree.structure(networks[0])
    sizes = [leaf.shape for leaf in jax.tree.leaves(networks[0])]
    for index, one in enumerate(networks[1:], 1):
        same = jax.tree.structure(one) == first and [leaf.shape for leaf in jax.tree.leaves(one)] == sizes
        require(same, f"network: draws must differ in their numbers only, but draw {index} is another network than 0")
    return networks


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
    values: Float[Array, "draws T groups K K"],
    form: str,
    steps: tuple[int, ...],
    *,
    scalar: bool,
    time_step: Float[Array, ""] | float = 1.0,
    errors: Float[Array, "draws T groups K K"] | None = None,
) -> FisherCurve:
    """Mean over draws; its error is over draws if there are several, else that of the only one, if known.

    The first group is all that is read, the others are the populations; `steps` are those after which it is read.
    """
    draws = len(values)
    error = None if errors is None else errors[0]
    if draws > 1:
        error = jnp.std(values, axis=0, ddof=1) / math.sqrt(draws)
    value = jnp.mean(values, axis=0)
    if scalar:
        value, error = value[..., 0, 0], None if error is None else error[..., 0, 0]
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

    return dataclasses.replace(
        curve,
        by_population=cut(curve.by_population),
        total=cut(curve.total),
        standard_error=cut(curve.standard_error),
        by_population_error=cut(curve.by_population_error),
    )
