"""Bundles in a real Triton Inference Server, as they were written; see triton_server.py."""

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import urllib.error

import numpy as np
import pytest
import triton_server
from bundle_changes import add_scorer, fix_batch
from handmade import EVENT_SHAPE, LATENT_DIM, golden, write_bundle
from paths import ROOT

from vae_tf_onnx import triton

pytestmark = pytest.mark.skipif(triton_server.python() is None, reason=triton_server.HOW)
READY = ("READY", "")
BROKEN = {
    "syntax": ("max_batch_size: 256", "max_batch_size:", "failed to read text proto"),
    "unknown_field": ("max_batch_size", "maximum_batch_size", "failed to read text proto"),
    "another_name": ('name: "another_name"', 'name: "other"', "directory name must equal model name"),
    "no_dims": ("dims: [3] },", "},", "must specify 'dims'"),
    "no_gpu": ("KIND_CPU", "KIND_GPU", "has kind KIND_GPU but no GPUs are available"),
    "warm_up": ("dims: [4, 2, 1] zero_data", "dims: [4, 2, 2] zero_data", "unexpected shape for input 'x'"),
    "another_shape": ("dims: [3] },", "dims: [5] },", "outputs: the graph has"),
    "another_output": ('name: "loc"', 'name: "location"', "outputs: the graph has"),
    "missing_file": ("model.onnx", "other.onnx", "other.onnx failed"),
}
"""A change of the encoder's configuration, and what Triton says of it."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle with all that may lie beside the graphs."""
    folder = add_scorer(write_bundle(tmp_path_factory.mktemp("bundle")))
    shutil.copy(folder / "decoder/1/model.onnx", folder / "decoder/1/model.fp16.onnx")
    (folder / "decoder/1/model.int8-static.onnx").write_bytes(b"not a graph")
    (folder / "README.md").write_text("# Model card\n")
    np.savez(folder / "examples.npz", x=np.zeros((2, *EVENT_SHAPE), np.float32))
    triton.write(folder, kserve="s3://bucket/model")
    return folder


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    with triton_server.serve(bundle, tmp_path_factory.mktemp("server")) as server:
        yield server


def infer(server, graph, **inputs):
    """The outputs of a graph by name."""
    tensors = [
        {"name": name, "datatype": "FP32", "shape": list(value.shape), "data": value.ravel().tolist()}
        for name, value in inputs.items()
    ]
    answer = json.loads(server.request(f"models/{graph}/infer", json.dumps({"inputs": tensors}).encode()))
    return {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}


