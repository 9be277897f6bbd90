"""The page's files, and where onnxruntime-web comes from; test_web_browser.py opens them."""

import base64
import gzip
import io
import json
import os
import re
import tarfile

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the bundles are made with onnx, which is not installed")
import web_bundles

from vae_tf_onnx import families
from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, GRAPHS, BundleError, open_bundle, write_manifest
from vae_tf_onnx.cli._web import web
from vae_tf_onnx.web import RUNTIME_FILES, _onnxruntime_web, build, ort_web
from vae_tf_onnx.web._noise_laws import OBSERVATION_NOISE, PRIOR_NOISE
from vae_tf_onnx.web._page import join_modules
from vae_tf_onnx.web._page_facts import page_facts

COUNTS = {"NegativeBinomial", "Poisson"}


@pytest.fixture
def bundle(tmp_path):
    return web_bundles.gaussian(tmp_path / "bundle")


@pytest.fixture
def runtime(tmp_path):
    """A folder that stands for onnxruntime-web."""
    folder = tmp_path / "package" / "dist"
    folder.mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(name.encode())
    return folder.parent


def change(folder, **facts):
    manifest = json.loads((folder / "manifest.json").read_text()) | facts
    write_manifest(folder, manifest)


def read_facts(folder, variant="fp32"):
    return json.loads(page_facts(open_bundle(folder), variant))


