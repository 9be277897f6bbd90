"""The command line `vae-tf-onnx`, whose commands `vae-tf` has too. A command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from vae_tf_onnx.cli._bench import bench
from vae_tf_onnx.cli._export import export_command
from vae_tf_onnx.cli._inspect import check, sample
from vae_tf_onnx.cli._serve import serve_command as serve
from vae_tf_onnx.cli._web import web

__all__ = ["bench", "check", "export_command", "main", "sample", "serve", "web"]


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vae-tf-onnx")
def cli() -> None:
    """Exported VAEs on the edge: numpy and onnxruntime, no TensorFlow."""


for _command in (bench, check, sample, serve, web):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. If something is wrong with the input, it prints one line and exits with code 2."""
    try:
        code = cli.main(arguments, prog_name="vae-tf-onnx", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except (click.ClickException, ValueError, ImportError, OSError, MemoryError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"vae-tf-onnx: error: {' '.join(text.split())}", err=True)
        code = 2
    sys.exit(code)
