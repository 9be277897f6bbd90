"""What MkDocs is told besides `mkdocs.yml`: pages from elsewhere in the repository, and equations as MathML.

The tutorials stay where they lie: their notebooks become Markdown here, so that links, equations, folded answers and
the search treat them as every other page. Nothing that a reader's browser loads comes from another host.
"""

from __future__ import annotations

import base64
import html
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "export/README.md": "export.md",
    "tests/benchmarks/README.md": "benchmarks.md",
    "tests/integration/README.md": "measurements.md",
    "tutorials/README.md": "tutorials/index.md",
    "tutorials/add_a_likelihood.md": "tutorials/add_a_likelihood.md",
}
"""Files of the repository, and what they are called on the site."""
PICTURES = {".github/images/demo.png": "images/demo.png"}
_FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1\2[`~]* *$", re.DOTALL | re.MULTILINE)
_BADGE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
_LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")
_EQUATION = re.compile(r'<(?:span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</(?:span|div)>', re.DOTALL)
_ENVIRONMENTS = {"align*", "array", "bmatrix", "cases", "matrix", "pmatrix", "vmatrix"}
_TIGHT = re.compile(r"<mo(?: stretchy=\"false\")?>(&#x02016;|&#x0007C;|&#x0002F;|\||/)</mo>")  # as TeX sets them
_NAMED = re.compile(
    r'(<mi>(?:cosh|exp|ln|log|sinh|tanh)</mi>)(?!<mo stretchy="false">&#x00028;|</)'
)  # as TeX sets them
_CODE = re.compile(r"<(pre|code|script|math)\b.*?</\1>", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the tutorials, the other pages and pictures of the repository, and the reference of the commands."""
    texts = dict(_texts())
    published = PAGES | PICTURES | {source: source for source in _pictures()}
    published |= {source: _page_of(source) for source in texts if source.endswith(".ipynb")}
    for source, text in texts.items():
        page = published[source]
        relinked = partial(_relinked, source=source, page=page, published=published, config=config)
        content = _outside_code(text, relinked)
        files.append(File.generated(config, page, content=content))
    for source in (*PICTURES, *_pictures()):
        files.append(File.generated(config, published[source], abs_src_path=str(ROOT / source)))
    for name, png in _figures():
        files.append(File.generated(config, name, content=png))
    files.append(File.generated(config, "cli.md", content=_commands()))
    return files


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations as MathML, which browsers show without any script."""
    where = page.file.src_uri
    content = _EQUATION.sub(lambda found: _mathml(html.unescape(found[2]), found[1] == "[", where), content)
    if "$" in html.unescape(_CODE.sub("", content)):
        (line, *_) = [line for line in _CODE.sub("", content).splitlines() if "$" in html.unescape(line)]
        raise PluginError(f"{where}: expected no dollar sign outside equations and code, received {line.strip()!r}.")
    return content


def _mathml(latex: str, display: bool, where: str) -> str:
    """An equation; refused where the converter would show a command as it is written."""
    source = latex.strip().replace("{aligned}", "{align*}")
    try:
        result = convert(source, display="block" if display else "inline")
    except Exception as error:  # latex2mathml raises IndexError and others beside its own
        raise PluginError(
            f"{where}: expected LaTeX that latex2mathml knows, received {latex!r} ({error!r})."
        ) from error
    unknown = set(re.findall(r"\\begin\{([^}]*)\}", source)) - _ENVIRONMENTS
    if unknown or re.search(r"\\|<mi>&<", html.unescape(result)):
        raise PluginError(f"{where}: expected what latex2mathml knows, received {latex!r}: it would show {result}")
    result = _TIGHT.sub(r'<mo lspace="0" rspace="0" stretchy="false">\1</mo>', result)
    result = result.replace("<mi>&#x0007E;</mi>", '<mo lspace="0.28em" rspace="0.28em">&#x0223C;</mo>')
    result = _NAMED.sub(r'\1<mspace width="0.17em" />', result)
    return f'<div class="equation">{result}</div>' if display else result


# --- pages from elsewhere in the repository ------------------------------------------------------------------------


def _texts() -> Iterator[tuple[str, str]]:
    """The Markdown of every such page, by its path in the repository."""
    for source in PAGES:
        if (ROOT / source).exists():
            yield source, (ROOT / source).read_text(encoding="utf-8")
    for path in _notebooks():
        yield path.relative_to(ROOT).as_posix(), _markdown(path)


def _notebooks() -> list[Path]:
    return sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.ipynb"))


def _pictures() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tutorials" / "images").glob("*.png"))


def _page_of(source: str) -> str:
    return os.path.splitext(source)[0] + ".md"


def _cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, without the one that installs the package in Colab."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        cell for cell in cells if cell["cell_type"] == "markdown" or "generated" not in cell["metadata"].get("tags", ())
    ]


def _markdown(path: Path) -> str:
    """A notebook as a page: its text, its code, and below each piece of code what it printed and drew."""
    parts = []
    for index, cell in enumerate(_cells(path)):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_outside_code(source, _separated))
            continue
        parts.append(f"```python\n{source}\n```")
        for number, output in enumerate(cell["outputs"]):
            if "image/png" in output.get("data", {}):
                parts.append(f"![What the code above draws]({path.stem}/{index}-{number}.png){{ .figure }}")
            else:
                text = "".join(output.get("text") or output["data"]["text/plain"])
                parts.append(f"``` {{ .text .output }}\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _separated(text: str) -> str:
    """Jupyter's Markdown as MkDocs reads it, which wants empty lines around equations, lists and tables."""
    text = text.replace("<details>", '<details markdown="1">')
    parts = re.split(r"^(\$\$.+?\$\$)[ \t]*$", text, flags=re.DOTALL | re.MULTILINE)
    for index, part in enumerate(parts):
        if index % 2:  # an equation
            parts[index] = f"\n{part}\n"
            continue
        part = re.sub(r"^(?![-*+|#>\s]|\d+\. )(.+)\n(?=([-*+]|1\.) )", r"\1\n\n", part, flags=re.MULTILINE)
        parts[index] = re.sub(r"^(?!\|)(.+)\n(?=\|.+\|\n\|[-: |]+\|$)", r"\1\n\n", part, flags=re.MULTILINE)
    return "".join(parts)


def _figures() -> Iterator[tuple[str, bytes]]:
    """The pictures that the notebooks draw, as `_markdown` names them."""
    for path in _notebooks():
        for index, cell in enumerate(_cells(path)):
            for number, output in enumerate(cell.get("outputs", ())):
                if "image/png" in output.get("data", {}):
                    png = base64.b64decode("".join(output["data"]["image/png"]))
                    yield f"tutorials/{path.stem}/{index}-{number}.png", png


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """`change` for all of a Markdown text but its fenced code."""
    parts, end = [], 0
    for block in _FENCED.finditer(text):
        parts += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(text[end:])])


def _relinked(text: str, source: str, page: str, published: dict[str, str], config: MkDocsConfig) -> str:
    """Links as they are on the site: to a page, or to the repository for what the site does not show."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        if target in published:
            to = posixpath.relpath(published[target], posixpath.dirname(page) or ".")
        elif (ROOT / target).exists():
            to = f"{config.extra['repository']}/blob/main/{target}"
        else:
            return found[0]  # MkDocs reports what leads nowhere
        return f"{found[1]}{to}{found[3] or ''}{found[4]}"

    return _LINK.sub(link, _BADGE.sub(r"\1", text))


# --- the commands --------------------------------------------------------------------------------------------------


def _commands() -> str:
    """The help of `vae-tf` and of its subcommands."""
    from vae_tf.cli import cli

    top = click.Context(cli, info_name="vae-tf", terminal_width=90)
    if "export" not in cli.list_commands(top):
        raise PluginError("Command line: expected that of vae-tf-onnx as well. Install it: pip install -e ./export")
    parts = ["# Command line", "Each command prints this with `--help`.", f"```text\n{cli.get_help(top)}\n```"]
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is not None:
            context = click.Context(command, info_name=name, parent=top, terminal_width=90)
            parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"
