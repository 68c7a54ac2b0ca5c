"""Checkpoints of long runs: written whole or not at all, the previous one kept, broken or foreign ones refused."""

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from fisherjax._errors import require, warn
from fisherjax._npy import DamagedFileError
from fisherjax._types import Key, Record, npz_path, write_atomically

R = TypeVar("R", bound=Record)


def write_checkpoint(result: Record, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint (.npz); what was there becomes the previous one. Of several processes only the first writes.

    A kill at any moment leaves a whole checkpoint at `path` or, before the first one, none.
    """
    if jax.process_index() > 0:
        return
    target = npz_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = result.to_bytes()
    if target.exists():
        _keep(target)
    write_atomically(target, data)


def read_checkpoint(kind: type[R], path: str | os.PathLike[str], *, resume: bool = False) -> R | None:
    """The checkpoint at `path`, or the one before it if that one is broken, with a warning; None if there is none.

    Every process gets what the first one reads. With `resume`, which is for who is about to write the next one, a
    broken checkpoint is replaced by the one before it, and what a kill left half written is removed.

    Raises
    ------
    ValueError
        If both are broken, or hold something else.
    """
    target = npz_path(path)
    problem = None
    for candidate in (target, _previous(target)):
        data = _read_everywhere(candidate)
        if data is None:
            continue
        try:
            checkpoint = kind.from_bytes(data, candidate)
        except DamagedFileError as error:
            problem = problem or str(error)
            continue
        except ValueError as error:
            raise ValueError(f"checkpoint {error}") from error
        if problem is not None:
            warn(f"checkpoint {problem}; the one before it is used")
        if resume and jax.process_index() == 0:
            _remove_unfinished(target)
            if candidate != target:
                write_atomically(target, data)  # else the next checkpoint would keep the broken one
        return checkpoint
    require(problem is None, f"checkpoint {problem}; remove it to begin anew")
    return None


def remove_checkpoint(path: str | os.PathLike[str]) -> None:
    """Remove a checkpoint, the one before it, and what a kill left half written."""
    target = npz_path(path)
    for checkpoint in (target, _previous(target)):
        checkpoint.unlink(missing_ok=True)
    _remove_unfinished(target)


def check_settings(stored: dict[str, Any], settings: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Refuse a checkpoint of other settings, and name the one that differs.

    Raises
    ------
    ValueError
        If any differs.
    """
    for name, value in settings.items():
        before = stored.get(name)
        require(before == value, f"checkpoint {path} was written with {name} = {before}, this run has {value}")


def digest(tree: Any) -> str:
    """A fingerprint of all numbers of a tree."""
    summary = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        summary.update(f"{array.dtype}{array.shape}".encode())
        summary.update(np.ascontiguousarray(array).tobytes())
    return summary.hexdigest()


def key_words(key: Key) -> tuple[str | int, ...]:
    """A random key as settings hold it: its generator, and its words."""
    return (str(jax.random.key_impl(key)), *np.asarray(jax.random.key_data(key)).tolist())


def description(value: Any) -> str:
    """What an object says of itself, without the addresses that change from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _keep(path: Path) -> None:
    """A second name for the file at `path`, in one step."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without links
            shutil.copy2(path, temporary)
        temporary.replace(_previous(path))
    finally:
        temporary.unlink(missing_ok=True)


def _remove_unfinished(path: Path) -> None:
    for unfinished in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _read_everywhere(path: Path) -> bytes | None:
    """A file's contents as the first process sees it."""
    if jax.process_count() == 1:
        return path.read_bytes() if path.exists() else None
    from jax.experimental import multihost_utils  # noqa: PLC0415

    first = jax.process_index() == 0
    data = path.read_bytes() if first and path.exists() else None
    length = int(multihost_utils.broadcast_one_to_all(np.array(-1 if data is None else len(data))))
    if length < 0:
        return None
    here = np.zeros(length, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(here)))
