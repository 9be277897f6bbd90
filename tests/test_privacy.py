"""An underscore means private: no module imports the private part of a package that it is not in.

ruff's rule SLF001 holds the other half, `x._name` where x is another object.
"""

import ast

import pytest
from paths import ROOT

PACKAGES = {"vae_tf": ROOT / "vae_tf", "vae_tf_onnx": ROOT / "export" / "vae_tf_onnx"}
KNOWN: dict[str, set[str]] = {}
"""Modules that break the rule today, and the names that they take: to be mended, never to be added to."""


def is_private(part):
    return part.startswith("_") and not part.startswith("__")


def imported(tree, package):
    """The absolute names that a module of `package` imports anywhere in its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def strangers(source, module, is_package=False):
    """The names in `source` whose first private part lies in a package that the module is not in."""
    own = module.split(".")
    package = module if is_package else ".".join(own[:-1])
    found = set()
    for name in imported(ast.parse(source), package):
        parts = name.split(".")
        depth = next((i for i, part in enumerate(parts) if is_private(part)), None)
        if depth is not None and parts[:depth] != own[:depth]:
            found.add(name)
    return found


def modules(name):
    """(path, dotted name) of every module of a package."""
    folder = PACKAGES[name]
    for path in sorted(folder.rglob("*.py")):
        parts = [name, *path.relative_to(folder).with_suffix("").parts]
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_imports_what_is_private_elsewhere(name):
    found = {
        module: taken
        for path, module in modules(name)
        if (taken := strangers(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"))
    }
    assert found == {module: taken for module, taken in KNOWN.items() if module.split(".")[0] == name}


@pytest.mark.parametrize(
    ("source", "module", "expected"),
    [
        ("from vae_tf_onnx._nodes import nodes", "vae_tf_onnx.variants._half", set()),
        ("from vae_tf_onnx.web._page import write", "vae_tf_onnx.web", set()),
        ("from vae_tf_onnx.web._page import _write", "vae_tf_onnx.web._arrays", set()),
        ("import numpy.linalg", "vae_tf_onnx.bench", set()),
        ("from __future__ import annotations", "vae_tf_onnx.bench", set()),
        ("from vae_tf_onnx.web._page import write", "vae_tf_onnx.bench", {"vae_tf_onnx.web._page.write"}),
        ("from vae_tf_onnx.web import _page", "vae_tf_onnx.cli._web", {"vae_tf_onnx.web._page"}),
        ("from vae_tf import _checks", "vae_tf_onnx.bench", {"vae_tf._checks"}),
        ("def f():\n    import vae_tf._checks", "vae_tf_onnx.bench", {"vae_tf._checks"}),
        ("from tensorflow.python.ops import _private", "vae_tf.vae", {"tensorflow.python.ops._private"}),
        ("from ._nodes import nodes", "vae_tf_onnx.bench", set()),
        ("from .web._page import write", "vae_tf_onnx.bench", {"vae_tf_onnx.web._page.write"}),
        ("from ..runtime import _graph", "vae_tf_onnx.web._page", {"vae_tf_onnx.runtime._graph"}),
    ],
)
def test_that_test_can_fail(source, module, expected):
    assert strangers(source, module, is_package=module == "vae_tf_onnx.web") == expected
