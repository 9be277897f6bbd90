"""Variants that are refused: for their error of log p(x|z), and for that of scale."""

import json

import numpy as np
import onnx
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM
from handmade_layers import decode, decoder, matrices, write_decoder

from vae_tf_onnx import Decoder, ParityError
from vae_tf_onnx.bundle import EXAMPLES, GRAPHS, write_manifest
from vae_tf_onnx.variants import NATS, add

LAYERS = matrices(1, 1, 3)

DIMS = int(np.prod(EVENT_SHAPE))


def fitting(folder, sigma):
    """A decoder of this sigma, and examples drawn from it."""
    model = decoder(LAYERS)
    (scale,) = (node for node in model.graph.node if node.op_type == "ConstantOfShape")
    scale.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.float32([sigma])))
    folder = write_decoder(folder, model)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(32, LATENT_DIM)).astype(np.float32)
    x = decode(LAYERS, z) + sigma * rng.normal(size=(32, *EVENT_SHAPE))
    np.savez(folder / EXAMPLES, x=x.astype(np.float32), z=z)
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    return folder


def nats(folder, variant, sigma):
    """The largest error of log p(x|z) over the examples, per dimension, from the squared errors."""
    with np.load(folder / EXAMPLES) as examples:
        x, z = examples["x"].astype(np.float64), examples["z"]
    received, expected = (Decoder(folder, variant=name).decode(z).astype(np.float64) for name in (variant, "fp32"))
    change = (x - received) ** 2 - (x - expected) ** 2
    return np.abs(change.reshape(len(x), -1).sum(axis=1)).max() / (2 * sigma**2) / DIMS


def test_a_small_sigma_is_refused_for_its_nats(tmp_path):
    """The same error of the mean, which no eye sees, and 250 times the sigma beside it."""
    kept = fitting(tmp_path / "wide", 0.25)
    row = add(kept, "fp16")["fp16"]
    assert row["log_prob_error"] / DIMS == pytest.approx(nats(kept, "fp16", 0.25), rel=1e-2)
    assert row["within_tolerances"]
    refused = fitting(tmp_path / "narrow", 0.001)
    with pytest.raises(
        ParityError, match=r"log p\(x\|z\) of the decoder in fp16: .* nats per dimension of x"
    ) as caught:
        add(refused, "fp16", tolerance=0.5)
    assert not (refused / "decoder/1/model.fp16.onnx").exists()
    assert caught.value.tolerance == NATS["fp16"] == 0.01
    row = add(refused, "fp16", force=True)["fp16"]
    assert not row["within_tolerances"]
    assert row["tolerances"] == {"max_abs_error": 5e-3, "scale_error": 5e-3, "log_prob_error": 0.01}
    assert row["max_abs_error"] < 1e-3
    assert caught.value.error == pytest.approx(nats(refused, "fp16", 0.001), rel=1e-2)
    add(refused, "ort")


def exponential_encoder(folder, magnitude):
    """An encoder whose scale is the exponential of a product of this magnitude."""
    fitting(folder, 1.0)
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]>
        encoder (float[batch,4,2,1] x) => (float[batch,3] loc, float[batch,3] scale) {
            rows = Flatten (x)
            loc = MatMul (rows, weights)
            logarithm = MatMul (rows, slopes)
            scale = Exp (logarithm)
        }"""
    )
    slopes = magnitude * np.random.default_rng(1).uniform(-1.3, -0.7, size=(DIMS, LATENT_DIM)) / DIMS
    weights = np.random.default_rng(2).normal(size=(DIMS, LATENT_DIM))
    for name, array in (("weights", weights), ("slopes", slopes)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    onnx.save(model, folder / GRAPHS["encoder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graphs"]["encoder"] = {"file": GRAPHS["encoder"]}
    write_manifest(folder, manifest)
    return folder


def test_an_encoder_is_refused_for_its_scale(tmp_path):
    add(exponential_encoder(tmp_path / "kept", 1.0), "fp16")
    with pytest.raises(ParityError, match=r"encoder/scale in fp16: expected an error, as a share of it, .*0\.005"):
        add(exponential_encoder(tmp_path / "refused", 50.0), "fp16")