def test_a_folder(bundle, runtime, tmp_path):
    index = build(bundle, tmp_path / "page", ort_web=runtime)
    assert index == tmp_path / "page" / "index.html"
    names = {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*") if path.is_file()}
    assert {"index.html", "app.js", "style.css", "bundle.json", "decoder.onnx", "observation.onnx"} < names
    assert {name for name in names if "/" in name} == {f"ort/{name}" for name in RUNTIME_FILES}
    assert (index.parent / "decoder.onnx").read_bytes() == (bundle / GRAPHS["decoder"]).read_bytes()


def test_a_single_file(bundle, runtime, tmp_path):
    index = build(bundle, tmp_path / "page", ort_web=runtime, single_file=True)
    assert [path.name for path in index.parent.iterdir()] == ["index.html"]
    text = index.read_text()
    (carried,) = re.findall(r'id="asset:decoder.onnx">([^<]*)<', text)
    assert gzip.decompress(base64.b64decode(carried)) == (bundle / GRAPHS["decoder"]).read_bytes()
    assert "onerror=" not in text, "names from the manifest are not part of the HTML"
    assert "unsafe-inline" not in text


def test_the_same_bundle_gives_the_same_page(bundle, runtime, tmp_path):
    pages = [build(bundle, tmp_path / name, ort_web=runtime, single_file=True).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_joined_modules_share_no_name():
    script = join_modules("app.js")
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:const|let|class|function) (\w+)", script, re.MULTILINE)
    assert len(names) > 30
    assert len(set(names)) == len(names)


def test_what_is_there_is_replaced_only_where_it_is_a_page(bundle, runtime, tmp_path):
    out = tmp_path / "page"
    out.mkdir()
    build(bundle, out, ort_web=runtime)
    build(bundle, out, ort_web=runtime, single_file=True)
    build(bundle, out, ort_web=runtime)
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match=r"expected a page of the latent explorer, .* Choose another folder"):
        build(bundle, out, ort_web=runtime)
    assert (out / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("name", ["index.html", "notes.txt"])
def test_a_folder_of_somebody_else_is_kept(bundle, runtime, tmp_path, name):
    out = tmp_path / "site"
    out.mkdir()
    (out / name).write_text("<p>mine</p>")
    with pytest.raises(ValueError, match="received something else"):
        build(bundle, out, ort_web=runtime)
    assert (out / name).read_text() == "<p>mine</p>"


def test_a_damaged_bundle_leaves_no_page(bundle, runtime, tmp_path):
    (bundle / GRAPHS["decoder"]).write_bytes(b"changed")
    with pytest.raises(BundleError, match="expected sha256"):
        build(bundle, tmp_path / "page", ort_web=runtime)
    assert not (tmp_path / "page").exists()


def test_facts(bundle):
    facts = read_facts(bundle)
    said = dict(facts["summary"])
    sigma, factor = said["\N{GREEK SMALL LETTER SIGMA}"], said["1/(2\N{GREEK SMALL LETTER SIGMA}²)"]
    assert (sigma, factor) == ("0.25 (optimal)", "8")
    assert (facts["scale_symbol"], facts["is_mse"]) == ("\N{GREEK SMALL LETTER SIGMA}", True)
    assert (said["ELBO"], said["Examples"]) == ("-12.3 nats", "1,234")
    assert said["Latents"] == "3 (2 in use)"
    latents = facts["latents"]
    assert latents["order"] == [1, 2, 0]
    np.testing.assert_allclose(latents["low"], [-2.9, -3.5, -2.4])
    np.testing.assert_allclose(latents["high"], [3.1, 3.1, 3.0])
    assert facts["display_range"] == [0.0, 1.0]
    assert facts["tolerance"] == 1e-5


def test_facts_of_a_manifest_that_says_little(make_bundle):
    facts = read_facts(make_bundle())
    assert facts["latents"]["kl"] is None
    assert (facts["latents"]["low"], facts["latents"]["high"]) == ([-3.0] * 3, [3.0] * 3)
    assert facts["examples"] is None
    assert facts["is_mse"] is False
    assert facts["observation"] is None
    assert "no observation graph" in facts["observation_note"]


def test_facts_of_a_model_that_states_no_likelihood(bundle):
    change(bundle, likelihood={"family": None}, prior={"family": None}, evaluation=None)
    facts = read_facts(bundle)
    assert dict(facts["summary"])["Likelihood"] == "unstated"
    assert facts["prior_noise"] is None
    assert facts["prior_note"] == "Not available: the model states no prior."
    assert facts["observation"] is None
    assert "states no likelihood" in facts["observation_note"]


def test_counts_are_drawn_in_python(bundle):
    change(bundle, likelihood={"family": "Poisson"}, data_range=[0.0, 2.0**24])
    facts = read_facts(bundle)
    assert facts["observation_note"] == "Not available: samples of Poisson come from Python."
    with np.load(bundle / EXAMPLES) as examples:
        assert facts["display_range"] == [0.0, max(1.0, examples["x"].max())], "not what the type can hold"


def test_every_family_has_its_noise():
    assert set(OBSERVATION_NOISE) == set(families.LIKELIHOODS) - COUNTS
    assert set(PRIOR_NOISE) == set(families.PRIORS)


@pytest.mark.parametrize(
    "facts",
    [
        {"latents": {"kl": [1.0], "mean": [0.0] * 3, "scale": [1.0] * 3, "source": "x"}},
        {"latents": {"kl": None, "mean": [0.0] * 3, "scale": [0.0] * 3, "source": "x"}},
        {"latents": {"kl": None, "mean": ["a"] * 3, "scale": [1.0] * 3, "source": "x"}},
        {"latents": {"kl": None}},
        {"evaluation": {"elbo": 1.0}},
        {"evaluation": {"elbo": "much", "distortion": 1.0, "rate": 1.0, "num_examples": 1}},
        {"data_range": [0.0]},
        {"likelihood": {"family": "Gaussian", "equivalence": {"loss": "mse", "scale_factor": 0.0}}},
        {"likelihood": {"family": "Gaussian", "parameters": 3}},
    ],
)
def test_facts_that_cannot_be(bundle, facts):
    change(bundle, **facts)
    with pytest.raises(BundleError, match=r"Bundle .*: expected .*, received .* Export the model again"):
        read_facts(bundle)


@pytest.mark.parametrize("name", [GOLDEN, EXAMPLES])
@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"z": np.zeros((5, 2)), "x": np.zeros((5, *web_bundles.RGB)), "decoder/mean": np.zeros((5, *web_bundles.RGB))},
        {"z": np.zeros((0, 3)), "x": np.zeros((0, *web_bundles.RGB)), "decoder/mean": np.zeros((0, *web_bundles.RGB))},
        {
            key: np.full((5, *shape), np.nan)
            for key, shape in (("z", (3,)), ("x", (6, 5, 3)), ("decoder/mean", (6, 5, 3)))
        },
        {"z": np.array([None])},
    ],
)
def test_arrays_that_cannot_be(bundle, name, arrays):
    np.savez(bundle / name, **arrays)
    change(bundle)
    with pytest.raises(BundleError, match=f"{name}: expected numeric arrays"):
        read_facts(bundle)


