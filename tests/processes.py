"""Processes that tests start: ports that nobody takes meanwhile, and signals that come when something has happened.

``python processes.py SIGNAL PATTERN DELAY SCRIPT WORD…`` runs a script (``-m`` and a module, or a file) that gets
the signal DELAY seconds after a file like PATTERN is written. It comes from the process itself: one that watches from
outside may, on a busy machine, look again only when everything is over.
"""

import contextlib
import os
import random
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path

PATIENCE = 1500  # seconds: only what hangs takes so long, on a busy machine too


def free_port(first=20_000, end=32_000):
    """A port that is free, below those that systems give to connections, so that none takes it before it is used."""
    for port in random.SystemRandom().sample(range(first, end), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("localhost", port))
            return port
    raise AssertionError("no free port")


def signaled(name, pattern, delay, *words):
    """The command of a process that gets a signal; see above."""
    return [sys.executable, __file__, name, str(pattern), str(delay), *map(str, words)]


def ended(processes):
    """Output, errors and exit code of each; none is left running."""
    try:
        return [(*process.communicate(timeout=PATIENCE), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


def _written(pattern):
    folder = Path(pattern)
    depth = sum("*" in part for part in folder.parts)
    root = folder if not depth else Path(*folder.parts[: next(i for i, p in enumerate(folder.parts) if "*" in p)])
    paths = root.glob(str(folder.relative_to(root))) if depth else [folder]
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[str(path)] = path.stat().st_mtime_ns
    return found


def _watch(name, pattern, delay, before):
    while _written(pattern) == before:
        time.sleep(0.003)
    time.sleep(delay)
    os.kill(os.getpid(), getattr(signal, name))


def signal_once_written(name, pattern, delay):
    """This process gets a signal so many seconds after a file like the pattern is written."""
    threading.Thread(target=_watch, args=(name, pattern, float(delay), _written(pattern)), daemon=True).start()


if __name__ == "__main__":
    name, pattern, delay, *words = sys.argv[1:]
    signal_once_written(name, pattern, delay)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")
