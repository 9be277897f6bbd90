"""Changes of a bundle made by hand: a graph more, and a fixed batch size."""

import numpy as np
import onnx
from handmade import EVENT_SHAPE, LATENT_DIM
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx.bundle import GRAPHS, open_bundle, write_manifest


def add_scorer(folder):
    """A scorer whose values are known: distortion sum(x^2), rate sum(noise^2), elbo minus their sum."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["x2"]),
        helper.make_node("ReduceSum", ["x2", "axes of x"], ["distortion"], keepdims=0),
        helper.make_node("Mul", ["noise", "noise"], ["noise2"]),
        helper.make_node("ReduceSum", ["noise2", "axes of noise"], ["rate"], keepdims=0),
        helper.make_node("Add", ["distortion", "rate"], ["sum"]),
        helper.make_node("Neg", ["sum"], ["elbo"]),
    ]
    axes = {"axes of x": np.array([1, 2, 3]), "axes of noise": np.array([1])}
    shapes = {"x": ["batch", *EVENT_SHAPE], "noise": ["batch", LATENT_DIM]}
    graph = helper.make_graph(
        nodes,
        "scorer",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch"]) for n in ("elbo", "distortion", "rate")],
        [numpy_helper.from_array(value, name) for name, value in axes.items()],
    )
    path = folder / GRAPHS["scorer"]
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    write_manifest(folder, open_bundle(folder).manifest)
    return folder


def fix_batch(folder, size):
    """Gives every graph this fixed batch size."""
    manifest = open_bundle(folder).manifest
    for name in manifest["graphs"]:
        model = onnx.load(folder / GRAPHS[name])
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size
        onnx.save(model, folder / GRAPHS[name])
    write_manifest(folder, manifest | {"batch": size})
    return folder
