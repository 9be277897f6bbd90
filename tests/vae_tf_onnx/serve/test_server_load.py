"""The running server under load: 32 clients at once, a signal in the midst of them, and malformed requests."""

import collections
import json
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import malformed
import pytest
from handmade import write_bundle
from serving import Server, lacks, serving, tensor

pytestmark = [lacks("kserve", "tritonclient"), pytest.mark.integration]
grpc = pytest.importorskip("grpc", reason="grpcio, which kserve brings, is not installed")
psutil = pytest.importorskip("psutil", reason="psutil, which kserve brings, is not installed")

CLIENTS = 32
MAX_BODY = 2**20
MEGABYTE = 2**20
FLAT = 16 * MEGABYTE
"""How much the server's memory may vary between the middle and the end."""
SLOW = pytest.mark.slow


def load(server, bundle, seconds):
    """The process of a client that loads the server."""
    return server.start("serving_load.py", "--bundle", bundle, "--clients", CLIENTS, "--seconds", seconds)


def report(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return json.loads(out)


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=SLOW)])
def test_no_answer_fails_or_is_wrong(tmp_path, seconds):
    bundle = write_bundle(tmp_path / "bundle")
    with serving(bundle) as server:
        received = report(load(server, bundle, seconds))
        joined = server.request("GET", "/metrics")[2].decode()
    print(received)
    assert received["wrong"] == received["refused"] == 0
    assert received["failed"] == []
    assert min(received["by_way"].values()) >= 1
    assert received["answered"] >= 20 * seconds
    runs = float(re.search(r'^run_requests_count\{model_name="decoder"\} (\S+)', joined, re.MULTILINE)[1])
    requests = float(re.search(r'^run_requests_sum\{model_name="decoder"\} (\S+)', joined, re.MULTILINE)[1])
    assert requests == received["answered"]
    assert runs < requests, "some ran together"


@pytest.mark.parametrize("seconds", [1.5, pytest.param(10, marks=SLOW)])
def test_every_accepted_request_is_answered_after_a_signal(tmp_path, seconds):
    bundle = write_bundle(tmp_path / "bundle")
    server = Server(bundle)
    process = load(server, bundle, 120)
    end = time.monotonic() + 60
    while b"inference_requests_total{" not in server.request("GET", "/metrics")[2]:
        assert time.monotonic() < end
    time.sleep(seconds)
    code, log = server.stop()
    received = report(process)
    print(received, log)
    assert code == 0
    assert received["wrong"] == 0
    assert received["failed"] == []
    assert received["refused"] == CLIENTS, "each client, in the end"
    assert received["answered"] == int(re.search(r"(\d+) inference requests in all", log)[1])


def send(address, raw):
    """The status of the answer to these bytes, None where the connection ends without one."""
    host, port = address.split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=30) as link:
        try:
            link.sendall(raw)
            link.settimeout(0.1)
            answer = read(link)
        except TimeoutError:  # it waits for the rest: there is none
            link.settimeout(30)
            link.shutdown(socket.SHUT_WR)
            answer = read(link)
        except ConnectionError:
            return None
    return int(answer[9:12]) if answer else None


def read(link):
    """The first line of the answer, after any 100 Continue; empty where there is none."""
    answer = b""
    while chunk := link.recv(65536):
        answer = (answer + chunk).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"\r\n" in answer:
            break
    return answer


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (300, ["--max-body-bytes", MAX_BODY]),
        (300, []),
        pytest.param(10_000, [], marks=SLOW),
    ],
)
def test_malformed_http_requests(tmp_path, count, options):
    rng = random.Random(count)
    statuses = collections.Counter()
    with (
        serving(write_bundle(tmp_path / "bundle"), *options) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        memory = psutil.Process(server.process.pid).memory_info
        resident = []
        for _ in range(10):
            requests = [malformed.sample(rng) for _ in range(count // 10)]
            answers = pool.map(lambda request: send(server.http, request[1]), requests)
            statuses.update((kind, status) for (kind, _), status in zip(requests, answers, strict=True))
            resident.append(memory().rss)
        assert server.process.poll() is None
        assert server.infer({"inputs": [tensor()]})[0] == 200
        assert "Traceback" not in server.log()
    print(sorted(statuses.items(), key=str), [size // MEGABYTE for size in resident])
    assert {status for _, status in statuses} <= {None, 200, 400, 404, 405, 413, 415, 429, 431}
    refused = sum(n for (_, status), n in statuses.items() if status not in (None, 200))
    assert refused > 0.6 * count, "most are answered, in words"
    assert {kind for kind, _ in statuses} == {kind.__name__ for kind in malformed.KINDS}
    assert abs(resident[-1] - resident[4]) < FLAT


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=SLOW)])
def test_malformed_grpc_requests(tmp_path, count):
    rng = random.Random(count)
    codes = collections.Counter()
    with serving(write_bundle(tmp_path / "bundle"), "--max-body-bytes", MAX_BODY) as server:
        memory = psutil.Process(server.process.pid).memory_info
        resident = []
        with grpc.insecure_channel(server.grpc) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            large = code(call, bytes(MAX_BODY + 1))
            for _ in range(10):
                codes.update(code(call, malformed.message(rng)) for _ in range(count // 10))
                resident.append(memory().rss)
        squeezed = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(server.grpc, squeezed, compression=grpc.Compression.Gzip) as channel:
            bomb = code(channel.unary_unary("/inference.GRPCInferenceService/ModelInfer"), bytes(64 * MEGABYTE))
        assert server.infer({"inputs": [tensor()]})[0] == 200
        assert "Traceback" not in server.log()
    print(codes, [size // MEGABYTE for size in resident])
    assert large == bomb == "RESOURCE_EXHAUSTED"
    assert set(codes) <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
    assert codes["INVALID_ARGUMENT"] > count / 2
    assert abs(resident[-1] - resident[4]) < FLAT


def code(call, content):
    """The name of the status that a call with these bytes ends in."""
    try:
        call(content, timeout=60)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"
