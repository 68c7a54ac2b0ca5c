"""The files that say that a point of a sweep is done: its results, and a checksum of them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fisherjax._types import write_atomically

_DONE, _RESULTS = "done.json", "results.json"


def finish_point(folder: Path, record: dict[str, Any]) -> None:
    """Say that a point is done, and with which results."""
    digest = hashlib.sha256((folder / _RESULTS).read_bytes()).hexdigest()
    write_atomically(folder / _DONE, (json.dumps({**record, "results": digest}, default=str) + "\n").encode())


def point_results(folder: Path) -> Any:
    """The results of a point that is done; None if it is not, or if they are not what was written."""
    try:
        record, data = json.loads((folder / _DONE).read_bytes()), (folder / _RESULTS).read_bytes()
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and record.get("results") == hashlib.sha256(data).hexdigest()
    return json.loads(data) if whole else None
