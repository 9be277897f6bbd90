"""The source of onnxruntime-web: a folder of the user's, or npm. It is never part of this package."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

RUNTIME_VERSION = "1.30.0"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The build for the CPU: the module that `import "onnxruntime-web/wasm"` loads, and its WebAssembly."""
_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_TIMEOUT = 120  # seconds, for about 33 MB


def ort_web(folder: str | Path | None = None) -> Path:
    """The folder with the files of onnxruntime-web that a page needs, `RUNTIME_FILES`.

    Without `folder` it is the cache, `$XDG_CACHE_HOME/vae-tf` or `~/.cache/vae-tf`. If they are not in the cache, npm
    fetches the pinned version, whose SHA-512 is compared with the one known here.

    Args:
        folder: Folder of an unpacked npm package, or its dist folder.

    Raises:
        ValueError: For a folder without them, for a package with other content, and if npm is missing or fails.
    """
    if folder is not None:
        return _given(Path(folder))
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "vae-tf" / f"onnxruntime-web-{RUNTIME_VERSION}"
    if not _holds(cache):
        _fetch(cache)
    return cache


def _holds(folder: Path) -> bool:
    return all((folder / name).is_file() for name in RUNTIME_FILES)


def _given(folder: Path) -> Path:
    for candidate in (folder, folder / "dist", folder / "package" / "dist"):
        if _holds(candidate):
            return candidate
    raise ValueError(
        f"Folder {folder}: expected onnxruntime-web with {' and '.join(RUNTIME_FILES)}, received a folder without "
        f"them. Unpack what `npm pack onnxruntime-web@{RUNTIME_VERSION}` gives, and name that folder."
    )


def _fetch(cache: Path) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{cache.name}.", dir=cache.parent) as scratch:
        package = _npm_pack(Path(scratch))
        draft = Path(scratch) / "files"
        draft.mkdir()
        with tarfile.open(package) as archive:
            for name in RUNTIME_FILES:
                member = archive.extractfile(f"package/dist/{name}")
                if member is not None:
                    (draft / name).write_bytes(member.read())
        shutil.rmtree(cache, ignore_errors=True)
        draft.rename(cache)


def _npm_pack(folder: Path) -> Path:
    """Lets npm fetch the package into `folder`; returns the archive after its content has been checked."""
    wanted = f"onnxruntime-web@{RUNTIME_VERSION}"
    npm = shutil.which("npm")
    if npm is None:
        raise _error("npm, which fetches it", "no npm on this machine")
    command = [npm, "pack", wanted, "--pack-destination", str(folder), "--ignore-scripts", "--silent"]
    try:
        result = subprocess.run(  # noqa: S603 - the program is npm, its arguments are constants
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _error(f"`npm pack {wanted}` to work", str(error)) from error
    archives = list(folder.glob("*.tgz"))
    if result.returncode != 0 or len(archives) != 1:
        raise _error(f"`npm pack {wanted}` to work", f"{result.stderr.strip()} (exit code {result.returncode})")
    received = integrity(archives[0].read_bytes())
    if received != _INTEGRITY:
        raise _error(f"an archive with {_INTEGRITY}", received)
    return archives[0]


def integrity(content: bytes) -> str:
    """The SHA-512 checksum, as npm writes it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def _error(expected: str, received: str) -> ValueError:
    return ValueError(
        f"onnxruntime-web {RUNTIME_VERSION}: expected {expected}, received {received}. "
        "Give its unpacked npm package: --ort-web DIR."
    )
