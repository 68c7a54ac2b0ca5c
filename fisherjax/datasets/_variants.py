"""What the CIFAR data sets look like on disk; pickles are read without running anything that they ask for."""

import io
import pickle
from typing import Any, NamedTuple

import numpy as np

from fisherjax._errors import require

_PIXELS = 3 * 32 * 32
_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Names of the labels of CIFAR-10."""

CIFAR100_CLASSES = tuple(_FINE.split())
"""Names of the fine labels of CIFAR-100."""

CIFAR100_SUPERCLASSES = tuple(_COARSE.split())
"""Names of the coarse labels of CIFAR-100."""


class Labels(NamedTuple):
    """One of the labels that an image has."""

    column: int  # among the label bytes of a binary record
    key: str  # in a pickled batch
    feature: str  # in a TFDS example
    classes: tuple[str, ...]


class Variant(NamedTuple):
    """Names and formats of one data set."""

    name: str
    url: str
    label_bytes: int  # before the pixels of a binary record
    labels: Labels
    binary_files: dict[str, tuple[str, ...]]  # by split
    python_files: dict[str, tuple[str, ...]]

    @property
    def archive(self) -> str:
        """File name of the binary archive."""
        return self.url.rpartition("/")[2]

    @property
    def archives(self) -> tuple[str, ...]:
        """File names that an archive may have: the binary one, the one of pickles, and both unpacked by gzip."""
        packed = (self.archive, self.archive.replace("-binary", "-python"))
        return (*packed, *(name.removesuffix(".gz") for name in packed))

    @property
    def folders(self) -> tuple[str, str]:
        """Folders that the two archives unpack to."""
        stem = "cifar-10-batches" if self.name == "cifar10" else "cifar-100"
        return (f"{stem}-bin", f"{stem}-py") if self.name == "cifar10" else (f"{stem}-binary", f"{stem}-python")


CIFAR10 = Variant(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    label_bytes=1,
    labels=Labels(0, "labels", "label", CIFAR10_CLASSES),
    binary_files={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    python_files={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
)
CIFAR100 = Variant(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    label_bytes=2,
    labels=Labels(1, "fine_labels", "label", CIFAR100_CLASSES),
    binary_files={"train": ("train.bin",), "test": ("test.bin",)},
    python_files={"train": ("train",), "test": ("test",)},
)
COARSE = Labels(0, "coarse_labels", "coarse_label", CIFAR100_SUPERCLASSES)


def parse_binary(variant: Variant, name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one binary batch: records of label bytes and 3072 pixels."""
    size = variant.label_bytes + _PIXELS
    require(
        len(data) > 0 and len(data) % size == 0,
        f"{name} holds {len(data)} bytes, which is not a whole number of records of {size} bytes",
    )
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return _checked(variant, name, records[:, variant.label_bytes :], records[:, variant.labels.column])


def parse_python(variant: Variant, name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one pickled batch."""
    try:
        batch = _load_pickled_arrays(data)
    except ValueError as error:
        raise ValueError(f"{name} is {error}") from error
    missing = [key for key in ("data", variant.labels.key) if key not in batch]
    require(not missing, f"{name} has no entry {', '.join(map(repr, missing))}; is it a batch of {variant.name}?")
    pixels, labels = batch["data"], batch[variant.labels.key]
    shape = getattr(pixels, "shape", type(pixels).__name__)
    fits = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (_PIXELS,)
    require(fits, f"{name}: data must be bytes of shape (images, {_PIXELS}), got {shape}")
    whole = isinstance(labels, np.ndarray) or (
        isinstance(labels, list) and all(isinstance(label, int) for label in labels)
    )
    require(whole, f"{name}: {variant.labels.key} must be whole numbers")
    return _checked(variant, name, pixels, np.asarray(labels, dtype=object if len(labels) == 0 else None))


def _checked(variant: Variant, name: str, pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    classes = len(variant.labels.classes)
    require(
        labels.ndim == 1 and len(labels) == len(pixels) > 0,
        f"{name} has {len(pixels)} images and labels of shape {labels.shape}",
    )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise ValueError(
            f"{name}: record {wrong[0]} has label {labels[wrong[0]]}; {variant.name} has {classes} classes"
        )
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.int32)


class _Refused(Exception):  # noqa: N818
    """Something that a pickle of arrays has no need of; the message says what."""


class _Dtype:
    """What a pickle says of an element type."""

    def __init__(self, code: Any):
        self.code, self.order = _text(code), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def numpy(self) -> np.dtype:
        dtype = np.dtype(self.order + self.code)
        if dtype.kind not in "iu":
            raise _Refused(f"an array of {dtype}; only integers are expected")
        return dtype


class _Array:
    """What a pickle says of an array."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, column_major, data = state
        self.state = shape, dtype, data, "F" if column_major else "C"

    def numpy(self) -> np.ndarray:
        shape, dtype, data, order = self.state
        data = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(data, dtype.numpy()).reshape(shape, order=order)


class _Unpickler(pickle.Unpickler):
    """Rebuilds arrays from what the pickle says of them; every other class is refused.

    The pickle gets stand-ins, never NumPy's own constructors, so that a forged state cannot reach them.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): self._reconstruct,
            ("numpy.core.numeric", "_frombuffer"): self._from_buffer,
            ("numpy", "ndarray"): "ndarray",
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
        }
        asked = (module.replace("numpy._core", "numpy.core"), name)
        if asked not in allowed:
            raise _Refused(f"it asks for {module}.{name}; only NumPy arrays are allowed")
        return allowed[asked]

    def _reconstruct(self, *_: Any) -> _Array:
        return _Array()

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        array = _Array()
        array.state = shape, dtype, data, _text(order)
        return array

    def _dtype(self, code: Any, *_: Any) -> _Dtype:
        return _Dtype(code)

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if _text(encoding) != "latin1":
            raise _Refused(f"bytes in the encoding {encoding!r}; expected latin1")
        return text.encode("latin1")


def _load_pickled_arrays(data: bytes) -> dict[str, Any]:
    """A pickled dictionary of lists, strings and integer arrays, in any protocol, of Python 2 or 3.

    Raises
    ------
    ValueError
        If the pickle is damaged, asks for any class but NumPy arrays, or holds something else.
    """
    try:
        held = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(held, dict):
            raise _Refused(f"it holds a {type(held).__name__}, not a dictionary")
        return {_text(name): value.numpy() if isinstance(value, _Array) else value for name, value in held.items()}
    except _Refused as error:
        raise ValueError(f"not a readable pickle: {error}") from error
    except Exception as error:
        # a damaged pickle can fail in any way that its opcodes can
        raise ValueError("not a readable pickle: it is truncated or damaged") from error


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise _Refused(f"a {type(value).__name__} where a name is expected")
