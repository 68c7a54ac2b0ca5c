"""Devices and processes of a run: chosen before anything is computed."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._arguments import Common
from ._values import UsageError

_OTHER = {"cpu": "gpu", "gpu": "cpu"}
_MOST_HOST_DEVICES = 64  # that one CPU stands for; beyond its cores they only cost


_SET = (
    "jax_enable_x64",
    "jax_traceback_filtering",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Put back what a command sets for its process: what a notebook computes after one is as before."""
    import jax  # noqa: PLC0415
    from jax.experimental.compilation_cache.compilation_cache import reset_cache  # noqa: PLC0415

    before = {name: getattr(jax.config, name) for name in _SET}
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            reset_cache()


def set_up_device(device: str) -> str:
    """Choose the platform, switch to float64, keep compiled programs; return a description."""
    import jax  # noqa: PLC0415

    before = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    if device != "auto":
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[device])
    jax.config.update("jax_enable_x64", True)
    # whole tracebacks, which tell an error of ours from one of JAX
    jax.config.update("jax_traceback_filtering", "off")
    _keep_programs()
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        jax.config.update("jax_platforms", before)
        raise UsageError(_no_device(device, before)) from error
    if device != "auto" and devices[0].platform != device:
        jax.config.update("jax_platforms", before)
        raise UsageError(f"--device {device}: JAX runs already, on {devices[0].platform}; use a new process")
    return f"{len(devices)} × {devices[0].device_kind}"


def _no_device(device: str, platforms: str | None) -> str:
    """What to write where there is no such device."""
    if device == "auto":
        return (
            f"JAX_PLATFORMS={platforms} names devices that JAX does not find here; write --device cpu, or unset "
            "JAX_PLATFORMS"
        )
    extra = "; a GPU needs jax[cuda12] to be installed" if device == "gpu" else ""
    return f"--device {device}: JAX finds no {device.upper()} here; write --device {_OTHER[device]}{extra}"


def _keep_programs() -> None:
    """Keep compiled programs in the user's cache, if there is one that can be written to."""
    import jax  # noqa: PLC0415

    # a program that cannot be kept is compiled again: no reason to worry anybody, on a full disk least of all
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    warnings.filterwarnings("ignore", ".*persistent compilation cache")
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # a command has some two hundred small ones, which take more time together than the few large ones
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        cache = Path.home() / ".cache" / "fisherjax" / "compiled"
        cache.mkdir(parents=True, exist_ok=True)
        writable = os.access(cache, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # there is no home, or it is no folder
        writable = False
    jax.config.update("jax_compilation_cache_dir", str(cache) if writable else None)  # pyright: ignore[reportPossiblyUnboundVariable]


def set_up_devices(command: Common) -> str:
    """Join the other processes, choose devices; return a description."""
    import jax  # noqa: PLC0415

    count = device_count(command.devices)
    if count is not None and count > 1:
        with contextlib.suppress(RuntimeError):  # JAX runs already, with the devices that it has
            jax.config.update("jax_num_cpu_devices", min(count, _MOST_HOST_DEVICES))
    if is_distributed(command):
        _join(command)
    described = set_up_device(command.device)
    if count is not None and count > len(jax.devices()) and not is_distributed(command):
        raise UsageError(f"--devices {count}, but there are {len(jax.devices())}: {jax.devices()[0].device_kind}")
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
    return None if devices == "all" else int(devices)


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
        if command.coordinator:
            raise UsageError(f"--coordinator {command.coordinator}: the processes did not find each other") from error
        hint = "say --coordinator HOST:PORT --num-processes N --process-id I"
        raise UsageError(f"--distributed: no scheduler says where the other processes are; {hint}") from error


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
