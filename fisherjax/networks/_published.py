"""Weights of a `ConvolutionalRNN` in files, under the names of the published checkpoints."""

import io
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._errors import require
from fisherjax._types import write_atomically

from ._architecture import Architecture
from ._convolutional import ConvolutionalRNN
from ._torch_archive import read_torch, write_torch

_SCALE, _DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
_MOST_NAMED = 4


def load_cordsnet(path: str | os.PathLike[str], architecture: Architecture | None = None) -> ConvolutionalRNN:
    """Read a convolutional recurrent network from a checkpoint with the published names; no torch is needed.

    Parameters
    ----------
    path
        A zip checkpoint of torch (.pt, .pth), ``.safetensors``, or ``.npz``; which of them it is the content tells.
        Names may begin with ``module.``.
    architecture
        What it must fit. By default what the shapes of the weights imply, with α = 0.2 and 100 + 100 steps; a stem of
        7 × 7 is that of CordsNet, of stride 2 and pooled, any other is not strided.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated or something else, a key is missing or unknown, or a shape does not fit (which one).
    """
    found = {name.removeprefix("module."): value for name, value in read_weights(path).items()}
    plan = _implied(found, path) if architecture is None else architecture
    blank = _blank(plan)
    names, leaves = _named(blank)
    missing = [name for name in names if name not in found]
    require(not missing, f"{path} lacks {_listed(missing)}")
    unknown = [name for name in found if name not in names]
    require(not unknown, f"{path} has {_listed(unknown)}, which a network of depth {plan.depth} does not have")
    values = {}
    for name, leaf in zip(names, leaves, strict=True):
        value = found[name]
        shape = _published_shape(name, leaf.shape)
        require(value.shape == shape, f"{path}: {name} has shape {value.shape}, this network needs {shape}")
        require(bool(np.isfinite(value).all()), f"{path}: {name} holds numbers that are not finite")
        values[id(leaf)] = jnp.asarray(value.reshape(leaf.shape), leaf.dtype)
    return jax.tree.map(lambda leaf: values.get(id(leaf), leaf), blank)


def save_cordsnet(network: ConvolutionalRNN, path: str | os.PathLike[str]) -> Path:
    """Write the weights of a network under the published names; `load_cordsnet` and torch read them.

    Parameters
    ----------
    network
        Its α, numbers of steps, noise and leak have no place in these files; `network.save` keeps all.
    path
        Ending in ``.pt`` or ``.pth``, ``.safetensors``, or ``.npz``.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    names, leaves = _named(network)
    tensors = {
        name: np.asarray(leaf).reshape(_published_shape(name, leaf.shape))
        for name, leaf in zip(names, leaves, strict=True)
    }
    target = Path(path)
    write = _WRITERS.get(target.suffix)
    if write is None:
        raise ValueError(f"path must end in {', '.join(_WRITERS)}, got {target.name}")
    write(target, tensors)
    return target


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name: torch's zip format, safetensors, or .npz.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of them, truncated, or a pickle that asks for anything but tensors.
    """
    source = Path(path)
    with source.open("rb") as stream:
        start = stream.read(2)
    if source.suffix == ".safetensors":
        return _read_safetensors(source)
    if start == b"PK":
        return _read_npz(source) if source.suffix == ".npz" else read_torch(source)
    if start[:1] == b"\x80":
        raise ValueError(f"{path} is a bare pickle, from torch before 1.6; save it anew with a later torch")
    raise ValueError(f"{path} is neither a zip checkpoint of torch (or is truncated), nor .safetensors, nor .npz")


def _named(network: ConvolutionalRNN) -> tuple[list[str], list[Any]]:
    """Published names of all parameters, and the parameters."""
    modules: list[tuple[str, Any]] = [("inp_conv", network.stem), ("inp_skip", network.input_skip)]
    modules += [(f"area_conv.{j}", one) for j, one in enumerate(network.recurrent)]
    modules += [(f"area_area.{j}", one) for j, one in enumerate(network.feedforward)]
    modules += [(f"skip_area.{j}", one) for j, one in enumerate(one for one in network.skips if one is not None)]
    modules += [(f"feedback_area.{j}", one) for j, one in enumerate(network.feedback)]
    modules += [("out_fc", network.readout)]
    named = [pair for name, one in modules for pair in ((name + _SCALE, one.scale), (name + _DIRECTION, one.direction))]
    named += [(f"conv_bias.{j}", bias) for j, bias in enumerate(network.biases)]
    named += [("out_fc.bias", network.readout.bias)]
    return [name for name, _ in named], [leaf for _, leaf in named]


def _published_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Scales have as many axes as what they scale."""
    if not name.endswith(_SCALE):
        return shape
    return (*shape, 1) if name.startswith("out_fc") else (*shape, 1, 1, 1)


def _blank(plan: Architecture) -> ConvolutionalRNN:
    """A network of this architecture, all zeros, without drawing anything."""
    shapes = eqx.filter_eval_shape(lambda: ConvolutionalRNN(plan, key=jax.random.key(0)))
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _implied(found: Mapping[str, np.ndarray], path: object) -> Architecture:
    """Architecture that the shapes of weights and biases imply."""
    depth = sum(name.startswith("area_conv.") and name.endswith(_DIRECTION) for name in found)
    needed = ["inp_conv" + _DIRECTION, "out_fc" + _DIRECTION, *(f"conv_bias.{j}" for j in range(max(depth, 2)))]
    missing = [name for name in needed if name not in found]
    require(not missing, f"{path} lacks {_listed(missing)}; it is no checkpoint of a convolutional recurrent network")
    stem, biases = found["inp_conv" + _DIRECTION], [found[f"conv_bias.{j}"] for j in range(depth)]
    require(stem.ndim == 4 and all(bias.ndim == 3 for bias in biases), f"{path}: weights of the wrong rank")
    heights = [bias.shape[1] for bias in biases]
    large = stem.shape[2] > 3
    factor = 4 if large else 1
    strides = [1, *(before // max(after, 1) for before, after in itertools.pairwise(heights))]
    return Architecture(
        (biases[0].shape[1] * factor, biases[0].shape[2] * factor, stem.shape[1]),
        found["out_fc" + _DIRECTION].shape[0],
        [bias.shape[0] for bias in biases],
        strides=strides,
        stem_channels=stem.shape[0],
        stem_kernel=stem.shape[2],
        stem_stride=2 if large else 1,
        stem_pooling=large,
        feedback=any(name.startswith("feedback_area.") for name in found),
    )


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def _write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save  # noqa: PLC0415

    write_atomically(path, save(dict(tensors)))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:
        # a damaged archive fails in as many ways as it can be damaged
        raise ValueError(f"{path} cannot be read as .npz: {error}") from error


def _write_npz(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **dict(tensors))  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


_WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray]], None]] = {
    ".pt": write_torch,
    ".pth": write_torch,
    ".safetensors": _write_safetensors,
    ".npz": _write_npz,
}
