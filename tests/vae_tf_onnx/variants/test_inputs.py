"""The inputs on which variants are measured and calibrated."""

import numpy as np
from handmade import EVENT_SHAPE

from vae_tf_onnx.bundle import open_bundle
from vae_tf_onnx.variants.inputs import calibration, checked_data, measuring

X = np.random.default_rng(3).random((600, *EVENT_SHAPE)).astype(np.float32)


def test_calibration_and_measurement_share_no_row(make_bundle):
    bundle = open_bundle(make_bundle())
    data = checked_data(bundle, X)
    first, second = measuring(bundle, data), calibration(bundle, data)
    for graph in ("decoder", "encoder"):
        rows = [{row.tobytes() for row in inputs.arrays[graph]} for inputs in (first, second)]
        assert rows[0].isdisjoint(rows[1])
        assert min(map(len, rows)) >= 256
