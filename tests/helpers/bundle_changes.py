"""Changes of a bundle made by hand: one more graph, a fixed batch size, other content under valid checksums."""

import json

import numpy as np
import onnx
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, weights
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx.bundle import GRAPHS, MANIFEST, open_bundle, sha256, write_manifest


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


SAMPLER = """<ir_version: 8, opset_import: ["": 17]>
sampler (float[batch,3] prior_noise, float[batch,4,2,1] observation_noise) => (float[batch,4,2,1] x) {
    product = MatMul (prior_noise, matrix)
    mean = Reshape (product, shape)
    residual = Mul (sigma, observation_noise)
    x = Add (mean, residual)
}"""
RECONSTRUCTOR = """<ir_version: 8, opset_import: ["": 17]>
reconstructor (float[batch,4,2,1] x, float[batch,3] noise) => (float[batch,4,2,1] mean) {
    product = MatMul (noise, matrix)
    shift = Reshape (product, shape)
    mean = Add (x, shift)
}"""


def add_sampler_and_reconstructor(folder):
    """The sampler of the Gaussian bundle, and a reconstructor that adds the decoder's mean of the noise to x."""
    constants = {
        "matrix": weights()[0],
        "shape": np.array([-1, *EVENT_SHAPE]),
        "sigma": np.array([SIGMA], np.float32),
    }
    for name, text in (("sampler", SAMPLER), ("reconstructor", RECONSTRUCTOR)):
        model = onnx.parser.parse_model(text)
        used = {source for node in model.graph.node for source in node.input}
        for key in sorted(used & set(constants)):
            model.graph.initializer.append(numpy_helper.from_array(constants[key], key))
        path = folder / GRAPHS[name]
        path.parent.mkdir(parents=True)
        onnx.save(model, path)
    write_manifest(folder, open_bundle(folder).manifest)
    return folder


def replace(folder, name, content):
    """Puts content into a file under a valid checksum."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = sha256(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite(folder, change, **facts):
    """Changes the decoder's graph, and facts of the manifest, under valid checksums."""
    model = onnx.load(folder / GRAPHS["decoder"])
    change(model)
    onnx.save(model, folder / GRAPHS["decoder"])
    write_manifest(folder, open_bundle(folder).manifest | facts)
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
