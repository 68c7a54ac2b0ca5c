"""Does the device wait for pictures? Decoding in threads, beside the network that they are decoded for.

JPEG pictures of 500 × 375 in a folder, and in an archive of ImageNet's format: how many a thread decodes, how long a
step of training waits for its batch, and what reading adds to evaluation at 224 × 224.
"""

import io
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from PIL import Image

from benchmarks._common import Row, paired, ratio_row, row
from fisherjax import datasets, vision
from fisherjax.datasets._sources import Pictures
from fisherjax.vision._source import StreamedEpochs

CLASSES, OF_EACH, DECODED = 10, 24, 120
BATCH, UPDATES = 32, 12


def speed() -> list[Row]:
    """Rates and ratios of rounds side by side."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        _write(folder)
        pictures = datasets.image_folder(folder)
        return [*_decoding(pictures), *_training(pictures), *_evaluation(Path(place))]


def _write(folder: Path) -> None:
    photographs = [Image.fromarray(datasets.photograph(name)).resize((500, 375)) for name in ("chelsea", "coffee")]
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(OF_EACH):
            picture = photographs[number % 2].rotate(3 * label + number / 2)
            picture.save(folder / f"class {label}" / f"{number}.jpg", quality=90)


def _decoding(pictures: Pictures) -> list[Row]:
    """Pictures per second to 224 × 224, of one thread and of as many as there are cores."""
    some = pictures.select(np.arange(DECODED))
    times = paired({name: (lambda n=n: some.pixels(num_threads=n)) for name, n in (("one", 1), ("all", None))}, 5)
    rates = {name: DECODED / np.array(values) for name, values in times.items()}
    return [
        row("JPEG of 500 × 375 to 224 × 224: pictures per second, one thread", rates["one"].tolist(), "higher"),
        row("the same, a thread for each core", rates["all"].tolist(), "higher"),
    ]


def _training(pictures: Pictures) -> list[Row]:
    """Updates of R4-32 on pictures, beside the same on their arrays, and the share of the time that they wait."""
    small = pictures.prepared(datasets.Preprocessing((32, 32, 3)))
    pixels, labels = small.pixels()
    arrays = small.preprocessing.standardized(pixels)
    plan = vision.architecture("R4-32", num_classes=CLASSES, blank_steps=2, image_steps=6)
    waits: list[float] = []
    take = StreamedEpochs.take

    def timed(stream: StreamedEpochs, start: int, count: int) -> Any:
        begun = time.perf_counter()
        taken = take(stream, start, count)
        waits.append(time.perf_counter() - begun)
        return taken

    def trained(*data: Any) -> Any:
        options: dict[str, Any] = {"num_steps": UPDATES, "batch_size": BATCH, "evaluate_every": UPDATES}
        return vision.train_directly(plan, *data, key=jax.random.key(0), offset_steps=0, **options).network.leak

    # a step at a time, so that there is something to wait for
    bytes_of_step = BATCH * 32 * 32 * 3
    with (
        mock.patch.object(StreamedEpochs, "take", timed),
        mock.patch("fisherjax.vision._source._MOST_BYTES", bytes_of_step),
    ):
        times = paired({"pictures": lambda: trained(small), "arrays": lambda: trained(arrays, labels)}, 3)
    wait = np.array(waits).reshape(-1, UPDATES)[-3:]
    share = wait[:, 1:].sum(axis=1) / np.array(times["pictures"])  # the first batch has nothing to hide behind
    name = f"training R4-32, batches of {BATCH}"
    missed = "decoding takes its time from the same cores"
    return [
        ratio_row(f"{name}: from JPEG files / from arrays", times, ("pictures", "arrays"), "lower", 1.1, missed),
        row(f"{name}: share of the time in which the device waits for pictures", share.tolist(), "lower", 0.05),
    ]


def _evaluation(place: Path) -> list[Row]:
    """R8 on pictures of an archive, beside R8 on their pixels."""
    files = sorted((place / "folder").rglob("*.jpg"))[:4]
    with tarfile.open(place / "ILSVRC2012_img_train.tar", "w") as outer:
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w") as archive:
            for number, file in enumerate(files):
                archive.add(file, f"n00000000_{number}.JPEG")
        member = tarfile.TarInfo("n00000000.tar")
        member.size = len(inner.getvalue())
        outer.addfile(member, io.BytesIO(inner.getvalue()))
    pictures = datasets.imagenet(place)
    pixels, labels = pictures.pixels()
    arrays = pictures.preprocessing.standardized(pixels)
    network = vision.ConvolutionalRNN(vision.architecture("R8", blank_steps=10, image_steps=10), key=jax.random.key(0))
    times = paired({
        "archive": lambda: vision.evaluate(network, pictures).top_1,
        "network": lambda: vision.evaluate(network, arrays, labels).top_1,
    }, 3)  # fmt: skip
    name = "R8 at 224 × 224, four pictures, 20 steps: from an archive / the network alone"
    return [ratio_row(name, times, ("archive", "network"), "lower", 1.2)]
