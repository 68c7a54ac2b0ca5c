"""What to maximize: functions of a gain matrix, larger is better, differentiable and cheap to batch."""

import abc
import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_integer, check_kind, check_scalar, require
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.fisher._meanfield_linear import check_linear
from fisherjax.fisher._structured import (
    FORMS_AT_LARGE_N,
    Structured,
    StructuredHow,
    as_structure_question,
    structure_information,
)
from fisherjax.fisher._temporal import Stream
from fisherjax.meanfield._drive import Entering
from fisherjax.networks._protocol import Protocol, is_named
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import coarse_nonlinearity

_SMALL_SIGNAL = "small-signal"  # of a search in the linear form


def _stimulus(value: Scalar) -> Array:
    check_scalar("stimulus", value)
    return jnp.asarray(value, float)  # pyright: ignore[reportArgumentType]


def _noise_std(value: Scalar) -> Array:
    check_scalar("noise_std", value, minimum=0.0, strict=True)
    return jnp.asarray(value, float)  # pyright: ignore[reportArgumentType]


def _input_std(value: Scalar) -> Array:
    check_scalar("input_std", value, minimum=0.0, strict=True)
    return jnp.asarray(value, float)  # pyright: ignore[reportArgumentType]


def _of_populations(name: str, *shapes_and_value: Any) -> Array | None:
    *shapes, value = shapes_and_value
    return None if value is None else as_real(name, value, *shapes, "populations", dtype=jnp.result_type(float))


def _streams(value: ArrayLike | None) -> Array | None:
    if value is None:
        return None
    shown = as_real("inputs", value, "T", "S T", dtype=jnp.result_type(float))
    return shown if shown.ndim == 2 else shown[None]


def _protocol(value: Protocol) -> Protocol:
    is_named(value)
    return value


