"""Files that no command can use: empty, cut short, of another kind, or made to do harm. All are small."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


class _Payload:
    """What an unpickler would run."""

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return Path.touch, (Path("executed"),)  # pyright: ignore[reportReturnType]


def broken_archives() -> dict[str, bytes]:
    """Archives of arrays by what is wrong with them."""
    whole = _archive(minus=np.ones((30, 2)), plus=np.ones((30, 2)), gain_matrix=np.eye(2))
    module = {"kind": "module", "module": "this", "name": "x", "fields": {}}
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "no end": whole[:-30],
        "text": b"these are words\n",
        "flipped": whole[:60] + bytes(60) + whole[120:],
        "other arrays": _archive(other=np.ones(3)),
        "foreign record": _archive(__fisherjax__=np.array(json.dumps(module))),
        "broken record": _archive(__fisherjax__=np.array("{" * 5000)),
        "no class": _archive(__fisherjax__=np.array("[]")),
        "pickle": _zip({"minus.npy": _npy(_Payload()), "plus.npy": _npy(_Payload())}),
        "terabytes": _zip({"minus.npy": _header((10**6, 10**6)), "plus.npy": _header((10**6, 10**6))}),
        "bomb": _zip({"minus.npy": _header((2**16, 2**11)) + bytes(2**28), "plus.npy": b""}),
        "half precision": _archive(minus=np.ones(3, "c8"), plus=np.array(["a"])),
    }


def broken_tables() -> dict[str, bytes]:
    """Tables of responses or gains by what is wrong with them."""
    return {
        "empty": b"",
        "ragged": b"a,1,2\nb,3\n",
        "words": b"a,one,two\nb,three,four\n",
        "bytes": bytes(range(256)) * 4,
        "nan": b"a,nan,1\na,2,3\nb,1,2\nb,2,1\n",
        "one condition": b"a,1,2\na,2,3\na,3,1\n",
        "header only": b"condition,u1,u2\n",
        "UTF-16": "a,1,2\nb,2,3\n".encode("utf-16")[:-3],
        "long line": b"1," * 5000,
    }


def broken_configurations() -> dict[str, bytes]:
    """TOML for `fisherjax curve` by what is wrong with it."""
    return {
        "another type": b"gains = 5\n",
        "text for a number": b'steps = "many"\n',
        "a fraction": b"steps = 2.5\n",
        "true for a number": b"steps = true\n",
        "a date": b"gain = 1979-05-27\n",
        "not a number": b"gain = nan\n",
        "infinite": b"gain = -inf\n",
        "too long a number": b"steps = 1" + b"0" * 5000 + b"\n",
        "a long hexadecimal": b"steps = 0x1" + b"0" * 5000 + b"\n",
        "brackets": b"gain = " + b"[" * 5000 + b"]" * 5000 + b"\n",
        "tables": b"gain = " + b"{a=" * 5000 + b"1" + b"}" * 5000 + b"\n",
        "a list": b"gain = [1.0]\n",
        "no list": b"fractions = 0.5\n",
        "a mixed list": b'fractions = [0.5, "half"]\n',
        "misspelt": b"noise_sdt = 0.1\n",
        "unknown": b"color = 1\n",
        "another command": b"[optimize]\nsteps = 3\n",
        "itself": b'config = "another.toml"\n',
        "twice": b"noise-std = 0.1\nnoise_std = 0.2\n",
        "no TOML": b"steps: 3\n",
        "unfinished": b"steps =",
        "not UTF-8": b'nonlinearity = "\xff\xfe"\n',
        "a word": b'nonlinearity = "tahn"\n',
        "a null byte": b'gains = "a\\u0000b"\n',
        "large": b"# " + b"x" * 2**21 + b"\n",
    }


def _archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(value: Any) -> bytes:
    """An array of one Python object."""
    return _header((1,), "|O") + pickle.dumps([value])


def _header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    buffer = io.BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()
