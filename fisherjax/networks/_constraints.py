"""Dale's law, no autapses, masks, low rank."""

import math

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Int8

from fisherjax._arrays import as_mask, host_real
from fisherjax._errors import check_flag, check_integer, check_share, require
from fisherjax._types import Key, Scalar

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


class LowRank(Constraint):
    """Recurrent weights of a given rank; see `low_rank`."""

    rank: int = eqx.field(static=True)

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:  # noqa: ARG002
        """The rank."""
        if role != "recurrent":
            return Pattern()
        require(self.rank <= min(shape), f"rank must be at most the number of units {min(shape)}, got {self.rank}")
        return Pattern(rank=self.rank)


def dale(ratio: Scalar | None = None, *, signs: object = None, output: bool = False) -> Dale:
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
        vector = host_real("signs", signs, "units")
        require(
            bool(np.all(np.isin(vector, (-1, 0, 1)))),
            f"signs must be a vector of −1, 0 and 1, got shape {vector.shape} with values {np.unique(vector)[:5]}",
        )
        return Dale(None, vector.astype(np.int8), output)
    return Dale(check_share("ratio", ratio), None, output)


def no_autapses() -> NoAutapses:
    """No unit drives itself: W_ii = 0."""
    return NoAutapses()


def mask(*, recurrent: object = None, input: object = None, output: object = None) -> Mask:  # noqa: A002
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
    given = {"recurrent": recurrent, "input": input, "output": output}
    require(any(part is not None for part in given.values()), "mask needs at least one of recurrent, input and output")
    return Mask(
        **{name: None if part is None else np.asarray(as_mask(name, part, "to from")) for name, part in given.items()}
    )


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
