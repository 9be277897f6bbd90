"""The judgement of a `.keras` file that nobody vouches for: what it holds, names and asks for, before it is loaded.

Memory and time are bounded by the size of the file. It is not compressed (Keras does not compress), so that nothing
unfolds; what it says of shapes and weights is held against what is there.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import math
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from vae_tf import _checks
from vae_tf.storage.names import unknown_names, values

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_CONFIG_BYTES = 2**24  # a layer takes about 1,000
_DEPTH = 100  # of nested lists and objects; a model within a model takes about 5
_EXAMPLE_SIZE = 2**28  # numbers in one example: 1 GiB in float32
_AXES = 32  # more than an array of numpy or TensorFlow has, or can use
_THRESHOLDS = 10_000  # of a Keras metric, which makes a Python list of them
_COUNTS = ("latent_dim", "units", "flows", "components")  # of a layer that has at least their product of weights
_BROKEN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SystemError, TypeError, ValueError, lzma.LZMAError, struct.error, tf.errors.OpError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_OURS = "Save models by vae.save('x.keras')."
_ALLOW = "If it is yours and you trust what the file passes to it, load with custom_objects={{{!r}: ...}}."
_AVOID = "It may run code or read files. Build the model from other layers, or from a layer class of yours."
_BAD = "Do not use the file."
_LONGEST = 200


class _Judge:
    """Raises ValueError about a file in one form."""

    def __init__(self, what: str) -> None:
        self.what = what

    def expects(self, holds: bool, expected: str, received: object, remedy: str = _BAD) -> None:
        if not holds:
            text = str(received)
            short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
            raise ValueError(_checks.problem(self.what, expected=expected, received=short, remedy=remedy))


def judge(path: Path, what: str, custom: Mapping[str, Any] | None, broken: str | None = None) -> int:
    """Refuses a file whose loading might run code, read other files, or take more memory than the file is large.

    Args:
        path: The file, to which nobody else writes meanwhile.
        what: The subject of the message where it is refused.
        custom: The caller's classes and functions by the names they are registered under; None takes every class
            that could be one of them for known.
        broken: The subject of the message where it cannot be read; None for `what`.

    Returns:
        The size in bytes of the weights in it.

    Raises:
        ValueError: For a file that is refused or broken.
    """
    refuse, broken = _Judge(what), broken or what
    refuse.expects(zipfile.is_zipfile(path), "a zip file named *.keras", "another kind", _OURS)
    with reading(broken):
        archive = zipfile.ZipFile(path)
    with archive:
        _check_members(refuse, archive.infolist())
        size = archive.getinfo("model.weights.h5").file_size
        with reading(broken):
            config = json.loads(archive.read("config.json"))
        refuse.expects(isinstance(config, dict), "a JSON object in config.json", f"a {type(config).__name__}")
        _check_depth(refuse, config)
        _check_names(refuse, config, custom)
        with reading(broken), _weights(archive, path.parent) as weights:
            odd = _odd_weight(weights, size)
    refuse.expects(odd is None, "all weights inside the file, as plain arrays", f"something else at {odd}")
    _check_sizes(refuse, config, size)
    return size


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns whatever a broken file raises into one ValueError."""
    try:
        yield
    except _BROKEN as error:
        text = _checks.problem(
            what,
            expected="a whole file, written by vae.save",
            received=f"{type(error).__name__}: {error}",
            remedy="Copy or save it again; a model with classes of yours needs custom_objects.",
        )
        raise ValueError(text) from error


@contextlib.contextmanager
def _weights(archive: zipfile.ZipFile, scratch: Path) -> Iterator[h5py.File]:
    """The weights as a file of their own.

    HDF5 jumps about, and a member of an archive is read from its beginning again after every jump backwards: a
    hundred times, for a model of a hundred variables.
    """
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        h5py.File(archive.extract("model.weights.h5", folder)) as weights,
    ):
        yield weights


