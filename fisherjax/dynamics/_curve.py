"""A curve of fixed points in states and one parameter: points on it, its tangent, what stability does along it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ._stability import growth, sorted_eigenvalues
from ._states import Unflatten
from ._step import StepLike, system_of

_ITERATIONS = 8
_ROUNDING = 1e3  # times ε: a correction so small ends Newton's method


class Sample(NamedTuple):
    """A point of the curve in scaled coordinates (x, p), the unit tangent there, and the modes."""

    place: Float[np.ndarray, " joint"]
    tangent: Float[np.ndarray, " joint"]
    eigenvalues: Complex[np.ndarray, " N"]
    rates: Float[np.ndarray, " N"]  # above zero for a mode that grows, in falling order
    orientation: float  # sign of det (∂G; tangent), which changes at a simple branch point and nowhere else
    size: float  # ln of its modulus

    @property
    def num_unstable(self) -> int:
        return int(np.sum(self.rates > 0))


class Correction(NamedTuple):
    place: Float[np.ndarray, " joint"]
    iterations: int
    converged: bool


class Curve(NamedTuple):
    """Where G(x, p) = F(x; p) − x, or the velocity, vanishes; states and parameter in their own units."""

    step_of: Callable[[Any], StepLike]
    inputs: Array | None
    unflatten: Unflatten | None
    is_flow: bool
    state_unit: float
    parameter_unit: float
    dtype: np.dtype

    def place_of(self, state: Any, parameter: float) -> Float[np.ndarray, " joint"]:
        """Scaled coordinates."""
        return np.append(np.asarray(state, np.float64) / self.state_unit, parameter / self.parameter_unit)

    def state(self, place: np.ndarray) -> Float[np.ndarray, " N"]:
        return (place[:-1] * self.state_unit).astype(self.dtype)

    def parameter(self, place: np.ndarray) -> float:
        return float(place[-1] * self.parameter_unit)

    def derivative(self, place: np.ndarray) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N joint"]]:
        """G and its derivative in scaled coordinates."""
        state, parameter = jnp.asarray(self.state(place)), jnp.asarray(self.parameter(place), self.dtype)
        value, slope = _evaluated(self.step_of, self.inputs, self.unflatten, state, parameter)
        slope = np.array(slope, np.float64)
        slope[:, -1] *= self.parameter_unit / self.state_unit
        return np.asarray(value, np.float64) / self.state_unit, slope

    def corrected(self, guess: np.ndarray, normal: np.ndarray) -> Correction:
        """Newton's method for the point of the curve in the plane through the guess with this normal."""
        place, tolerance = guess.copy(), _ROUNDING * float(np.finfo(self.dtype).eps)
        for iteration in range(1, _ITERATIONS + 1):
            value, slope = self.derivative(place)
            if not (np.isfinite(value).all() and np.isfinite(slope).all()):
                break
            away = np.append(value, normal @ (place - guess))
            move = _solved(np.vstack([slope, normal]), away)
            place = place - move
            if np.linalg.norm(move) <= tolerance * (1 + np.linalg.norm(place)):
                return Correction(place, iteration, converged=True)
        return Correction(place, _ITERATIONS, converged=False)

    def sample(self, place: np.ndarray, forward: np.ndarray) -> Sample:
        """What the curve does at a point of it; its tangent makes an acute angle with `forward`."""
        _, slope = self.derivative(place)
        bordered = np.vstack([slope, forward])
        tangent = _solved(bordered, np.append(np.zeros(len(slope)), 1.0))
        tangent = tangent / np.linalg.norm(tangent)
        sign, size = np.linalg.slogdet(np.vstack([slope, tangent]))
        matrix = slope[:, :-1] + (0 if self.is_flow else np.eye(len(slope)))
        values = sorted_eigenvalues(matrix[None], is_flow=self.is_flow)[0]
        return Sample(place, tangent, values, growth(values, is_flow=self.is_flow), float(sign), float(size))


@eqx.filter_jit
def _evaluated(
    step_of: Callable[[Any], StepLike],
    inputs: Array | None,
    unflatten: Unflatten | None,
    state: Array,
    parameter: Array,
) -> tuple[Array, Array]:
    """G, and its derivative in state and parameter."""

    def vanishing(joined: Array) -> tuple[Array, Array]:
        value = system_of(step_of(joined[-1]), unflatten).residual(joined[:-1], inputs)
        return value, value

    slope, value = jax.jacfwd(vanishing, has_aux=True)(jnp.append(state, parameter))
    return value, slope


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution, of least norm where the matrix is singular, as it is at a branch point."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(matrix, right, rcond=None)[0]
