"""Whether anything became slower: ``python -m benchmarks.compare OLD.json NEW.json``; exit code 1 if so.

A ratio is worse if it moved the wrong way by more than `TOLERANCE` and the quartiles of its rounds no longer overlap.
"""

import json
import sys
from pathlib import Path
from typing import Any

TOLERANCE = 0.1


def main(words: list[str]) -> int:
    """Print every ratio of both files, and say which are worse."""
    if len(words) != 2:
        print("usage: python -m benchmarks.compare OLD.json NEW.json", file=sys.stderr)
        return 2
    try:
        old, new = (json.loads(Path(word).read_text()) for word in words)
    except (OSError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    if old["machine"] != new["machine"]:
        print("the machines differ: ratios to a peer compare less well between them")
    before = {one["name"]: one for one in old["rows"]}
    worse = []
    for one in new["rows"]:
        known = before.pop(one["name"], None)
        if known is None:
            print(f"new      {one['name']}: {one['value']:.4g}")
            continue
        state = verdict(known, one)
        print(f"{state:<8} {one['name']}: {known['value']:.4g} → {one['value']:.4g}")
        worse += [one["name"]] if state == "worse" else []
    for name in before:
        print(f"gone     {name}")
    if worse or before:
        print(f"{len(worse)} ratios are worse, {len(before)} are gone", file=sys.stderr)
    return int(bool(worse or before))


def verdict(old: dict[str, Any], new: dict[str, Any]) -> str:
    """``better``, ``worse``, or ``same`` where noise or the tolerance explains the difference."""
    if not new["better"]:
        return "told"
    sign = 1 if new["better"] == "lower" else -1
    change = sign * (new["value"] - old["value"]) / abs(old["value"])
    apart = new["low"] > old["high"] or new["high"] < old["low"]
    if not apart or abs(change) <= TOLERANCE:
        return "same"
    return "worse" if change > 0 else "better"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
