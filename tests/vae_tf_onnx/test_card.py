"""The model card: its text, and its snippets, which run."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from handmade import EVENT_SHAPE, SIGMA, weights
from handmade_layers import decoder, matrices, write_decoder

from vae_tf_onnx import BundleError, card, verify
from vae_tf_onnx.bundle import GRAPHS, write_manifest
from vae_tf_onnx.variants import add

FACTOR = 1 / (2 * SIGMA**2)
EQUIVALENCE = {"loss": "mse", "scale_factor": FACTOR, "constant": 8 * math.log(SIGMA * math.sqrt(2 * math.pi))}


@pytest.fixture
def written(make_bundle):
    """The card of a bundle whose manifest has these entries besides; its text."""
    folder = make_bundle()

    def write(**entries):
        manifest = json.loads((folder / "manifest.json").read_text())
        write_manifest(folder, manifest | entries)
        card.write(folder)
        return (folder / "README.md").read_text(encoding="utf-8")

    write.folder = folder
    return write


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def likelihood(equivalence=None, **parameters):
    return {"likelihood": {"family": "Gaussian", "parameters": parameters, "equivalence": equivalence}}


def test_the_bundle_stays_valid_and_holds_the_card(written):
    text = written()
    manifest = json.loads((written.folder / "manifest.json").read_text())
    assert "README.md" in manifest["files"]
    assert max(verify(written.folder).values()) < 1e-5
    card.write(written.folder)
    assert (written.folder / "README.md").read_text(encoding="utf-8") == text


def test_sigma_and_the_factor_of_the_squared_error(written):
    text = written(**likelihood(EQUIVALENCE, scale="optimal"), data="digits")
    assert "# Variational autoencoder of digits\n" in text
    assert "sigma = 0.25, 1/(2 sigma^2) = 8." in text
    assert "`-log p(x|z) = 8 sum((x - mean)^2) - 3.739` nats per example, over 8 dimensions." in text
    assert "`Gaussian(scale=optimal)`" in text
    assert "`[4, 2, 1]`, values from 0 to 1" in text


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            likelihood({"loss": "mae", "scale_factor": 4.0, "constant": 1.0}),
            "b = 0.25, 1/b = 4**, standard deviation 0.3536",
        ),
        (
            likelihood({"loss": "bce", "scale_factor": 1.0, "constant": 0.0}),
            "binary cross-entropy in nats, summed over",
        ),
        (likelihood(scale="per_dimension"), "sigma and 1/(2 sigma^2) differ between dimensions of x: output `scale`"),
        (likelihood(scale="per_pixel"), "differ between dimensions and with z"),
        (likelihood(scale=0.1, quantised=True), "**sigma = 0.1.** The standard deviation of x given z before it is"),
        ({"likelihood": {"family": "Poisson", "equivalence": None}}, "There is no one sigma, and no pointwise loss"),
        ({"likelihood": {"family": None}}, "The likelihood is not stated"),
    ],
)
def test_likelihoods(written, entries, sentence):
    assert sentence in written(**entries)


def test_scores(written):
    assert "not measured, as no data were given to the export" in written()
    scores = {"elbo": 361.896, "distortion": -389.9, "rate": 28.0, "num_examples": 500}
    text = written(evaluation=scores)
    assert "mean over 500 examples" in text
    assert "| ELBO | 361.9 |" in text
    assert "not measured" not in text


def test_graphs(written):
    described = {
        "decoder": {
            "inputs": [{"name": "z", "shape": ["batch", 3]}],
            "outputs": [{"name": "mean", "shape": ["batch", 4, 2, 1]}],
            "parity": {"mean": 1.25e-7, "scale": 0.0},
        }
    }
    text = written(graphs=described)
    row = "| `decoder` | `decoder/1/model.onnx` | `z [batch, 3]` | `mean [batch, 4, 2, 1]` | 1.2e-07 |"
    assert row in text
    assert "| `encoder` | `encoder/1/model.onnx` | `not stated` |" in text
    assert "`prior`" not in text


def test_variants(written):
    text = written()
    assert "float32 only." in text
    rows = add(written.folder, ["fp16", "int8-dynamic"], force=True)
    text = (written.folder / "README.md").read_text(encoding="utf-8")
    assert "float32 only." not in text, "written anew, as the bundle had one"
    for variant, row in rows.items():
        cells = [f"{row['bytes'] / 1000:.1f}"]
        cells += [f"{row[key]:.4g}" for key in ("max_abs_error", "mean_abs_error", "scale_error", "log_prob_error")]
        cells += [f"{value:.4g}" for value in row["latency_ms"].values()]
        assert f"| `decoder` | `{variant}` | {' | '.join(cells)} |" in text
    assert f"on 1 thread of onnxruntime {onnxruntime.__version__}:" in text
    assert "a row's result depends on its neighbours" in text
    header = next(line for line in text.splitlines() if line.startswith("| graph | variant"))
    table = text[text.index(header) :].split("\n\n")[0].splitlines()
    assert len(table) == 2 + 6
    assert {line.replace(r"\|", "").count("|") for line in table} == {10}


def test_what_a_variant_was_allowed(written):
    written()
    add(written.folder, ["fp16"], tolerance=0.75, force=True)
    text = (written.folder / "README.md").read_text(encoding="utf-8")
    allowed = "fp16 may err by 0.75 of the range in the mean, by 0.005 of `scale`, and by 0.01 nats per dimension of x"
    assert f"{allowed} in log p(x|z). **Beyond that, and kept by force: decoder.**" in text


def test_what_is_not_finite(written):
    """A float32 graph that overflows has no errors, and an error of infinitely many nats is the largest number."""
    add(written.folder, ["fp16"], force=True)
    manifest = json.loads((written.folder / "manifest.json").read_text())
    rows = manifest["graphs"]["decoder"]["variants"]
    rows["fp16"]["log_prob_error"] = sys.float_info.max
    for key in ("max_abs_error", "mean_abs_error", "scale_error", "num_inputs"):
        del rows["fp32"][key]
    rows["fp32"]["finite"] = False
    text = written(graphs=manifest["graphs"])
    assert re.search(r"\| `decoder` \| `fp32` \| [\d.]+ \| not finite \| not finite \|  \|  \|", text)
    assert re.search(r"\| `decoder` \| `fp16` \| [\d.]+ \| [\de.-]+ \| [\de.-]+ \| 0 \| not finite \|", text)
    assert "e+308" not in text


def test_names_from_files_stay_in_their_place(written):
    """Neither a row, nor a heading, nor a link, nor HTML comes from a name."""
    text = written(data="a | b\n\n# <script>alert(1)</script> [x](http://example.org) `c`")
    assert r"a \| b \# \<script\>alert(1)\</script\> \[x\](http://example.org) \`c\`" in text
    hostile = {"decoder": {"inputs": [{"name": "z`|\n# z", "shape": ["<b>"]}], "outputs": [], "parity": {}}}
    assert r"| `z'\| # z [<b>]` |" in written(graphs=hostile)


def test_a_damaged_bundle(make_bundle):
    folder = make_bundle()
    (folder / GRAPHS["encoder"]).write_bytes(b"changed")
    with pytest.raises(BundleError, match="expected sha256"):
        card.write(folder)
    assert not (folder / "README.md").exists()


def test_without_jinja2(make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    folder = make_bundle()
    with pytest.raises(ImportError, match=r'Install it: pip install "vae-tf-onnx\[convert\]"'):
        card.write(folder)
    assert not (folder / "README.md").exists()


@pytest.mark.parametrize("kind", ["stated", "unstated", "fixed batch"])
def test_python_snippets(written, tmp_path, monkeypatch, kind):
    if kind == "stated":
        folder, text = written.folder, written()
    else:
        folder = unstated_bundle(tmp_path / "other") if kind == "unstated" else fixed_bundle(tmp_path / "other")
        card.write(folder)
        text = (folder / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(folder)
    runtime, bare = blocks(text, "python")
    names = {}
    exec(runtime, names)
    images = names["means" if kind == "unstated" else "images"]
    assert images.shape == (16, *EVENT_SHAPE)
    assert str(list(images.shape)) in runtime
    exec(bare, names)
    assert names["mean"].shape == ((4 if kind == "fixed batch" else 1), *EVENT_SHAPE)
    assert str(list(names["mean"].shape)) in bare


def unstated_bundle(folder):
    model = decoder(matrices(1, 1))
    model.graph.output.pop()
    nothing = {"family": None}
    return write_decoder(folder, model, likelihood=nothing, prior=nothing, posterior=nothing)


def fixed_bundle(folder):
    return write_decoder(folder, decoder(matrices(1, 1), batch=4), batch=4)


def test_javascript_snippet(written, tmp_path):
    package = os.environ.get("VAE_TF_ORT_WEB", "")
    if not (Path(package) / "package.json").is_file() or shutil.which("npm") is None:
        pytest.skip("VAE_TF_ORT_WEB names no unpacked npm package onnxruntime-web, or npm is missing")
    modules = tmp_path / "node_modules"
    modules.mkdir()
    version = json.loads((Path(package) / "package.json").read_text())["version"]
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"onnxruntime-common@{version}"]
    if run(install, cwd=tmp_path).returncode != 0:
        pytest.skip("npm does not get onnxruntime-common, which onnxruntime-web needs in Node")
    (modules / "onnxruntime-web").symlink_to(package, target_is_directory=True)
    (snippet,) = blocks(written(), "js")
    script = tmp_path / "decode.mjs"
    one = snippet.replace("new Float32Array(3)", "Float32Array.of(1, 2, 3)")
    assert one != snippet
    script.write_text(f"{one}\nconsole.log(JSON.stringify([mean.dims, ...mean.data]));\n")
    shutil.copytree(written.folder / "decoder", tmp_path / "decoder")
    result = run(["node", "--preserve-symlinks", script], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    dims, *values = json.loads(result.stdout)
    assert dims == [1, *EVENT_SHAPE]
    np.testing.assert_allclose(values, np.array([1, 2, 3]) @ weights()[0], rtol=1e-5)


def test_cpp_snippet(written, tmp_path):
    """Compiled with onnxruntime's headers, linked with the library of the Python package."""
    headers = Path(os.environ.get("VAE_TF_ORT_INCLUDE", "/usr/include/onnxruntime"))
    libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if shutil.which("g++") is None or not libraries or not (headers / "onnxruntime_cxx_api.h").is_file():
        pytest.skip("g++ or onnxruntime's C++ headers are missing; VAE_TF_ORT_INCLUDE names their folder")
    (snippet,) = blocks(written(), "cpp")
    source = tmp_path / "decode.cpp"
    one = snippet.replace("z(3);", "z{1, 2, 3};")
    assert one != snippet
    source.write_text(one)
    options = ["-std=c++17", "-Wall", "-Werror", "-isystem", headers]
    (tmp_path / "libonnxruntime.so.1").symlink_to(libraries[0])  # the name by which it is looked for
    library = [libraries[0], f"-Wl,-rpath,{tmp_path}"]
    result = run(["g++", *options, source, *library, "-o", tmp_path / "decode"], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    result = run([tmp_path / "decode"], cwd=written.folder)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(float(np.array([1, 2, 3]) @ weights()[0][:, 0]), rel=1e-4)


def run(command, **arguments):
    return subprocess.run(command, capture_output=True, text=True, check=False, **arguments)
