"""The theory of structures with means, biases and inputs of three kinds against simulations of networks of them."""

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import write, write_table
from fisherjax import connectivity as cn
from fisherjax import fisher

SIZES, DRAWS, TRIALS = (1000, 2000), 32, 400
STREAM = np.array([0.8, -0.5, 0.3, 1.0, -0.6])
EXCITATION, INHIBITION = [2.0, 2.0], [-4.0, -3.0]


def structure(gain: float = 1.0, mean: float = 1.0) -> cn.GainMatrix:
    """Four excitatory units for every inhibitory one."""
    gains, means = np.array([[0.8, 1.2], [0.9, 1.0]]), np.stack([EXCITATION, INHIBITION], axis=1)
    return cn.GainMatrix(gain * gains, [0.8, 0.2], mean * means)


def settings() -> dict[str, tuple[cn.GainMatrix, dict[str, Any], tuple[int, ...]]]:
    """Structure, question and times of every setting."""
    afferent = {"noise_std": 0.3, "bias": (0.4, 0.2), "input_pattern": (1.0, 0.3)}
    pulse = {"noise_std": 0.3, "bias": (0.4, 0.2), "stimulus": 0.5, "num_steps": 4}
    lasting = afferent | {"protocol": "sustained", "stimulus": 0.5, "num_steps": 6}
    stream = afferent | {"protocol": _stream, "stimulus": STREAM, "num_steps": 5}
    frozen = lasting | {"input_pattern": (0.0, 0.0), "input_pattern_std": (1.0, 0.5), "bias_std": 0.2}
    mild = structure(0.8, 0.7)
    return {
        "tanh, pulse": (structure(), pulse, (1, 2, 4)),
        "tanh, sustained": (structure(), lasting, (1, 3, 6)),
        "tanh, sustained, random pattern": (structure(), frozen, (1, 3, 6)),
        "tanh, stream": (structure(), stream, (5,)),
        "relu, pulse": (structure(), pulse | {"nonlinearity": "relu"}, (1, 2, 4)),
        "relu, sustained": (structure(), lasting | {"nonlinearity": "relu"}, (1, 3, 6)),
        "relu, stream": (structure(), stream | {"nonlinearity": "relu"}, (5,)),
        "softplus, sustained": (mild, lasting | {"nonlinearity": jax.nn.softplus}, (1, 3, 6)),
        "softplus, stream": (mild, stream | {"nonlinearity": jax.nn.softplus}, (5,)),
        "logistic, pulse": (structure(4.0, 4.0), pulse | {"nonlinearity": "logistic"}, (1, 2, 4)),
        "logistic, sustained": (structure(4.0, 4.0), lasting | {"nonlinearity": "logistic"}, (1, 3, 6)),
        "logistic, stream": (structure(4.0, 4.0), stream | {"nonlinearity": "logistic"}, (5,)),
    }


def _stream(inputs: jax.Array) -> jax.Array:
    return inputs


def run() -> dict[str, object]:
    """Theory within 2 % or two standard errors of networks of both sizes, everywhere."""
    rows: list[dict[str, Any]] = []
    for index, (name, (matrix, question, times)) in enumerate(settings().items()):
        start = time.perf_counter()
        with jax.enable_x64(True):
            theory = fisher.meanfield_curve(matrix, **question, at=times)
        for size in SIZES:
            single = cn.GainMatrix(
                *(np.asarray(part, np.float32) for part in (matrix.gains, matrix.fractions, matrix.means))
            )
            key = jax.random.fold_in(jax.random.key(index), size)
            counts = {"num_units": size, "num_trials": TRIALS, "num_draws": DRAWS, "key": key}
            measured = fisher.ensemble_curve(single, **question, **counts, dtype=jnp.float32)
            rows += _rows(name, size, times, theory, measured)
        print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
    return report(rows)


def report(measured: list[dict[str, Any]]) -> dict[str, object]:
    """The table, with what both sizes together say of larger networks, and how much of it holds."""
    rows = [part for small, large in _pairs(measured) for part in (small, large, _beyond(small, large))]
    write_table(
        "inputs",
        "Simulated networks with means and inputs against the theory at N → ∞",
        "The spread over draws is of one network, over the mean.",
        rows,
    )
    kinds = {size: [line for line in rows if line["N"] == size] for size in (*map(str, SIZES), "∞")}
    return write(
        "inputs",
        {
            "what": f"{DRAWS} networks of every size, {TRIALS} trials each, float32; independent form, F/N; N = ∞ by "
            "extrapolation in 1/N",
            "within 2 % or 2 s.e. (target: all)": {size: _held(lines) for size, lines in kinds.items()},
            "root mean square z": {
                size: float(np.sqrt(np.mean([line["z"] ** 2 for line in lines]))) for size, lines in kinds.items()
            },
            "rows": rows,
        },
    )


def _held(lines: list[dict[str, Any]]) -> str:
    return f"{sum(abs(line['z']) <= 2 or abs(line['ratio'] - 1) <= 0.02 for line in lines)} of {len(lines)}"


def _pairs(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Lines of both sizes about the same entry."""
    small, large = ([line for line in rows if line["N"] == str(size)] for size in SIZES)
    return list(zip(small, large, strict=True))


def _beyond(small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
    """The line N → ∞, where a correction of 1/N has vanished."""
    share = SIZES[1] / (SIZES[1] - SIZES[0])
    found = share * large["simulated"] - (share - 1) * small["simulated"]
    error = float(np.hypot(share * large["standard error"], (share - 1) * small["standard error"]))
    return _line(large["setting"], "∞", large["entry"], large["theory"], found, error) | {"spread over draws": ""}


def _line(setting: str, size: str, entry: str, theory: float, found: float, error: float) -> dict[str, Any]:
    return {
        "setting": setting,
        "entry": entry,
        "N": size,
        "theory": theory,
        "simulated": found,
        "standard error": error,
        "spread over draws": error * np.sqrt(DRAWS) / abs(found),
        "ratio": found / theory,
        "z": (found - theory) / error,
    }


def _rows(
    name: str, size: int, times: tuple[int, ...], theory: fisher.FisherCurve, measured: fisher.FisherCurve
) -> list[dict[str, Any]]:
    """A line for every time, or for every two inputs of a stream."""
    expected = np.asarray(theory.total, float)
    chosen = [step - 1 for step in times]
    found, error = (np.asarray(part, float)[chosen] / size for part in (measured.total, measured.standard_error))
    if expected.ndim == 1:
        entries = {f"t = {step}": (place,) for place, step in enumerate(times)}
    else:
        entries = {
            f"inputs {i}, {j}": (0, i, j) for i in range(len(STREAM)) for j in range(i + 1) if i - j in (0, 1, 4)
        }
    return [
        _line(name, str(size), entry, float(expected[place]), float(found[place]), float(error[place]))
        for entry, place in entries.items()
    ]


if __name__ == "__main__":
    print(json.dumps({key: value for key, value in run().items() if key != "rows"}, indent=2))
