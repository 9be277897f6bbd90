"""The running server's answers: to tritonclient, to requests whose answers are known, and to those that it refuses."""

import gzip
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from bundle_changes import add_scorer
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, latents, means, write_bundle
from serving import INFER, LENGTH, Server, binary, lacks, tensor

pytestmark = lacks("kserve")

REFUSED = {"400": "INVALID_ARGUMENT", "404": "NOT_FOUND"}
CHECKS = {
    "health": "ok",
    "metadata": "ok",
    "inference": "ok",
    "one output": "ok",
    "unknown model": "404",
    "metadata of an unknown model": "404",
    "unknown output": "400",
    "wrong input name": "400",
    "wrong width": "400",
    "wrong rank": "400",
    "wrong dtype": "400",
    "missing input": "400",
    "no rows": "400",
    "NaN": "400",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = write_bundle(tmp_path_factory.mktemp("serve") / "bundle")
    server = Server(add_scorer(folder))
    server.bundle = folder
    yield server
    code, log = server.stop()
    assert code == 0
    assert "Traceback" not in log


@lacks("tritonclient")
@pytest.mark.parametrize("model", ["decoder", "scorer"])
def test_tritonclient(server, tmp_path, model):
    expected = server.bundle / "golden.npz"
    if model == "scorer":
        x, noise = np.random.default_rng(1).random((5, *EVENT_SHAPE)), latents(5)
        distortion, rate = (x**2).sum(axis=(1, 2, 3)), (noise**2).sum(axis=1)
        values = {"distortion": distortion, "rate": rate, "elbo": -distortion - rate}
        expected = tmp_path / "scorer.npz"
        np.savez(expected, x=x, noise=noise, **{f"scorer/{name}": value for name, value in values.items()})
    received = server.run("protocol_client.py", "--expected", expected, "--model", model)
    assert received["http-json"] == CHECKS
    assert received["http-binary"] == CHECKS
    assert received["grpc"] == {name: REFUSED.get(outcome, outcome) for name, outcome in CHECKS.items()}


def loaded(server, library):
    """Whether the server's process has a file of this library in its memory."""
    return any(library in line for line in Path(f"/proc/{server.process.pid}/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc here: it tells what a process has loaded")
def test_no_tensorflow_in_the_process(server):
    assert loaded(server, "onnxruntime"), "so the look into the process sees libraries"
    assert not loaded(server, "tensorflow")


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_values_by_json_and_binary(server, rows):
    z = latents(rows)
    status, answer = server.infer({"id": "é7", "inputs": [tensor(rows, data=z.reshape(-1).tolist())]})
    assert status == 200
    assert {key: answer[key] for key in ("id", "model_name", "model_version")} == {
        "id": "é7", "model_name": "decoder", "model_version": "1",
    }  # fmt: skip
    mean, scale = answer["outputs"]
    assert (mean["name"], mean["datatype"], mean["shape"]) == ("mean", "FP32", [rows, *EVENT_SHAPE])
    np.testing.assert_allclose(np.reshape(mean["data"], mean["shape"]), means(z), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(scale["data"], SIGMA)
    status, other = server.infer(*binary(z))
    assert status == 200
    assert other["outputs"] == answer["outputs"], "binary in, JSON out"
    nested = [tensor(rows, data=z.tolist())]
    assert server.infer({"inputs": nested})[1]["outputs"] == answer["outputs"]


def test_outputs_as_asked_for(server):
    outputs = [{"name": "scale", "parameters": {"binary_data": True}}, {"name": "mean"}]
    body = json.dumps({"inputs": [tensor()], "outputs": outputs}).encode()
    status, headers, content = server.request("POST", INFER, body)
    head = int(headers[LENGTH.lower()])
    scale, mean = json.loads(content[:head])["outputs"]
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert (scale["name"], mean["name"]) == ("scale", "mean")
    assert "data" not in scale
    np.testing.assert_array_equal(np.frombuffer(content[head:], np.float32), SIGMA)
    body = json.dumps({"inputs": [tensor()], "parameters": {"binary_data_output": True}}).encode()
    content = server.request("POST", INFER, body)[2]
    assert content.endswith(np.full(EVENT_SHAPE, SIGMA, np.float32).tobytes()), "all of them, in binary"


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(server, encoding, compress):
    z = latents(2)
    body, headers = binary(z)
    plain = server.infer(body, headers)[1]["outputs"]
    assert server.infer(compress(body), headers | {"Content-Encoding": encoding})[1]["outputs"] == plain


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/octet-stream"])
def test_the_content_type_does_not_matter(server, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert server.infer({"inputs": [tensor()]}, headers)[0] == 200


BAD = {
    "another input": ([tensor(name="y")], "inputs: expected z, received ['y']"),
    "twice": ([tensor(), tensor()], "inputs: expected z, received ['z', 'z']"),
    "none": ([], "inputs: expected z, received []"),
    "width": ([tensor(width=4)], "z: expected shape [rows, 3], received [1, 4]"),
    "rank": ([tensor(shape=[3])], "z: expected shape [rows, 3], received [3]"),
    "no rows": ([tensor(rows=0)], "z: expected shape [rows, 3], received [0, 3]"),
    "datatype": ([tensor(datatype="FP64")], "z: expected datatype FP32, received 'FP64'"),
    "too few": ([tensor(data=[1, 2])], "z: expected 3 numbers for shape [1, 3], received 2"),
    "words": ([tensor(data=["1", "2", "3"])], "z: expected 3 numbers, received data that is not"),
    "null": ([tensor(data=[1, None, 3])], "z: expected 3 numbers, received data that is not"),
    "rows of two lengths": (
        [tensor(data=[[1, 2], [3]])],
        "received data that is not: 'neither flat nor nested as [1, 3]'",
    ),
    "ragged": ([tensor(data=[[1, 2], 3])], "z: expected 3 numbers, received data that is not"),
    "a number among lists": ([tensor(data=[1, [2], 3])], "received data that is not: 'has list'"),
    "transposed": ([tensor(data=[[1], [2], [3]])], "received data that is not: 'neither flat nor nested as [1, 3]'"),
    "nested too deep": ([tensor(data=[[[1], [2], [3]]])], "received data that is not: 'has list'"),
    "empty lists": ([tensor(data=[[], []])], "received data that is not: 'neither flat nor nested as [1, 3]'"),
    "true and false": ([tensor(data=[True, False, 1.5])], "received data that is not: 'has bool'"),
    "infinite": ([tensor(value=1e39)], "z: expected finite numbers, received inf at place 0"),
    "whole": ([tensor(shape=[1.5, 3])], "received 1.5 at 'inputs.0.shape.0': Input should be a valid integer"),
    "nameless": ([{"shape": [1, 3]}], "at 'inputs.0.name': Field required"),
    "unstated": ([tensor(data=[])], "z: expected 3 numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_inputs_are_answered_with_expected_and_received(server, case):
    inputs, message = BAD[case]
    status, answer = server.infer({"inputs": inputs})
    assert status == 400
    assert list(answer) == ["error"]
    assert message in answer["error"]


def test_rows_that_differ_between_inputs(server):
    x = tensor(2, name="x", shape=[2, *EVENT_SHAPE], data=[0.5] * 16)
    path = "/v2/models/scorer/infer"
    assert server.infer({"inputs": [x, tensor(2, name="noise")]}, path=path)[0] == 200
    status, answer = server.infer({"inputs": [x, tensor(1, name="noise")]}, path=path)
    assert status == 400
    assert answer["error"].startswith("inputs: expected as many rows in each, received {'x': 2, 'noise': 1}")


def test_too_many_rows_are_413(server):
    status, answer = server.infer({"inputs": [tensor(257)]})
    assert (status, answer["error"][:43]) == (413, "z: expected at most 256 rows, received 257.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "body: expected JSON, received 1 bytes that are not"),
        (b'{"inputs":[{"data":[NaN]}]}', "JSON has no NaN or Infinity"),
        (b"[" * 1000, "body: expected JSON"),
        (b"[]", "Input should be a valid dictionary"),
        (b"\xff\xfe", "body: expected JSON"),
    ],
)
def test_bodies_that_are_no_request(server, body, message):
    status, answer = server.infer(body)
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize("header", ["-1", "999", "x", "", "1e1"])
def test_a_lying_length_of_the_json(server, header):
    body, _ = binary(latents(1))
    status, answer = server.infer(body, {LENGTH: header})
    assert status == 400
    assert "expected at most the" in answer["error"]


@pytest.mark.parametrize("size", [0, 8, 16, -12, 10**15, "12", True, None, 12.0])
def test_a_lying_binary_data_size(server, size):
    body, headers = binary(latents(1), parameters={"binary_data_size": size})
    status, answer = server.infer(body, headers)
    assert status == 400
    assert "expected" in answer["error"]
    assert "received" in answer["error"]


def test_what_json_cannot_carry(server):
    """Finite inputs whose outputs are not: refused as JSON, delivered in binary."""
    z = np.full((1, LATENT_DIM), 3e38, np.float32)
    body, headers = binary(z)
    status, answer = server.infer(body, headers)
    assert status == 400
    assert "Ask for it with binary_data true" in answer["error"]
    outputs = [{"name": "mean", "parameters": {"binary_data": True}}]
    content = json.loads(body[: int(headers[LENGTH])]) | {"outputs": outputs}
    head = json.dumps(content).encode()
    status, headers, content = server.request("POST", INFER, head + z.tobytes(), {LENGTH: str(len(head))})
    received = np.frombuffer(content[int(headers[LENGTH.lower()]) :], np.float32)
    assert status == 200
    fits = np.abs(means(z)).reshape(-1) < np.finfo(np.float32).max
    assert not fits.all()
    assert not np.isfinite(received[~fits]).any()


def test_the_one_version(server):
    versioned = "/v2/models/decoder/versions/1"
    assert server.infer({"inputs": [tensor()]}, path=f"{versioned}/infer")[0] == 200
    assert json.loads(server.request("GET", versioned)[2])["versions"] == ["1"]
    status, answer = server.infer({"inputs": [tensor()]}, path="/v2/models/decoder/versions/2/infer")
    assert (status, answer["error"][:33]) == (404, "version: expected 1, received '2'")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", INFER, 405),
        ("GET", "/v2/models/nothing", 404),
        ("POST", "/v2/repository/models/decoder/unload", 400),
        ("POST", "/v2/repository/models/decoder/load", 400),
        ("POST", INFER, 400),
    ],
)
def test_errors_have_the_protocols_form(server, method, path, status):
    received, headers, content = server.request(method, path)
    assert (received, headers["content-type"]) == (status, "application/json")
    assert list(json.loads(content)) == ["error"]
    assert server.infer({"inputs": [tensor()]})[0] == 200, "and all models are still there"


def metric(server, name, **labels):
    text = server.request("GET", "/metrics")[2].decode()
    lines = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
    found = [line for line in lines if all(f'{key}="{value}"' in line for key, value in labels.items())]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def test_metrics(server):
    def read():
        return [
            metric(server, "inference_requests_total", protocol="http", code="200"),
            metric(server, "inference_requests_total", protocol="http", code="400"),
            metric(server, "inference_request_seconds_count", protocol="http"),
            metric(server, "run_rows_sum", model_name="decoder"),
            metric(server, "run_requests_count", model_name="decoder"),
            metric(server, "request_predict_seconds_count", model_name="decoder"),
        ]

    before = read()
    assert server.infer({"inputs": [tensor(5)]})[0] == 200
    assert server.infer({"inputs": []})[0] == 400
    np.testing.assert_array_equal(np.subtract(read(), before), [1, 1, 2, 5, 1, 2])


def test_the_first_page_says_what_is_here(server):
    status, headers, content = server.request("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert b"Open Inference Protocol" in content
