"""build: the page of a bundle, in a variant, and of bundles that it refuses."""

import json

import numpy as np
import pytest
from web_bundles import change

from vae_tf_onnx.bundle import GOLDEN, GRAPHS, BundleError
from vae_tf_onnx.web import build


def test_a_damaged_bundle_leaves_no_page(bundle, runtime, tmp_path):
    (bundle / GRAPHS["decoder"]).write_bytes(b"changed")
    with pytest.raises(BundleError, match="expected sha256"):
        build(bundle, tmp_path / "page", ort_web=runtime)
    assert not (tmp_path / "page").exists()


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