def test_the_folder_is_a_repository(server):
    assert server.index() == {"decoder": READY, "encoder": READY, "scorer": READY}
    metadata = json.loads(server.request("models/decoder"))
    assert metadata["inputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, LATENT_DIM]}]
    assert [output["shape"] for output in metadata["outputs"]] == [[-1, *EVENT_SHAPE]] * 2


def test_answers(server):
    values = golden("Gaussian")
    for graph, source, outputs in (("decoder", "z", ("mean", "scale")), ("encoder", "x", ("loc", "scale"))):
        received = infer(server, graph, **{source: values[source]})
        for output in outputs:
            np.testing.assert_allclose(received[output], values[f"{graph}/{output}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_a_scalar_per_example_has_the_graphs_shape(server, batch):
    values = scorer_golden(batch)
    received = infer(server, "scorer", x=values["x"], noise=values["noise"])
    for output in ("elbo", "distortion", "rate"):
        assert received[output].shape == (batch,)
        np.testing.assert_allclose(received[output], values[f"scorer/{output}"], rtol=1e-5)


def test_more_rows_than_the_configuration_allows(server):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        infer(server, "decoder", z=np.zeros((triton.MAX_BATCH_SIZE + 1, LATENT_DIM)))
    assert len(infer(server, "decoder", z=np.zeros((triton.MAX_BATCH_SIZE, LATENT_DIM)))["mean"]) == 256


def test_without_the_stand_in_only_the_backend_is_missing(bundle, tmp_path):
    """The wheel's own server reads each configuration and stops at the backend that it does not have."""
    with triton_server.serve(bundle, tmp_path / "server", backend=False) as server:
        index = server.index()
    assert set(index) == {"decoder", "encoder", "scorer"}
    for state, reason in index.values():
        assert state == "UNAVAILABLE"
        assert triton_server.NO_BACKEND in reason


DIFFERENCES = {
    "not finite": (200, 400),
    "more rows than allowed": (400, 413),
    "no JSON": (500, 400),
    "no inputs": (500, 400),
    "fewer numbers than the shape says": (500, 400),
    "a shape below zero": (500, 400),
}
"""HTTP requests that Triton and our server do not answer alike: its status, and ours."""


def odd_requests():
    """The body of each of DIFFERENCES, and of two that both answer alike."""
    z = {"name": "z", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}
    return {
        "not finite": {"inputs": [z | {"data": [1e39, 2.0, 3.0]}]},
        "more rows than allowed": {"inputs": [z | {"shape": [257, 3], "data": [0.0] * 771}]},
        "no JSON": "{",
        "no inputs": {},
        "fewer numbers than the shape says": {"inputs": [z | {"data": [1.0, 2.0]}]},
        "a shape below zero": {"inputs": [z | {"shape": [-1, 3]}]},
        "an input twice": {"inputs": [z, z]},
        "nested data": {"inputs": [z | {"data": [[1.0, 2.0, 3.0]]}]},
    }


def status(address, body):
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("POST", "/v2/models/decoder/infer", body if isinstance(body, str) else json.dumps(body))
        return connection.getresponse().status


def scorer_golden(batch=5):
    """Inputs of the added scorer, and what it must give."""
    rng = np.random.default_rng(0)
    x, noise = rng.random((batch, *EVENT_SHAPE)), rng.normal(size=(batch, LATENT_DIM))
    distortion, rate = (x**2).sum(axis=(1, 2, 3)), (noise**2).sum(axis=1)
    outputs = {"elbo": -distortion - rate, "distortion": distortion, "rate": rate}
    return {"x": x, "noise": noise} | {f"scorer/{name}": value for name, value in outputs.items()}


def ask(server, graph, expected):
    """(protocol, check) -> what protocol_client.py finds."""
    command = [sys.executable, ROOT / "tests/helpers/protocol_client.py", "--http", server.http]
    command += ["--grpc", server.grpc, "--expected", expected, "--model", graph]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {(way, check): found for way, checks in json.loads(result.stdout).items() for check, found in checks.items()}


@pytest.fixture
def our_server(bundle):
    """`vae-tf-onnx serve` on the same folder."""
    for package in ("kserve", "tritonclient"):
        pytest.importorskip(package, reason=f'{package} is not installed: pip install "vae-tf-onnx[serve,test]"')
    from serving import serving

    with serving(bundle) as running:
        yield running


def test_the_same_client_finds_the_same_in_our_server(server, our_server, bundle, tmp_path):
    """But for NaN, with which Triton computes, and for other numbers of rows of two inputs of an unbatched graph."""
    np.savez(tmp_path / "scorer.npz", **scorer_golden())
    for graph, expected, unlike in (
        ("decoder", bundle / "golden.npz", {"NaN"}),
        ("scorer", tmp_path / "scorer.npz", {"NaN", "no rows"}),
    ):
        theirs, own = ask(server, graph, expected), ask(our_server, graph, expected)
        ways = {way for way, _ in own}
        assert ways == {"http-json", "http-binary", "grpc"}
        good = {"health", "metadata", "inference", "one output"}
        assert {check for (_, check), found in own.items() if found == "ok"} == good
        assert {key for key in own if own[key] != theirs[key]} == {(way, check) for way in ways for check in unlike}


def test_what_the_servers_do_not_answer_alike(server, our_server):
    received = {
        name: (status(server.http, body), status(our_server.http, body)) for name, body in odd_requests().items()
    }
    assert received == DIFFERENCES | {"an input twice": (400, 400), "nested data": (200, 200)}


@pytest.fixture(scope="module")
def copies(bundle, tmp_path_factory):
    """A server whose models are encoders under other names, some of them wrong."""
    scratch = tmp_path_factory.mktemp("copies")
    fixed, gpu = (write_bundle(make_folder(scratch / name)) for name in ("fixed", "gpu"))
    triton.write(fix_batch(fixed, 2))
    triton.write(gpu, gpu=True)
    repository = scratch / "repository"
    copy(bundle, repository / "right")
    copy(fixed, repository / "fixed_batch")
    copy(gpu, repository / "tensorrt", ("KIND_GPU", "KIND_CPU"))  # as far as a machine without one can read it
    for name, (right, wrong, _) in BROKEN.items():
        copy(bundle, repository / name, (right, wrong))
    with triton_server.serve(repository, scratch / "server") as server:
        yield server


def make_folder(path):
    path.mkdir()
    return path


def copy(folder, target, change=("", "")):
    """The encoder under another name, and with a change of its configuration."""
    shutil.copytree(folder / "encoder", target)
    path = target / "config.pbtxt"
    text = path.read_text().replace('name: "encoder"', f'name: "{target.name}"')
    assert change[0] in text
    path.write_text(text.replace(*change) if change[0] else text)


def test_wrong_configurations_are_told_apart(copies):
    states = copies.index()
    assert {name for name, state in states.items() if state == READY} == {"right", "fixed_batch", "tensorrt"}
    errors = [line for line in copies.log.read_text().splitlines() if line.startswith("E")]
    for name, (_, _, message) in BROKEN.items():
        assert any(f"'{name}'" in error and message in error for error in errors), name


def test_a_fixed_batch_takes_that_many_rows(copies):
    values = golden("Gaussian")
    received = infer(copies, "fixed_batch", x=values["x"][:2])
    np.testing.assert_allclose(received["loc"], values["encoder/loc"][:2], rtol=1e-5, atol=1e-6)
    for rows in (1, 3):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            infer(copies, "fixed_batch", x=values["x"][:rows])


def golden_name(graph, source):
    """Under which name the golden set holds an input of a graph; observation reads the decoder's outputs."""
    if source in ("x", "z"):
        return source
    return f"{graph}/{source}" if source.endswith("noise") else f"decoder/{source}"


def test_every_graph_of_an_exported_model(tmp_path):
    vae_tf = pytest.importorskip("vae_tf", reason="vae_tf is not installed, which exports: pip install vae-tf")
    from models import make_vae

    from vae_tf_onnx import export
    from vae_tf_onnx.bundle import GRAPHS
    from vae_tf_onnx.verification import check_output

    vae = make_vae(posterior=vae_tf.posteriors.InverseAutoregressiveFlow, prior=vae_tf.priors.FlowPrior)
    graphs = ("decoder", "encoder", "sampler", "reconstructor", "scorer")
    folder = export(vae, tmp_path / "bundle", graphs=graphs, kserve="s3://bucket/model")
    with np.load(folder / "golden.npz", allow_pickle=False) as file:
        golden = dict(file)
    with triton_server.serve(folder, tmp_path / "server") as server:
        assert server.index() == dict.fromkeys(GRAPHS, READY)
        for graph in GRAPHS:
            names = [tensor["name"] for tensor in json.loads(server.request(f"models/{graph}"))["inputs"]]
            received = infer(server, graph, **{name: golden[golden_name(graph, name)] for name in names})
            assert received
            for output, value in received.items():
                check_output(f"{graph}/{output}", value, golden[f"{graph}/{output}"])
