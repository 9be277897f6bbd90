"""The measured errors of variants: their units, their batches, and values that are not finite."""

import numpy as np
import pytest
from handmade import EVENT_SHAPE, write_bundle

from vae_tf_onnx import Decoder
from vae_tf_onnx.bundle import open_bundle
from vae_tf_onnx.variants import NATS, SCALES, add, measured
from vae_tf_onnx.variants.inputs import checked_data, measuring


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
