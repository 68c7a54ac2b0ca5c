"""Networks of torch, read without torch."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import as_path, check_kind, check_optional, check_scalar, check_share, require, told, warn
from fisherjax._records import META
from fisherjax._runtime import product
from fisherjax._types import Scalar
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._from_cells import Parts, assembled
from ._gated import GRU, LSTM
from ._network import State
from ._recurrent import RecurrentNetwork
from ._stacked import StackedNetwork
from ._torch_layouts import Layout, layout_of, listed, readout_of
from ._vanilla import RNN, ContinuousRNN
from ._weight_files import read_checkpoint

_KINDS = {"nn.RNN": RNN, "nn.GRU": GRU, "nn.LSTM": LSTM, "pyrnn": RNN}
_SKIPPED = ("optim", "sched")  # of a checkpoint, what is known to hold no network


class CurrentRNN(ContinuousRNN):
    """A `ContinuousRNN` whose state itself is read out, W_out x + b_out, as that of pyrnn's CTRNN; see `from_torch`."""

    def readout(self, state: State) -> Float[Array, "*trials O"]:
        """W_out x + b_out, without observation noise."""
        outputs = product(state, self.output.value.T)
        return outputs if self.output_bias is None else outputs + self.output_bias


def from_torch(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    noise_std: Scalar = 0.0,
    observation_noise_std: Scalar = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    leak: Scalar | None = None,
    readout: str | None = None,
) -> RecurrentNetwork | StackedNetwork:
    r"""A recurrent network of torch, of its file or its state_dict; no torch is needed, and no code of it is run.

    Recognized by names and shapes, whatever stands before them (``module.``, ``rnn.``):

    ===============  ===============================================  =============================================
    in torch         entries                                          becomes
    ===============  ===============================================  =============================================
    nn.RNN           weight_ih_l0 (N, I), weight_hh_l0 (N, N)         `RNN`
    nn.GRU           the same, (3N, ·)                                `GRU`
    nn.LSTM          the same, (4N, ·)                                `LSTM`, state (h, c)
    several layers   …_l0, …_l1, …                                    `StackedNetwork`, state (h₀, [c₀,] h₁, [c₁,] …)
    pyrnn's RNN      w_in.weight, w_rec.weight                        `RNN`
    pyrnn's CTRNN    the same, with `leak`                            `CurrentRNN`
    ===============  ===============================================  =============================================

    with their biases, if any, the cells of torch (weight_ih, weight_hh) as well, and with the one linear layer of N
    inputs beside them, whatever its name, as the read-out. Without one the output is h. Entries that have no place are
    named in a warning.

    Parameters
    ----------
    source
        A file of ``torch.save`` (.pt, .pth), ``.safetensors`` or ``.npz``, or a mapping from names to arrays of NumPy,
        JAX or torch. A checkpoint may hold the state_dict beside other things; those of optimizers are passed over.
    noise_std
        σ. In an `RNN` the noise is inside the nonlinearity, in a `CurrentRNN` white in time (see `ContinuousRNN`), in
        the others it is added to every entry of the state.
    observation_noise_std
        σ_obs of what is read out.
    nonlinearity
        Of an nn.RNN or a pyrnn, which a file does not say: ``"tanh"``, ``"relu"``.
    leak
        α = dt/τ, strictly between 0 and 1: the file is that of a CTRNN, h ← h + α (−h + W_rec φ(h) + b + W_in u), with
        h read out. It does not say so itself; α = 0.05 for pyrnn's usual dt = 5 and τ = 100.
    readout
        Name of the linear layer that is the read-out, where there are several.

    Returns
    -------
    The network, from a resting state of zero, equal to the original to rounding; in the float type of the weights. What
    follows a read-out (a softmax, pyrnn's tanh) is not in a state_dict.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no such network or several, a bidirectional one or one with projections, several read-outs, shapes
        that do not fit, or numbers that are not finite; if a file asks for code.
    TypeError
        If `source` is neither a path nor a mapping.

    Warns
    -----
    RuntimeWarning
        If arrays are left out.
    """
    check_optional(check_kind, "readout", readout, kind=str, what="the name of a linear layer")
    check_scalar("noise_std", noise_std, minimum=0.0)
    arrays, label = _arrays_of(source)
    layout = layout_of(arrays, label)
    settings = _settings(layout, label, nonlinearity, leak)
    output = readout_of(arrays, label, layout, readout)
    used = layout.names | {name for name in output or () if name}
    numbers = _numbers(arrays, used, label)
    rest = {name: value for name, value in arrays.items() if name not in used and len(value.shape) > 0}
    if rest:
        warn(f"{label} was read as {layout}; left out: {listed(rest)}")
    kind = _KINDS[layout.kind] if leak is None else CurrentRNN
    parts = [_parts(layout.kind, layer, numbers) for layer in layout.layers]
    if output is not None:
        weight, bias = output
        parts[-1] = parts[-1]._replace(output=numbers[weight], output_bias=numbers[bias] if bias else None)
    if len(parts) == 1:
        return assembled(kind, parts[0], noise_std=noise_std, observation_noise_std=observation_noise_std, **settings)
    lower = [assembled(kind, part, num_outputs=0, **settings) for part in parts[:-1]]
    return StackedNetwork((*lower, assembled(kind, parts[-1], **settings)), noise_std, observation_noise_std)


