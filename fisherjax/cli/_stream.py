"""What the state of a structure or a network knows of each input of a stream, at its end."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import fisher, networks
from fisherjax.fisher._closure import CLOSED
from fisherjax.fisher._temporal import TemporalMatrix
from fisherjax.plot._pages import save_streams
from fisherjax.report import Table
from fisherjax.report._html import Picture

from ._arguments import SMOOTH, Curve
from ._network import asked_network
from ._outcome import Outcome, printed, section
from ._session import Session
from ._structure import curve_settings, load_gain_matrix
from ._values import UsageError


def run_stream(command: Curve, session: Session) -> Outcome:
    """Fisher matrices of all inputs, and what follows from them."""
    inputs = _inputs(command)
    with session.stage("predicting Fisher information"):
        found = _of_structure(command, inputs) if command.network is None else _of_network(command, inputs)
    for name, matrix in found.items():
        session.save(name.replace(" ", "_"), matrix)
    size = float(np.sqrt(np.mean(np.square(inputs))))
    columns = (range(len(inputs)), inputs[::-1].tolist(), *map(_memory, found.values()))
    table = Table(("steps ago", "input", *found), list(zip(*columns, strict=True)))
    text = ["Told is what the state after the last input knows of each, while the others are known."]
    results: dict[str, Any] = {"inputs": inputs, **{name: matrix.total for name, matrix in found.items()}}
    for name, matrix in found.items():
        if size:
            capacity, horizon = float(matrix.capacity(size**2)), matrix.horizon(size)
            results |= {f"{name}: capacity": capacity, f"{name}: horizon": horizon}
            text.append(
                f"In the {name}, inputs of this size ({size:.3g} root mean square) tell {capacity:.3g} nats; one "
                f"stands above the noise for {horizon} steps."
            )
    caption = "Left: the matrix, over the roots of its diagonal; middle: its diagonal; right: its leading eigenvectors."
    picture = Picture("stream.png", caption, save_streams, found)
    return Outcome(
        title="Memory of a stream",
        sections=[section("What is known of each input", text, picture, table)],
        results=results,
        arrays={name: matrix.by_population for name, matrix in found.items()},
        table=table,
        sentences=[*text[1:], *printed(table)],
    )


def _memory(matrix: TemporalMatrix) -> list[float]:
    return np.asarray(matrix.memory, float)[:, 0].tolist()


def _inputs(command: Curve) -> np.ndarray:
    """The numbers of --stimulus, or as many normal ones of that size as there are steps."""
    given = np.asarray(command.stimulus, float)
    if len(given) > 1:
        return given
    return float(given[0]) * np.asarray(jax.random.normal(jax.random.key(command.seed), (command.steps,)), float)


def _of_structure(command: Curve, inputs: np.ndarray) -> dict[str, TemporalMatrix]:
    settings = curve_settings(command)
    kept = {name: value for name, value in settings.items() if name not in {"stimulus", "num_steps", "protocol"}}
    gains = load_gain_matrix(command)
    forms = ("independent", "linear") if command.nonlinearity in SMOOTH else ("independent",)
    return {f"{form} form": fisher.temporal_matrix(gains, inputs, form=form, **kept) for form in forms}


def _of_network(command: Curve, inputs: np.ndarray) -> dict[str, TemporalMatrix]:
    network = networks.in_precision(asked_network(command), jnp.float64)
    if network.input_shape != (1,):
        raise UsageError(f"--protocol stream needs a network of one input, and {command.network} has another number")
    methods = {"small noise": "linearized", **({"closure": "closure"} if isinstance(network, CLOSED) else {})}
    return {
        name: fisher.temporal_matrix(network, inputs, form="linear", method=method) for name, method in methods.items()
    }
