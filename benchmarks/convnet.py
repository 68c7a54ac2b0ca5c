"""CordsNet beside a torch eager loop: forward at 224², training at 32², memory of a training step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import paired, ratio, write
from fisherjax import networks, training

BLANK, IMAGE, ROUNDS = 100, 100, 3  # the published response
SMALL, BATCH, UPDATES, TRAINING_ROUNDS = {"blank_steps": 8, "image_steps": 20}, 32, 6, 5
OFFSET = 20
WAYS = {
    "torch, as published": {"drive": "per step", "normalise": "per use"},
    "torch, plain weights": {"drive": "per step", "normalise": "once"},
    "torch, cached drive": {"drive": "cached", "normalise": "once"},
}


def run() -> dict[str, Any]:
    """Ratios of rounds side by side; both sides on all cores."""
    forward, training_step = _forward(), _training()
    return write(
        "convnet",
        {
            "what": f"R8 at 224 × 224, batch 1, {BLANK} + {IMAGE} steps; a training step of R4-32, batch {BATCH}, "
            f"8 + 20 + {OFFSET} steps, Adam. Torch eager: weight normalisation at every use, the stem at every step, "
            "as published; or plain weights; or the drive kept as well",
            **forward,
            **training_step,
            **_memory(),
        },
    )


def _forward() -> dict[str, Any]:
    import torch

    from benchmarks._torch_convnet import Steps, TorchCordsNet

    network = networks.ConvolutionalRNN(networks.architecture("R8"), key=jax.random.key(0))
    images = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    theirs = torch.tensor(images.transpose(0, 3, 1, 2))
    peers = {name: TorchCordsNet(network, **way) for name, way in WAYS.items()}

    def ours() -> np.ndarray:
        return np.asarray(networks.respond(network, images, blank_steps=BLANK, image_steps=IMAGE).logits[-1])

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
    steps = BLANK + IMAGE
    per_step = {f"forward, {name}, ms per step": 1e3 * float(np.median(t)) / steps for name, t in times.items()}
    return {
        "forward, seconds": times,
        **per_step,
        "forward, torch as published / fisherjax (target 3)": ratio(times, "torch, as published", "fisherjax"),
        "forward, torch with plain weights / fisherjax": ratio(times, "torch, plain weights", "fisherjax"),
        "forward, torch with cached drive / fisherjax (target 1)": ratio(times, "torch, cached drive", "fisherjax"),
        "forward, fisherjax / bare products of the same size": ratio(times, "fisherjax", "bare products"),
    }


def _products(network: networks.ConvolutionalRNN) -> Any:
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
            return 1 + 1e-12 * sum(jnp.sum(((patches * scale) @ kernel)[:1]) for patches, kernel in pairs)

        return jax.lax.fori_loop(0, BLANK + IMAGE, body, jnp.float32(1))

    return lambda: all_steps(pairs)


def _training() -> dict[str, Any]:
    import torch

    from benchmarks._torch_convnet import TorchCordsNet

    plan = networks.architecture("R4-32", **SMALL)
    network = networks.ConvolutionalRNN(plan, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH * UPDATES, 32, 32, 3)).astype(np.float32)
    labels = rng.integers(0, 10, len(images))
    options = {"batch_size": BATCH, "learning_rate": 1e-3, "offset_steps": OFFSET, "evaluate_every": UPDATES}

    def ours() -> np.ndarray:
        key = jax.random.key(1)
        return training.fine_tune(network, images, labels, key=key, num_steps=UPDATES, **options)[1].loss

    pixels, classes = torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)

    def peer(name: str) -> Any:
        model = TorchCordsNet(network, **WAYS[name])
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

        def updates() -> float:
            for begin in range(0, len(images), BATCH):
                chosen = slice(begin, begin + BATCH)
                optimiser.zero_grad()
                loss = _torch_loss(model, pixels[chosen], classes[chosen])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
            return float(loss.detach())  # pyright: ignore[reportPossiblyUnboundVariable]

        return updates

    _check_same_loss(network, images[:BATCH], labels[:BATCH])
    times = paired({"fisherjax": ours, **{name: peer(name) for name in WAYS}}, TRAINING_ROUNDS)
    rates = {f"training, {name}, ms per update": 1e3 * float(np.median(t)) / UPDATES for name, t in times.items()}
    return {
        "training, seconds": times,
        **rates,
        "training, torch as published / fisherjax (target 1.5)": ratio(times, "torch, as published", "fisherjax"),
        "training, torch with plain weights / fisherjax": ratio(times, "torch, plain weights", "fisherjax"),
        "training, torch with cached drive / fisherjax": ratio(times, "torch, cached drive", "fisherjax"),
    }


def _torch_loss(model: Any, pixels: Any, classes: Any) -> Any:
    """Cross-entropy late in the response and the return to baseline, as `training.fine_tune` has them."""
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


def _check_same_loss(network: networks.ConvolutionalRNN, images: np.ndarray, labels: np.ndarray) -> None:
    import torch

    from benchmarks._torch_convnet import TorchCordsNet

    model = TorchCordsNet(network, drive="per step", normalise="per use")
    with torch.no_grad():
        theirs = float(_torch_loss(model, torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)))
    _, history = training.fine_tune(
        network, images, labels, key=jax.random.key(0), num_steps=1, batch_size=len(images), offset_steps=OFFSET
    )
    np.testing.assert_allclose(history.loss[0], theirs, rtol=1e-4)


def _memory() -> dict[str, Any]:
    """Temporary memory of the gradient of the last logits, as the compiler plans it, in MiB."""
    found = {}
    cases: tuple[tuple[str, int, tuple[tuple[str, int | None], ...]], ...] = (
        ("R4-32", BATCH, (("all states kept", None), ("every 10th kept", 10))),
        ("R8", 1, (("all states kept", None), ("every 14th kept", 14))),
    )
    for name, batch, ways in cases:
        plan = networks.architecture(name, blank_steps=BLANK, image_steps=IMAGE)
        network = networks.ConvolutionalRNN(plan, key=jax.random.key(0))
        images = jnp.zeros((batch, *plan.image_shape))
        for words, every in ways:

            @eqx.filter_jit
            def slope(network: Any, images: Any, every: int | None = every) -> Any:
                def loss(network: Any) -> Any:
                    found = networks.respond(network, images, remat_every=every, reverse_mode=True)
                    return jnp.sum(found.logits[-1])

                return eqx.filter_grad(loss)(network)

            plan_of_memory = slope.lower(network, images).compile().compiled.memory_analysis()
            mebibytes = plan_of_memory.temp_size_in_bytes / 2**20
            found[f"memory of a gradient, {name}, batch {batch}, 200 steps, {words}, MiB"] = float(mebibytes)
        state = 4 * batch * plan.num_units / 2**20
        found[f"memory of one state, {name}, batch {batch}, MiB"] = float(state)
    return found


if __name__ == "__main__":
    print(run())
