"""The network that --network names: read whatever file it is, given what the file lacks, and checked."""

import math
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import networks
from fisherjax._archive import opened_zip
from fisherjax._arrays import as_real
from fisherjax._errors import check_regular
from fisherjax._npy import read_npy
from fisherjax._records import META
from fisherjax._runtime import Checkpoint
from fisherjax.networks._protocol import Protocol, check_protocol, check_reading

from ._arguments import Asked
from ._files import load_record
from ._limits import UsageError, option
from ._shared import check_memory

_MOST_PARAMETERS = 12  # of a stimulus, beyond which a table of each says nothing
_LIVE_MATRICES = 8  # S × S, of the covariance of a state


class Loaded(NamedTuple):
    """A network, and what its file says beside it."""

    network: networks.Network
    task: str | None  # what it is or was being trained on


class _Along(eqx.Module):
    """A protocol: θ times a pattern in the first so many steps."""

    pattern: jax.Array
    num_steps: int = eqx.field(static=True)
    steps_shown: int = eqx.field(static=True)

    def __call__(self, theta: jax.Array) -> jax.Array:
        rest = jnp.zeros((self.num_steps, *self.pattern.shape), self.pattern.dtype)
        return rest.at[: self.steps_shown].set(theta * self.pattern)


class Question(NamedTuple):
    """A network in float64, and what it is asked about."""

    network: networks.Network
    settings: dict[str, Any]  # stimulus, num_steps, protocol, read
    size: int  # how many numbers are read
    parameters: tuple[str, ...]  # of the stimulus; none if it is one number


def load_network(
    path: Path,
    *,
    nonlinearity: str | None = None,
    noise_std: float | None = None,
    observation_noise_std: float | None = None,
) -> Loaded:
    """The network of a saved record or of a file of torch, which of them its content tells.

    Raises
    ------
    UsageError
        If there is no such file, it cannot be read, or holds no network.
    """
    if _is_record(path):
        if nonlinearity is not None:
            raise UsageError(f"--nonlinearity belongs to a file of torch; --network {path} says its own")
        saved = load_record(path, "--network")
        network = getattr(saved, "network", saved)
        task = str(saved.settings.get("task")) if isinstance(saved, Checkpoint) else None
        if not isinstance(network, networks.Network):
            raise UsageError(f"--network {path} holds a {type(saved).__name__}, which has no recurrent network")
    else:
        network, task = _from_torch(path, nonlinearity or "tanh"), None
    levels = {"noise_std": noise_std, "observation_noise_std": observation_noise_std}
    return Loaded(with_noise(network, {name: level for name, level in levels.items() if level is not None}), task)


def with_noise(network: networks.Network, levels: dict[str, float]) -> networks.Network:
    """The same network with other standard deviations of its noise."""
    for name, level in levels.items():
        network = eqx.tree_at(attrgetter(name), network, jnp.asarray(level, network.dtype))
    return network


def load_question(command: Asked) -> Question:
    """The network that a command names, if it can be asked what the command asks.

    Raises
    ------
    UsageError, ValueError
        If the file holds none, it has no noise, the stimulus does not fit, or its states do not fit into memory.
    """
    network = networks.in_precision(asked_network(command), jnp.float64)
    if not any(np.any(np.asarray(level) > 0) for level in (network.noise_std, network.observation_noise_std)):
        lacking = "must be above 0" if command.noise_std == 0 else f"must be given: that of {command.network} is 0"
        raise UsageError(f"{option('noise_std')} {lacking}, and without noise information is infinite")
    stimulus, parameters, protocol = _entry(command, network)
    check_protocol(network, protocol, stimulus, command.steps)
    size = check_reading(network, command.read)
    if command.read == "state":
        check_memory(f"the covariances of {size} numbers that are read", 8 * _LIVE_MATRICES * size**2)
    settings = {"stimulus": stimulus, "num_steps": command.steps, "protocol": protocol, "read": command.read}
    return Question(network, settings, size, parameters)


def asked_network(command: Asked) -> networks.Network:
    """The network of --network, with the noise that the command says.

    Raises
    ------
    UsageError, ValueError
        If there is no option, or the file holds none.
    """
    if command.network is None:
        raise UsageError("--network must be given")
    return load_network(
        command.network,
        nonlinearity=command.nonlinearity,
        noise_std=command.noise_std,
        observation_noise_std=command.observation_noise_std,
    ).network


