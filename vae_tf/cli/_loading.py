"""The options of commands that load data: how image files become examples, and whether all are read into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

DATA_HELP = "Name, folder of images, or .npz, .npy, .csv or .parquet file."


class _Size(click.ParamType):
    name = "pixels|heightxwidth"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, int]:
        if isinstance(value, int | tuple):
            return value
        parts = value.lower().split("x")
        if len(parts) <= 2 and all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))
        self.fail(f"expected a number of pixels, or height x width, received {value!r}. Write 64 or 64x48.", param, ctx)


_OPTIONS = (
    click.option("--size", type=_Size(), default=None, help="Resize image files: to cover it, edges cut off."),
    click.option("--crop", type=_Size(), default=None, help="Take this much of their middle before."),
    click.option("--stretch", is_flag=True, help="Resize without keeping the aspect ratio."),
    click.option("--channels", type=click.IntRange(1, 3), default=None, help="1 for grey, 3 for colour."),
    click.option("--background", default="white", show_default=True, help="Colour behind transparent parts."),
    click.option(
        "--test-fraction", type=float, default=None, help="Share of the test set, if none comes.  [default: 0.1]"
    ),
    click.option(
        "--on-error",
        type=click.Choice(["raise", "skip"]),
        default="raise",
        show_default=True,
        help="At a bad image file.",
    ),
)
_DROP = click.option("--drop", multiple=True, help="Leave out this column of a table.  May be repeated.")
_STREAM = click.option(
    "--stream/--in-memory",
    "stream",
    default=None,
    help="Read batch by batch, or all at once.  [default: by size, 1 GiB]",
)
NAMES = ("drop", "size", "crop", "stretch", "channels", "background", "test_fraction", "on_error", "stream")


def loading_options(*, stream: bool) -> Callable[[Any], Any]:
    """A decorator of commands that read data: it adds the options that say how.

    Args:
        stream: Whether the command can read data that do not fit into memory.
    """

    def add(command: Any) -> Any:
        for option in reversed((_DROP, *_OPTIONS, _STREAM) if stream else (_DROP, *_OPTIONS)):
            command = option(command)
        return command

    return add


def arguments(options: dict[str, Any]) -> dict[str, Any]:
    """The options, as arguments of `vae_tf.data.load`; they are taken out of the dictionary."""
    taken = {name: options.pop(name) for name in NAMES if name in options}
    stream = taken.pop("stream", False)
    return taken | {"in_memory": None if stream is None else not stream}


def given(ctx: click.Context, names: Any) -> list[str]:
    """The names of the options that stand on the command line."""
    return [name for name in names if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
