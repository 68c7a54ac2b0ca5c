"""Cells of Equinox and of Flax as networks of ours, and how one is put together of given weights."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import require, told
from fisherjax._types import Scalar
from fisherjax.nonlinearities import as_nonlinearity

from ._from_step import StepNetwork, from_step
from ._gated import GRU, LSTM
from ._recurrent import RecurrentNetwork
from ._vanilla import RNN
from ._weights import FreeWeights, in_precision

N = TypeVar("N", bound=RecurrentNetwork)

_OF_EQUINOX = {eqx.nn.GRUCell: GRU, eqx.nn.LSTMCell: LSTM}
_KINDS = {"SimpleCell": RNN, "GRUCell": GRU, "LSTMCell": LSTM, "OptimizedLSTMCell": LSTM}
_GATES = {RNN: ("",), GRU: ("r", "z", "n"), LSTM: ("i", "f", "g", "o")}  # in our order, by the letters of Flax
_LOGISTIC = (jax.nn.sigmoid, jax.lax.logistic)
_TANH = (jnp.tanh, jax.nn.tanh, jax.lax.tanh)


class Parts(NamedTuple):
    """The parameters of one recurrent network, gates below one another, (to, from)."""

    recurrent: Array
    input: Array
    recurrent_bias: Array | None = None
    candidate_bias: Array | None = None
    output: Array | None = None
    output_bias: Array | None = None


def assembled(
    kind: type[N],
    parts: Parts,
    *,
    noise_std: Scalar = 0.0,
    observation_noise_std: Scalar = 0.0,
    num_outputs: int | None = None,
    **settings: Any,
) -> N:
    """A network of one of our kinds with these parameters, in their float type; they may be traced.

    Those that it has are trainable. Without a read-out its output is h itself, read by an identity that is not trained;
    or nothing, if `num_outputs` is 0.
    """
    units, dtype = parts.recurrent.shape[1], parts.recurrent.dtype
    given = {name: value for name, value in parts._asdict().items() if value is not None}
    network = kind(
        parts.input.shape[1],
        units,
        1,
        key=jax.random.key(0),  # of no weight that stays
        recurrent_initializer=jax.nn.initializers.zeros,
        input_initializer=jax.nn.initializers.zeros,
        output_initializer=jax.nn.initializers.zeros,
        trainable=tuple(name for name in kind.parameter_names if name in given),
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        **settings,
    )
    if "output" not in given:
        given["output"] = jnp.eye(units if num_outputs is None else num_outputs, units, dtype=dtype)
    fields = {name: None for name in ("recurrent_bias", "candidate_bias", "output_bias") if hasattr(network, name)}
    fields |= {name: FreeWeights(value) if value.ndim == 2 else value for name, value in given.items()}
    return eqx.tree_at(
        lambda tree: [getattr(tree, name) for name in fields],
        in_precision(network, dtype),
        list(fields.values()),
        is_leaf=lambda leaf: leaf is None,
    )


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
    kind = next((ours for theirs, ours in _OF_EQUINOX.items() if type(cell) is theirs), None)
    if kind is None:
        raise TypeError(
            f"cell must be an equinox.nn.GRUCell or LSTMCell, got {told(cell)}; networks.from_step takes any step"
        )
    dtype = float_type(cell.weight_hh)
    named = {"recurrent": "weight_hh", "input": "weight_ih", "recurrent_bias": "bias", "candidate_bias": "bias_n"}
    values = {ours: (f"cell.{theirs}", getattr(cell, theirs, None)) for ours, theirs in named.items()}
    parts = Parts(**{ours: as_real(name, v, dtype=dtype) for ours, (name, v) in values.items() if v is not None})
    return assembled(kind, parts, noise_std=noise_std, observation_noise_std=observation_noise_std)


def from_flax(
    cell: Any,
    variables: Mapping[str, Any] | None = None,
    *,
    noise_std: Scalar = 0.0,
    observation_noise_std: Scalar = 0.0,
) -> RNN | GRU | LSTM | StepNetwork:
    r"""A cell of Flax as an `RNN`, `GRU` or `LSTM`, equal to rounding.

    Parameters
    ----------
    cell
        A ``SimpleCell``, ``GRUCell``, ``LSTMCell`` or ``OptimizedLSTMCell``, of ``flax.linen`` or of ``flax.nnx``.
        Of an LSTM the state is (h, c), one after the other, where Flax's carry is (c, h).
    variables
        What ``cell.init`` returned or training made of it, ``{"params": …}`` or the parameters alone; only of a cell of
        ``flax.linen``, as one of ``flax.nnx`` carries its own. The network can be differentiated in them.
    noise_std
        σ of the noise added to the state, of a SimpleCell inside its nonlinearity.
    observation_noise_std
        σ_obs of what is read out.

    Returns
    -------
    The network, in the float type of its parameters, from a resting state of zero. Its output is h. A GRU or LSTM with
    another gate than the logistic function, or another activation than tanh, is a `StepNetwork` that calls the cell;
    it cannot be saved.

    Raises
    ------
    TypeError
        If `cell` is another object, or `variables` are missing or not wanted.
    ValueError
        If a parameter is missing, has another shape, or is not finite; if a noise level is negative.
    """
    kind, interface = _identified(cell)
    if interface == "flax.nnx":
        if variables is not None:
            raise TypeError("variables must be None, because a cell of flax.nnx carries its own")
        from flax import nnx  # noqa: PLC0415

        parameters = nnx.to_pure_dict(nnx.state(cell, nnx.Param))
    elif isinstance(variables, Mapping):
        parameters = variables.get("params", variables)
    else:
        raise TypeError(f"variables must be what cell.init returned, {{'params': …}}, got {told(variables)}")
    parts = _parts(parameters, kind)
    if kind is RNN:
        if cell.residual:  # φ(W_i u + b + W_h h + h)
            parts = parts._replace(recurrent=parts.recurrent + jnp.eye(len(parts.recurrent), dtype=parts.input.dtype))
        settings: dict[str, Any] = {"nonlinearity": as_nonlinearity(cell.activation_fn)}
    elif cell.gate_fn in _LOGISTIC and cell.activation_fn in _TANH:
        settings = {}
    else:
        return _called(cell, interface, variables, parts, noise_std, observation_noise_std)
    return assembled(kind, parts, noise_std=noise_std, observation_noise_std=observation_noise_std, **settings)


def _identified(cell: Any) -> tuple[type[RNN | GRU | LSTM], str]:
    """What a cell becomes, and which of Flax's interfaces it is of."""
    name, interface = type(cell).__name__, ".".join(type(cell).__module__.split(".")[:2])
    if name not in _KINDS or interface not in {"flax.linen", "flax.nnx"}:
        hint = "" if importlib.util.find_spec("flax") else " (pip install flax)"
        raise TypeError(
            f"cell must be one of {', '.join(_KINDS)} of flax.linen or flax.nnx{hint}, got {told(cell)}; "
            "networks.from_step takes any step"
        )
    return _KINDS[name], interface


