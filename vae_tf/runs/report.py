"""One HTML page about a run, with its pictures inside the file."""

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
        path: Path of the HTML file.
        title: Heading of the page.
        summary: One or two sentences below the heading.
        settings: Names and values of the run's settings.
        history: Columns of numbers by name, with one number for each epoch.
        pictures: PNG files by title; they are copied into the page.
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
