"""A bundle made by hand, in numpy and onnx: its decoder and encoder are affine maps whose values are known."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vae_tf_onnx.bundle import GOLDEN, GRAPHS, write_manifest

LATENT_DIM, EVENT_SHAPE, SIGMA = 3, (4, 2, 1), 0.25
DIMS = int(np.prod(EVENT_SHAPE))


def weights():
    """The matrices of the decoder and the encoder."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(LATENT_DIM, DIMS)).astype(np.float32), rng.normal(size=(DIMS, LATENT_DIM)).astype(
        np.float32
    )


def latents(rows, seed=0):
    """Standard normal z, `[rows, D]`."""
    return np.random.default_rng(seed).normal(size=(rows, LATENT_DIM)).astype(np.float32)


def means(z):
    """The means that the decoder gives for z."""
    return (z.astype(np.float64) @ weights()[0]).reshape(len(z), *EVENT_SHAPE)


def _affine(name, source, in_shape, target, out_shape, matrix, extra):
    """source [batch, *in_shape] -> target = reshape(flat(source) @ matrix), and one more output."""
    constants = {
        "matrix": matrix,
        "flat": np.array([-1, int(np.prod(in_shape))]),
        "shape": np.array([-1, *out_shape]),
    }
    nodes = [
        helper.make_node("Reshape", [source, "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "matrix"], ["product"]),
        helper.make_node("Reshape", ["product", "shape"], [target]),
    ]
    other, make_nodes = extra
    nodes += make_nodes(target)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["batch", *in_shape])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["batch", *out_shape]) for out in (target, other)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _constant_scale(value):
    tensor = numpy_helper.from_array(np.array([value], np.float32))

    def nodes(target):
        return [
            helper.make_node("Shape", [target], ["size"]),
            helper.make_node("ConstantOfShape", ["size"], ["scale"], value=tensor),
        ]

    return "scale", nodes


def _sigmoid(target):
    return [helper.make_node("Sigmoid", [target], ["mean"])]


def write_bundle(folder, family="Gaussian"):
    """Writes a bundle with a Gaussian or Bernoulli decoder; returns its folder."""
    decode, encode = weights()
    gaussian = family == "Gaussian"
    target, extra = ("mean", _constant_scale(SIGMA)) if gaussian else ("logits", ("mean", _sigmoid))
    models = {
        "decoder": _affine("decoder", "z", (LATENT_DIM,), target, EVENT_SHAPE, decode, extra),
        "encoder": _affine("encoder", "x", EVENT_SHAPE, "loc", (LATENT_DIM,), encode, _constant_scale(0.5)),
    }
    for graph, model in models.items():
        path = folder / GRAPHS[graph]
        path.parent.mkdir(parents=True)
        onnx.save(model, path)
    np.savez(folder / GOLDEN, **golden(family))
    facts = {
        "event_shape": EVENT_SHAPE,
        "latent_dim": LATENT_DIM,
        "data_range": [0.0, 1.0],
        "likelihood": {"family": family},
        "prior": {"family": "StandardNormal"},
        "graphs": {graph: {"file": GRAPHS[graph]} for graph in models},
    }
    write_manifest(folder, facts)
    return folder


def golden(family):
    """What the graphs must give, in numpy."""
    decode, encode = weights()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(5, LATENT_DIM)).astype(np.float32)
    x = (rng.random((5, *EVENT_SHAPE)) < 0.5).astype(np.float32)
    out = (z @ decode).reshape(5, *EVENT_SHAPE)
    values = {"z": z, "x": x, "encoder/loc": x.reshape(5, -1) @ encode, "encoder/scale": np.full((5, LATENT_DIM), 0.5)}
    if family == "Gaussian":
        density = np.exp(-0.5 * ((x - out.astype(np.float64)) / SIGMA) ** 2) / (SIGMA * np.sqrt(2 * np.pi))
        values |= {"decoder/mean": out, "decoder/scale": np.full_like(out, SIGMA)}
    else:
        mean = 1 / (1 + np.exp(-out.astype(np.float64)))
        density = np.where(x == 1, mean, 1 - mean)
        values |= {"decoder/logits": out, "decoder/mean": mean}
    return values | {"log_prob": np.log(density).sum(axis=(1, 2, 3))}