def _check_members(refuse: _Judge, members: list[zipfile.ZipInfo]) -> None:
    """The members that `vae.save` writes, none of them compressed, and a configuration of a size that can be one."""
    names = sorted(member.filename for member in members)
    remedy = _OURS
    if any(name.startswith("assets/") for name in names):
        remedy = "A layer with files of its own cannot be loaded: have it keep what it needs in weights or get_config."
    refuse.expects(names == list(MEMBERS), f"the members {list(MEMBERS)}", names, remedy)
    for member in members:
        plain = member.compress_type == zipfile.ZIP_STORED and member.compress_size == member.file_size
        received = f"{member.filename}, compressed from {member.file_size:,} bytes to {member.compress_size:,}"
        refuse.expects(plain, "members that are not compressed, as vae.save writes them", received)
    size = next(member.file_size for member in members if member.filename == "config.json")
    refuse.expects(size <= _CONFIG_BYTES, f"a config.json of at most {_CONFIG_BYTES:,} bytes", f"{size:,}")


def _check_depth(refuse: _Judge, config: dict[str, Any]) -> None:
    """No more lists and objects within each other than a model has; Keras calls itself for each."""
    level: list[Any] = [config]
    depth = 0
    while level:
        refuse.expects(depth <= _DEPTH, f"at most {_DEPTH} levels of lists and objects in config.json", "more")
        inside = [item.values() if isinstance(item, dict) else item for item in level]
        level, depth = [item for items in inside for item in items if isinstance(item, dict | list)], depth + 1


def _check_sizes(refuse: _Judge, config: dict[str, Any], weights: int) -> None:
    """Examples and metrics of sizes that a model can have, and layers of no more units than there are weights for."""
    for key, value in values(config):
        if key.endswith("shape") and isinstance(value, list):
            sizes = [abs(item) for item in value if isinstance(item, int)]
            possible = len(sizes) <= _AXES and max(sizes, default=0) <= _EXAMPLE_SIZE >= math.prod(sizes)
            refuse.expects(possible, f"shapes of at most {_EXAMPLE_SIZE:,} numbers", f"{key}={value}")
        elif key == "num_thresholds" and isinstance(value, int):
            refuse.expects(value <= _THRESHOLDS, f"at most {_THRESHOLDS:,} thresholds of a metric", value)
        elif isinstance(value, dict):
            counts = {name: value[name] for name in _COUNTS if isinstance(value.get(name), int)}
            possible = max(counts.values(), default=0) <= weights >= math.prod(counts.values())
            refuse.expects(possible, f"no more units than its {weights:,} bytes of weights can be for", counts)


def _check_names(refuse: _Judge, config: dict[str, Any], custom: Mapping[str, Any] | None) -> None:
    """Nothing but classes and functions of which it is known what they do."""
    for unknown in unknown_names(config, custom or {}):
        if unknown.key is not None and custom is None:
            continue
        remedy = _AVOID if unknown.key is None else _ALLOW.format(unknown.key[:_LONGEST])
        refuse.expects(False, "nothing but classes of tf_keras, vae_tf and custom_objects", unknown.text, remedy)


def _odd_weight(weights: h5py.File, size: int) -> str | None:
    """The first entry that is not an array of numbers, all of them inside the file; None where all are.

    It goes from group to group by itself: HDF5 calls itself for each group within a group, until the stack is full.
    """
    groups, seen = [weights], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            item = group[name] if isinstance(link, h5py.HardLink) else None
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                groups += [] if address in seen else [item]
                seen.add(address)
            elif not (isinstance(item, h5py.Dataset) and _is_plain(item, size)):
                return f"{group.name.rstrip('/')}/{name}"
    return None


def _is_plain(array: h5py.Dataset, size: int) -> bool:
    """Whether all its numbers are in the file, one after the other."""
    elsewhere = array.external or array.is_virtual or array.dtype.hasobject
    return not elsewhere and array.chunks is None and array.nbytes <= min(array.id.get_storage_size(), size)
