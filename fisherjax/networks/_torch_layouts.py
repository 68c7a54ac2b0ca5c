"""What the names and shapes of a state_dict say: which recurrent layers it holds, and what reads them out."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fisherjax._errors import require, suggest, told

_LAYER = re.compile(r"(?P<prefix>.*?)(?P<entry>(weight|bias)_(ih|hh|hr))(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?")
_GATES = {1: "nn.RNN", 3: "nn.GRU", 4: "nn.LSTM"}
_ENTRANCES = ("embed", "encod", "input")  # words in the names of layers that stand before a network
_MOST_NAMED = 8

Shaped = Mapping[str, Any]
"""Arrays by name."""


class Layout(NamedTuple):
    """The recurrent part of a state_dict: under which name each entry of each layer, the lowest first, is found."""

    kind: str  # nn.RNN, nn.GRU, nn.LSTM, pyrnn
    prefix: str
    layers: tuple[dict[str, str], ...]
    num_units: int

    @property
    def names(self) -> set[str]:
        """All that belongs to it."""
        return {name for layer in self.layers for name in layer.values()}

    def __str__(self) -> str:
        count = len(self.layers)
        kind = "a network of pyrnn" if self.kind == "pyrnn" else f"an {self.kind}"
        layers = "" if count == 1 else f" of {count} layers"
        return f"{kind}{layers} of {self.num_units} units" + (f", {self.prefix.rstrip('.')!r}" if self.prefix else "")


def layout_of(arrays: Shaped, label: str) -> Layout:
    """The one recurrent part among arrays with the names of a state_dict.

    Raises
    ------
    ValueError
        If there is none, or several, it is of a kind that has no counterpart here, or its shapes do not fit.
    """
    groups: dict[str, dict[int, dict[str, str]]] = {}
    for name in arrays:
        match = _LAYER.fullmatch(name)
        if match is None:
            continue
        require(
            match["reverse"] is None,
            f"{label} holds a bidirectional network ({name}), whose state at one time depends on inputs to come; "
            "there is no step that it could be",
        )
        require(
            match["entry"] != "weight_hr", f"{label} holds an nn.LSTM with projections ({name}), which is not supported"
        )
        groups.setdefault(match["prefix"], {}).setdefault(int(match["layer"] or 0), {})[match["entry"]] = name
    layouts = [
        _stock(arrays, label, prefix, layers)
        for prefix, layers in groups.items()
        if {"weight_ih", "weight_hh"} <= layers.get(0, {}).keys()
    ]
    layouts += [
        _pyrnn(arrays, label, name.removesuffix("w_rec.weight"))
        for name in arrays
        if re.fullmatch(r"(.*\.)?w_rec\.weight", name)
    ]
    require(bool(layouts), f"{label} holds no recurrent network of torch or pyrnn; it holds {listed(arrays)}")
    several = " and ".join(map(str, layouts))
    require(
        len(layouts) == 1,
        f"{label} holds several recurrent networks: {several}; give the entries of one of them, "
        "{name: value for name, value in … if name.startswith(…)}",
    )
    return layouts[0]


def readout_of(arrays: Shaped, label: str, layout: Layout, readout: str | None) -> tuple[str, str | None] | None:
    """Names of weight and bias of the linear read-out, if there is one.

    Raises
    ------
    ValueError
        If there are several and none was chosen, or the chosen one is not there.
    """
    layers = {
        name.removesuffix("weight").removesuffix("."): name
        for name, value in arrays.items()
        if name not in layout.names
        and re.fullmatch(r"(.*\.)?weight", name)
        and len(value.shape) == 2
        and value.shape[1] == layout.num_units
        and (readout is not None or not _is_entrance(name))
    }
    if readout is not None:
        chosen = [module for module in layers if module == readout or module.endswith(f".{readout}")]
        known = ", ".join(map(repr, layers)) or "none"
        require(
            len(chosen) == 1,
            f"readout must be one of the linear layers of {layout.num_units} inputs in {label} ({known}), got "
            f"{told(readout)}{suggest(readout, layers)}",
        )
        layers = {chosen[0]: layers[chosen[0]]}
    named = ", ".join(map(repr, layers))
    require(
        len(layers) <= 1,
        f"{label} has several linear layers that could read out {layout}: {named}; choose with readout=",
    )
    if not layers:
        return None
    weight = next(iter(layers.values()))
    bias = f"{weight.removesuffix('weight')}bias"
    rows = arrays[weight].shape[0]
    has_bias = bias in arrays
    require(not has_bias or arrays[bias].shape == (rows,), f"{label}: {bias} must have shape ({rows},)")
    return weight, bias if has_bias else None


def _is_entrance(name: str) -> bool:
    """Whether the name of a weight is that of a layer before a network."""
    module = name.removesuffix(".weight").rpartition(".")[2].lower()
    return any(word in module for word in _ENTRANCES)


def listed(arrays: Shaped) -> str:
    """Names and shapes of the first few arrays."""
    shown = [f"{name} {tuple(value.shape)}" for name, value in list(arrays.items())[:_MOST_NAMED]]
    more = len(arrays) - len(shown)
    return (", ".join(shown) or "no arrays") + (f" and {more} more" if more > 0 else "")


def _stock(arrays: Shaped, label: str, prefix: str, layers: dict[int, dict[str, str]]) -> Layout:
    """Torch's own modules, and their cells, whose names have no number."""
    whole = {"weight_ih", "weight_hh"}
    missing = [index for index in range(max(layers)) if not whole <= layers.get(index, {}).keys()]
    require(not missing, f"{label} has layer {max(layers)} of {prefix}, but lacks weights of layers {missing}")
    rows, units = _axes(arrays, label, layers[0]["weight_hh"])
    gates = rows // units if units and rows % units == 0 else 0
    kind = _GATES.get(gates)
    if kind is None:
        raise ValueError(
            f"{label}: {layers[0]['weight_hh']} has shape {(rows, units)}, which is none of nn.RNN (N, N), nn.GRU "
            "(3N, N) and nn.LSTM (4N, N)"
        )
    biases = {"bias_ih", "bias_hh"} if {"bias_ih", "bias_hh"} & layers[0].keys() else set()
    for index in range(len(layers)):
        sources = None if index == 0 else units
        wanted = {"weight_ih": (rows, sources), "weight_hh": (rows, units), **dict.fromkeys(biases, (rows,))}
        _check_layer(arrays, label, layers[index], wanted)
    return Layout(kind, prefix, tuple(layers[index] for index in range(len(layers))), units)