def test_large_examples_are_cut(bundle, monkeypatch):
    monkeypatch.setattr("vae_tf_onnx.web._arrays._MOST_BYTES", 3 * 6 * 5 * 3 * 4)
    assert read_facts(bundle)["examples"]["x"]["shape"] == [3, 6, 5, 3]


def test_a_variant(bundle, runtime, tmp_path):
    with pytest.raises(ValueError, match=r"variant: expected one that the bundle holds \(fp32\), received 'fp16'"):
        build(bundle, tmp_path / "page", variant="fp16", ort_web=runtime)
    (bundle / "decoder/1/model.fp16.onnx").write_bytes(b"halved")
    graphs = {"decoder": {"variants": {"fp16": {"max_abs_error": 0.01}}}}
    change(bundle, graphs=graphs)
    page = build(bundle, tmp_path / "page", variant="fp16", ort_web=runtime).parent
    assert (page / "decoder.onnx").read_bytes() == b"halved"
    with np.load(bundle / GOLDEN) as golden:
        expected = 2 * 0.01 / np.abs(golden["decoder/mean"]).max()
    assert json.loads((page / "bundle.json").read_text())["tolerance"] == pytest.approx(expected)
    change(bundle, graphs={"decoder": {}})
    with pytest.raises(BundleError, match="variants"):
        build(bundle, tmp_path / "page", variant="fp16", ort_web=runtime)


def test_weights_beside_the_graph_are_refused(bundle, runtime, tmp_path):
    (bundle / (GRAPHS["decoder"] + ".data")).write_bytes(b"weights")
    change(bundle)
    with pytest.raises(ValueError, match="A browser cannot take them"):
        build(bundle, tmp_path / "page", ort_web=runtime)


@pytest.mark.parametrize("part", ["", "dist"])
def test_a_given_runtime(runtime, part):
    assert ort_web(runtime / part) == runtime / "dist"


def test_a_folder_without_the_runtime(tmp_path):
    with pytest.raises(ValueError, match=r"expected onnxruntime-web .*`npm pack onnxruntime-web@"):
        ort_web(tmp_path)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program `npm` of these lines of Python on an otherwise empty path, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def install(script):
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir()
        program.write_text(f"#!{os.path.realpath('/bin/sh')}\n{script}\n")
        program.chmod(0o755)

    return install


def archive(path):
    """An archive as npm packs it."""
    with tarfile.open(path, "w:gz") as package:
        for name in RUNTIME_FILES:
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = 4
            package.addfile(entry, io.BytesIO(b"code"))


def test_without_npm(npm):
    with pytest.raises(ValueError, match=r"expected npm, which fetches it, received no npm .* --ort-web DIR"):
        ort_web()


def test_npm_that_fails(npm):
    npm("echo no network >&2; exit 1")
    with pytest.raises(ValueError, match=r"received no network \(exit code 1\)"):
        ort_web()


def test_a_package_of_another_content_is_refused(npm, tmp_path):
    archive(tmp_path / "package.tgz")
    npm(f'/bin/cp {tmp_path}/package.tgz "$4/onnxruntime-web.tgz"')
    with pytest.raises(ValueError, match=r"expected an archive with sha512-.*, received sha512-"):
        ort_web()
    assert not list((tmp_path / "cache").rglob("*.wasm"))


def test_what_npm_fetched_is_kept(npm, tmp_path, monkeypatch):
    archive(tmp_path / "package.tgz")
    npm(f'/bin/cp {tmp_path}/package.tgz "$4/onnxruntime-web.tgz"; echo x >> {tmp_path}/calls')
    monkeypatch.setattr(
        _onnxruntime_web, "_INTEGRITY", _onnxruntime_web.integrity((tmp_path / "package.tgz").read_bytes())
    )
    folder = ort_web()
    assert folder.is_relative_to(tmp_path / "cache" / "vae-tf")
    assert {path.name for path in folder.iterdir()} == set(RUNTIME_FILES)
    assert ort_web() == folder
    assert (tmp_path / "calls").read_text() == "x\n", "the second time npm is not asked"


def test_the_command(run_command, bundle, runtime, tmp_path):
    out = tmp_path / "page"
    result = run_command(web.main, bundle, "--out", out, "--ort-web", runtime, "--single-file")
    assert result[0] == 0
    assert f"Written: {out / 'index.html'}, 0." in result[1]
