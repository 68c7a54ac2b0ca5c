"""Training of the 3-bit flip-flop against the same loop in torch eager, and against its own matrix products."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks._common import Row, paired, ratio_row
from fisherjax import networks, tasks, training

UNITS, STEPS, BATCH, BITS = 64, 64, 64, 3
CHUNK, ROUNDS = 300, 7


def speed() -> list[Row]:
    """N = 64, T = 64, batch 64, float32, Adam, clipping, fresh batches; steps per second, rounds side by side."""
    ours, theirs, products = fisherjax_steps(), torch_steps(), _products()
    functions = {
        "fisherjax": lambda: ours(CHUNK),
        "torch eager": lambda: theirs(CHUNK),
        "bare products, jax": lambda: products(CHUNK),
    }
    times = paired(functions, ROUNDS)
    name = f"training, {BITS}-bit flip-flop, N = {UNITS}, T = {STEPS}, batch {BATCH}"
    missed = "two cores: the products of N = 64 are small beside what surrounds them on both sides"
    return [
        ratio_row(f"{name}: torch eager / fisherjax", times, ("torch eager", "fisherjax"), "higher", 5.0, missed),
        ratio_row(
            f"{name}: fisherjax / its three products per step", times, ("fisherjax", "bare products, jax"), "lower"
        ),
    ]


def fisherjax_steps(units: int = UNITS, batch_size: int = BATCH, precision: Any = "float32") -> Any:
    """Function of how many updates to make."""
    key = jax.random.key(0)
    network = networks.RNN(BITS, units, BITS, key=key)
    settings = {"key": key, "batch_size": batch_size, "learning_rate": 3e-3, "evaluate_every": 100}

    def steps(count: int) -> None:
        training.fit(network, tasks.flip_flop, num_steps=count, precision=precision, **settings)

    return steps


def _products() -> Any:
    """Three products (batch × N)·(N × N) per time step: one forward, two backward."""

    @jax.jit
    def chain(weights: jax.Array) -> jax.Array:
        start = jnp.ones((BATCH, UNITS), jnp.float32)
        return jax.lax.scan(lambda x, _: (x @ weights, None), start, length=3 * STEPS)[0]

    weights = jnp.eye(UNITS, dtype=jnp.float32)

    def steps(count: int) -> None:
        for _ in range(count):
            chain(weights).block_until_ready()

    return steps


def torch_steps(units: int = UNITS, batch_size: int = BATCH) -> Any:
    """The loop as one writes it in torch: a step per time, autograd, Adam, clipping."""
    import torch

    torch.manual_seed(0)
    weights, inner, outer = (
        (torch.randn(shape) / shape[1] ** 0.5).requires_grad_()
        for shape in ((units, units), (units, BITS), (BITS, units))
    )
    bias, offset = torch.zeros(units, requires_grad=True), torch.zeros(BITS, requires_grad=True)
    parameters = [weights, inner, outer, bias, offset]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)

    def batch() -> tuple[Any, Any]:
        pulse = torch.rand(STEPS, batch_size, BITS) < 0.1
        pulse[0] = True
        inputs = torch.where(pulse, torch.where(torch.rand(STEPS, batch_size, BITS) < 0.5, 1.0, -1.0), 0.0)
        times = torch.arange(STEPS)[:, None, None].expand(STEPS, batch_size, BITS)
        return inputs, torch.gather(inputs, 0, torch.cummax(torch.where(pulse, times, 0), 0).values)

    def steps(count: int) -> None:
        for _ in range(count):
            inputs, targets = batch()
            state, outputs = torch.zeros(batch_size, units), []
            for time_step in range(STEPS):
                state = torch.tanh(state @ weights.T + inputs[time_step] @ inner.T + bias)
                outputs.append(state @ outer.T + offset)
            loss = torch.mean((torch.stack(outputs) - targets) ** 2)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return steps