def _pyrnn(arrays: Shaped, label: str, prefix: str) -> Layout:
    """Linear layers w_in and w_rec; w_out is found as any read-out."""
    entries = {"weight_hh": "w_rec.weight", "bias_hh": "w_rec.bias", "weight_ih": "w_in.weight", "bias_ih": "w_in.bias"}
    layer = {entry: prefix + name for entry, name in entries.items() if prefix + name in arrays}
    require("weight_ih" in layer, f"{label} has {prefix}w_rec.weight, but lacks {prefix}w_in.weight")
    units = _axes(arrays, label, layer["weight_hh"])[1]
    biases = {"bias_ih", "bias_hh"} & layer.keys()
    wanted = {"weight_ih": (units, None), "weight_hh": (units, units), **dict.fromkeys(biases, (units,))}
    _check_layer(arrays, label, layer, wanted)
    return Layout("pyrnn", prefix, (layer,), units)


def _check_layer(
    arrays: Shaped, label: str, layer: Mapping[str, str], wanted: Mapping[str, tuple[int | None, ...]]
) -> None:
    """Refuse a layer with other entries or shapes than these; None is any length."""
    names = ", ".join(sorted(layer.values()))
    require(layer.keys() == wanted.keys(), f"{label}: a layer must have {', '.join(wanted)}, but has {names}")
    for entry, lengths in wanted.items():
        shape = tuple(arrays[layer[entry]].shape)
        fits = len(shape) == len(lengths) and all(b in {None, a} for a, b in zip(shape, lengths, strict=True))
        shown = ", ".join("I" if length is None else str(length) for length in lengths)
        require(fits, f"{label}: {layer[entry]} has shape {shape}, expected ({shown})")


def _axes(arrays: Shaped, label: str, name: str) -> tuple[int, int]:
    shape = tuple(arrays[name].shape)
    require(len(shape) == 2, f"{label}: {name} must have two axes, got shape {shape}")
    return shape  # pyright: ignore[reportReturnType]
