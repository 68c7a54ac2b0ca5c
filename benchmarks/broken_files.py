"""Damaged files of every kind that the library writes: ``python -m benchmarks.broken_files [COUNT]``.

Each kind is written once and then damaged COUNT times (200 by default), four times of five by flipping one bit, else by
cutting it off somewhere. A reader must refuse it on one line that has its path (of a point of a sweep, its folder), or
give exactly what was written.
Writes results/broken_files.md and .json.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS
from fisherjax import datasets, vision
from fisherjax._archive import npz_bytes, read_npz
from fisherjax._runtime import read_checkpoint, write_checkpoint
from fisherjax._types import Record
from fisherjax.cli import _convnet_data, _sweep_results
from fisherjax.cli._values import UsageError
from fisherjax.connectivity import GainMatrix
from fisherjax.networks._weight_files import read_weights
from fisherjax.optimize._checkpoint import OptimizationCheckpoint, SearchState

VERDICTS = ("refused", "the same", "another content", "other exception")


class Kind(NamedTuple):
    """A kind of file: how it is written into a folder, and its contents as bytes that can be compared."""

    write: Callable[[Path], Path]
    read: Callable[[Path], bytes]


def main() -> int:
    """Damage them all, write the table; exit code 1 if damage went unnoticed."""
    parser = argparse.ArgumentParser(prog="benchmarks.broken_files", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=200)
    count = parser.parse_args().count
    counts = damage_all(count)
    text = "\n".join(table(counts)) + "\n"
    print(text)
    (RESULTS / "broken_files.md").write_text(text)
    (RESULTS / "broken_files.json").write_text(json.dumps(counts, indent=2) + "\n")
    return int(any(row["another content"] or row["other exception"] for row in counts.values()))


def damage_all(count: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """For every kind of file, what became of `count` damaged ones."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: _damage(kind, Path(folder) / str(index), count, random.Random(f"{seed} {name}"))
            for index, (name, kind) in enumerate(KINDS.items())
        }


def table(counts: dict[str, dict[str, int]]) -> list[str]:
    """One line per kind of file, and their sum."""
    total = {verdict: sum(row[verdict] for row in counts.values()) for verdict in VERDICTS}
    lines = [f"| file | damaged | {' | '.join(VERDICTS)} |", "|---|---|" + "---|" * len(VERDICTS)]
    for name, row in [*counts.items(), ("all", total)]:
        lines.append(f"| {name} | {sum(row.values())} | {' | '.join(str(row[verdict]) for verdict in VERDICTS)} |")
    return lines


def _damage(kind: Kind, folder: Path, count: int, random_numbers: random.Random) -> dict[str, int]:
    folder.mkdir()
    path = kind.write(folder)
    whole, expected = path.read_bytes(), kind.read(path)
    verdicts: Counter[str] = Counter()
    for number in range(count):
        broken = bytearray(whole)
        if number % 5:
            bit = random_numbers.randrange(8 * len(whole))
            broken[bit // 8] ^= 1 << (bit % 8)
        else:
            del broken[random_numbers.randrange(len(whole)) :]
        path.write_bytes(broken)
        verdicts[_verdict(kind, path, expected)] += 1
    return {verdict: verdicts[verdict] for verdict in VERDICTS}


def _verdict(kind: Kind, path: Path, expected: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "the same" if kind.read(path) == expected else "another content"
    except (ValueError, UsageError) as error:
        on_one_line = str(path.parent) in str(error) and "\n" not in str(error)
        return "refused" if on_one_line else "other exception"
    except Exception:
        return "other exception"


def _write_npz(folder: Path) -> Path:
    path = folder / "arrays.npz"
    path.write_bytes(npz_bytes({"theory": np.arange(12.0).reshape(3, 4), "labels": np.array(["a", "b"])}))
    return path


def _write_numpy(folder: Path) -> Path:
    path = folder / "responses.npz"
    np.savez_compressed(path, minus=np.arange(12.0).reshape(3, 4), plus=np.ones((3, 4), np.float32))
    return path


def _write_checkpoint(folder: Path) -> Path:
    path = folder / "checkpoint.npz"
    state = SearchState((jnp.arange(3.0), jax.random.key(0)), jnp.ones((2, 3, 4)))
    write_checkpoint(OptimizationCheckpoint(state, None, {"steps": 12, "strategy": "cma-es"}), path)
    return path


def _read_checkpoint(path: Path) -> bytes:
    checkpoint = read_checkpoint(OptimizationCheckpoint, path)
    assert checkpoint is not None
    return checkpoint.to_bytes()


def _network() -> vision.ConvolutionalRNN:
    plan = vision.Architecture((4, 4, 1), 2, (2, 2))
    return vision.ConvolutionalRNN(plan, key=jax.random.key(0))


def _weights(suffix: str) -> Kind:
    return Kind(
        lambda folder: vision.save_checkpoint(_network(), folder / f"weights{suffix}"),
        lambda path: npz_bytes(read_weights(path)),
    )


def _torch_file(folder: Path) -> Path:
    written_by_torch = Path(__file__).parent.parent / "tests" / "networks" / "data" / "gru.pt"
    return Path(shutil.copy(written_by_torch, folder))


def _write_point(folder: Path) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps({"theory": [1.0, 2.5, 3.25], "optimum": 0.75}))
    _sweep_results.finish_point(folder, {"seconds": 1.5})
    return path


def _read_point(path: Path) -> bytes:
    results = _sweep_results.point_results(path.parent)
    if results is None:
        raise ValueError(f"{path.parent} is computed again")
    return json.dumps(results).encode()


def _write_point_done(folder: Path) -> Path:
    return _write_point(folder).with_name("done.json")


def _read_class_names(path: Path) -> bytes:
    return json.dumps(_convnet_data._class_names(path)).encode()


def _write_class_names(folder: Path) -> Path:
    preprocessing = datasets.Preprocessing((4, 4, 1), mean=(0.5,), std=(0.25,))
    _convnet_data.keep_known(folder, _convnet_data.Known(_network(), preprocessing, ("cat", "dog"), "shapes"))
    return folder / _convnet_data.NAMES


KINDS = {
    "record (.npz)": Kind(
        lambda folder: GainMatrix([[1.0, 0.5], [0.25, 2.0]], [0.25, 0.75]).save(folder / "gains"),
        lambda path: GainMatrix.load(path).to_bytes(),
    ),
    "record of records (.npz)": Kind(
        lambda folder: _network().save(folder / "network"), lambda path: Record.load(path).to_bytes()
    ),
    "checkpoint (.npz)": Kind(_write_checkpoint, _read_checkpoint),
    "weights (.npz)": _weights(".npz"),
    "weights (.safetensors)": _weights(".safetensors"),
    "weights (.pt)": Kind(_torch_file, lambda path: npz_bytes(read_weights(path))),
    "arrays of a run (.npz)": Kind(_write_npz, lambda path: npz_bytes(read_npz(path))),
    "results of a point (.json)": Kind(_write_point, _read_point),
    "mark of a point (.json)": Kind(_write_point_done, lambda path: _read_point(path.with_name("results.json"))),
    "names of classes (.json)": Kind(_write_class_names, _read_class_names),
    "arrays that NumPy wrote (.npz)": Kind(_write_numpy, lambda path: npz_bytes(read_npz(path))),
}
"""All kinds of files that are written and read back, and one that others write."""


if __name__ == "__main__":
    sys.exit(main())
