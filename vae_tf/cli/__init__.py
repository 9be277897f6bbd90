"""The command `vae-tf`: one file for each of its commands, and those that other packages add.

A new command is a file here, and a name in `_COMMANDS`. Its file imports at the top what is light, and in the command
what is heavy, so that `vae-tf --help` needs neither TensorFlow nor numpy.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import click

from vae_tf.cli import _plugins
from vae_tf.cli._equivalence import equivalence
from vae_tf.cli._evaluate import evaluate
from vae_tf.cli._ppca import ppca
from vae_tf.cli._train import demo, train

_COMMANDS = (demo, equivalence, evaluate, ppca, train)


class _Group(click.Group):
    """The commands of this package, and those that other packages add through the entry-point group."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_plugins.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _plugins.command(cmd_name) or super().get_command(ctx, cmd_name)


@click.group(cls=_Group, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vae-tf")
def cli() -> None:
    """Variational autoencoders whose loss is -log p(x|z) + KL, with sigma in plain sight."""


for _command in _COMMANDS:
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line: exit code 2 and one line where something is wrong with the input."""
    try:
        with _warnings_in_a_line():
            code = cli.main(arguments, prog_name="vae-tf", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except _input_errors() as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"vae-tf: error: {' '.join(text.split())}", err=True)
        code = 2
    sys.exit(code)


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """A context in which a warning is one line, without the place in the code."""

    def show(message: Warning | str, *place: Any, **others: Any) -> None:
        click.echo(f"vae-tf: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _input_errors() -> tuple[type[BaseException], ...]:
    """The errors that input which cannot be worked with raises."""
    errors = (click.ClickException, ValueError, TypeError, ImportError, OSError, MemoryError, ArithmeticError)
    tensorflow = sys.modules.get("tensorflow")
    return (*errors, tensorflow.errors.OpError) if tensorflow else errors
