"""Files of arrays and of images, for the tests of loading."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GREY = np.arange(20 * 4 * 5, dtype=np.uint8).reshape(20, 4, 5)
COLOUR = np.arange(20 * 4 * 5 * 3, dtype=np.int64).astype(np.uint8).reshape(20, 4, 5, 3)


def save(path: Path, *args, **arrays) -> Path:
    (np.save if args else np.savez)(path, *args, **arrays)
    return path


def images(folder: Path, files: dict) -> Path:
    """Writes `{name: (mode, size)}`, each file in its own shade of grey."""
    for shade, (name, (mode, size)) in enumerate(files.items(), start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 10 * shade).convert(mode).save(path)
    return folder


def as_rows(*arrays) -> list:
    return sorted(row.tobytes() for array in arrays for row in array)


def header_only(width, height):
    """A PNG that says its size, and holds next to nothing."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0" * 100)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
