"""Decoders of several layers, made by hand, for the tests of what happens between layers."""

import json

import numpy as np
import onnx
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, write_bundle
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx.bundle import GRAPHS, write_manifest

DIMS = int(np.prod(EVENT_SHAPE))
METADATA = {"vae_tf_onnx": json.dumps({"latent_dim": LATENT_DIM})}


def matrices(*scales, width=64, seed=0):
    """Weights of a layer for each scale, which keep the activations' magnitude but for that factor."""
    rng = np.random.default_rng(seed)
    widths = [LATENT_DIM, *[width] * (len(scales) - 1), DIMS]
    return [
        (scale * rng.normal(size=(n, m)) / np.sqrt(n)).astype(np.float32)
        for scale, n, m in zip(scales, widths, widths[1:], strict=False)
    ]


def decode(weights, z):
    """The mean that the decoder of these weights gives, in float64."""
    hidden = z.astype(np.float64)
    for matrix in weights[:-1]:
        hidden = np.maximum(hidden @ matrix, 0)
    return 1 / (1 + np.exp(-(hidden @ weights[-1]))).reshape(-1, *EVENT_SHAPE)


def decoder(weights, *, batch="batch", normalised=False):
    """z -> mean (a sigmoid of the layers) and a constant scale; `normalised` divides by the largest activation."""
    nodes, last = [], "z"
    for i in range(len(weights)):
        nodes.append(helper.make_node("MatMul", [last, f"w{i}"], [f"layer{i}"]))
        last = f"layer{i}"
        if i < len(weights) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"relu{i}"]))
            last = f"relu{i}"
    if normalised:
        nodes.append(helper.make_node("Abs", [last], ["abs"]))
        nodes.append(helper.make_node("ReduceMax", ["abs"], ["largest"], axes=[1], keepdims=1))
        nodes.append(helper.make_node("Div", [last, "largest"], ["ratio"]))
        last = "ratio"
    nodes += [
        helper.make_node("Sigmoid", [last], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["mean"]),
        helper.make_node("Shape", ["mean"], ["size"]),
        helper.make_node(
            "ConstantOfShape", ["size"], ["scale"], value=numpy_helper.from_array(np.array([SIGMA], np.float32))
        ),
    ]
    constants = {f"w{i}": matrix for i, matrix in enumerate(weights)} | {"shape": np.array([-1, *EVENT_SHAPE])}
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, LATENT_DIM])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *EVENT_SHAPE]) for name in ("mean", "scale")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA)
    return model


def write_decoder(folder, model, **facts):
    """A Gaussian bundle with this decoder and no encoder; returns its folder."""
    write_bundle(folder)
    (folder / GRAPHS["encoder"]).unlink()
    onnx.save(model, folder / GRAPHS["decoder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graphs"].pop("encoder")
    write_manifest(folder, manifest | facts)
    return folder
