"""The conversion of one graph: its names and axes, its opset, and its comparison with the model."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import tf2onnx
from models import SHAPE
from paths import contents

from vae_tf_onnx import Encoder, ParityError, export, verify
from vae_tf_onnx.bundle import GRAPHS, open_bundle
from vae_tf_onnx.convert import newest_opset
from vae_tf_onnx.convert._functions import ON_REQUEST


def test_fixed_batch(fitted, digits, tmp_path):
    folder = export(fitted, tmp_path / "bundle", graphs=ON_REQUEST, fixed_batch=4)
    assert open_bundle(folder).manifest["batch"] == open_bundle(folder).batch == 4
    for graph in (*ON_REQUEST, "observation"):
        model = onnx.load(folder / GRAPHS[graph])
        for value in (*model.graph.input, *model.graph.output):
            sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            assert sizes[0] == 4
            assert all(sizes)
        described = open_bundle(folder).manifest["graphs"][graph]
        assert {value["shape"][0] for value in (*described["inputs"], *described["outputs"])} == {4}
    assert max(verify(folder).values()) < 1e-5
    session = onnxruntime.InferenceSession(folder / GRAPHS["decoder"], providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="Got: 3 Expected: 4"):  # onnxruntime's exceptions share no narrower class
        session.run(None, {"z": np.zeros((3, 4), np.float32)})
    for rows in (1, 4, 6):
        x = digits[1][:rows]
        np.testing.assert_allclose(Encoder(folder).encode(x), fitted.encode(x), rtol=1e-4, atol=1e-6)


def test_a_model_that_gives_nan(make_vae, tmp_path):
    vae = make_vae()
    vae.decoder.weights[2].assign(np.full(vae.decoder.weights[2].shape, np.nan))
    with pytest.raises(ValueError, match=r"decoder/mean: expected finite numbers, received .* training may have"):
        export(vae, tmp_path / "bundle")


def test_names_shapes_and_metadata_of_the_graphs(exported):
    folder = exported()
    expected = {
        "decoder": ({"z": [4]}, {"mean": SHAPE, "scale": SHAPE}),
        "encoder": ({"x": SHAPE}, {"loc": [4], "scale": [4]}),
    }
    manifest = open_bundle(folder).manifest
    for name, (inputs, outputs) in expected.items():
        model = onnx.load(folder / GRAPHS[name])
        assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]
        for values, shapes in ((model.graph.input, inputs), (model.graph.output, outputs)):
            found = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
            assert found == {key: ["batch", *shape] for key, shape in shapes.items()}
        described = manifest["graphs"][name]
        assert {v["name"]: v["shape"] for v in described["outputs"]} == {k: ["batch", *s] for k, s in outputs.items()}
        facts = json.loads({prop.key: prop.value for prop in model.metadata_props}["vae_tf_onnx"])
        assert facts == {key: manifest[key] for key in facts}


def test_a_graph_that_computes_something_else(trained, tmp_path, monkeypatch):
    """Parity is measured on the graph that is written: shifted weights must be caught, and leave nothing."""
    original = tf2onnx.convert.from_function

    def wrong(*arguments, **keywords):
        model, external = original(*arguments, **keywords)
        weight = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
        shifted = onnx.numpy_helper.to_array(weight) * np.float32(1 + 1e-4)
        weight.CopyFrom(onnx.numpy_helper.from_array(shifted, weight.name))
        return model, external

    vae = trained()
    older = export(vae, tmp_path / "bundle")
    before = contents(tmp_path)
    monkeypatch.setattr(tf2onnx.convert, "from_function", wrong)
    with pytest.raises(ParityError, match="Parity of decoder/mean at batch 1") as caught:
        export(vae, older)
    assert 1e-5 < caught.value.error < 1e-3
    assert contents(tmp_path) == before, "the older bundle is as it was, and nothing lies beside it"


OPSETS = [*(pytest.param(opset, marks=pytest.mark.integration) for opset in (13, 18, 19)), newest_opset()]


@pytest.mark.parametrize("opset", OPSETS)
def test_opsets(trained, tmp_path, opset):
    """tf2onnx writes up to 18; what is above it was lifted, and is compared after that."""
    folder = export(trained(network="conv"), tmp_path / "bundle", opset=opset, graphs=ON_REQUEST)
    assert max(verify(folder).values()) < 1e-5
    for graph in ON_REQUEST:
        model = onnx.load(folder / GRAPHS[graph])
        assert [entry.version for entry in model.opset_import if entry.domain == ""] == [opset]
