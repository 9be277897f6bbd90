"""Folders of images: the files in them, in Keras' order, and the classes that their sub-folders are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_tf._checks import problem
from vae_tf.data._decoding import SUFFIXES, Preparation, decode
from vae_tf.data._regular import open_regular

__all__ = ["Folder", "class_names", "list_images", "split_folders"]


@dataclass(frozen=True)
class Folder:
    """The image files of a folder.

    Attributes:
        files: Paths of the files.
        preparation: Way from a file to an example.
        classes: Number of each file's class, `[n]` int64; None where they were not asked for.
    """

    files: list[str]
    preparation: Preparation
    classes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def name(self, number: int) -> str:
        """The path of a file."""
        return self.files[number]

    def pixels(self, number: int) -> np.ndarray:
        """The pixels of an image; see `_decoding.decode`."""
        with open_regular(self.files[number]) as file:
            return decode(file, self.preparation)

    def label(self, number: int) -> int:
        """The number of a file's class."""
        return -1 if self.classes is None else int(self.classes[number])


def split_folders(folder: Path) -> list[Path]:
    """The folders `train` and `test` inside a folder where there are both, else the folder itself."""
    parts = [folder / "train", folder / "test"]
    return parts if all(part.is_dir() for part in parts) else [folder]


def class_names(folder: Path) -> list[str]:
    """The names of the sub-folders, sorted: the number of a class is its place among them, as in Keras."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def list_images(folder: Path, preparation: Preparation, *, labels: bool = False) -> Folder:
    """The image files of a folder and of all folders in it; hidden ones do not count.

    They come in the order of `keras.utils.image_dataset_from_directory`: class by class, then folder by folder, then by
    name. Symbolic links are followed, and each folder is read once, so that links in a ring come to an end.

    Args:
        folder: Path of the folder.
        preparation: Way from a file to an example.
        labels: Whether each file needs a class.

    Raises:
        ValueError: If there is no image, or with `labels` one that is in no sub-folder.
    """
    classes = class_names(folder)
    found, seen = [], set[tuple[int, int]]()
    own = _images_below(folder, seen, descend=False)
    for name in classes:
        found.append(_images_below(folder / name, seen))
    if labels:
        _check_classes(folder, classes, own)
        numbers = np.repeat(np.arange(len(found)), [len(part) for part in found])
        files = [file for part in found for file in part]
    else:
        numbers, files = None, sorted_by_folder([*own, *(file for part in found for file in part)])
    if not files:
        expected = f"image files ({', '.join(SUFFIXES)}), in the folder or in folders inside it"
        raise ValueError(
            problem(f"{folder}", expected=expected, received="a folder without any", remedy="Move the images there.")
        )
    return Folder(files, preparation, numbers)


def sorted_by_folder(files: list[str]) -> list[str]:
    """Paths of files, folder by folder, and by name within each."""
    return sorted(files, key=os.path.split)


def _check_classes(folder: Path, classes: list[str], own: list[str]) -> None:
    """Raises ValueError unless every image is in a sub-folder."""
    if classes and not own:
        return
    received = f"{len(own)} images beside them, {os.path.basename(own[0])} first" if classes else "none"
    remedy = "Move each image into the folder of its class, or leave labels out."
    expected = "sub-folders, one for each class, that hold all images"
    raise ValueError(problem(f"Labels of {folder}", expected=expected, received=received, remedy=remedy))


def _images_below(folder: Path, seen: set[tuple[int, int]], *, descend: bool = True) -> list[str]:
    """Paths of the images in a folder and, if it is to descend, in all below it that were not `seen` before."""
    found, waiting = list[str](), [str(folder)]
    while waiting:
        place = waiting.pop()
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    waiting += [entry.path] if descend else []
                elif entry.name.lower().endswith(SUFFIXES):
                    found.append(entry.path)
        waiting.sort(reverse=True)
    return sorted_by_folder(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link that leads nowhere, or in a ring, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
