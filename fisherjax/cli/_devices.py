"""Devices and processes of a run: chosen before anything is computed."""

import contextlib
import warnings
from pathlib import Path
from typing import Any

from ._common_arguments import Common
from ._parse import UsageError

_MOST_HOST_DEVICES = 64  # that one CPU stands for; beyond its cores they only cost


def set_up_device(device: str) -> str:
    """Choose the platform, switch to float64, keep compiled programs; return a description."""
    import jax  # noqa: PLC0415

    if device != "auto":
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[device])
    jax.config.update("jax_enable_x64", True)
    cache = Path.home() / ".cache" / "fisherjax" / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # a program that cannot be kept is compiled again: no reason to worry anybody, on a full disk least of all
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    try:
        devices = jax.devices()
    except RuntimeError as error:
        raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from error
    return f"{len(devices)} × {devices[0].device_kind}"


def set_up_devices(command: Common) -> str:
    """Join the other processes, choose devices; return a description.

    Raises
    ------
    UsageError
        If there is no such device, or the processes do not find each other.
    """
    import jax  # noqa: PLC0415

    count = device_count(command.devices)
    if count is not None and count > 1:
        with contextlib.suppress(RuntimeError):  # JAX runs already, with the devices that it has
            jax.config.update("jax_num_cpu_devices", min(count, _MOST_HOST_DEVICES))
    given = (bool(command.coordinator), command.num_processes > 0, command.process_id >= 0)
    if any(given) and not all(given):
        raise UsageError("--coordinator, --num-processes and --process-id go together: give all three, or none")
    if is_distributed(command):
        _join(command)
    described = set_up_device(command.device)
    together = f" · {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return described + together


def chosen_devices(command: Common) -> Any:
    """What the library takes as ``devices``: all in a distributed run, None where one is enough."""
    count = device_count(command.devices)
    if is_distributed(command) or count is None:
        return "all"
    return None if count == 1 else count


def is_distributed(command: Common) -> bool:
    """Whether the run is one of several processes."""
    return command.distributed or bool(command.coordinator)


def device_count(devices: str) -> int | None:
    """The number in ``--devices``, None for all."""
    if devices == "all":
        return None
    if not devices.isdecimal() or int(devices) < 1:
        raise UsageError(f"--devices must be a positive number or all, got {devices!r}")
    return int(devices)


def _join(command: Common) -> None:
    import jax  # noqa: PLC0415

    if command.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    # it would take SIGTERM for itself
    jax.config.update("jax_enable_preemption_service", False)
    try:
        if command.coordinator:
            jax.distributed.initialize(command.coordinator, command.num_processes, command.process_id)
        else:
            jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        hint = "without a scheduler, say --coordinator HOST:PORT --num-processes N --process-id I"
        raise UsageError(f"--distributed: {reason}; {hint}") from error


def agreed(text: str) -> str:
    """What the first process says, on every process."""
    import jax  # noqa: PLC0415

    if jax.process_count() == 1:
        return text
    import numpy as np  # noqa: PLC0415
    from jax.experimental import multihost_utils  # noqa: PLC0415

    here = np.zeros(_LONGEST, np.uint8)
    data = np.frombuffer(text.encode()[:_LONGEST], np.uint8)
    here[: len(data)] = data
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(here))).rstrip(b"\0").decode(errors="ignore")


def wait_for_all() -> None:
    """Return when every process has come here."""
    import jax  # noqa: PLC0415

    if jax.process_count() > 1:
        from jax.experimental import multihost_utils  # noqa: PLC0415

        multihost_utils.sync_global_devices("fisherjax")


_LONGEST = 1000  # bytes of a message
