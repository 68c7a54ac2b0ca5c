"""Cells of Equinox as networks of ours."""

import equinox as eqx

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import told
from fisherjax._types import Scalar

from ._assembled import Parts, assembled
from ._gated import GRU, LSTM

_KINDS = {eqx.nn.GRUCell: GRU, eqx.nn.LSTMCell: LSTM}


def from_equinox(
    cell: eqx.nn.GRUCell | eqx.nn.LSTMCell, *, noise_std: Scalar = 0.0, observation_noise_std: Scalar = 0.0
) -> GRU | LSTM:
    """A cell of Equinox as a `GRU` or an `LSTM`, equal to rounding.

    Parameters
    ----------
    cell
        An ``equinox.nn.GRUCell`` or ``LSTMCell``, in whose weights the network can be differentiated. Of an LSTM the
        state is (h, c), one after the other.
    noise_std, observation_noise_std
        σ of the noise added to the state, and of what is read out.

    Returns
    -------
    The network, from a resting state of zero. Its output is h.

    Raises
    ------
    TypeError
        If it is another module; `from_step` takes any.
    ValueError
        If a noise level is negative, or a weight is not finite.
    """
    kind = next((ours for theirs, ours in _KINDS.items() if type(cell) is theirs), None)
    if kind is None:
        raise TypeError(
            f"cell must be an equinox.nn.GRUCell or LSTMCell, got {told(cell)}; networks.from_step takes any step"
        )
    dtype = float_type(cell.weight_hh)
    named = {"recurrent": "weight_hh", "input": "weight_ih", "recurrent_bias": "bias", "candidate_bias": "bias_n"}
    values = {ours: (f"cell.{theirs}", getattr(cell, theirs, None)) for ours, theirs in named.items()}
    parts = Parts(**{ours: as_real(name, v, dtype=dtype) for ours, (name, v) in values.items() if v is not None})
    return assembled(kind, parts, noise_std=noise_std, observation_noise_std=observation_noise_std)