def _populations(value: Iterable[int] | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    check_kind("readout", value, Iterable, "indices of populations such as (0, 2)", but=(str, bytes))
    chosen = tuple(check_integer("readout", index, minimum=0) for index in value)
    require(bool(chosen), "readout must name at least one population")
    require(len(set(chosen)) == len(chosen), f"readout must name each population once, got {chosen}")
    return chosen


class MemoryObjective(eqx.Module):
    """An objective computed from large-N Fisher information.

    Parameters
    ----------
    step
        T, the time at which (or up to which) information counts.
    form
        ``"independent"`` counts units as independent, ``"linear"`` counts their noise correlations: what a read-out can
        get. The two want different structures.
    noise_std
        σ > 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    input_pattern
        w (P,); population 0 by default.
    bias, bias_std, input_pattern_std
        What enters besides, as in `meanfield.propagate`; none by default.
    readout
        Indices of the populations that are read out; all by default.
    """

    # converters, not an __init__ of its own: type checkers do not see that subclasses inherit one
    step: int = eqx.field(default=10, static=True, converter=functools.partial(check_integer, "step", minimum=1))
    form: str = eqx.field(default="independent", kw_only=True, static=True)
    noise_std: Float[Array, ""] = eqx.field(default=0.1, kw_only=True, converter=_noise_std)
    nonlinearity: Nonlinearity = eqx.field(default="tanh", kw_only=True, static=True, converter=as_nonlinearity)
    input_pattern: Float[Array, " P"] | None = eqx.field(
        default=None, kw_only=True, converter=functools.partial(_of_populations, "input_pattern")
    )
    bias: Float[Array, " P"] | Float[Array, ""] | None = eqx.field(
        default=None, kw_only=True, converter=functools.partial(_of_populations, "bias", "")
    )
    bias_std: Float[Array, " P"] | Float[Array, ""] | None = eqx.field(
        default=None, kw_only=True, converter=functools.partial(_of_populations, "bias_std", "")
    )
    input_pattern_std: Float[Array, " P"] | None = eqx.field(
        default=None, kw_only=True, converter=functools.partial(_of_populations, "input_pattern_std")
    )
    readout: tuple[int, ...] | None = eqx.field(default=None, kw_only=True, static=True, converter=_populations)

    def __check_init__(self) -> None:
        if self.form != _SMALL_SIGNAL:
            check_choice("form", self.form, FORMS_AT_LARGE_N)
        if self.form != "independent":
            check_linear(self.nonlinearity)

    @abc.abstractmethod
    def question(self, gain_matrix: GainMatrix, *, at: Sequence[int] | None = None) -> tuple[Structured, StructuredHow]:
        """What it asks of a structure, as `meanfield_curve` does."""

    def coarse(self) -> "MemoryObjective":
        """A cheaper objective that ranks structures much as this one does, for the inner loop of a search.

        Moments by a coarser rule; in place of the linear form, where nothing has a mean, that of a signal which is
        small throughout.
        """
        form = self.form if self.form == "independent" else _SMALL_SIGNAL
        return dataclasses.replace(self, form=form, nonlinearity=coarse_nonlinearity(self.nonlinearity))

    @abc.abstractmethod
    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        """The value to maximize."""

    def _asked(
        self, gain_matrix: GainMatrix, stimulus: Stimulus, protocol: Protocol, at: Sequence[int] | None
    ) -> tuple[Structured, StructuredHow]:
        observed = None
        if self.readout is not None:
            count = gain_matrix.num_populations
            require(
                max(self.readout) < count, f"readout names population {max(self.readout)}, but there are only {count}"
            )
            observed = np.isin(np.arange(count), self.readout).astype(float)
        arrays, how = as_structure_question(
            gain_matrix,
            stimulus,
            self.noise_std,
            self.step,
            "linear" if self.form == _SMALL_SIGNAL else self.form,
            self.nonlinearity,
            Entering(protocol, self.input_pattern, self.bias, self.bias_std, self.input_pattern_std),
            0.0,
            observed,
            at,
        )
        return arrays, how._replace(form=self.form)


class StimulusObjective(MemoryObjective):
    """An objective of the information about one stimulus.

    Parameters are those of `MemoryObjective`, with

    Parameters
    ----------
    stimulus
        θ.
    protocol
        ``"pulse"``, ``"sustained"``, or a function of θ to inputs, as in `meanfield.propagate`.
    """

    stimulus: Float[Array, ""] = eqx.field(default=0.1, kw_only=True, converter=_stimulus)
    protocol: Protocol = eqx.field(default="pulse", kw_only=True, static=True, converter=_protocol)

    def information(self, gain_matrix: GainMatrix, *, at: Sequence[int] | None = None) -> Float[Array, " t"]:
        """The predicted information per unit in what is read out, at some of the times 1…T."""
        return structure_information(*self.question(gain_matrix, at=at), alone=False)[1][:, 0, 0]

    def question(self, gain_matrix: GainMatrix, *, at: Sequence[int] | None = None) -> tuple[Structured, StructuredHow]:
        """What it asks of a structure, as `meanfield_curve` does."""
        return self._asked(gain_matrix, self.stimulus, self.protocol, at)


class LogFisher(StimulusObjective):
    """ln F(T), the log of the information per unit left after T steps."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return jnp.log(self.information(gain_matrix, at=(self.step,))[0])


class IntegratedMemory(StimulusObjective):
    """ln Σ_{t ≤ T} F(t), the log of the information summed over time."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        return jnp.log(jnp.sum(self.information(gain_matrix)))


class Retention(StimulusObjective):
    """ln F(T)/F(1), the log of the share of the first step's information that is left after T steps."""

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        # in the first step nothing is correlated: the forms agree
        whole = dataclasses.replace(self, form="independent", readout=None)
        return jnp.log(self.information(gain_matrix, at=(self.step,))[0] / whole.information(gain_matrix, at=(1,))[0])


class StreamCapacity(MemoryObjective):
    """½ ln det(1 + s² F), F that of `temporal_matrix`: what the state tells about the last T inputs, in nats.

    Parameters are those of `MemoryObjective`, of which `step` is T, the number of inputs, with

    Parameters
    ----------
    input_std
        s, standard deviation of the inputs, which are independent.
    inputs
        Inputs (T,), or several streams (S, T) over which the capacity is averaged, about which F is taken. By default
        none, which is exact for inputs that drive no unit into saturation. F is a local quantity: of streams drawn with
        this standard deviation it says what a small change of every input does.
    """

    input_std: Float[Array, ""] = eqx.field(default=0.1, kw_only=True, converter=_input_std)
    inputs: Float[Array, "S T"] | None = eqx.field(default=None, kw_only=True, converter=_streams)

    def __check_init__(self) -> None:
        given = self.inputs
        require(
            given is None or given.shape[1] == self.step,
            f"inputs must hold {self.step} numbers each, as many as there are steps, got "
            f"{0 if given is None else given.shape[1]}",
        )

    def question(self, gain_matrix: GainMatrix, *, at: Sequence[int] | None = None) -> tuple[Structured, StructuredHow]:
        """What it asks of a structure, as `temporal_matrix` does; of the first stream."""
        # numbers that are known to vanish leave a state at rest
        shown = np.zeros(self.step) if self.inputs is None else self.inputs[0]
        return self._asked(gain_matrix, shown, Stream(self.step), (self.step,) if at is None else at)

    def __call__(self, gain_matrix: GainMatrix) -> Float[Array, ""]:
        if self.inputs is None:
            return self._capacity(gain_matrix, np.zeros(self.step))
        return jnp.mean(jax.vmap(lambda shown: self._capacity(gain_matrix, shown))(self.inputs))

    def _capacity(self, gain_matrix: GainMatrix, shown: Array | np.ndarray) -> Float[Array, ""]:
        asked = self._asked(gain_matrix, shown, Stream(self.step), (self.step,))
        information = structure_information(*asked, alone=False)[1][0]
        signal = self.input_std.astype(information.dtype) ** 2 * information
        return jnp.linalg.slogdet(jnp.eye(self.step, dtype=signal.dtype) + signal)[1] / 2