def stimulus_sizes(command: Asked, network: networks.Network) -> np.ndarray:
    """The numbers of --stimulus in the shape of a stimulus: that of the inputs, or () for the only one.

    Raises
    ------
    UsageError
        If the network takes no input, or another number of them.
    """
    shape, given = network.input_shape, command.stimulus
    if shape is None:
        raise UsageError(f"--network {command.network} takes no input, so that no stimulus can enter")
    count = math.prod(shape)
    if len(given) not in {1, count}:
        raise UsageError(
            f"--stimulus must be one number, or {count}, as many as {command.network} has inputs, got {len(given)}"
        )
    # a network with an input vector (N, 1) takes (1,) instead
    takes_number = shape == (1,) and np.ndim(getattr(network, "input_vector", 0.0)) < 2
    return np.broadcast_to(np.asarray(given), (count,)).reshape(() if takes_number else shape)


def described(question: Question) -> str:
    """The network and what it is asked, in one sentence."""
    network, settings = question.network, question.settings
    sigma, observed = np.unique(np.asarray(network.noise_std)), float(network.observation_noise_std)
    level = f"{sigma[0]:g}" if sigma.size == 1 else f"{sigma[0]:g} … {sigma[-1]:g}"
    protocol = settings["protocol"]
    if isinstance(protocol, _Along):
        entrance = f"times a pattern, in {protocol.steps_shown} of {protocol.num_steps} steps"
    else:
        entrance = "before the first step" if protocol == "pulse" else "at every step"
    return (
        f"{network!r}; process noise σ = {level}, observation noise σ = {observed:g}; stimulus "
        f"θ = {np.asarray(settings['stimulus']).tolist()} {entrance}; its {settings['read']} is read."
    )


def _is_record(path: Path) -> bool:
    """Whether fisherjax wrote the file; of one that cannot be read its name tells, and its reader says why."""
    try:
        check_regular(path)
        with path.open("rb") as stream, opened_zip(stream, "") as archive:
            return f"{META}.npy" in archive.namelist()
    except OSError as error:
        raise UsageError(f"--network {path}: {error.strerror or 'it cannot be read'}") from error
    except ValueError:
        return path.suffix not in {".pt", ".pth", ".safetensors"}


def _from_torch(path: Path, nonlinearity: str) -> networks.Network:
    try:
        return networks.from_torch(path, nonlinearity=nonlinearity)
    except OSError as error:
        raise UsageError(f"--network {path}: {error.strerror or 'it cannot be read'}") from error
    except (ValueError, TypeError) as error:
        message = str(error).replace("nonlinearity is", f"--nonlinearity {nonlinearity} is")
        raise UsageError(message if message.startswith("--") else f"--network {message}") from error


def _pattern(path: Path, network: networks.Network) -> jax.Array:
    """The numbers of --pattern in the shape of the network's inputs."""
    if network.input_shape is None:
        raise UsageError(f"--pattern {path}: the network takes no input")
    try:
        pattern = as_real("its numbers", read_npy(path, f"--pattern {path}"), dtype=network.dtype)
    except OSError as error:
        raise UsageError(f"--pattern {path}: {error.strerror or 'it cannot be read'}") from error
    except (ValueError, TypeError) as error:
        told = str(error)
        raise UsageError(told if told.startswith("--") else f"--pattern {path}: {told}") from error
    if pattern.size != math.prod(network.input_shape):
        raise UsageError(
            f"--pattern {path} must have the shape {network.input_shape} of the network's inputs, got {pattern.shape}"
        )
    return pattern.reshape(network.input_shape)


def _entry(command: Asked, network: networks.Network) -> tuple[float | list[float], tuple[str, ...], Protocol]:
    """θ, names of its parameters if there are several, and how it enters."""
    if command.pattern is not None:
        shown = 1 if command.protocol == "pulse" else command.steps
        return command.stimulus[0], (), _Along(_pattern(command.pattern, network), command.steps, shown)
    sizes = stimulus_sizes(command, network)
    if sizes.size > _MOST_PARAMETERS or sizes.ndim > 1:
        raise UsageError(
            f"--network {command.network} has {sizes.size} inputs; more than {_MOST_PARAMETERS}, or an image, need "
            "--pattern, which the number --stimulus multiplies (more of images: fisherjax convnet analyze)"
        )
    names = tuple(f"input {index}" for index in range(sizes.size)) if sizes.ndim else ()
    return sizes.tolist(), names, command.protocol
