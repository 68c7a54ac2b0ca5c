"""Where training and evaluation take labeled images from: arrays in memory, or pictures that are read meanwhile."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from fisherjax._arrays import as_class_numbers, as_real
from fisherjax._errors import check_instance, require
from fisherjax._runtime import Stream, digest
from fisherjax._types import ArrayLike, Key
from fisherjax.datasets import Preprocessing
from fisherjax.datasets._pictures import Part
from fisherjax.datasets._sources import Pictures, Reader

from ._architecture import Architecture
from ._augmentation import Augmentation

Images = ArrayLike | Pictures
"""Floats (n, height, width, colors), standardized, with labels beside them; or pictures, which have their own."""

_MOST_BYTES = 2**26  # of the pictures of one compiled chunk of steps
_WORKED_ON = 2**28  # bytes of activity of the images that are evaluated at once


class Batch(NamedTuple):
    """Images (n, height, width, colors) and the probabilities of their classes (n, K)."""

    images: Array
    targets: Array


class InMemory(eqx.Module):
    """Images in arrays; an item of the stream is the numbers of some."""

    images: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.images)

    @property
    def inside(self) -> "InMemory":
        """What a compiled step takes images from."""
        return self

    def batch(self, item: Array) -> Batch:
        """The images of an item; within jit."""
        return Batch(self.images[item], self.targets[item])

    def batches(self, size: int) -> Iterator[Batch]:
        """All of them in order."""
        for begin in range(0, len(self), size):
            yield Batch(self.images[begin : begin + size], self.targets[begin : begin + size])

    @property
    def fingerprint(self) -> str:
        """Of all images and labels."""
        return digest(self)


class Decoded(eqx.Module):
    """What makes images of pixels in eight bits and their classes, the items of pictures."""

    preprocessing: Preprocessing = eqx.field(static=True)
    num_classes: int = eqx.field(static=True)

    def batch(self, item: tuple[Array, Array]) -> Batch:
        """Pixels as the network expects them; within jit."""
        pixels, labels = item
        kind = jnp.zeros(()).dtype
        shown = jnp.asarray(self.preprocessing.standardized(pixels), kind)
        return Batch(shown, jax.nn.one_hot(labels, self.num_classes, dtype=kind))


class FromPictures:
    """Pictures that are read when they are needed."""

    def __init__(self, pictures: Pictures, num_classes: int):
        self.pictures = pictures
        self.inside = Decoded(pictures.preprocessing, num_classes)

    def __len__(self) -> int:
        return len(self.pictures)

    def batches(self, size: int) -> Iterator[Batch]:
        """All of them in order, the next ones decoded meanwhile."""
        for pixels, labels in Reader(self.pictures).batches(size):
            yield self.inside.batch((jnp.asarray(pixels), jnp.asarray(labels)))

    @property
    def fingerprint(self) -> str:
        """Of names, sizes and labels."""
        return self.pictures.fingerprint


Source = InMemory | FromPictures


def as_source(architecture: Architecture, images: Images, labels: ArrayLike | None = None) -> Source:
    """Images and labels, checked against the architecture.

    Raises
    ------
    ValueError
        If images, labels or preprocessing do not fit the architecture, or pictures come with labels beside them.
    TypeError
        If labels are missing, or something is neither.
    """
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    if isinstance(images, Pictures):
        return _from_pictures(architecture, images, labels)
    if labels is None:
        raise TypeError("labels must be given with arrays of images: classes (n,), or probabilities (n, K)")
    array = architecture.check_images(images)
    require(array.ndim == 4 and len(array) > 0, f"images must be (n, height, width, colors), got {array.shape}")
    targets = class_probabilities(labels, architecture.num_classes, len(array))
    return InMemory(array.astype(targets.dtype), targets)


def _from_pictures(architecture: Architecture, pictures: Pictures, labels: ArrayLike | None) -> FromPictures:
    require(labels is None, "labels must not be given with pictures, which have their own")
    shape = pictures.preprocessing.image_shape
    require(
        shape == architecture.image_shape,
        f"images: the preprocessing of these pictures makes {shape}, the architecture expects "
        f"{architecture.image_shape}; give them preprocessing=datasets.Preprocessing({architecture.image_shape})",
    )
    require(
        len(pictures.classes) <= architecture.num_classes,
        f"images: these pictures have {len(pictures.classes)} classes, the architecture {architecture.num_classes}",
    )
    return FromPictures(pictures, architecture.num_classes)


def class_probabilities(labels: ArrayLike, num_classes: int, num_images: int) -> Float[Array, "n K"]:
    """Labels as probabilities: class numbers as ones in their class, probabilities (n, K) as they are."""
    rows = isinstance(labels, list | tuple) and any(isinstance(row, list | tuple) or np.ndim(row) for row in labels)
    if not rows and getattr(labels, "ndim", 1) != 2:
        return jax.nn.one_hot(as_class_numbers("labels", labels, num_images, num_classes), num_classes)
    soft = as_real("labels", labels, f"{num_images} {num_classes}", dtype=jnp.zeros(()).dtype)
    require(
        bool(jnp.min(soft) >= 0) and bool(jnp.all(jnp.abs(jnp.sum(soft, axis=1) - 1) < 1e-4)),
        "labels (n, K) must be probabilities: not negative, of sum one",
    )
    return soft


def evaluated_at_once(architecture: Architecture) -> int:
    """Images whose responses are computed together: a power of two, at most 256."""
    room = _WORKED_ON // (4 * 4 * architecture.num_units)  # some four copies in single precision
    return min(256, 2 ** max(0, room.bit_length() - 1))


class Epochs(Stream):
    """Batches of images: all of them in random order before any comes again."""

    def __init__(self, key: Key, source: Source, batch_size: int):
        self.key, self.source, self.batch_size = jax.random.fold_in(key, 2**31 - 1), source, batch_size
        self.orders: dict[int, np.ndarray] = {}

    def numbers(self, start: int, count: int) -> np.ndarray:
        """Numbers (count, batch) of the images; epochs are random orders, one after another."""
        begin, end, size = start * self.batch_size, (start + count) * self.batch_size, len(self.source)
        epochs = range(begin // size, -(-end // size))
        self.orders = {epoch: self.orders[epoch] if epoch in self.orders else self._order(epoch) for epoch in epochs}
        offset = epochs[0] * size
        return np.concatenate(list(self.orders.values()))[begin - offset : end - offset].reshape(count, -1)

    def _order(self, epoch: int) -> np.ndarray:
        return np.asarray(jax.random.permutation(jax.random.fold_in(self.key, epoch), len(self.source)))

    def close(self) -> None:
        """Nothing more is taken."""

    def take(self, start: int, count: int) -> Any:
        """The numbers."""
        return self.numbers(start, count)

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of all images."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        return self.source.fingerprint


class StreamedEpochs(Epochs):
    """The same of pictures, which are decoded while the device works on those before them.

    Of several processes each decodes the rows of a batch that its own devices work on.
    """

    def __init__(self, key: Key, source: FromPictures, batch_size: int, num_batches: int, augmentation: Augmentation):
        super().__init__(key, source, batch_size)
        self.num_batches, self.area = num_batches, augmentation.area
        self.reader = Reader(source.pictures)
        bytes_per_step = batch_size * int(np.prod(source.pictures.preprocessing.image_shape))
        self.most_steps = max(1, _MOST_BYTES // bytes_per_step)
        self.layout, self.rows = _rows_here(batch_size)

    def take(self, start: int, count: int) -> Any:
        """Pixels (count, rows, height, width, colors) and classes (count, rows) of the rows of this process."""
        end = min(start + 2 * count, self.num_batches)  # as many again, for the next time
        for number, indices in zip(range(start, end), self.numbers(start, end - start), strict=True):
            self.reader.order(number, indices[self.rows], self._parts(number))
        taken = [self.reader.take(number) for number in range(start, start + count)]
        return tuple(np.stack(part) for part in zip(*taken, strict=True))

    def close(self) -> None:
        """Nothing more is decoded."""
        self.reader.close()

    def placed(self, items: np.ndarray) -> jax.Array:
        """Rows of a batch on the devices of this process."""
        return jnp.asarray(items) if self.layout is None else jax.make_array_from_process_local_data(self.layout, items)

    def _parts(self, number: int) -> list[Part] | None:
        """Which part of every picture of a batch is shown: uniform in area, in log aspect within 4/3, and in place."""
        if self.area == 1:
            return None
        seed = np.asarray(jax.random.key_data(self.key)).tolist()
        draws = np.random.default_rng([*seed, number]).random((self.batch_size, 4))[self.rows]
        area, aspect = self.area + (1 - self.area) * draws[:, 0], (4 / 3) ** (2 * draws[:, 1] - 1)
        return [Part(*map(float, row)) for row in np.column_stack([area, aspect, draws[:, 2:]])]


def _rows_here(batch_size: int) -> tuple[NamedSharding | None, slice]:
    """How a batch is laid out over the devices around this, and the rows of this process; all where it cannot be."""
    mesh = jax.sharding.get_mesh()
    whole = slice(0, batch_size)
    whole_item = (slice(None), slice(None), whole)
    if mesh.empty or "batch" not in mesh.axis_names or batch_size % mesh.shape["batch"]:
        return None, whole
    layout = NamedSharding(mesh, PartitionSpec(None, None, "batch"))
    own = [(index or whole_item)[2] for index in layout.addressable_devices_indices_map((1, 1, batch_size)).values()]
    bounds = [part.indices(batch_size)[:2] for part in own]
    return layout, slice(min(begin for begin, _ in bounds), max(end for _, end in bounds))


def source_stream(key: Key, source: Source, batch_size: int, num_batches: int, augmentation: Augmentation) -> Epochs:
    """The stream of a source."""
    if isinstance(source, FromPictures):
        return StreamedEpochs(key, source, batch_size, num_batches, augmentation)
    require(augmentation.area == 1, "augmentation: area is for pictures from files, whose whole is at hand; use crop")
    return Epochs(key, source, batch_size)
