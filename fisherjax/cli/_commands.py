"""The commands: what each is called, its arguments, and the function that runs it, imported when it is called."""

import importlib
from pathlib import Path
from typing import Any

from ._arguments import (
    Common,
    Curve,
    Dmft,
    Estimate,
    FixedPoints,
    Geometry,
    Info,
    Optimize,
    Orientation,
    Simulate,
    Sweep,
    Train,
)
from ._convnet_arguments import ConvnetAnalyze, ConvnetRun, ConvnetTrain

Command = Common | Info

COMMANDS: dict[str, Command] = {
    "optimize": Optimize(),
    "curve": Curve(),
    "simulate": Simulate(),
    "estimate": Estimate(),
    "orientation": Orientation(),
    "geometry": Geometry(),
    "dmft": Dmft(),
    "train": Train(),
    "fixed-points": FixedPoints(),
    "convnet-train": ConvnetTrain(),
    "convnet-run": ConvnetRun(),
    "convnet-analyze": ConvnetAnalyze(),
    "sweep": Sweep(plan=Path("sweep.toml")),
    "info": Info(),
}

_FUNCTIONS: dict[type, str] = {
    Optimize: "_optimize:run_optimize",
    Curve: "_curves:run_curve",
    Simulate: "_curves:run_simulate",
    Estimate: "_estimate:run_estimate",
    Orientation: "_orientation:run_orientation",
    Geometry: "_geometry:run_geometry",
    Dmft: "_dmft:run_dmft",
    Train: "_train:run_train",
    FixedPoints: "_fixed_points:run_fixed_points",
    ConvnetTrain: "_convnet:run_convnet_train",
    ConvnetRun: "_convnet:run_convnet_run",
    ConvnetAnalyze: "_convnet_analyze:run_convnet_analyze",
    Sweep: "_sweep:run_sweep",
    Info: "_session:print_info",
}


def name_of(command: Command) -> str:
    """What a command is called."""
    return next(name for name, usual in COMMANDS.items() if type(usual) is type(command))


def function_of(command: Command) -> Any:
    """What runs a command: of those that compute in a session ``run(command, session) -> Outcome``."""
    module, _, name = _FUNCTIONS[type(command)].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)
