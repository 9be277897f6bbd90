"""The notebooks are those of their scripts, whole, small and listed; the scripts run in the short form, offline."""

import re
import runpy
import socket
import tempfile
import urllib.request
from urllib.error import URLError

import matplotlib.pyplot as plt
import pytest
from click.testing import CliRunner
from models import load_file
from paths import ROOT

MISSING = 'the notebooks need pip install -e ".[tutorials]"'
nbclient = pytest.importorskip("nbclient", reason=MISSING)
nbformat = pytest.importorskip("nbformat", reason=MISSING)
pytest.importorskip("jupytext", reason=MISSING)

TUTORIALS = ROOT / "tutorials"
SECTIONS = ("## The model", "## What to look at", "## Limits", "## Exercises", "## The claims of this page, checked")


builder = load_file(TUTORIALS / "build.py")
every_tutorial = pytest.mark.parametrize("script", builder.SCRIPTS, ids=lambda script: script.stem)


def read(script):
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def sources(notebook):
    """Type, tags and text of its cells, without the outputs' provenance below the badge."""
    texts = [[cell.cell_type, cell.metadata.get("tags"), cell.source] for cell in notebook.cells]
    texts[1][-1] = texts[1][-1].splitlines()[0]
    return texts


def printed(notebook):
    """What its cells print, all numbers masked, and the kinds of what they show."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [output.get("text") or sorted(output.get("data", ())) for output in outputs]
    return [re.sub(r"[-+ ]*\d+(\.\d+)?(e[-+]?\d+)?|[- ]{2,}", "#", str(text)) for text in texts]


def test_there_are_eight_in_order_and_nothing_else():
    assert [script.stem[:2] for script in builder.SCRIPTS] == [f"{number:02}" for number in range(1, 9)]
    notebooks = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))
    assert notebooks == [script.stem for script in builder.SCRIPTS]
    assert set(notebooks) > builder.MNIST


@every_tutorial
def test_a_notebook_is_that_of_its_script(script):
    assert sources(read(script)) == sources(builder.notebook(script))


@every_tutorial
def test_a_notebook_is_whole_and_small(script):
    notebook = read(script)
    nbformat.validate(notebook)
    assert script.with_suffix(".ipynb").stat().st_size <= 500_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [mime for output in outputs for mime in output.get("data", ()) if "widget" in mime]
    data = "mnist" if script.stem in builder.MNIST else "digits"
    assert f"These outputs: the {data} data" in notebook.cells[1].source
    assert f"tutorials/{script.stem}.ipynb" in notebook.cells[1].source
    assert (TUTORIALS / "images" / f"{script.stem}.png").read_bytes() == builder.cover(notebook)


@every_tutorial
def test_a_script_keeps_the_form(script):
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    title, *cells = builder.notebook(script).cells
    assert title.source.startswith("# ")
    assert "**The question.**" in title.source
    assert "**Runs in**" in title.source
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = [line for line in prose.splitlines() if line in SECTIONS]
    assert headings == list(SECTIONS)
    assert prose.count("<details><summary>Answer</summary>\n\n") == prose.count("\n\n</details>") == 2
    assert "$" in prose
    assert "assert " in cells[-1].source
    for link in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (TUTORIALS / link).exists(), link


def test_the_reading_order_lists_each_with_its_picture():
    text = (TUTORIALS / "README.md").read_text(encoding="utf-8")
    entries = re.findall(r"\]\((\d\d_\w+)\.ipynb\)", text)
    assert list(dict.fromkeys(entries)) == [script.stem for script in builder.SCRIPTS]
    pictures = re.findall(r"images/(\d\d_\w+)\.png", text)
    assert pictures == [script.stem for script in builder.SCRIPTS]


@pytest.fixture
def offline(monkeypatch):
    """No connection leaves the machine; gives the list of those that were tried."""
    connect, refused = socket.socket.connect, []

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            refused.append(address)
            raise ConnectionRefusedError(f"a connection to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    return refused


def test_offline_means_offline(offline):
    with pytest.raises(URLError):
        urllib.request.urlopen("http://192.0.2.1", timeout=1)
    assert offline == [("192.0.2.1", 80)]


@pytest.mark.integration
@every_tutorial
def test_the_short_form(script, offline, monkeypatch, tmp_path):
    for name, value in {"VAE_TF_SMOKE": "1", "VAE_TF_DATA": "digits"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        with plt.rc_context({"backend": "agg"}):
            runpy.run_path(str(script), run_name="__main__")
        assert plt.get_fignums() or "plotting." in script.read_text(encoding="utf-8")
    finally:
        plt.close("all")
    assert not offline


@pytest.mark.slow
@every_tutorial
def test_rebuilding_changes_nothing_but_numbers(script):
    data = "mnist" if script.stem in builder.MNIST else "digits"
    assert printed(builder.execute(script, data)) == printed(read(script))


PAGE = """\
# %% [markdown]
# # A page

