"""Geometry of natural images: prediction against simulation, and the cost of following 500 of them."""

import io
import tarfile
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, paired, ratio_row, row, write
from fisherjax import connectivity as cn
from fisherjax import datasets, geometry

GAINS, IMAGES, UNITS, STEPS, TRIALS = (0.8, 1.0, 1.5), 100, 4000, 10, 20


def run() -> dict[str, object]:
    """Accuracy at N = 4000, cost at N = 2000."""
    rows = against_simulation()
    return write(
        "geometry",
        {
            "what": f"Predicted against simulated distances of {IMAGES} patches of photographs, N = {UNITS}, g in "
            f"{GAINS}, σ = 0.1, {TRIALS} trials averaged, 3 draws, t ≤ {STEPS}; cost of 500 patches, N = 2000, 50 "
            "steps, 5 draws, one trial.",
            "median pair, largest relative error": max(row["median pair"] for row in rows),
            "correlation, largest difference": max(row["correlation"] for row in rows),
            "rows": rows,
        },
    )


def against_simulation() -> list[dict[str, float]]:
    """Error of the median pair and of the correlation at every time."""
    key = jax.random.key(0)
    images = datasets.natural_patches(IMAGES, key=key)
    rows = []
    with jax.enable_x64(True):
        for gain in GAINS:
            matrix = cn.homogeneous(gain)
            patterns = geometry.initial_patterns(images, matrix, UNITS, key=key)
            found = geometry.compare_geometry(
                matrix,
                patterns,
                noise_std=0.1,
                num_steps=STEPS,
                num_trials=TRIALS,
                num_draws=3,
                key=key,
                kept_times=range(1, STEPS + 1),
            )
            pairs = np.triu_indices(IMAGES, 1)
            for step in range(STEPS):
                simulated, predicted = (np.asarray(part)[step][pairs] for part in (found.simulated, found.predicted))
                rows.append(
                    {
                        "gain": gain,
                        "time": step + 1,
                        "median pair": float(np.median(np.abs(predicted / simulated - 1))),
                        "correlation": float(abs(found.theory.pearson[step] - found.measured.pearson[step])),
                        "Pearson, theory": float(found.theory.pearson[step]),
                        "Pearson, simulation": float(found.measured.pearson[step]),
                    }
                )
    return rows


def speed() -> list[Row]:
    """Following 500 images, and loading 50 000."""
    return [*against_products(), *loading()]


def against_products() -> list[Row]:
    """Everything that `compare_geometry` does beside the matrix products of its simulation."""
    stimuli, units, steps, draws = 500, 2000, 50, 5
    key, matrix = jax.random.key(0), cn.homogeneous(1.0)
    patterns = geometry.initial_patterns(datasets.natural_patches(stimuli, key=key), matrix, units, key=key)
    start = patterns.astype(jnp.float32)
    keys = jax.random.split(key, draws)
    weights = [cn.sample_weights(matrix, units, key=k, dtype=jnp.float32) for k in keys]
    product = jax.jit(lambda state, w: state @ w.T)

    def products() -> jax.Array:
        state = start
        for w in weights:
            for _ in range(steps):
                state = product(state, w)
        return state

    def compare(num_steps: int = steps) -> object:
        settings = {"noise_std": 0.1, "num_steps": num_steps, "num_trials": 1, "num_draws": draws, "key": key}
        return geometry.compare_geometry(matrix, patterns, **settings).measured.pearson

    compare(2)
    times = paired({"geometry": compare, "products": products}, 3)
    missed = "weights, noise and theory take as long as the products, and so do the correlations of 125 000 distances"
    name = f"geometry, {stimuli} images, N = {units}, {steps} steps, {draws} draws"
    return [ratio_row(f"{name}: fisherjax / bare products", times, ("geometry", "products"), "lower", 2.5, missed)]


def loading() -> list[Row]:
    """50 000 images of the true size from a gzipped archive, beside reading its bytes."""
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(10_000, 3072)).cumsum(axis=1)
    pixels = 255 * (walk - walk.min(axis=1, keepdims=True)) / np.ptp(walk, axis=1, keepdims=True)
    labels = rng.integers(0, 10, (10_000, 1))
    batch = np.concatenate([labels, pixels], axis=1).astype(np.uint8).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=6) as archive:
            for name in [*(f"data_batch_{index}.bin" for index in range(1, 6)), "test_batch.bin"]:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(batch)
                archive.addfile(member, io.BytesIO(batch))
        times = paired({"load": lambda: datasets.cifar10(path)}, 3)
    return [row("CIFAR-10: seconds to load 50 000 images from the archive", times["load"], "lower", 3.0)]
