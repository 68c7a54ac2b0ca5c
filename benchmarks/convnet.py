"""CordsNet beside a torch eager loop: forward at 224², training at 32², memory of a training step."""

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, paired, ratio_row, row, temporary_bytes
from fisherjax import vision

BLANK, IMAGE, ROUNDS = 20, 20, 3  # the published response has 100 + 100 steps; each costs the same
SMALL, BATCH, UPDATES, TRAINING_ROUNDS = {"blank_steps": 8, "image_steps": 20}, 32, 2, 2
OFFSET = 20
WAYS = {
    "torch, as published": {"drive": "per step", "normalize": "per use"},
    "torch, cached drive": {"drive": "cached", "normalize": "once"},
}


def speed() -> list[Row]:
    """Ratios of rounds side by side; both sides on all cores."""
    return [*_forward(), *_training(), *_memory()]


def _forward() -> list[Row]:
    import torch

    from benchmarks._torch_convnet import Steps, TorchCordsNet

    network = vision.ConvolutionalRNN(vision.architecture("R8"), key=jax.random.key(0))
    images = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    theirs = torch.tensor(images.transpose(0, 3, 1, 2))
    peers = {name: TorchCordsNet(network, **way) for name, way in WAYS.items()}

    def ours() -> np.ndarray:
        return np.asarray(vision.respond(network, images, blank_steps=BLANK, image_steps=IMAGE).logits[-1])

    def peer(name: str) -> Any:
        def respond() -> np.ndarray:
            with torch.no_grad():
                return peers[name](theirs, Steps(BLANK, IMAGE))[0][-1].numpy()

        return respond

    expected = ours()
    for name in WAYS:
        np.testing.assert_allclose(peer(name)(), expected, atol=2e-3 * np.abs(expected).max())
    functions = {"fisherjax": ours, **{name: peer(name) for name in WAYS}, "bare products": _products(network)}
    times = paired(functions, ROUNDS)
    name = f"CordsNet R8 at 224 × 224, one image, {BLANK + IMAGE} steps"
    pair = ("torch, as published", "fisherjax")
    missed = "three times as fast would be below the bare products"
    return [
        ratio_row(f"{name}: torch as published / fisherjax", times, pair, "higher", 3.0, missed),
        ratio_row(
            f"{name}: torch with cached drive / fisherjax", times, ("torch, cached drive", "fisherjax"), "higher", 1.0
        ),
        ratio_row(f"{name}: fisherjax / bare products of that size", times, ("fisherjax", "bare products"), "lower"),
    ]


