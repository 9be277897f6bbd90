"""Data sets of other libraries: Hugging Face `datasets`, `tensorflow_datasets`, and any sequence of dictionaries."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoding import Preparation, decode, prepare
from vae_tf.data._regular import open_regular

__all__ = ["Examples", "splits"]

_IMAGES, _LABELS = ("image", "img", "x"), ("label", "labels", "fine_label", "y")


def splits(source: Any) -> list[Any] | None:
    """The training and the test set of a dictionary of both, a set alone in a list of one, or None for other things."""
    if isinstance(source, Mapping) and {"train", "test"} <= set(source):
        found = [source["train"], source["test"]]
    elif isinstance(source, Mapping | str | bytes | np.ndarray):
        return None
    else:
        found = [source]
    return found if all(_is_sequence_of_dictionaries(part) for part in found) else None


def _is_sequence_of_dictionaries(data: Any) -> bool:
    return hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data) > 0 and isinstance(data[0], Mapping)


@dataclass(frozen=True)
class Examples:
    """A sequence of dictionaries with an image, and perhaps a label.

    Attributes:
        data: The sequence.
        image: Key of the images.
        preparation: Way from an image, encoded, of Pillow or of 8 bits in an array, to an example.
    """

    data: Any
    image: str
    preparation: Preparation

    @classmethod
    def of(cls, data: Any, preparation: Preparation) -> Examples:
        """The examples of a data set; those of Hugging Face are taken as they are stored, and decoded here.

        Raises:
            ValueError: If no key is that of an image.
        """
        features = getattr(data, "features", None)
        named = [name for name, kind in dict(features or {}).items() if type(kind).__name__ == "Image"]
        key = next((name for name in (*named, *_IMAGES) if name in data[0]), None)
        if key is None:
            expected = f"an image under one of the keys {', '.join(_IMAGES)}"
            remedy = 'Rename it: data.rename_column("picture", "image").'
            raise ValueError(
                problem("A data set", expected=expected, received=", ".join(map(str, data[0])), remedy=remedy)
            )
        if key in named and hasattr(data, "cast_column"):
            data = data.cast_column(key, type(features[key])(decode=False))  # type: ignore[index]
        return cls(data, key, preparation)

    def __len__(self) -> int:
        return len(self.data)

    def name(self, number: int) -> str:
        """The name of an example in messages."""
        return f"example {number}"

    def pixels(self, number: int) -> np.ndarray:
        """The pixels of an example, `[H, W, C]`; see `_decoding.decode`.

        Raises:
            ValueError: For what is no image.
        """
        from PIL import Image

        found = self.data[int(number)][self.image]
        if isinstance(found, Mapping) and found.get("bytes") is not None:
            return decode(io.BytesIO(found["bytes"]), self.preparation)
        if isinstance(found, Mapping) and found.get("path"):
            with open_regular(found["path"]) as file:
                return decode(file, self.preparation)
        if not isinstance(found, Image.Image):
            values = np.asarray(found)
            if values.dtype != np.uint8 or values.ndim not in (2, 3) or values.shape[2:] not in ((), (1,), (3,)):
                raise ValueError(f"dtype {values.dtype} and shape {list(values.shape)}, not uint8 [H, W] or [H, W, C]")
            found = Image.fromarray(values[..., 0] if values.shape[2:] == (1,) else values)
        return prepare(found, self.preparation)

    def label(self, number: int) -> int:
        """The label of an example, or a ValueError."""
        example = self.data[int(number)]
        key = next((name for name in _LABELS if name in example), None)
        if key is None or np.asarray(example[key]).dtype.kind not in "biu" or np.ndim(example[key]):
            expected = f"a whole number under one of the keys {', '.join(_LABELS)}"
            raise ValueError(problem(self.name(number), expected=expected, received="none", remedy="Leave labels out."))
        return int(example[key])