def _settings(layout: Layout, label: str, nonlinearity: NonlinearityLike, leak: Scalar | None) -> dict[str, Any]:
    """What the file does not say, if it is of use."""
    if leak is not None:
        require(layout.kind == "pyrnn", f"leak is that of pyrnn's CTRNN, but {label} holds {layout}")
        share = check_share("leak", leak, strict=True)
        return {"nonlinearity": nonlinearity, "activation": "inside", "dt": 1.0, "time_constant": 1 / share}
    if _KINDS[layout.kind] is RNN:
        return {"nonlinearity": nonlinearity}
    known = isinstance(nonlinearity, str) and nonlinearity == "tanh"
    require(known, f"nonlinearity is that of nn.RNN, but {label} holds {layout}, whose own are tanh and logistic")
    return {}


def _parts(kind: str, layer: Mapping[str, str], numbers: Mapping[str, Array]) -> Parts:
    """The parameters of one layer. Torch has two biases; they add, but for that of a GRU's candidate."""
    entries = {entry: numbers[name] for entry, name in layer.items()}
    biases = [entries[entry] for entry in ("bias_ih", "bias_hh") if entry in entries]
    candidate = None
    if kind == "nn.GRU" and len(biases) == 2:
        rest, candidate = jnp.split(biases[1], [2 * len(biases[1]) // 3])
        biases[1] = jnp.concatenate([rest, jnp.zeros_like(candidate)])
    bias = jnp.sum(jnp.stack(biases), axis=0) if biases else None
    return Parts(entries["weight_hh"], entries["weight_ih"], bias, candidate)


def _arrays_of(source: Any) -> tuple[dict[str, Any], str]:
    """Arrays by dotted name, and what messages call them."""
    if isinstance(source, Mapping):
        content, label = source, "source"
    elif isinstance(source, str | os.PathLike):
        content, label = read_checkpoint(as_path("source", source)), str(source)
    else:
        hint = "; give its state_dict()" if hasattr(source, "state_dict") else ""
        raise TypeError(f"source must be a file or a mapping from names to arrays, got {told(source)}{hint}")
    arrays = dict(_flat(content)) if isinstance(content, Mapping) else {}
    require(META not in arrays, f"{label} was written by fisherjax; networks.Network.load reads it")
    require(bool(arrays), f"{label} holds no arrays with names")
    return arrays, label


def _flat(content: Mapping[Any, Any], prefix: str = "") -> Any:
    """Arrays of nested mappings with their dotted names; everything else is passed over."""
    for name, value in content.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, Mapping):
            if not any(word in name.lower() for word in _SKIPPED):
                yield from _flat(value, f"{prefix}{name}.")
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            yield prefix + name, value


def _numbers(arrays: Mapping[str, Any], used: set[str], label: str) -> dict[str, Array]:
    """The arrays that are used, finite and of one float type."""
    plain = {name: _plain(value) for name, value in arrays.items() if name in used}
    dtype = float_type(*plain.values())
    return {name: as_real(f"{label}: {name}", value, dtype=dtype) for name, value in plain.items()}


def _plain(value: Any) -> Any:
    """An array of JAX or NumPy; a tensor of torch may be on a device, have a gradient, or be of bfloat16."""
    if isinstance(value, jax.Array | np.ndarray):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    return np.asarray(value)
