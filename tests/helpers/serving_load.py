"""Many clients of one server at once, in a process of their own; every answer is compared with onnxruntime's.

    python serving_load.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --bundle FOLDER --clients 32 --seconds 4

Clients take turns in how they speak: HTTP with JSON, HTTP with binary tensors, gRPC. A client stops at the end of the
time, or when the server takes no more requests: "refused", no connection, or one that closes before any answer. All
else that is no answer is "failed". Prints JSON.
"""

import argparse
import http.client
import itertools
import json
import threading
import time

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from vae_tf_onnx.bundle import FP32
from vae_tf_onnx.runtime import Graph

PATH = "/v2/models/decoder/infer"
LENGTH = "Inference-Header-Content-Length"
REFUSED = (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)


class Refused(Exception):
    """The server takes no more requests."""


class Http:
    """HTTP, keep-alive, with JSON or binary tensors."""

    def __init__(self, address, binary):
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.binary = binary

    def send(self, z):
        tensor = {"name": "z", "shape": z.shape, "datatype": "FP32"}
        headers, tail = {}, b""
        if self.binary:
            tail = z.tobytes()
            tensor["parameters"] = {"binary_data_size": len(tail)}
        else:
            tensor["data"] = z.reshape(-1).tolist()
        content = {"inputs": [tensor], "outputs": [{"name": "mean", "parameters": {"binary_data": self.binary}}]}
        body = json.dumps(content).encode()
        if self.binary:
            headers[LENGTH] = str(len(body))
        return self.answer(body + tail, headers)

    def answer(self, body, headers):
        try:
            self.connection.request("POST", PATH, body, headers)
            response = self.connection.getresponse()
        except REFUSED as error:
            self.connection.close()
            raise Refused from error
        content = response.read()
        if response.status != 200:
            raise ValueError(f"{response.status}: {content[:200]!r}")
        size = int(response.headers.get(LENGTH, len(content)))
        output = json.loads(content[:size])["outputs"][0]
        flat = np.frombuffer(content[size:], np.float32) if self.binary else np.array(output["data"], np.float32)
        return flat.reshape(output["shape"])


class Grpc:
    """gRPC, one channel for each client."""

    def __init__(self, address):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self.stub = GRPCInferenceServiceStub(grpc.insecure_channel(address, options))

    def send(self, z):
        tensor = {"name": "z", "shape": z.shape, "datatype": "FP32"}
        outputs = [{"name": "mean"}]
        request = pb.ModelInferRequest(
            model_name="decoder", inputs=[tensor], outputs=outputs, raw_input_contents=[z.tobytes()]
        )
        try:
            answer = self.stub.ModelInfer(request, timeout=60)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise Refused from error
            raise ValueError(f"{error.code()}: {error.details()}") from error
        return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)


class Client(threading.Thread):
    """Sends requests of one to `rows` rows, one after the other, and compares each answer."""

    def __init__(self, number, way, arguments, graph):
        super().__init__(daemon=True)
        rng = np.random.default_rng(number)
        (shape,) = graph.input_shapes.values()
        sizes = rng.integers(1, arguments.rows + 1, size=8)
        self.requests = [rng.normal(size=(n, *shape)).astype(np.float32) for n in sizes]
        self.expected = [graph.run(z)["mean"] for z in self.requests]
        self.end = time.monotonic() + arguments.seconds
        self.way = way
        self.link = Grpc(arguments.grpc) if way == "grpc" else Http(arguments.http, way == "http-binary")
        self.latencies, self.problems, self.wrong, self.refused = [], [], 0, 0

    def run(self):
        for z, expected in itertools.cycle(zip(self.requests, self.expected, strict=True)):
            start = time.monotonic()
            if start > self.end:
                return
            try:
                received = self.link.send(z)
            except Refused:
                self.refused += 1
                return
            except (ValueError, OSError, http.client.HTTPException) as error:
                self.problems.append(f"{self.way}: {error!r}")
                return
            self.latencies.append(time.monotonic() - start)
            same_shape = received.shape == expected.shape
            self.wrong += not (same_shape and np.allclose(received, expected, rtol=1e-5, atol=1e-5))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--ways", nargs="+", default=["http-json", "http-binary", "grpc"])
    parser.add_argument("--variant", default=FP32)
    arguments = parser.parse_args()
    graph = Graph(arguments.bundle, "decoder", variant=arguments.variant, threads=1)
    ways = itertools.islice(itertools.cycle(arguments.ways), arguments.clients)
    clients = [Client(number, way, arguments, graph) for number, way in enumerate(ways)]
    start = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join(arguments.seconds + 120)
    seconds = time.monotonic() - start
    latencies = sorted(itertools.chain.from_iterable(client.latencies for client in clients))
    problems = [problem for client in clients for problem in client.problems]
    report = {
        "answered": len(latencies),
        "wrong": sum(client.wrong for client in clients),
        "failed": problems + [f"{client.way}: no end" for client in clients if client.is_alive()],
        "refused": sum(client.refused for client in clients),
        "per_second": round(len(latencies) / seconds, 1),
        "milliseconds_p50": round(1e3 * latencies[len(latencies) // 2], 2) if latencies else None,
        "milliseconds_p99": round(1e3 * latencies[int(len(latencies) * 0.99)], 2) if latencies else None,
        "by_way": {way: sum(len(c.latencies) for c in clients if c.way == way) for way in arguments.ways},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
