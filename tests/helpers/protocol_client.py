"""A client of the Open Inference Protocol in a process of its own: what a server answers, check by check, as JSON.

    python protocol_client.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --expected golden.npz

The .npz file holds each tensor of the model as "model/name", as "name", or, of another model whose outputs it takes, as
"decoder/name": a bundle's golden set does.
A check prints "ok", the status that the server refused it with, or what differed. The same script serves our server
and Triton's. tritonclient's gRPC half cannot be imported beside kserve: both bring the protocol's messages.
"""

import argparse
import json
import ssl
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


class Client:
    """The same calls for HTTP with JSON, HTTP with binary tensors, and gRPC."""

    def __init__(self, way, address, model, token, ca):
        self.way = way
        self.model = model
        self.api = tritonclient.grpc if way == "grpc" else tritonclient.http
        self.form = {} if way == "grpc" else {"binary_data": way == "http-binary"}
        self.headers = {"authorization": f"Bearer {token}"} if token else None
        self.connection = self.api.InferenceServerClient(address, ssl=ca is not None, **self.trust(ca))

    def trust(self, ca):
        if ca is None:
            return {}
        if self.way == "grpc":
            return {"root_certificates": ca}
        return {"ssl_context_factory": lambda: ssl.create_default_context(cafile=ca)}

    def metadata(self, model):
        found = self.connection.get_model_metadata(model, headers=self.headers)
        if self.way != "grpc":
            return found
        tensors = {
            part: [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in getattr(found, part)]
            for part in ("inputs", "outputs")
        }
        return {"name": found.name} | tensors

    def tensor(self, name, array, shape=None):
        tensor = self.api.InferInput(name, list(shape or array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, **self.form)
        return tensor

    def infer(self, arrays, outputs=(), model=None):
        tensors = [self.tensor(name, array) for name, array in arrays.items()]
        wanted = [self.api.InferRequestedOutput(name, **self.form) for name in outputs]
        model = self.model if model is None else model
        return self.connection.infer(model, tensors, outputs=wanted or None, headers=self.headers)


def check_health(client, arrays):
    assert client.connection.is_server_live(headers=client.headers), "not live"
    assert client.connection.is_server_ready(headers=client.headers), "not ready"
    assert client.connection.is_model_ready(client.model, headers=client.headers), "model not ready"


def check_metadata(client, arrays):
    server = client.connection.get_server_metadata(headers=client.headers)
    assert server.name if client.way == "grpc" else server["name"]
    found = client.metadata(client.model)
    assert found["name"] == client.model, found
    for part in ("inputs", "outputs"):
        for tensor in found[part]:
            expected = value(client.model, arrays, tensor["name"])
            assert tensor["datatype"] == "FP32", tensor
            assert [int(size) for size in tensor["shape"]] == [-1, *expected.shape[1:]], (tensor, expected.shape)


def check_inference(client, arrays):
    inputs, outputs = parts(client, arrays)
    answer = client.infer(inputs, outputs)
    for name, expected in outputs.items():
        received = answer.as_numpy(name)
        assert received.dtype == np.float32, received.dtype
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def check_one_output(client, arrays):
    inputs, outputs = parts(client, arrays)
    name = sorted(outputs)[-1]
    answer = client.infer(inputs, [name]).get_response()
    received = [t.name for t in answer.outputs] if client.way == "grpc" else [t["name"] for t in answer["outputs"]]
    assert received == [name], received


def value(model, arrays, name):
    """The expected tensor of this name."""
    keys = (f"{model}/{name}", name, f"decoder/{name}")
    return arrays[next(key for key in keys if key in arrays)].astype(np.float32)


def parts(client, arrays):
    """The model's inputs and its outputs."""
    found = client.metadata(client.model)
    names = ([tensor["name"] for tensor in found[part]] for part in ("inputs", "outputs"))
    return tuple({name: value(client.model, arrays, name) for name in part} for part in names)


def changed(change):
    """A check whose request is the good one, changed."""

    def check(client, arrays):
        inputs, _ = parts(client, arrays)
        client.infer(change(inputs))

    return check


def first(inputs, change):
    name = next(iter(inputs))
    return inputs | {name: change(inputs[name])}


def with_nan(array):
    array = array.copy()
    array.flat[-1] = np.nan
    return array


CHECKS = {
    "health": check_health,
    "metadata": check_metadata,
    "inference": check_inference,
    "one output": check_one_output,
    "unknown model": lambda client, arrays: client.infer(parts(client, arrays)[0], model="nothing"),
    "metadata of an unknown model": lambda client, arrays: client.metadata("nothing"),
    "unknown output": lambda client, arrays: client.infer(parts(client, arrays)[0], ["nothing"]),
    "wrong input name": changed(lambda inputs: {f"{name}x": value for name, value in inputs.items()}),
    "wrong width": changed(lambda inputs: first(inputs, lambda a: np.repeat(a, 2, axis=1))),
    "wrong rank": changed(lambda inputs: first(inputs, lambda a: a[..., None])),
    "wrong dtype": changed(lambda inputs: first(inputs, lambda a: a.astype(np.float64))),
    "missing input": changed(lambda inputs: dict(list(inputs.items())[1:])),
    "no rows": changed(lambda inputs: first(inputs, lambda a: a[:0])),
    "NaN": changed(lambda inputs: first(inputs, with_nan)),
}


def outcome(check, client, arrays):
    try:
        check(client, arrays)
    except InferenceServerException as error:
        return str(error.status()).removeprefix("StatusCode.")
    except AssertionError as error:
        return f"differs: {' '.join(str(error).split())[:300]}"
    return "ok"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--expected", required=True, type=Path)
    parser.add_argument("--model", default="decoder")
    parser.add_argument("--token", type=Path)
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    token = arguments.token.read_text().strip() if arguments.token else None
    with np.load(arguments.expected, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    results = {}
    for way in ("http-json", "http-binary", "grpc"):
        address = arguments.grpc if way == "grpc" else arguments.http
        client = Client(way, address, arguments.model, token, arguments.ca)
        results[way] = {name: outcome(check, client, arrays) for name, check in CHECKS.items()}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
