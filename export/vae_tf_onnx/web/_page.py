"""The writing of a page's files, as a folder or inside one index.html."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from vae_tf_onnx._folders import replacing

_INDEX = "index.html"
_MARK = '<meta name="generator" content="vae-tf-onnx">'
_SCRIPT = "script-src {script} 'wasm-unsafe-eval'; style-src {style}; connect-src {connect}; "
_POLICY = "default-src 'none'; " + _SCRIPT + "img-src data:; base-uri 'none'; form-action 'none'"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def write_folder(out: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes index.html, its scripts and style, and `contents` by name, as files. Returns the path of index.html."""
    index = Template(_source(_INDEX)).substitute(
        policy=_POLICY.format(script="'self'", style="'self'", connect="'self'"),
        style='<link rel="stylesheet" href="style.css">',
        script='<script type="module" src="app.js"></script>',
        assets="",
    )
    own = {name: _source(name).encode() for name in _page_files() if name != _INDEX}
    return _replace(out, {_INDEX: index.encode(), **own, **contents})


def write_single(out: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes one index.html with everything inside it; `contents` is compressed. Returns its path.

    Only the script and the style inside it are allowed to act, because the policy names their checksums.
    """
    script, style = join_modules("app.js"), _source("style.css")
    index = Template(_source(_INDEX)).substitute(
        policy=_POLICY.format(script=f"{_checksum(script)} blob:", style=_checksum(style), connect="'none'"),
        style=f"<style>{style}</style>",
        script=f'<script type="module">{script}</script>',
        assets="\n".join(_asset(name, content) for name, content in contents.items()),
    )
    return _replace(out, {_INDEX: index.encode()})


def join_modules(name: str) -> str:
    """One script from a module and all modules that it imports. No two of them may share a top-level name."""
    order: list[str] = []

    def visit(module: str) -> None:
        if module not in order:
            for imported in _IMPORT.findall(_source(module)):
                visit(imported)
            order.append(module)

    visit(name)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _source(module))) for module in order)


def _source(name: str) -> str:
    return (files("vae_tf_onnx.web") / "page" / name).read_text(encoding="utf-8")


def _page_files() -> list[str]:
    return sorted(entry.name for entry in (files("vae_tf_onnx.web") / "page").iterdir() if entry.is_file())


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str, content: bytes) -> str:
    """A block of data in the page, in base64, which has no character of meaning to HTML."""
    text = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return f'<script type="application/gzip" id="asset:{name}">{text}</script>'


def _replace(out: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes the files in place of `out`. An older page there is replaced, and anything else is refused."""
    if out.exists() and not _is_page_only(out):
        raise ValueError(
            f"Folder {out}: expected a page of the latent explorer, an empty folder or nothing, received something "
            "else. Choose another folder."
        )
    with replacing(out) as draft:
        for name, content in contents.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(content)
    return out / _INDEX


def _is_page_only(folder: Path) -> bool:
    """Whether `folder` is empty, or holds a page and no other file."""
    if not folder.is_dir():
        return False
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not present:
        return True
    index = folder / _INDEX
    known = {*_page_files(), "bundle.json", "decoder.onnx", "prior.onnx", "observation.onnx"}
    others = {name for name in present - known if not name.startswith("ort/")}
    return index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace") and not others
