"""What a state knows about each of the inputs that led to it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_positive, require
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.networks import Network
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._closure import CLOSED, closure_curve
from ._curve import FisherCurve
from ._linearized import linearized_curve
from ._meanfield import meanfield_curve
from ._simulated import simulated_curve

METHODS = ("closure", "linearized", "simulated")


class TemporalMatrix(Record):
    """Fisher information that the state after T inputs holds about them: F_ss′ of the inputs into steps s and s′.

    Inputs with several channels stand one after the other, those of a step together: n = T·I numbers.
    """

    inputs: Float[Array, "T I"]
    total: Float[Array, "n n"]
    by_population: Float[Array, "P n n"]
    form: str = eqx.field(static=True, default="independent")
    standard_error: Float[Array, "n n"] | None = None
    """Standard error of `total`, one standard deviation; None for theory."""

    @property
    def memory(self) -> Float[Array, "T I"]:
        """What the state knows of the input k steps ago, k = 0 … T − 1, all others known."""
        return jnp.diagonal(self.total).reshape(self.inputs.shape)[::-1]

    def capacity(self, covariance: ArrayLike) -> Float[Array, ""]:
        """½ ln det(1 + S F), in nats: what the state tells about inputs of covariance S around these ones.

        That of a channel with Gaussian noise, of which F is the signal to noise; a local approximation where inputs
        vary so much that F changes with them. S (n, n), or a number, the variance of inputs that are independent.
        """
        count = len(self.total)
        given = as_real("covariance", covariance, "", f"{count} {count}", dtype=self.total.dtype)
        if given.ndim == 0:
            return jnp.sum(jnp.log1p(given * self._modes()[0])) / 2
        return jnp.linalg.slogdet(jnp.eye(count, dtype=given.dtype) + given @ self.total)[1] / 2

    def best_covariance(self, power: Scalar) -> Float[Array, "n n"]:
        """S of trace n·`power` that maximizes the capacity: water poured over the eigenvectors of F.

        References
        ----------
        Cover & Thomas (2006), Elements of Information Theory, section 9.4.
        """
        check_positive(power=power)
        values, vectors = self._modes()
        noise = 1 / jnp.maximum(values[::-1], jnp.finfo(values.dtype).tiny)
        counts = jnp.arange(1, len(noise) + 1, dtype=noise.dtype)
        # over the k best modes the water stands at (n·power + Σ noise)/k, if all of them are under it
        levels = (len(noise) * jnp.asarray(power, noise.dtype) + jnp.cumsum(noise)) / counts
        used = jnp.sum(levels > noise)
        poured = jnp.maximum(levels[used - 1] - noise, 0)[::-1]
        return (vectors * poured) @ vectors.T

    def horizon(self, input_std: Scalar) -> int:
        """Steps after which an input of this size has sunk below the noise: the first k with F_kk `input_std`² < 1."""
        check_positive(input_std=input_std)
        seen = np.asarray(self.memory).max(axis=1) * float(input_std) ** 2 >= 1
        return int(np.argmin(seen)) if not seen.all() else len(seen)

    def _modes(self) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        """Eigenvalues, rising, and eigenvectors; an estimate may have values below zero, which tell nothing."""
        values, vectors = jnp.linalg.eigh((self.total + self.total.T) / 2)
        return jnp.maximum(values, 0), vectors


def temporal_matrix(
    network: GainMatrix | Network | Sequence[Network],
    inputs: ArrayLike,
    *,
    form: str = "independent",
    noise_std: Scalar | None = None,
    nonlinearity: NonlinearityLike | None = None,
    input_pattern: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
    observation_noise_std: Scalar | None = None,
    observed: ArrayLike | None = None,
    num_units: int | None = None,
    method: str | None = None,
    num_trials: int | None = None,
    key: Key | None = None,
) -> TemporalMatrix:
    r"""How much the state now knows about every past input: F_ss′ = ∂_s m · Σ⁻¹ · ∂_s′ m after a stream from rest.

    Inputs may have any size: where they drive units into saturation, later ones erase what was known of earlier ones.
    For a linear network and many steps it is `memory_matrix`, read backwards.

    Parameters
    ----------
    network
        A structure, for which the answer is exact at large N; or a network, or several draws of one.
    inputs
        u (T,), or (T, I) for several channels.
    form
        ``"independent"``, or ``"linear"`` with noise correlations counted.
    noise_std, nonlinearity, input_pattern, bias, bias_std, input_pattern_std
        Of a structure, as in `meanfield_curve`; a network has its own.
    observation_noise_std, observed, num_units
        As those.
    method
        How a network is asked: ``"closure"`` (the default, where there is one), ``"linearized"`` (small noise, any
        network, the default for others) or ``"simulated"``.
    num_trials, key
        Of a simulation.

    Raises
    ------
    TypeError, ValueError
        If an argument is missing or belongs to the other kind; as `meanfield_curve`, `closure_curve`,
        `linearized_curve` and `simulated_curve`.

    References
    ----------
    Ganguli, Huh & Sompolinsky (2008), Memory traces in dynamical systems, PNAS 105, 18970–18975, for linear networks.
    """
    shown = as_real("inputs", inputs, "T", "T I")
    require(shown.size > 0, "inputs must hold at least one step, got none")
    steps, flat = len(shown), shown.reshape(-1)

    asked = {"stimulus": flat, "num_steps": steps, "protocol": Stream(steps), "at": (steps,), "form": form}
    of_structure = {
        "noise_std": noise_std, "nonlinearity": nonlinearity, "input_pattern": input_pattern, "bias": bias,
        "bias_std": bias_std, "input_pattern_std": input_pattern_std, "observation_noise_std": observation_noise_std,
        "observed": observed, "num_units": num_units,
    }  # fmt: skip
    of_network = {"method": method, "num_trials": num_trials, "key": key}
    if isinstance(network, GainMatrix):
        _none_of(of_network, "of a network; a structure is followed exactly")
        require(noise_std is not None, "noise_std must be given for a structure")
        curve = meanfield_curve(
            network, **asked, **{name: part for name, part in of_structure.items() if part is not None}
        )
    else:
        _none_of(of_structure, "of a structure; a network has its own")
        curve = _of_network(network, asked, method, num_trials, key)
    error = None if curve.standard_error is None else curve.standard_error[0]
    return TemporalMatrix(shown.reshape(steps, -1), curve.total[0], curve.by_population[0], form, error)


@dataclasses.dataclass(frozen=True)
class Stream:
    """The protocol in which every input is a parameter of its own; equal ones are one, and compile once."""

    num_steps: int

    def __call__(self, values: Array) -> Array:
        return values.reshape(self.num_steps, -1)


def _of_network(
    network: Any, asked: dict[str, Any], method: str | None, num_trials: int | None, key: Any
) -> FisherCurve:
    first = network[0] if isinstance(network, list | tuple) and network else network
    usual = "closure" if isinstance(first, CLOSED) else "linearized"
    method = check_choice("method", usual if method is None else method, METHODS)
    if method == "simulated":
        if num_trials is None or key is None:
            raise ValueError("method='simulated' needs num_trials and key")
        return simulated_curve(network, num_trials=num_trials, key=key, **asked)
    _none_of({"num_trials": num_trials, "key": key}, "of method='simulated'")
    if method == "linearized":
        return linearized_curve(network, **asked)
    last = {name: value for name, value in asked.items() if name != "at"}
    curve = closure_curve(network, **last)
    return jax.tree.map(lambda part: part[-1:], curve)


def _none_of(arguments: dict[str, Any], whose: str) -> None:
    for name, value in arguments.items():
        require(value is None, f"{name} is {whose}")
