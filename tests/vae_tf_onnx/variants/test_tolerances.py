"""Which variants are refused: by the error of the mean, of scale, and of log p(x|z)."""

import json

import numpy as np
import onnx
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, write_bundle
from handmade_layers import decode, decoder, matrices, write_decoder

from vae_tf_onnx import Decoder, ParityError
from vae_tf_onnx.bundle import EXAMPLES, GRAPHS, open_bundle, write_manifest
from vae_tf_onnx.variants import NATS, SCALES, add, measured
from vae_tf_onnx.variants.inputs import checked_data, measuring

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


def test_nats_are_measured_in_the_batches_of_the_mean(tmp_path):
    """Dynamic ranges are those of a batch: 32 rows, the last batch filled up with the first ones."""
    folder = write_bundle(tmp_path / "bundle")
    data = np.random.default_rng(3).random((160, *EVENT_SHAPE)).astype(np.float32)
    row = add(folder, "int8-dynamic", x=data, force=True)["int8-dynamic"]
    bundle = open_bundle(folder)
    inputs = measuring(bundle, checked_data(bundle, data))
    assert len(inputs.x) == 80

    def log_prob(variant, sizes):
        parts = np.split(np.resize(np.arange(80), sum(sizes)), np.cumsum(sizes)[:-1])
        parameters = [Decoder(bundle, variant=variant).parameters(inputs.z[part]) for part in parts]
        joined = {name: np.concatenate([part[name] for part in parameters])[:80] for name in parameters[0]}
        return Decoder(bundle).likelihood.log_prob(inputs.x, joined).reshape(80, -1).sum(axis=1)

    expected = log_prob("fp32", [80])
    errors = {n: np.abs(log_prob("int8-dynamic", [n] * -(-80 // n)) - expected).max() for n in (32, 80)}
    assert row["log_prob_error"] == pytest.approx(errors[32], rel=1e-3)
    assert abs(errors[80] / errors[32] - 1) > 0.01, "batches of 32 and of 80 do differ"


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


def test_errors_of_scale_are_shares_of_it():
    expected = {"loc": np.zeros((2, 2)), "scale": np.float32([[1, 100], [0.01, 1]])}
    received = {"loc": np.zeros((2, 2)), "scale": np.float32([[1, 101], [0.0095, 1]])}
    assert measured.errors("encoder", received, expected)["scale_error"] == pytest.approx(0.05, rel=1e-3)
    assert measured.errors("encoder", {"loc": np.zeros(2)}, {"loc": np.zeros(2)})["scale_error"] is None
    assert set(SCALES) == set(NATS)


def test_log_prob_that_is_not_finite():
    """None where float32's is not; else infinitely far, which is beyond every tolerance."""
    ones = np.ones(2)
    assert measured.log_prob_error(ones, np.array([1, -np.inf])) is None
    for value in (np.inf, np.nan):
        assert measured.log_prob_error(np.array([1, value]), ones) == np.finfo(np.float64).max
