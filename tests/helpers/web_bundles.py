"""Bundles for the page: graphs written as text, whose values numpy knows."""

import json
import math

import numpy as np
import onnx
import onnxruntime

from vae_tf_onnx.bundle import EXAMPLES, GOLDEN, GRAPHS, open_bundle, write_manifest
from vae_tf_onnx.web import RUNTIME_FILES
from vae_tf_onnx.web._page_facts import page_facts

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'
SIGMA = 0.25
RGB, SERIES = (6, 5, 3), (12,)

GAUSSIAN = {
    "decoder": """decoder (float[batch,3] z) => (float[batch,6,5,3] mean, float[batch,6,5,3] scale) {
        product = MatMul (z, weights)
        sum = Add (product, half)
        mean = Reshape (sum, shape)
        size = Shape (mean)
        scale = Expand (sigma, size)
    }""",
    "observation": """observation
        (float[batch,6,5,3] mean, float[batch,6,5,3] scale, float[batch,6,5,3] observation_noise)
        => (float[batch,6,5,3] x) {
        noise = Mul (scale, observation_noise)
        x = Add (mean, noise)
    }""",
}
BERNOULLI = {  # of a fixed batch, behind a mixture of two normals
    "decoder": """decoder (float[4,2] z) => (float[4,12] mean, float[4,12] logits) {
        logits = MatMul (z, weights)
        mean = Sigmoid (logits)
    }""",
    "observation": """observation (float[4,12] mean, float[4,12] observation_noise) => (float[4,12] x) {
        below = Less (observation_noise, mean)
        x = Cast <to: int = 1> (below)
    }""",
    "prior": """prior (float[4,3] noise) => (float[4,2] z) {
        uniform, normal = Split <axis: int = 1> (noise, widths)
        first = Less (uniform, share)
        loc = Where (first, left, right)
        z = Add (loc, normal)
    }""",
}


def weights(latent_dim, event_shape):
    rng = np.random.default_rng(5)
    return rng.normal(scale=0.25, size=(latent_dim, math.prod(event_shape))).astype(np.float32)


def _constants(latent_dim, event_shape):
    return {
        "weights": weights(latent_dim, event_shape),
        "half": np.float32([0.5]),
        "sigma": np.float32([SIGMA]),
        "shape": np.int64([-1, *event_shape]),
        "widths": np.int64([1, 2]),
        "share": np.float32([0.4]),
        "left": np.float32([[-1, 0]]),
        "right": np.float32([[1, 2]]),
    }


def _write_graph(path, text, constants):
    model = onnx.parser.parse_model(HEADER + text)
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(constants[n], n) for n in sorted(used & set(constants)))
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True)
    onnx.save(model, path)


def run(folder, graph, *inputs):
    """Outputs of a graph by name, in plain onnxruntime; in parts of four rows where it has a fixed batch."""
    session = onnxruntime.InferenceSession(folder / GRAPHS[graph], providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    fixed = isinstance(session.get_inputs()[0].shape[0], int)
    rows = len(inputs[0])
    size = 4 if fixed else rows
    parts = []
    for start in range(0, rows, size):
        index = np.minimum(np.arange(start, start + size), rows - 1)
        parts.append(session.run(None, {name: np.float32(x)[index] for name, x in zip(names, inputs, strict=True)}))
    outputs = [np.concatenate(values)[:rows] for values in zip(*parts, strict=True)]
    return dict(zip([tensor.name for tensor in session.get_outputs()], outputs, strict=True))


def _write(folder, graphs, latent_dim, event_shape, facts):
    constants = _constants(latent_dim, event_shape)
    for name, text in graphs.items():
        _write_graph(folder / GRAPHS[name], text, constants)
    rng = np.random.default_rng(2)
    z = rng.normal(size=(5, latent_dim)).astype(np.float32)
    x = rng.random((5, *event_shape)).astype(np.float32)
    golden = {"z": z, "x": x, "decoder/mean": run(folder, "decoder", z)["mean"]}
    if "prior" in graphs:
        golden["prior/noise"] = rng.random((5, 1 + latent_dim)).astype(np.float32)
        golden["prior/z"] = run(folder, "prior", golden["prior/noise"])["z"]
    np.savez(folder / GOLDEN, **golden)
    described = {name: {"file": GRAPHS[name]} for name in graphs}
    common = {"event_shape": event_shape, "latent_dim": latent_dim, "data_range": [0.0, 1.0], "graphs": described}
    write_manifest(folder, common | facts)
    return folder


def change(folder, **facts):
    """Changes facts of a bundle's manifest, and brings its checksums up to date."""
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()) | facts)


def read_facts(folder, variant="fp32"):
    """The content of the page's bundle.json."""
    return json.loads(page_facts(open_bundle(folder), variant))


def write_runtime(folder):
    """Writes a folder that stands for the npm package onnxruntime-web; returns it."""
    (folder / "dist").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_bytes(name.encode())
    return folder


def gaussian(folder):
    """RGB images of three latents, a sigma of 0.25, and all that a manifest can say."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    x = rng.random((6, *RGB)).astype(np.float32)
    np.savez(folder / EXAMPLES, x=x, z=rng.normal(size=(6, 3)).astype(np.float32))
    factor = 1 / (2 * SIGMA**2)
    facts = {
        "likelihood": {
            "family": "Gaussian",
            "parameters": {"scale": "optimal"},
            "equivalence": {"loss": "mse", "scale_factor": factor, "constant": 0.0},
        },
        "prior": {"family": "StandardNormal", "parameters": {}},
        "data": "<img src=x onerror=alert(1)></script>",
        "evaluation": {"elbo": -12.34, "distortion": 10.0, "rate": 2.34, "num_examples": 1234},
        "latents": {"kl": [0.002, 1.5, 0.75], "mean": [0.1, -0.2, 0.3], "scale": [1.0, 1.1, 0.9], "source": "x"},
    }
    return _write(folder, GAUSSIAN, 3, RGB, facts)


def bernoulli(folder):
    """Series of twelve, of two latents, with a mixture as prior, in graphs of a fixed batch; nothing else is said."""
    folder.mkdir()
    facts = {"likelihood": {"family": "Bernoulli"}, "prior": {"family": "MixtureOfNormals"}, "batch": 4}
    return _write(folder, BERNOULLI, 2, SERIES, facts)
