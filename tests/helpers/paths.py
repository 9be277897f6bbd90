"""The root of the repository, and the contents of folders, for tests that read files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def contents(folder):
    """The bytes of every file in a folder, by path."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
