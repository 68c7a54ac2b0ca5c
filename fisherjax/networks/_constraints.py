"""Dale's law and other fixed signs, no autapses, masks, frozen weights, low rank."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int8

from fisherjax._arrays import as_mask, check_finite, host_real
from fisherjax._errors import check_flag, check_integer, check_share, require
from fisherjax._types import ArrayLike, Key, Scalar

from ._pattern import Constraint, Pattern, Role, Shape


class Dale(Constraint):
    """All weights from one unit have one sign; see `dale`."""

    ratio: float | None = eqx.field(static=True)
    signs: Int8[np.ndarray, " units"] | None
    output: bool = eqx.field(static=True, default=False)

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """Signs of the columns of the recurrent and, if asked, the output weights."""
        if role == "input" or (role == "output" and not self.output):
            return Pattern()
        return Pattern(signs=np.broadcast_to(self.unit_signs(shape[1]), shape).copy())

    def unit_signs(self, num_units: int) -> np.ndarray:
        """+1 for excitatory, −1 for inhibitory units, (N,)."""
        if self.signs is None:
            return ratio_signs(num_units, self.ratio or 0.0)
        require(len(self.signs) == num_units, f"signs must have shape ({num_units},), got {self.signs.shape}")
        return self.signs


class NoAutapses(Constraint):
    """No unit drives itself: the diagonal of the recurrent weights is zero."""

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """Everything but the diagonal."""
        return Pattern(~np.eye(*shape, dtype=bool)) if role == "recurrent" else Pattern()


class Mask(Constraint):
    """Given entries are zero; see `mask`."""

    recurrent: Bool[np.ndarray, "N N"] | None = None
    input: Bool[np.ndarray, "N I"] | None = None
    output: Bool[np.ndarray, "O N"] | None = None

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """The mask of that role."""
        own = getattr(self, role)
        if own is not None:
            require(own.shape == shape, f"the mask of the {role} weights must have shape {shape}, got {own.shape}")
        return Pattern(own)


class FixedSigns(Constraint):
    """Signs of given entries; see `fixed_signs`."""

    recurrent: Int8[np.ndarray, "..."] | None = None
    input: Int8[np.ndarray, "..."] | None = None
    output: Int8[np.ndarray, "..."] | None = None

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """The signs of that role."""
        own = getattr(self, role)
        if own is None:
            return Pattern()
        require(
            own.shape in {(), shape[1:], shape},
            f"the signs of the {role} weights must have shape {shape} or, one for every sender, {shape[1:]}, got "
            f"{own.shape}",
        )
        return Pattern(signs=np.broadcast_to(own, shape).copy())


class Frozen(Constraint):
    """Given entries keep their value; see `frozen`."""

    recurrent: Bool[np.ndarray, "N N"] | None = None
    input: Bool[np.ndarray, "N I"] | None = None
    output: Bool[np.ndarray, "O N"] | None = None
    values: Float[np.ndarray, "to from"] | None = None

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """What is frozen in that role, and at what."""
        own = getattr(self, role)
        if own is None:
            return Pattern()
        require(own.shape == shape, f"what is frozen of the {role} weights must have shape {shape}, got {own.shape}")
        values = None if self.values is None else np.where(own, self.values, np.nan)
        return Pattern(frozen=own, values=values)


class LowRank(Constraint):
    """Recurrent weights of a given rank; see `low_rank`."""

    rank: int = eqx.field(static=True)

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """The rank."""
        if role != "recurrent":
            return Pattern()
        require(self.rank <= min(shape), f"rank must be at most the number of units {min(shape)}, got {self.rank}")
        return Pattern(rank=self.rank)


def dale(ratio: Scalar | None = None, *, signs: ArrayLike | None = None, output: bool = False) -> Dale:
    """Dale's law: every unit is excitatory or inhibitory in all that it drives.

    Weights are built as W_ij = s_j |V_ij| from free V, so that no step of training can break a sign.

    Parameters
    ----------
    ratio
        Share of excitatory units in [0, 1]: the first ⌊N·ratio⌋ units are excitatory, the others inhibitory.
    signs
        Or the sign of every unit (N,): +1, −1, or 0 for free.
    output
        Whether the read-out weights obey it too.

    Raises
    ------
    ValueError
        If the ratio is outside [0, 1], a sign is not −1, 0 or 1, or not exactly one of `ratio` and `signs` is given.
    """
    require((ratio is None) != (signs is None), "dale needs either a ratio or the signs of all units")
    output = check_flag("output", output)
    if signs is not None:
        return Dale(None, _as_signs("signs", signs, "units"), output)
    return Dale(check_share("ratio", ratio), None, output)


def no_autapses() -> NoAutapses:
    """No unit drives itself: W_ii = 0."""
    return NoAutapses()


def mask(
    *,
    recurrent: ArrayLike | None = None,
    input: ArrayLike | None = None,  # noqa: A002
    output: ArrayLike | None = None,
) -> Mask:
    """Set entries of the weights to zero for good.

    Parameters
    ----------
    recurrent, input, output
        Arrays (N, N), (N, I), (O, N), rows = to, columns = from; zero or False where there is no connection.

    Raises
    ------
    ValueError
        If nothing is given, an array is not two-dimensional, or it holds anything but 0 and 1. When a network is
        built from it: if the shape does not match, or a unit, an input or an output would have no connection left.
    """
    return Mask(**_by_role("mask", _host_mask, recurrent=recurrent, input=input, output=output))


def fixed_signs(
    *,
    recurrent: ArrayLike | None = None,
    input: ArrayLike | None = None,  # noqa: A002
    output: ArrayLike | None = None,
) -> FixedSigns:
    """Fix the signs of weights, of any of the three matrices, entry by entry or sender by sender.

    Weights are built as W_ij = s_ij |V_ij| from free V, so that no step of training can break a sign.

    Parameters
    ----------
    recurrent, input, output
        Signs +1, −1, or 0 for free: a matrix (N, N), (N, I), (O, N), rows = to, columns = from; a vector of one sign
        for all weights from each sender, (N,), (I,), (N,); or one number for all. In gated networks the same for every
        gate.

    Raises
    ------
    ValueError
        If nothing is given or a sign is not −1, 0 or 1. When a network is built from it: if the shape does not match,
        or another constraint asks for the opposite sign.
    """
    return FixedSigns(**_by_role("fixed_signs", _role_signs, recurrent=recurrent, input=input, output=output))


def frozen(
    *,
    recurrent: ArrayLike | None = None,
    input: ArrayLike | None = None,  # noqa: A002
    output: ArrayLike | None = None,
    values: ArrayLike | None = None,
) -> Frozen:
    """Keep entries of the weights exactly as they are, whatever is trained around them.

    Parameters
    ----------
    recurrent, input, output
        Arrays (N, N), (N, I), (O, N), rows = to, columns = from, True or one where a weight is frozen. In gated
        networks the same for every gate.
    values
        What the frozen weights are, of the shape of the matrix that is frozen, which then must be one; what stands at
        other entries does not matter. By default they are what the initializer drew, for instance
        ``initializers.from_weights(weights)``.

    Raises
    ------
    ValueError
        If nothing is frozen, an array is not two-dimensional or holds anything but 0 and 1, or the shape of the values
        is another. When a network is built from it: if the shape does not match, values break the signs or zeros of
        another constraint, or the weights are of low rank.
    """
    masks = _by_role("frozen", _host_mask, recurrent=recurrent, input=input, output=output)
    if values is None:
        return Frozen(**masks)
    named = [(name, part) for name, part in masks.items() if part is not None]
    require(
        len(named) == 1, f"values are those of one matrix, {' and '.join(dict(named))} are two: call frozen for each"
    )
    ((name, where),) = named
    array = host_real("values", values, "to from", finite=False)
    require(array.shape == where.shape, f"values must have the shape {where.shape} of {name}, got {array.shape}")
    check_finite("values", np.where(where, array, 0))
    return Frozen(**masks, values=array)


def low_rank(rank: int) -> LowRank:
    """Recurrent weights W = M Lᵀ / N with M, L (N, rank); with Dale's law W_ij = s_j Σ_r |M_ir| |L_jr| / N.

    Raises
    ------
    ValueError
        If the rank is below 1.

    References
    ----------
    Mastrogiuseppe & Ostojic (2018), Linking connectivity, dynamics, and computations in low-rank recurrent neural
    networks, Neuron 99, 609–623.
    """
    return LowRank(check_integer("rank", rank, minimum=1))


def ratio_signs(num_units: int, ratio: float) -> np.ndarray:
    """Signs of units of which the first ⌊N·ratio⌋ are excitatory."""
    excitatory = math.floor(num_units * ratio + 1e-9)
    return np.where(np.arange(num_units) < excitatory, 1, -1).astype(np.int8)


def _by_role(name: str, convert: Callable[[str, Any], np.ndarray], **given: Any) -> dict[str, Any]:
    """What is given for the weights of each role, checked."""
    some = any(part is not None for part in given.values())
    require(some, f"{name} needs at least one of recurrent, input and output")
    return {role: None if part is None else convert(role, part) for role, part in given.items()}


def _host_mask(name: str, value: ArrayLike) -> np.ndarray:
    return np.asarray(as_mask(name, value, "to from"))


def _role_signs(role: str, value: ArrayLike) -> np.ndarray:
    return _as_signs(f"the signs of {role}", value, "", "from", "to from")


def _as_signs(name: str, value: ArrayLike, *axes: str) -> np.ndarray:
    signs = host_real(name, value, *axes)
    require(
        bool(np.all(np.isin(signs, (-1, 0, 1)))),
        f"{name} must be {('one', 'a vector', 'a matrix')[signs.ndim]} of −1, 0 and 1, got shape {signs.shape} with "
        f"values {np.unique(signs)[:5]}",
    )
    return signs.astype(np.int8)
