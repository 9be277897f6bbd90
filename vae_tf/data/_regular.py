"""Opening files that others wrote: a regular file or an error, and never a pipe or a device that keeps one waiting."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

__all__ = ["open_regular"]

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, open for reading.

    Raises:
        OSError: If there is none, it may not be read, or it is no regular file.
    """
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind == stat.S_IFREG:  # a socket cannot be opened, and a device may act when it is
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind == stat.S_IFREG:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise OSError(f"{_KINDS.get(kind, 'no file')} and not a regular file")
