"""A training run in its own process: ``python resumable_run.py CHECKPOINT RESULT``. Killed and restarted by a test."""

import sys
import time
from pathlib import Path

import jax

from fisherjax import networks, tasks, training
from fisherjax.training._checkpoint import digest


def main(checkpoint: Path, result: Path) -> None:
    """Train with noise and Dale's law; say when training is on, and write a digest of the final weights."""
    key = jax.random.key(7)
    constraints = (networks.dale(0.8), networks.no_autapses())
    network = networks.RNN(2, 24, 2, key=key, constraints=constraints, noise_std=0.05)

    def report(progress: training.TrainingProgress) -> None:
        print("step", progress.step, flush=True)
        time.sleep(0.01)

    trained = training.fit(
        network,
        tasks.flip_flop(num_bits=2),
        key=key,
        num_steps=4000,
        batch_size=16,
        trial_steps=12,
        evaluate_every=20,
        checkpoint=checkpoint,
        checkpoint_every=20,
        callback=report,
    )
    result.write_text(digest((trained.network, trained.last_network, trained.history)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
