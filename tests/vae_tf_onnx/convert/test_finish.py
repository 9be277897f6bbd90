"""The files beside the graphs: variants, Triton's, and the model card."""

import numpy as np

from vae_tf_onnx import Encoder
from vae_tf_onnx.bundle import open_bundle


def test_what_is_added_to_the_graphs(fitted, complete, digits):
    """Variants, Triton's files and the model card, each described in the manifest by its checksum."""
    manifest = open_bundle(complete).manifest
    expected = {"README.md", "decoder/1/model.fp16.onnx", "decoder/config.pbtxt", "inference_service.yaml"}
    assert expected <= set(manifest["files"])
    assert "tensorrt" in (complete / "decoder/config.pbtxt").read_text().lower()
    assert "s3://models/digits" in (complete / "inference_service.yaml").read_text()
    assert manifest["graphs"]["decoder"]["variants"].keys() >= {"fp16"}
    x = digits[1][:4]
    np.testing.assert_allclose(Encoder(complete, variant="fp16").encode(x), fitted.encode(x), atol=2e-2)
