"""The replacement of a folder in one step: readers see the old one or the new one, and never a part."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A draft folder beside `folder` that takes its place when the block ends well and vanishes otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        draft, older = Path(scratch) / "new", Path(scratch) / "old"
        draft.mkdir()
        yield draft
        if folder.exists():
            folder.rename(older)
        try:
            draft.rename(folder)
        except OSError:
            if older.exists():
                older.rename(folder)
            raise
