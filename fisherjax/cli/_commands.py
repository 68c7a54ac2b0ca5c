"""The commands: what each is called, its arguments, and the function that runs it, imported when it is called."""

import importlib
from pathlib import Path
from typing import Any

from . import _arguments as arguments
from . import _convnet_arguments as convnet

Command = arguments.Common | arguments.Info

_TABLE: dict[str, tuple[Command, str]] = {
    "optimize": (arguments.Optimize(), "_optimize:run_optimize"),
    "curve": (arguments.Curve(), "_curves:run_curve"),
    "simulate": (arguments.Simulate(), "_curves:run_simulate"),
    "estimate": (arguments.Estimate(), "_estimate:run_estimate"),
    "orientation": (arguments.Orientation(), "_orientation:run_orientation"),
    "geometry": (arguments.Geometry(), "_geometry:run_geometry"),
    "dmft": (arguments.Dmft(), "_dmft:run_dmft"),
    "train": (arguments.Train(), "_train:run_train"),
    "fixed-points": (arguments.FixedPoints(), "_fixed_points:run_fixed_points"),
    "convnet-train": (convnet.ConvnetTrain(), "_convnet:run_convnet_train"),
    "convnet-run": (convnet.ConvnetRun(), "_convnet:run_convnet_run"),
    "convnet-analyze": (convnet.ConvnetAnalyze(), "_convnet_analyze:run_convnet_analyze"),
    "convnet-evaluate": (convnet.ConvnetEvaluate(), "_convnet_evaluate:run_convnet_evaluate"),
    "sweep": (arguments.Sweep(plan=Path("sweep.toml")), "_sweep:run_sweep"),
    "info": (arguments.Info(), "_session:print_info"),
}

COMMANDS = {name: usual for name, (usual, _) in _TABLE.items()}
"""Every command with its usual arguments."""


def name_of(command: Command) -> str:
    """What a command is called."""
    return next(name for name, usual in COMMANDS.items() if type(usual) is type(command))


def function_of(command: Command) -> Any:
    """What runs a command: of those that compute in a session ``run(command, session) -> Outcome``."""
    module, _, name = _TABLE[name_of(command)][1].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)
