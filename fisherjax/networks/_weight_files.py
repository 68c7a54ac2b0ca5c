"""Files of weights by name: torch's zip format, safetensors and npz, told apart by what they hold."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fisherjax._archive import npz_bytes, read_npz
from fisherjax._errors import as_path, check_regular
from fisherjax._npy import DamagedFileError
from fisherjax._types import write_atomically

from ._torch_archive import read_torch, tensors_in

_DIGEST = "fisherjax_sha256"


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name: torch's zip format, safetensors, or .npz.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of them, truncated, or a pickle that asks for anything but tensors.
    """
    return tensors_in(read_checkpoint(path), path)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """All that a checkpoint holds: arrays by name, among other things in a file of torch.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_weights`.
    """
    source = as_path("path", path)
    check_regular(source)
    with source.open("rb") as stream:
        start = stream.read(2)
    if source.suffix == ".safetensors":
        return _read_safetensors(source)
    if start == b"PK":
        return read_npz(source) if source.suffix == ".npz" else read_torch(source)
    if start[:1] == b"\x80":
        raise ValueError(f"{path} is a bare pickle, from torch before 1.6; save it anew with a later torch")
    raise ValueError(f"{path} is neither a zip checkpoint of torch (or is truncated), nor .safetensors, nor .npz")


def write_weights(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> Path:
    """Write arrays by name; the ending of the path says how.

    Raises
    ------
    ValueError
        If the path ends neither in ``.safetensors`` nor in ``.npz``.
    """
    target = as_path("path", path)
    if target.suffix not in (".safetensors", ".npz"):
        raise ValueError(f"path must end in .safetensors or .npz, got {target.name}")
    (_write_npz if target.suffix == ".npz" else _write_safetensors)(target, tensors)
    return target


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open  # noqa: PLC0415

    refused = f"{path} cannot be read as safetensors:"
    try:
        with safe_open(path, framework="np") as file:
            stored, tensors = (file.metadata() or {}).get(_DIGEST), file.get_tensors()
    except OSError:
        raise
    except Exception as error:
        # a damaged file can fail in as many ways as it can be damaged
        raise DamagedFileError(f"{refused} it is truncated, damaged, or another format") from error
    if stored is not None and stored != _digest(tensors):
        raise DamagedFileError(f"{refused} it was changed or damaged since it was written (its checksum differs)")
    return tensors


def _write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save  # noqa: PLC0415

    write_atomically(path, save(dict(tensors), {_DIGEST: _digest(tensors)}))


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    """A fingerprint of names, types, shapes and numbers; safetensors has none of its own."""
    summary = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        summary.update(f"{name!r} {value.dtype} {value.shape}\n".encode())
        summary.update(np.ascontiguousarray(value).tobytes())
    return summary.hexdigest()


def _write_npz(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    # NumPy's format has no bfloat16; float32 holds it exactly
    half = {name: value.astype(np.float32) for name, value in tensors.items() if value.dtype == jnp.bfloat16}
    write_atomically(path, npz_bytes({**tensors, **half}))