def _parts(parameters: Mapping[str, Any], kind: type[RNN | GRU | LSTM]) -> Parts:
    """The parameters of a cell, gates below one another: Flax has one layer for each, or one for all of them."""
    # "if" cannot be an attribute, and is "if_" in flax.nnx
    layers = {str(name).rstrip("_"): layer for name, layer in parameters.items() if isinstance(layer, Mapping)}
    inner, recurrent = (
        [f"dense_{side}"] if f"dense_{side}" in layers else [side + gate for gate in _GATES[kind]] for side in "ih"
    )
    lacking = [name for name in (*inner, *recurrent) if "kernel" not in layers.get(name, {})]
    held = ", ".join(layers) or "nothing"
    require(not lacking, f"variables of this cell must have a kernel of {', '.join(lacking)}, but hold {held}")
    dtype = float_type(*jax.tree.leaves(parameters))

    def joined(names: Sequence[str], entry: str, axes: str) -> list[Array]:
        """An entry of all gates end to end, (to, from) or (to,), where there is one."""
        entries = {name: layers[name][entry] for name in names if layers[name].get(entry) is not None}
        parts = [as_real(f"variables: {entry} of {name}", value, axes, dtype=dtype) for name, value in entries.items()]
        return [jnp.concatenate(parts, axis=-1).T] if parts else []

    (weights,) = joined(recurrent, "kernel", "from to")
    rows, units = weights.shape
    require(rows == len(_GATES[kind]) * units, f"variables: the recurrent kernels must be square, got {weights.shape}")
    (inputs,) = joined(inner, "kernel", f"from {rows // len(inner)}")
    biases = joined(inner, "bias", f"{rows // len(inner)}") + joined(recurrent, "bias", f"{rows // len(recurrent)}")
    # the recurrent bias of a GRU is that of its candidate; of the others there is but one bias
    return Parts(weights, inputs, *biases)


def _called(
    cell: Any, interface: str, variables: Any, parts: Parts, noise_std: Scalar, observation_noise_std: Scalar
) -> StepNetwork:
    """The cell itself as a step, for what our equations do not say."""
    units, num_inputs = parts.recurrent.shape[1], parts.input.shape[1]
    is_long = len(parts.recurrent) == 4 * units
    if interface == "flax.linen":
        step = jax.tree_util.Partial(_moved_by_linen, cell, {"params": variables.get("params", variables)})
    else:
        from flax import nnx  # noqa: PLC0415

        step = jax.tree_util.Partial(_moved_by_nnx, *nnx.split(cell))
    return from_step(
        step,
        2 * units if is_long else units,
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        readout=jax.tree_util.Partial(_first, units),
        input_shape=num_inputs,
    )


def _moved_by_linen(cell: Any, variables: Any, state: Array, shown: Array) -> Array:
    return _state(cell.apply(variables, _carry(cell, state), shown)[0])


def _moved_by_nnx(structure: Any, carried: Any, state: Array, shown: Array) -> Array:
    from flax import nnx  # noqa: PLC0415

    cell = nnx.merge(structure, carried)
    return _state(cell(_carry(cell, state), shown)[0])


def _carry(cell: Any, state: Array) -> Any:
    """What Flax carries: h, or (c, h) of an LSTM, whose state here is (h, c)."""
    return state if _KINDS[type(cell).__name__] is GRU else tuple(jnp.split(state, 2))[::-1]


def _state(carry: Any) -> Array:
    return jnp.concatenate(carry[::-1]) if isinstance(carry, tuple) else carry


def _first(count: int, state: Array) -> Array:
    return state[:count]
