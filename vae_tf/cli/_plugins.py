"""Commands that other packages add to `vae-tf`, through the entry-point group `vae_tf.commands`."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

INSTALL = 'pip install "vae-tf-onnx[convert]" (in a clone: pip install -e "./export[convert]")'

_GROUP = "vae_tf.commands"
_ONNX_COMMANDS = ("bench", "check", "export", "sample", "serve", "web")


def names() -> list[str]:
    """The names of all the commands that are installed."""
    return [entry.name for entry in entry_points(group=_GROUP)]


def find(name: str) -> click.Command | None:
    """The command of this name, or None where no package adds one."""
    entry = next(iter(entry_points(group=_GROUP, name=name)), None)
    return None if entry is None else entry.load()


def command(name: str) -> click.Command | None:
    """See `find`; with a usage error that says what to install, for a command of vae-tf-onnx that is not there."""
    found = find(name)
    if found is None and name in _ONNX_COMMANDS:
        raise click.UsageError(f"'{name}' needs the package vae-tf-onnx. Install it: {INSTALL}")
    return found
