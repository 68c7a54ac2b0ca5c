"""Arrays of HDF5 files, MATLAB 7.3's among them, and of Parquet files, each by its own library."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from fisherjax._errors import require
from fisherjax._npy import told_bytes

_MOST_BYTES = 2**33
_INSTALL = "pip install 'fisherjax[recordings]'"


def needed(name: str, what: str) -> ImportError:
    """What is said where a library is missing."""
    return ImportError(f"reading {what} needs {name}: {_INSTALL}")


def read_hdf5(path: Path, *, matlab: bool) -> dict[str, np.ndarray]:
    """Numeric arrays by their path in the file, as ``"data.responses"``.

    MATLAB writes the axes of an array in reverse; here they are in MATLAB's own order.

    Raises
    ------
    ImportError
        If h5py is not installed.
    ValueError
        If the file is damaged, too large, or holds no numeric arrays.
    """
    try:
        import h5py  # noqa: PLC0415  an extra
    except ImportError as error:
        raise needed("h5py", "HDF5 and MATLAB 7.3") from error
    found: dict[str, np.ndarray] = {}
    others: list[str] = []
    room = _MOST_BYTES

    def visit(name: str, item: Any) -> None:
        nonlocal room
        if not isinstance(item, h5py.Dataset) or name.startswith("#"):
            return
        kind = item.attrs.get("MATLAB_class", b"")
        words = kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
        if item.dtype.kind not in "biuf" or words in {"cell", "char", "function_handle"} or item.shape is None:
            others.append(f"{name} ({words or item.dtype})")
            return
        room -= item.size * item.dtype.itemsize
        require(room >= 0, f"{path} holds more than {told_bytes(_MOST_BYTES)}; save the responses alone")
        # an empty array of MATLAB is stored as its shape
        value = np.zeros(0) if item.attrs.get("MATLAB_empty", 0) else np.asarray(item)
        found[name.replace("/", ".")] = value.T if matlab else value

    try:
        with h5py.File(os.fspath(path), "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} is an HDF5 file that is truncated or damaged ({str(error)[:80]})") from error
    require(bool(found), f"{path} holds no numeric arrays, only {', '.join(others[:5]) or 'nothing'}")
    return found


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    """Columns by name: numbers with NaN where they are missing, everything else as text.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If the file is damaged or too large.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise needed("pyarrow", "Parquet") from error
    try:
        about = pq.read_metadata(path)
        size = about.num_rows * about.num_columns * 8
        require(size <= _MOST_BYTES, f"{path} holds {told_bytes(size)} of numbers; save fewer columns")
        names = [str(name) for name in pq.read_schema(path).names]
        twice = [name for name in names if names.count(name) > 1]
        require(not twice, f"{path}: two columns are named {twice[0] if twice else ''!r}")
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is a Parquet file that is truncated or damaged ({str(error)[:80]})") from error
    about_pandas: Any = table.schema.pandas_metadata or {}
    index = {name for name in about_pandas.get("index_columns", ()) if isinstance(name, str)}
    columns: dict[str, np.ndarray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in index:
            continue  # of the rows
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            columns[name] = column.cast(pa.float64()).to_numpy()
        else:
            columns[name] = np.asarray(["" if item is None else str(item) for item in column.to_pylist()])
    return columns
