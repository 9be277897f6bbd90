"""Text files from the templates of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def render(
    template: str, values: Mapping[str, Any], *, what: str, filters: Mapping[str, Callable[[Any], str]] | None = None
) -> str:
    """The text of a template. The result is no HTML: only the template's own filters escape anything.

    Args:
        template: Name of a file in the folder `templates`.
        values: Values of the template's names. A name that is not among them is an error.
        what: Name of the thing that is written, for the error.
        filters: Filters that the template uses, by name.

    Raises:
        ImportError: If the package jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as missing:
        raise ImportError(
            f"{what}: expected the package jinja2, received no such package. "
            'Install it: pip install "vae-tf-onnx[convert]".'
        ) from missing
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vae_tf_onnx"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown, YAML and Protobuf text, not HTML: the templates escape them)
    )
    environment.filters |= dict(filters or {})
    return environment.get_template(template).render(values)
