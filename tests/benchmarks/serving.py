"""Requests per second and latency of a served decoder beside plain onnxruntime and beside Triton, in one run.

    pip install -e . -e "./export[convert,serve,test]" && python tests/benchmarks/serving.py

The decoders: 32-512-512-784, and a convolutional one for 28 x 28 images, random weights. A request asks for the mean
E[x|z] of one or 32 rows of z, over HTTP as JSON, over HTTP with binary tensors, over gRPC. A client sends its next
request when the last one is answered; 1 or 32 of them share this process, and the machine with the server.
"onnxruntime" is `session.run` in this process, one thread a run, in one loop for one client and in a loop on each core
for 32: the work without a protocol. Triton is the server of the wheel nvidia-pytriton, on the same folder, where
VAE_TF_TRITON_PYTHON names the Python of its environment (see tests/helpers/triton_server.py); the wheel has no
onnxruntime backend, so Python processes of Triton's run onnxruntime. A round is each contender in turn, so that a
machine that slows down slows all of them. The first answer of each contender is compared with onnxruntime's.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import tritonclient.http
from tritonclient.grpc import InferResult, service_pb2

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
import triton_server
from serving import serving

LATENTS, SHAPE, CLIENTS, ROWS = 32, (28, 28, 1), (1, 32), (1, 32)
PLAIN = "onnxruntime"
WARM_UP = 0.3  # seconds, in which every client comes in


def export_models(folder):
    """Both decoders as bundles; in a process of its own, so that TensorFlow is not in this one."""
    import tf_keras

    import vae_tf
    from vae_tf_onnx import export, triton

    tf_keras.utils.set_random_seed(0)
    for name in ("mlp", "conv"):
        encoder, decoder = (getattr(vae_tf.networks, f"{name}_{part}") for part in ("encoder", "decoder"))
        hidden = {"hidden": (512, 512)} if name == "mlp" else {}
        vae = vae_tf.VAE(
            encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(LATENTS), **hidden),
            decoder(LATENTS, vae_tf.likelihoods.Gaussian(SHAPE, scale="optimal"), **hidden),
            vae_tf.priors.StandardNormal(LATENTS),
        )
        export(vae, folder / name)
        triton.write(folder / name)


class Plain:
    """`session.run` of one session, by no more threads than there are cores."""

    most_clients = os.cpu_count()

    def __init__(self, bundle):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = bundle / "decoder/1/model.onnx"
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def connect(self, z):
        return lambda: self.session.run(["mean"], {"z": z})[0]

    def read(self, answer):
        return answer


class Http:
    """The protocol over HTTP; tritonclient writes the request once, http.client sends it again and again."""

    most_clients = max(CLIENTS)

    def __init__(self, address, *, binary):
        self.address, self.binary = address, binary

    def connect(self, z):
        tensor = tritonclient.http.InferInput("z", list(z.shape), "FP32").set_data_from_numpy(
            z, binary_data=self.binary
        )
        wanted = tritonclient.http.InferRequestedOutput("mean", binary_data=self.binary)
        body, length = tritonclient.http.InferenceServerClient.generate_request_body([tensor], outputs=[wanted])
        headers = (
            {"Content-Type": "application/json"} if length is None else {"Inference-Header-Content-Length": length}
        )
        connection = http.client.HTTPConnection(self.address)

        def call():
            connection.request("POST", "/v2/models/decoder/infer", body, headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{self.address}: HTTP {response.status}: {content[:200]}")
            return content, response.getheader("Inference-Header-Content-Length")

        return call

    def read(self, answer):
        content, length = answer
        if length is None:
            (output,) = json.loads(content)["outputs"]
            return np.reshape(np.array(output["data"], np.float32), output["shape"])
        parse = tritonclient.http.InferenceServerClient.parse_response_body
        return parse(content, header_length=int(length)).as_numpy("mean")


class Grpc:
    """The protocol over gRPC; the request is serialised once."""

    most_clients = max(CLIENTS)

    def __init__(self, address):
        self.address = address

    def connect(self, z):
        request = service_pb2.ModelInferRequest(model_name="decoder", raw_input_contents=[z.tobytes()])
        request.inputs.add(name="z", datatype="FP32", shape=z.shape)
        request.outputs.add(name="mean")
        message = request.SerializeToString()
        channel = grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return lambda: infer(message)

    def read(self, answer):
        return InferResult(service_pb2.ModelInferResponse.FromString(answer)).as_numpy("mean")


@contextmanager
def contenders(bundle, scratch):
    """name -> contender, with the servers that they need."""
    with ExitStack() as stack:
        found = {PLAIN: Plain(bundle)}
        servers = {"vae-tf serve": stack.enter_context(serving(bundle))}
        if triton_server.python():
            servers["Triton"] = stack.enter_context(triton_server.serve(bundle, scratch))
        for name, server in servers.items():
            found[f"{name}, HTTP JSON"] = Http(server.http, binary=False)
            found[f"{name}, HTTP binary"] = Http(server.http, binary=True)
            found[f"{name}, gRPC"] = Grpc(server.grpc)
        yield found


def client(contender, z, begin, end):
    """Latencies in seconds of the requests of one client that were answered between two times."""
    call, latencies = contender.connect(z), []
    while (start := time.perf_counter()) < end:
        call()
        if begin <= (finish := time.perf_counter()) < end:
            latencies.append(finish - start)
    return latencies


def load(contender, z, clients, seconds):
    """Latencies of so many clients in so many seconds, when all of them run."""
    begin = time.perf_counter() + WARM_UP
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, contender, z, begin, begin + seconds) for _ in range(clients)]
    return [latency for one in running for latency in one.result()]


def compare(found, rows, arguments):
    """One row of the table for each contender."""
    z = np.random.default_rng(0).normal(size=(rows, LATENTS)).astype(np.float32)
    expected = found[PLAIN].connect(z)()
    for name, contender in found.items():
        np.testing.assert_allclose(contender.read(contender.connect(z)()), expected, rtol=1e-5, atol=1e-6, err_msg=name)
    cells = {name: [] for name in found}
    for clients in CLIENTS:
        rates, latencies = {name: [] for name in found}, {name: [] for name in found}
        for _ in range(arguments.rounds):
            for name, contender in found.items():
                times = load(contender, z, min(clients, contender.most_clients), arguments.seconds)
                rates[name].append(len(times) / arguments.seconds)
                latencies[name] += times
        for name in found:
            ratio = statistics.median(own / plain for own, plain in zip(rates[name], rates[PLAIN], strict=True))
            middle, last = 1000 * np.quantile(latencies[name], (0.5, 0.99))
            cells[name] += [f"{statistics.median(rates[name]):,.0f}", f"{middle:.2f} / {last:.2f}", f"{ratio:.2f}"]
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each contender in a round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        exporter = multiprocessing.get_context("spawn").Process(target=export_models, args=(Path(scratch),))
        exporter.start()
        exporter.join()
        if exporter.exitcode:
            sys.exit("The decoders could not be exported.")
        processor = platform.processor() or platform.machine()
        machine = f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}"
        print(f"{machine}, onnxruntime {onnxruntime.__version__}\n")
        columns = [
            f"{kind}, {n} client{'s' * (n > 1)}" for n in CLIENTS for kind in ("requests/s", "p50 / p99 ms", "of plain")
        ]
        print("| decoder | rows | contender |", " | ".join(columns), "|\n" + "|---" * (3 + len(columns)) + "|")
        for model in ("mlp", "conv"):
            with contenders(Path(scratch) / model, Path(scratch) / f"{model}-server") as found:
                for rows in ROWS:
                    for name, cells in compare(found, rows, arguments).items():
                        print(f"| {model} | {rows} | {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
