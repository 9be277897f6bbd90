"""Makes the notebooks from their scripts: `python tutorials/build.py` executes all and replaces the .ipynb beside them.

A notebook is its script, cell by cell, and two generated cells below the title: badge and provenance, and the
installation for Colab. One that comes out as it was, but for time, hardware and versions, is left alone, byte for byte.
"""

from __future__ import annotations

import base64
import os
import platform
import re
import tempfile
import time
from importlib.metadata import metadata, version
from pathlib import Path

import click
import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from vae_tf._files import replacing

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("[0-9][0-9]_*.py"))
MNIST = {"03_what_is_sigma", "05_posterior_collapse", "06_choosing_a_likelihood"}  # the others: digits
LARGEST = 500_000  # bytes of a notebook
GENERATED = "generated"  # the tag of the cells that are not in the script

_METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_INSTALL = """\
import importlib.util

if importlib.util.find_spec("vae_tf") is None:  # as in Colab
    %pip install --quiet "vae-tf @ git+{url}" "vae-tf-onnx[{extras}] @ git+{url}#subdirectory=export"\
"""


def repository() -> str:
    """The project's address, as `pyproject.toml` gives it."""
    urls = dict(entry.split(", ") for entry in metadata("vae-tf").get_all("Project-URL") or [])
    return urls["Repository"]


def notebook(script: Path) -> NotebookNode:
    """The notebook of a script, not executed; the same bytes for the same script.

    Raises:
        ValueError: unless exactly one cell is tagged `cover`.
    """
    cells = jupytext.reads(script.read_text(encoding="utf-8"), fmt="py:percent").cells
    url = repository()
    install = _INSTALL.format(url=url, extras="convert,serve" if "serve" in script.stem else "convert")
    colab = url.replace("https://github.com", "https://colab.research.google.com/github")
    badge = f"[![Run in Colab]({_BADGE})]({colab}/blob/main/tutorials/{script.stem}.ipynb)"
    cells[1:1] = [
        nbformat.v4.new_markdown_cell(badge, metadata={"tags": [GENERATED]}),
        nbformat.v4.new_code_cell(install, metadata={"tags": [GENERATED]}),
    ]
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
    covers = sum(_is_cover(cell) for cell in cells)
    if covers != 1:
        raise ValueError(f'{script.name}: expected one cell that says `# %% tags=["cover"]`, received {covers}.')
    return nbformat.v4.new_notebook(cells=cells, metadata=_METADATA)


def execute(script: Path, data: str) -> NotebookNode:
    """The notebook of a script with the outputs of its full form on the data called `data`.

    Raises:
        CellExecutionError: if a cell raises.
        ValueError: if a cell warns, or shows a widget.
    """
    result = notebook(script)
    kernel = {key: value for key, value in os.environ.items() if key not in ("VAE_TF_SMOKE", "MPLBACKEND")}
    kernel |= {"VAE_TF_DATA": data, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if "VAE_TF_DATA_DIR" in kernel:
        kernel["VAE_TF_DATA_DIR"] = str(Path(kernel["VAE_TF_DATA_DIR"]).resolve())  # it runs in another folder
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            result,
            timeout=None,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--IPKernelApp.capture_fd_output=False"],  # of TensorFlow's C++, not of a cell
        )
        client.execute(env=kernel)
    result.cells[1].source += "\n\n" + _provenance(data, time.monotonic() - start)
    result.metadata = nbformat.from_dict(_METADATA)  # without the kernel's version
    for cell in result.cells:
        for output in cell.get("outputs", ()):
            _check(output, f"{script.name}, {cell.id}")
    return result


def _check(output: NotebookNode, where: str) -> None:
    if output.get("name") == "stderr":
        raise ValueError(f"{where}: expected nothing on stderr, received {output.text!r}. Mend the cause.")
    if any("widget" in mime for mime in output.get("data", ())):
        raise ValueError(f"{where}: expected no widgets, received {sorted(output.data)}. Print or draw instead.")


def _provenance(data: str, seconds: float) -> str:
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    names = ", ".join(gpu.get("device_name", "a GPU") for gpu in gpus) or "no GPU"
    return (
        f"*These outputs: the {data} data, {seconds:.0f} s on {os.cpu_count()} cores of an {_processor()}, {names}; "
        f"TensorFlow {version('tensorflow')}, vae_tf {version('vae-tf')}.*"
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", described.read_text()) if described.exists() else None
    return found[1].replace("(R)", "") if found else platform.processor() or platform.machine()


def cover(executed: NotebookNode) -> bytes:
    """The PNG of the picture that stands for a notebook: that of its cell tagged `cover`."""
    (cell,) = filter(_is_cover, executed.cells)
    (png,) = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", ())]
    return base64.b64decode(png)


def write(executed: NotebookNode, path: Path) -> bool:
    """Writes a notebook and its cover (`images/<name>.png` beside it) unless nothing but provenance changed.

    Raises:
        ValueError: if it is larger than 500 KB; nothing is written then.
    """
    text = nbformat.writes(executed) + "\n"
    if len(text.encode()) > LARGEST:
        size = f"{len(text.encode()) / 1000:.0f} KB"
        raise ValueError(f"{path.name}: expected at most {LARGEST // 1000} KB, received {size}. Draw fewer figures.")
    image, picture = path.parent / "images" / f"{path.stem}.png", cover(executed)
    if not image.exists() or image.read_bytes() != picture:
        with replacing(image) as draft:
            draft.write_bytes(picture)
    if path.exists() and _results(nbformat.read(path, as_version=4)) == _results(executed):
        return False
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return True


def _is_cover(cell: NotebookNode) -> bool:
    return "cover" in cell.metadata.get("tags", ())


def _results(nb: NotebookNode) -> list[NotebookNode]:
    """The cells of a notebook, without time, hardware and versions."""
    top, *cells = nb.cells[1:]
    return [nb.cells[0], top.source.partition(" data, ")[0], *cells]


def _script(name: str) -> Path:
    for script in SCRIPTS:
        if name in (script.stem, script.stem[:2]):
            return script
    raise click.BadParameter(f"expected one of {', '.join(s.stem for s in SCRIPTS)}, received {name!r}.")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--data", type=click.Choice(["digits", "mnist"]), help="Default: what is committed.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=HERE, help="Default: beside the scripts."
)
def main(names: tuple[str, ...], data: str | None, out: Path) -> None:
    """Executes the notebooks NAMES (numbers, or all of them) in their full form and writes them."""
    for script in [_script(name) for name in names] or SCRIPTS:
        click.echo(f"{script.stem}: ", nl=False)
        executed = execute(script, data or ("mnist" if script.stem in MNIST else "digits"))
        changed = write(executed, out / f"{script.stem}.ipynb")
        click.echo("written" if changed else "unchanged")


if __name__ == "__main__":
    main()
