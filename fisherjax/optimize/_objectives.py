"""What to maximise: functions of a gain matrix, larger is better, differentiable and cheap to batch."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.fisher import FisherCurve, meanfield_curve
from fisherjax.numerics import Nonlinearity, as_nonlinearity, coarse_nonlinearity


class MemoryObjective(eqx.Module):
    """An objective computed from the exact large-N Fisher curve of a stimulus pulse.

    Parameters
    ----------
    step
        T, the time at which (or up to which) information counts.
    stimulus, noise_std
        θ, and σ > 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w (P,); population 0 by default.
    readout
        Indices of the populations that are read out; all by default.
    """

    stimulus: Float[Array, ""]
    noise_std: Float[Array, ""]
    input_pattern: Float[Array, " P"] | None
    step: int = eqx.field(static=True)
    nonlinearity: Nonlinearity = eqx.field(static=True)
    readout: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        step: int = 10,
        *,
        stimulus: Scalar = 0.1,
        noise_std: Scalar = 0.1,
        nonlinearity: object = "tanh",
        input_pattern: object = None,
        readout: tuple[int, ...] | None = None,
    ):
        """Validate and convert."""
        self.step = check_integer("step", step, minimum=1)
        check_scalar("stimulus", stimulus)
        check_scalar("noise_std", noise_std, minimum=0.0, strict=True)
        self.stimulus, self.noise_std = (jnp.asarray(x, float) for x in (stimulus, noise_std))  # pyright: ignore[reportArgumentType]
        self.nonlinearity = as_nonlinearity(nonlinearity)
        self.input_pattern = None if input_pattern is None else jnp.asarray(input_pattern, float)  # pyright: ignore[reportArgumentType]
        self.readout = None if readout is None else tuple(int(index) for index in readout)

    def curve(self, gain_matrix: GainMatrix) -> FisherCurve:
        """The predicted Fisher information per unit at times 1…T."""
        return meanfield_curve(
            gain_matrix,
            stimulus=self.stimulus,
            noise_std=self.noise_std,
            num_steps=self.step,
            nonlinearity=self.nonlinearity,
            input_pattern=self.input_pattern,
        )

    def read_out(self, curve: FisherCurve) -> Float[Array, " T"]:
        """Information in the populations that are read out."""
        if self.readout is None:
            return curve.total
        require(
            max(self.readout) < curve.by_population.shape[1],
            f"readout names population {max(self.readout)}, but there are only {curve.by_population.shape[1]}",
        )
        return jnp.sum(curve.by_population[:, jnp.asarray(self.readout)], axis=1)

    def coarse(self) -> "MemoryObjective":
        """The same objective by a coarser rule for the moments, for the inner loop of a search."""
        phi = coarse_nonlinearity(self.nonlinearity)
        if phi is self.nonlinearity:
            return self
        return type(self)(
            self.step,
            stimulus=self.stimulus,
            noise_std=self.noise_std,
            nonlinearity=phi,
            input_pattern=self.input_pattern,
            readout=self.readout,
        )

    @abc.abstractmethod
    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        """The value to maximise."""


class LogFisher(MemoryObjective):
    """ln F(T), the log of the information per unit left after T steps."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return jnp.log(self.read_out(self.curve(gain_matrix))[-1])


class IntegratedMemory(MemoryObjective):
    """ln Σ_{t ≤ T} F(t), the log of the information summed over time."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return jnp.log(jnp.sum(self.read_out(self.curve(gain_matrix))))


class Retention(MemoryObjective):
    """ln F(T)/F(1), the log of the share of the first step's information that is left after T steps."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        curve = self.curve(gain_matrix)
        return jnp.log(self.read_out(curve)[-1] / curve.total[0])