def _products(network: vision.ConvolutionalRNN) -> Any:
    """The matrix products that the convolutions of all steps come down to, of patches that are there already."""
    plan = network.architecture
    pairs = []
    for area, (kernel, (height, width, channels)) in enumerate(
        zip(network.kernels().recurrent, plan.area_shapes, strict=True)
    ):
        sources = [channels] + ([plan.channels[area - 1]] if area else [])
        pairs += [
            (jnp.ones((height * width, 9 * source)), jnp.ones((9 * source, kernel.shape[3]))) for source in sources
        ]

    @jax.jit
    def all_steps(pairs: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
        def body(_: Any, scale: jax.Array) -> jax.Array:
            # the factor keeps the products in the loop
            return 1 + 1e-12 * jnp.sum(jnp.stack([jnp.sum(((p * scale) @ kernel)[:1]) for p, kernel in pairs]))

        return jax.lax.fori_loop(0, BLANK + IMAGE, body, jnp.float32(1))

    return lambda: all_steps(pairs)


def _training() -> list[Row]:
    import torch

    from benchmarks._torch_convnet import TorchCordsNet

    plan = vision.architecture("R4-32", **SMALL)
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH * UPDATES, 32, 32, 3)).astype(np.float32)
    labels = rng.integers(0, 10, len(images))
    options = {"batch_size": BATCH, "learning_rate": 1e-3, "offset_steps": OFFSET, "evaluate_every": UPDATES}

    def ours() -> np.ndarray:
        key = jax.random.key(1)
        return vision.fine_tune(network, images, labels, key=key, num_steps=UPDATES, **options)[1].loss

    pixels, classes = torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)

    def peer(name: str) -> Any:
        model = TorchCordsNet(network, **WAYS[name])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def updates() -> float:
            for begin in range(0, len(images), BATCH):
                chosen = slice(begin, begin + BATCH)
                optimizer.zero_grad()
                loss = torch_loss(model, pixels[chosen], classes[chosen])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            return float(loss.detach())  # pyright: ignore[reportPossiblyUnboundVariable]

        return updates

    _check_same_loss(network, images[:BATCH], labels[:BATCH])
    times = paired({"fisherjax": ours, **{name: peer(name) for name in WAYS}}, TRAINING_ROUNDS)
    name = f"CordsNet R4-32, training step, batch {BATCH}"
    pair = ("torch, as published", "fisherjax")
    missed = "most of a step on either side is convolutions and their gradients, which both run at the rate of products"
    return [
        ratio_row(f"{name}: torch as published / fisherjax", times, pair, "higher", 1.5, missed),
        ratio_row(
            f"{name}: torch with cached drive / fisherjax", times, ("torch, cached drive", "fisherjax"), "higher"
        ),
    ]


def torch_loss(model: Any, pixels: Any, classes: Any) -> Any:
    """Cross-entropy late in the response and the return to baseline, as `vision.fine_tune` has them."""
    import torch.nn.functional as nn

    from benchmarks._torch_convnet import Steps

    blank, shown = SMALL["blank_steps"], SMALL["image_steps"]
    late = range(blank + shown + OFFSET - 9, blank + shown + OFFSET + 1)
    logits, kept = model(pixels, Steps(blank, shown, OFFSET), (blank, *late))
    weights = np.logspace(-3, 0, round(0.3 * shown))
    weights /= weights.sum()
    loss = sum(float(w) * nn.cross_entropy(z, classes) for w, z in zip(weights, logits[-len(weights) :], strict=True))
    squares = sum(((a - b) ** 2).sum() for step in late for a, b in zip(kept[step], kept[blank], strict=True))
    return loss + 1e-3 * squares / sum(one.numel() for one in kept[blank]) / len(late)


def _check_same_loss(network: vision.ConvolutionalRNN, images: np.ndarray, labels: np.ndarray) -> None:
    import torch

    from benchmarks._torch_convnet import TorchCordsNet

    model = TorchCordsNet(network, drive="per step", normalize="per use")
    with torch.no_grad():
        theirs = float(torch_loss(model, torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)))
    _, history = vision.fine_tune(
        network, images, labels, key=jax.random.key(0), num_steps=1, batch_size=len(images), offset_steps=OFFSET
    )
    np.testing.assert_allclose(history.loss[0], theirs, rtol=1e-4)


def _memory() -> list[Row]:
    """Temporary memory of the gradient of the last logits, as the compiler plans it."""
    found = []
    for words, every in (("all states kept", None), ("every 10th kept", 10)):
        plan = vision.architecture("R4-32", blank_steps=100, image_steps=100)
        network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
        images = jnp.zeros((BATCH, *plan.image_shape))

        @eqx.filter_jit
        def slope(network: Any, images: Any, every: int | None = every) -> Any:
            def loss(network: Any) -> Any:
                return jnp.sum(vision.respond(network, images, remat_every=every, reverse_mode=True).logits[-1])

            return eqx.filter_grad(loss)(network)

        memory = temporary_bytes(cast("Any", slope).lower(network, images).compile().compiled) / 2**20
        name = f"CordsNet R4-32, batch {BATCH}, 200 steps: memory of the gradient (MiB), {words}"
        found.append(row(name, memory, "lower"))
    return found
