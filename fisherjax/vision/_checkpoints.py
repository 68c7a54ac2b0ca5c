"""Weights of a `ConvolutionalRNN` in files, under the names of the published checkpoints."""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_optional, require, told
from fisherjax.networks._weight_files import read_weights, write_weights

from ._architecture import Architecture
from ._network import ConvolutionalRNN, check_network

_SCALE, _DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
_MOST_NAMED = 4


def load_checkpoint(path: str | os.PathLike[str], architecture: Architecture | None = None) -> ConvolutionalRNN:
    """Read a convolutional recurrent network from a checkpoint with the published names; no torch is needed.

    Parameters
    ----------
    path
        A zip checkpoint of torch (.pt, .pth), ``.safetensors``, or ``.npz``; which of them it is the content tells.
        Names may begin with ``module.``. A flipped bit is noticed in any file that `save_checkpoint` wrote, and in all
        zip archives; safetensors of others have no checksum.
    architecture
        What it must fit. By default what the shapes of the weights imply, with α = 0.2 and 100 + 100 steps; a stem of
        7 × 7 is that of CordsNet, of stride 2 and pooled, any other is not strided. A ``prelu.weight``, which files
        from between the stages of training have, is the network's `leak`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated or something else, a key is missing or unknown, or a shape does not fit (which one).
    """
    stored = read_weights(path)
    weights = {name.removeprefix("module."): value for name, value in stored.items()}
    require(len(weights) == len(stored), f"{path} has names both with and without 'module.' before them")
    check_optional(check_instance, "architecture", architecture, kind=Architecture)
    leak = np.asarray(weights.pop("prelu.weight", 0.0))
    require(leak.size == 1, f"{path}: prelu.weight must be one slope for all units, got shape {leak.shape}")
    plan = _implied(weights, path) if architecture is None else architecture
    shapes = eqx.filter_eval_shape(lambda: ConvolutionalRNN(plan, key=jax.random.key(0)))
    names, leaves = _named(shapes)
    missing = [name for name in names if name not in weights]
    require(not missing, f"{path} lacks {_listed(missing)}")
    unknown = [name for name in weights if name not in names]
    require(not unknown, f"{path} has {_listed(unknown)}, which a network of depth {plan.depth} does not have")
    for name, leaf in zip(names, leaves, strict=True):
        value, shape = weights[name], _published_shape(name, leaf.shape)
        require(value.shape == shape, f"{path}: {name} has shape {value.shape}, this network needs {shape}")
        real = jnp.issubdtype(value.dtype, jnp.floating) or value.dtype.kind in "iu"
        require(bool(real), f"{path}: {name} must hold real numbers, got {told(value)}")
        require(bool(np.isfinite(value).all()), f"{path}: {name} holds numbers that are not finite")
    # all shapes are those of the file by now: what is allocated is no larger than what was read
    values = {
        id(leaf): as_real(f"{path}: {name}", weights[name].reshape(leaf.shape), dtype=leaf.dtype)
        for name, leaf in zip(names, leaves, strict=True)
    }
    network = jax.tree.map(
        lambda leaf: values[id(leaf)] if id(leaf) in values else jnp.zeros(leaf.shape, leaf.dtype), shapes
    )
    slope = as_real(f"{path}: prelu.weight", leak.reshape(()), dtype=network.dtype)
    return eqx.tree_at(lambda tree: tree.leak, network, slope)


def save_checkpoint(network: ConvolutionalRNN, path: str | os.PathLike[str]) -> Path:
    """Write the weights of a network under the published names; `load_checkpoint` and torch read them.

    Parameters
    ----------
    network
        Its α, numbers of steps, noise and leak have no place in these files; `network.save` keeps all.
    path
        Ending in ``.safetensors``, which torch's users read too, or ``.npz``.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    check_network(network)
    names, leaves = _named(network)
    tensors = {
        name: np.asarray(leaf).reshape(_published_shape(name, leaf.shape))
        for name, leaf in zip(names, leaves, strict=True)
    }
    return write_weights(path, tensors)


def _named(network: ConvolutionalRNN) -> tuple[list[str], list[Any]]:
    """Published names of all parameters, and the parameters."""
    modules: list[tuple[str, Any]] = [("inp_conv", network.stem), ("inp_skip", network.input_skip)]
    modules += [(f"area_conv.{j}", module) for j, module in enumerate(network.recurrent)]
    modules += [(f"area_area.{j}", module) for j, module in enumerate(network.feedforward)]
    projections = [skip for skip in network.skips if skip is not None]
    modules += [(f"skip_area.{j}", module) for j, module in enumerate(projections)]
    modules += [(f"feedback_area.{j}", module) for j, module in enumerate(network.feedback)]
    modules += [("out_fc", network.output)]
    named: list[tuple[str, Any]] = []
    for name, module in modules:
        named += [(name + _SCALE, module.scale), (name + _DIRECTION, module.direction)]
    named += [(f"conv_bias.{j}", bias) for j, bias in enumerate(network.biases)]
    named += [("out_fc.bias", network.output.bias)]
    return [name for name, _ in named], [leaf for _, leaf in named]


def _published_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Scales have as many axes as what they scale."""
    if not name.endswith(_SCALE):
        return shape
    return (*shape, 1) if name.startswith("out_fc") else (*shape, 1, 1, 1)


def _implied(weights: Mapping[str, np.ndarray], path: object) -> Architecture:
    """Architecture that the shapes of weights and biases imply."""
    depth = sum(name.startswith("area_conv.") and name.endswith(_DIRECTION) for name in weights)
    needed = ["inp_conv" + _DIRECTION, "out_fc" + _DIRECTION, *(f"conv_bias.{j}" for j in range(max(depth, 2)))]
    missing = [name for name in needed if name not in weights]
    require(not missing, f"{path} lacks {_listed(missing)}; it is no checkpoint of a convolutional recurrent network")
    stem, biases = weights["inp_conv" + _DIRECTION], [weights[f"conv_bias.{j}"] for j in range(depth)]
    require(stem.ndim == 4, f"{path}: inp_conv{_DIRECTION} must have four axes, got shape {stem.shape}")
    for area, bias in enumerate(biases):
        require(bias.ndim == 3, f"{path}: conv_bias.{area} must have three axes, got shape {bias.shape}")
    readout = weights["out_fc" + _DIRECTION]
    require(readout.ndim == 2, f"{path}: out_fc{_DIRECTION} must have two axes, got shape {readout.shape}")
    heights = [bias.shape[1] for bias in biases]
    large = stem.shape[2] > 3
    factor = 4 if large else 1
    strides = [1, *(before // max(after, 1) for before, after in itertools.pairwise(heights))]
    try:
        return Architecture(
            (biases[0].shape[1] * factor, biases[0].shape[2] * factor, stem.shape[1]),
            readout.shape[0],
            [bias.shape[0] for bias in biases],
            strides=strides,
            stem_channels=stem.shape[0],
            stem_kernel=stem.shape[2],
            stem_stride=2 if large else 1,
            stem_pooling=large,
            feedback=any(name.startswith("feedback_area.") for name in weights),
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: there is no network of such shapes: {error}") from error


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