# %% tags=["cover"]
import matplotlib.pyplot as plt

fig, ax = plt.subplots()
"""


@pytest.fixture
def page(tmp_path):
    """A script with the given code below its picture."""

    def write(code=""):
        script = tmp_path / "01_page.py"
        script.write_text(f"{PAGE}\n# %%\n{code}\n")
        return script

    return write


def test_building_twice_leaves_the_file_as_it_is(page, tmp_path):
    script, path = page("print('one', flush=True)\nprint('two')"), tmp_path / "out" / "01_page.ipynb"
    image = tmp_path / "out" / "images" / "01_page.png"
    executed = builder.execute(script, "digits")
    assert builder.write(executed, path)
    first = path.read_bytes()
    assert image.read_bytes() == builder.cover(executed)
    assert sources(nbformat.read(path, as_version=4)) == sources(builder.notebook(script))
    image.unlink()
    assert not builder.write(builder.execute(script, "digits"), path)
    assert path.read_bytes() == first
    assert image.exists()
    executed.cells[1].source = executed.cells[1].source.replace("digits", "mnist")
    assert builder.write(executed, path)


def test_a_script_that_changed_is_seen(page, tmp_path):
    notebook = builder.notebook(page("print('one')"))
    assert sources(notebook) == sources(builder.notebook(page("print('one')")))
    assert sources(notebook) != sources(builder.notebook(page("print('two')")))


WIDGET = "from IPython.display import display\ndisplay({'application/vnd.jupyter.widget-view+json': {}}, raw=True)"


@pytest.mark.parametrize(
    ("code", "error", "match"),
    [
        ("import sys\nprint('careful', file=sys.stderr)", ValueError, "nothing on stderr, received 'careful"),
        ("1 / 0", nbclient.exceptions.CellExecutionError, "ZeroDivisionError"),
        (WIDGET, ValueError, "expected no widgets"),
    ],
)
def test_a_page_that_warns_or_fails_is_refused(page, code, error, match):
    with pytest.raises(error, match=match):
        builder.execute(page(code), "digits")


def test_a_page_has_one_cover(page):
    with pytest.raises(ValueError, match=r"expected one cell .* received 2"):
        builder.notebook(page('# %% tags=["cover"]'))


def test_a_large_page_is_refused_and_the_old_one_kept(page, tmp_path):
    path = tmp_path / "01_page.ipynb"
    path.write_text("old")
    large = builder.notebook(page("# " + "x" * 500_000))
    with pytest.raises(ValueError, match=r"at most 500 KB, received 50\d KB"):
        builder.write(large, path)
    assert path.read_text() == "old"


def test_an_unknown_name_is_a_usage_error():
    result = CliRunner().invoke(builder.main, ["99"])
    assert result.exit_code == 2
    assert "received '99'" in result.output


def test_the_command(page, monkeypatch, tmp_path):
    """The number of a page, its data, a relative folder of data, and where it is written."""
    code = "import os\nprint(os.environ['VAE_TF_DATA'], os.path.isabs(os.environ['VAE_TF_DATA_DIR']))"
    monkeypatch.setattr(builder, "SCRIPTS", [page(code)])
    monkeypatch.setenv("VAE_TF_DATA_DIR", "data")
    result = CliRunner().invoke(builder.main, ["01", "--data", "mnist", "--out", str(tmp_path / "out")])
    assert result.output == "01_page: written\n"
    notebook = nbformat.read(tmp_path / "out" / "01_page.ipynb", as_version=4)
    assert notebook.cells[-1].outputs[0].text == "mnist True\n"
