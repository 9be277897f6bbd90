"""The functions that become graphs: which of them are made, and what they depend on."""

import numpy as np
import pytest
from models import SHAPE

from vae_tf_onnx import export, verify
from vae_tf_onnx.bundle import open_bundle
from vae_tf_onnx.runtime import Graph


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        ((), {"decoder", "observation"}),
        (("sampler",), {"decoder", "observation", "sampler"}),
        (["scorer", "encoder"], {"decoder", "observation", "encoder", "scorer"}),
    ],
)
def test_graphs_on_request(make_vae, tmp_path, graphs, expected):
    folder = export(make_vae(), tmp_path / "bundle", graphs=graphs)
    assert set(open_bundle(folder).manifest["graphs"]) == expected
    assert {path.parts[-3] for path in folder.rglob("model.onnx")} == expected
    assert max(verify(folder).values()) < 1e-5


def test_the_parameters_that_an_observation_needs(exported):
    folder = exported("bernoulli")
    described = open_bundle(folder).manifest["graphs"]["observation"]
    assert [value["name"] for value in described["inputs"]] == ["mean", "observation_noise"]
    noise = np.full((2, *SHAPE), 0.5, np.float32)
    mean = np.stack([np.full(SHAPE, 0.4, np.float32), np.full(SHAPE, 0.6, np.float32)])
    np.testing.assert_array_equal(Graph(folder, "observation").run(mean, noise)["x"], np.rint(mean))
