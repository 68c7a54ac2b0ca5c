"""Networks on an accelerator: responses to images, training on images and on a task, beside torch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import convnet, training
from benchmarks._common import Row, paired, ratio_row, row
from benchmarks._gpu_peers import made, synchronized, torch_or_none
from fisherjax import vision
from fisherjax._runtime import PRECISIONS

ROUNDS = 3
UPDATES = 2


def parts(*, small: bool) -> list[tuple[str, float, Callable[[], list[Row]]]]:
    """Name, seconds, and what measures it."""
    batches, training_batches = ((2,), (4,)) if small else ((1, 32), (32, 256))
    sizes = ((16, 8),) if small else ((64, 64), (512, 256))
    seeing, learning = ("R2-8", "R2-8") if small else ("R8", "R4-32")
    return [
        *((f"CordsNet {seeing}, {n} images", 35, lambda n=n: _forward(seeing, n)) for n in batches),
        *((f"training {learning}, batch {n}", 45, lambda n=n: _training(learning, n)) for n in training_batches),
        *(
            (f"training a flip-flop, N = {units}", 25, lambda u=units, b=batch: _flip_flop(u, b))
            for units, batch in sizes
        ),
    ]


def _forward(name: str, batch: int) -> list[Row]:
    """Time and error of logits by precision; torch with and without TensorFloat-32."""
    plan = vision.architecture(name)
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
    images = np.random.default_rng(0).normal(size=(batch, *plan.image_shape)).astype(np.float32)
    shown = jnp.asarray(images)

    def ours(precision: Any) -> Callable[[], jax.Array]:
        steps: dict[str, Any] = {"blank_steps": convnet.BLANK, "image_steps": convnet.IMAGE}
        return lambda: vision.respond(network, shown, precision=precision, **steps).logits

    expected = np.asarray(ours("float32")())[-1]
    functions: dict[str, Callable[[], Any]] = {precision: ours(precision) for precision in PRECISIONS}
    functions |= _torch_forward(network, images)
    told, rows = f"{name}, {batch} images, {convnet.BLANK + convnet.IMAGE} steps", []
    for precision in PRECISIONS[1:]:
        off = np.abs(np.asarray(functions[precision]())[-1] - expected).max() / np.abs(expected).max()
        rows.append(row(f"{told}, {precision}: largest error of logits / largest logit", off, "lower"))
    return [*rows, *_beside(told, paired(functions, ROUNDS))]


def _torch_forward(network: vision.ConvolutionalRNN, images: np.ndarray) -> dict[str, Callable[[], Any]]:
    torch = torch_or_none()
    if torch is None:
        return {}
    from benchmarks._torch_convnet import Steps, TorchCordsNet

    pixels = made(lambda: torch.tensor(images.transpose(0, 3, 1, 2)))

    def respond(model: Any, *, allow: bool) -> Callable[[], Any]:
        @torch.no_grad()
        def run() -> Any:
            return model(pixels, Steps(convnet.BLANK, convnet.IMAGE))[0][-1]

        return synchronized(run, allow=allow)

    models = {
        way: made(lambda options=options: TorchCordsNet(network, **options)) for way, options in convnet.WAYS.items()
    }
    return {
        f"{way}{', TensorFloat-32' if allow else ''}": respond(model, allow=allow)
        for way, model in models.items()
        for allow in (False, True)
    }


def _beside(told: str, times: dict[str, list[float]], count: int = 1) -> list[Row]:
    """Milliseconds of ours, and how torch compares in the same precision."""
    rows = [
        row(f"{told}, {precision}: milliseconds", np.array(times[precision]) / count * 1e3, "lower")
        for precision in PRECISIONS
        if precision in times
    ]
    for name in times:
        if name.startswith("torch"):
            pair = (name, "tensorfloat32" if "TensorFloat" in name else "float32")
            rows.append(ratio_row(f"{told}: {name} / fisherjax", times, pair, "higher", 1.0))
    return rows


def _training(name: str, batch: int) -> list[Row]:
    """Time of an update, and the loss of the second one, by precision."""
    plan = vision.architecture(name, **convnet.SMALL)
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch * UPDATES, *plan.image_shape)).astype(np.float32)
    labels = rng.integers(0, plan.num_classes, len(images))
    options = {"batch_size": batch, "learning_rate": 1e-3, "offset_steps": convnet.OFFSET, "evaluate_every": UPDATES}

    def ours(precision: Any) -> Callable[[], np.ndarray]:
        key = {"key": jax.random.key(1), "num_steps": UPDATES, "precision": precision}
        return lambda: vision.fine_tune(network, images, labels, **key, **options)[1].loss

    functions: dict[str, Callable[[], Any]] = {precision: ours(precision) for precision in PRECISIONS}
    expected, told = functions["float32"](), f"{name}, an update of {batch} images"
    rows = [
        row(
            f"{told}, {one}: loss after an update, relative error",
            abs(functions[one]()[-1] / expected[-1] - 1),
            "lower",
        )
        for one in PRECISIONS[1:]
    ]
    functions |= _torch_training(network, images, labels, batch)
    return [*rows, *_beside(told, paired(functions, ROUNDS), UPDATES)]


def _torch_training(network: Any, images: np.ndarray, labels: np.ndarray, batch: int) -> dict[str, Callable[[], Any]]:
    torch = torch_or_none()
    if torch is None:
        return {}
    from benchmarks._torch_convnet import TorchCordsNet

    pixels, classes = made(lambda: (torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)))

    def updates(way: dict[str, str], *, allow: bool) -> Callable[[], Any]:
        model = made(lambda: TorchCordsNet(network, **way))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def run() -> None:
            for begin in range(0, len(pixels), batch):
                optimizer.zero_grad()
                loss = convnet.torch_loss(model, pixels[begin : begin + batch], classes[begin : begin + batch])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

        return synchronized(run, allow=allow)

    return {
        f"{name}{', TensorFloat-32' if allow else ''}": updates(way, allow=allow)
        for name, way in convnet.WAYS.items()
        for allow in (False, True)
    }


def _flip_flop(units: int, batch: int) -> list[Row]:
    """Many updates of ours for one of torch's, whose loop has the same cost at every one."""
    many, few = 200, 5
    functions: dict[str, Callable[[], Any]] = {
        precision: functools.partial(training.fisherjax_steps(units, batch, precision), many)
        for precision in PRECISIONS
    }
    if torch_or_none() is not None:
        steps = made(lambda: training.torch_steps(units, batch))
        functions["torch"] = synchronized(lambda: steps(few), allow=False)
    times = {
        name: np.array(one) / (few if name == "torch" else many) for name, one in paired(functions, ROUNDS).items()
    }
    return _beside(
        f"flip-flop, N = {units}, batch {batch}, an update", {name: list(one) for name, one in times.items()}
    )
