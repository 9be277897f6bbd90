"""One HTML page about a run, with its pictures inside, that opens from disk."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from vae_tf import _files

__all__ = ["write"]


def write(
    path: Path,
    *,
    title: str,
    summary: str,
    settings: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    pictures: Mapping[str, Path],
) -> None:
    """Writes the page.

    Args:
        path: the HTML file.
        title: its heading.
        summary: a sentence or two below the heading.
        settings: names and values of the run's arguments.
        history: a column of numbers for each name, one number an epoch.
        pictures: titles and PNG files, which are copied into the page.
    """
    loader = jinja2.Environment(
        loader=jinja2.PackageLoader("vae_tf.runs"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    images = [
        {"title": name, "data": base64.b64encode(picture.read_bytes()).decode()} for name, picture in pictures.items()
    ]
    page = loader.get_template("report.html").render(
        title=title,
        summary=summary,
        settings=settings,
        history=history,
        rows=list(zip(*history.values(), strict=True)),
        pictures=images,
    )
    with _files.replacing(path) as draft:
        draft.write_text(page, encoding="utf-8")
