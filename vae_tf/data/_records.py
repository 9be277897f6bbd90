"""TFRecord files: encoded images or serialised tensors, alone or in a `tf.train.Example`, that can be indexed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoding import Preparation, decode, prepare
from vae_tf.data._regular import open_regular

__all__ = ["Records", "is_records", "record_files"]

_IMAGES = ("image", "image/encoded", "image_raw", "x")
_LABELS = ("label", "image/class/label", "y")
_EXAMPLE, _TENSOR = 0x0A, 0x08  # the first byte of each kind; that of an encoded image is another
_HEAD, _TAIL = 12, 4  # bytes around a record: its length and checksums


def is_records(path: Path) -> bool:
    """Whether a file's name is that of a TFRecord file, `x.tfrecord`, or of a shard, `x.tfrecord-00000-of-00010`."""
    return ".tfrecord" in path.name.lower()


def record_files(folder: Path) -> list[Path]:
    """The TFRecord files of a folder, sorted by name; hidden ones do not count."""
    return sorted(path for path in folder.iterdir() if is_records(path) and not path.name.startswith("."))


@dataclass(frozen=True)
class Records:
    """The records of some files.

    Attributes:
        files: Paths of the files.
        places: For each record the number of its file, its first byte and its length, `[n, 3]` int64.
        preparation: Way from an encoded image, or an 8-bit tensor, to an example.
    """

    files: list[Path]
    places: np.ndarray
    preparation: Preparation

    @classmethod
    def of(cls, files: list[Path], preparation: Preparation) -> Records:
        """The records of these files, whose checksums are verified.

        Raises:
            ValueError: For a file that is no TFRecord file, or a damaged one.
        """
        import tensorflow as tf

        places = []
        for number, path in enumerate(files):
            try:
                with open_regular(path):
                    pass
                parts = [part.numpy() for part in tf.data.TFRecordDataset(str(path)).map(tf.strings.length).batch(4096)]
            except (OSError, tf.errors.OpError) as error:
                raise _no_records(path, f"{error}"[:200]) from error
            lengths = np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
            if int((lengths + _HEAD + _TAIL).sum()) != path.stat().st_size:
                raise _no_records(path, "bytes behind the last record")
            starts = np.cumsum(lengths + _HEAD + _TAIL) - lengths - _TAIL
            places.append(np.stack([np.full(len(lengths), number), starts, lengths], axis=1))
        return cls(files, np.concatenate(places), preparation)

    def __len__(self) -> int:
        return len(self.places)

    def name(self, number: int) -> str:
        """The name of a record in messages."""
        file, start, _ = self.places[number]
        return f"{self.files[file]}: record at byte {start}"

    def pixels(self, number: int) -> np.ndarray:
        """The pixels of a record, `[H, W, C]` uint8 or float32 in [0, 1].

        Raises:
            ValueError: For a record that is no image.
        """
        record = self._read(number)
        if record[:1] == bytes([_EXAMPLE]):
            feature = _feature(record, _IMAGES)
            if feature is None or len(feature.bytes_list.value) != 1:
                raise ValueError(f"an Example without one string of bytes called {' or '.join(_IMAGES)}")
            record = feature.bytes_list.value[0]
        if record[:1] == bytes([_TENSOR]):
            return _of_tensor(record, self.preparation)
        return decode(io.BytesIO(record), self.preparation)

    def label(self, number: int) -> int:
        """The label of a record, or a ValueError."""
        feature = _feature(self._read(number), _LABELS)
        if feature is None or len(feature.int64_list.value) != 1:
            expected, remedy = f"a whole number called {' or '.join(_LABELS)}", "Leave labels out."
            raise ValueError(problem(self.name(number), expected=expected, received="none", remedy=remedy))
        return int(feature.int64_list.value[0])

    def _read(self, number: int) -> bytes:
        file, start, length = (int(part) for part in self.places[number])
        with open_regular(self.files[file]) as opened:
            opened.seek(start)
            return opened.read(length)


def _no_records(path: Path, received: str) -> ValueError:
    remedy = "Write it again; it must not be compressed."
    return ValueError(problem(f"{path}", expected="a TFRecord file", received=received, remedy=remedy))


def _feature(record: bytes, names: tuple[str, ...]) -> Any:
    """The feature of an Example under the first of these names that it has, or None."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise ValueError(f"no tf.train.Example ({error})") from error
    return next((features[name] for name in names if name in features), None)


def _of_tensor(record: bytes, preparation: Preparation) -> np.ndarray:
    """The pixels of a serialised tensor: 8 bits as an image, bools and floats in [0, 1] as they are."""
    import tensorflow as tf
    from PIL import Image

    try:
        values = tf.io.parse_tensor(record, tf.dtypes.as_dtype(record[1])).numpy()  # the number of the dtype
    except tf.errors.OpError as error:
        raise ValueError(f"no serialised tensor ({error.message:.100})") from error
    values = values[..., np.newaxis] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or values.size == 0:
        raise ValueError(f"a tensor of shape {list(values.shape)} and not [H, W] or [H, W, C] with C 1 or 3")
    if values.dtype == np.uint8:
        return prepare(Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values), preparation)
    if values.dtype.kind not in "bf" or preparation.asked():
        raise ValueError(
            f"a tensor of dtype {values.dtype}; bool and float are taken as they are, other dtypes than uint8 not"
        )
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"values from {values.min():g} to {values.max():g} and not in [0, 1]")
    return values.astype(np.float32)
