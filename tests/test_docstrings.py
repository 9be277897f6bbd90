"""The rules of English that a machine can check, for every docstring and comment of both packages."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "vae_tf", ROOT / "export" / "vae_tf_onnx")

NOT_YET_CONVERTED: tuple[str, ...] = ()
"""Paths, from the root, of files and folders that do not keep the rules yet."""

QUESTION_WORDS = {"how", "what", "when", "where", "which", "who", "whose", "why"}
SECTIONS = {"Args", "Attributes", "Raises"}
FORMULAS = {"log"}  # words that may begin a description in lower case, because they begin a formula
AMERICAN = re.compile(
    r"\w*(amortiz|analyz|behavior|binariz|categoriz|color|discretiz|factoriz|favor|generaliz|initializ|maximiz|minimiz"
    r"|normaliz|optimiz(?!er)|organiz|parametriz|quantiz|randomiz|recogniz|regulariz|serializ|standardiz|summariz"
    r"|vectoriz|visualiz)\w*|(re)?cent(er(ed|s)?|ering)|gray(scale)?|label(ed|ing)|model(ed|ing)",
    re.IGNORECASE,
)
CODE = re.compile(  # names of arguments, quotations, names with _ or a capital inside, paths, attributes, calls
    r"(?m:^ {4}\w+:)|``?[^`]*``?|\"[^\"]*\"|'[^' ]*'|\S*[_/=]\S*|\w+(\.\w+)+|\w+\(\S*|\w*[a-z][A-Z]\w*"
)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line number and text of every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield node.body[0].lineno, text


def entries(docstring: str) -> Iterator[tuple[str, str, str]]:
    """Section, name and first line of every argument, attribute and exception that a docstring describes."""
    section = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if heading := re.fullmatch(r"(\w+):", line):
            section = heading[1]
        elif section in SECTIONS and (entry := re.fullmatch(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)", line)):
            yield section, entry[1], entry[2]


def faults_of_docstring(docstring: str) -> Iterator[str]:
    """The faults in the form of a docstring."""
    first = docstring.splitlines()[0]
    if not first.endswith("."):
        yield f"the first line does not end with a full stop: {first}"
    if first.split()[0].rstrip("?.,").lower() in QUESTION_WORDS:
        yield f"the first line begins with a question word: {first}"
    for section, name, description in entries(docstring):
        word = re.match(r"[a-z]+(?=[\s,;:.]|$)", description)
        if word and len(word[0]) > 1 and word[0] not in FORMULAS:
            yield f"{section} of {name}: the description begins in lower case: {description}"


def faults_of_spelling(prose: str) -> Iterator[str]:
    """American spellings in a text; names of code do not count."""
    for word in re.findall(r"[A-Za-z-]+", CODE.sub(" ", prose)):
        if AMERICAN.fullmatch(word):
            yield f"American spelling: {word}"


def faults_of_source(source: str) -> list[str]:
    """All faults of a Python file, each with its line number."""
    found = []
    for line, text in docstrings(ast.parse(source)):
        found += [f"{line}: {fault}" for fault in (*faults_of_docstring(text), *faults_of_spelling(text))]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found += [f"{token.start[0]}: {fault}" for fault in faults_of_spelling(token.string)]
    return found


def test_docstrings_and_comments():
    paths = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]
    assert len(paths) > 100
    names = {path.relative_to(ROOT).as_posix(): path for path in paths}
    faults = {
        name: found
        for name, path in names.items()
        if not name.startswith(NOT_YET_CONVERTED) and (found := faults_of_source(path.read_text(encoding="utf-8")))
    }
    assert not faults, "\n".join(f"{name}:{fault}" for name, found in faults.items() for fault in found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The mean, not averaged", "full stop"),
        ("What a reader asks.", "question word"),
        ("The mean.\n\nArgs:\n    x: of the data.", "Args of x"),
        ("The mean.\n\nAttributes:\n    x: which data they are.", "Attributes of x"),
        ("The mean.\n\nArgs:\n    *args: at least one.", "Args of *args"),
        ("The mean.\n\nRaises:\n    ValueError: for no data.", "Raises of ValueError"),
        ("The color of an image.", "color"),
        ("An image, normalized.", "normalized"),
        ("An image (its behavior).", "behavior"),
    ],
)
def test_a_fault_is_found(text, fault):
    source = f'"""{text}"""\n'
    assert any(fault in found for found in faults_of_source(source))


def test_a_comment_with_a_fault_is_found():
    assert faults_of_source("x = 1  # its behavior\n") == ["1: American spelling: behavior"]


def test_names_of_code_are_no_faults():
    text = 'A `color` of keras.initializers, DiscretizedLogistic, solver="randomized", color(x), log_color.'
    assert not faults_of_source(f"'''{text}'''\n")


def test_a_formula_may_begin_in_lower_case():
    assert not faults_of_source('"""The mean.\n\nArgs:\n    x: log p(x), `[n]`.\n    y: x - mean.\n"""\n')
