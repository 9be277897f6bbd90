"""The arrays of a bundle's .npz files on the page."""

import numpy as np
import pytest
import web_bundles
from web_bundles import change, read_facts

from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, BundleError


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
