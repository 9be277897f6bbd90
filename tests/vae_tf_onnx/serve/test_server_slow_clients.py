"""The running server and clients that keep it waiting: they cost others nothing, and are cut off in time."""

import contextlib
import json
import threading
import time

import handmade
import pytest
from serving import Server, lacks, tensor
from slow_clients import gauge, link, readers, rest, senders, wait_for

pytestmark = lacks("kserve")

SECONDS = 1.5
"""That a body may take to arrive, and an answer to be taken."""
SLOTS = 2
ROWS = 256
"""Rows of which the answer, 64 x 64 x 2 numbers each, is more than the system's buffers hold."""
GOOD = {"inputs": [tensor()]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """With answers of 8 MiB, and two requests at one time. At the end it is stopped while nobody reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handmade, "EVENT_SHAPE", (64, 64, 1))
        patch.setattr(handmade, "DIMS", 64 * 64)
        bundle = handmade.write_bundle(tmp_path_factory.mktemp("slow") / "bundle")
    server = Server(bundle, "--body-seconds", SECONDS, "--max-concurrent", SLOTS)
    yield server
    with readers(server, SLOTS, ROWS), senders(server, SLOTS):
        start = time.monotonic()
        assert server.stop()[0] == 0
        assert time.monotonic() - start < 10 * SECONDS


def test_slow_senders_take_no_place_to_run(server):
    with senders(server, 4 * SLOTS) as links:
        wait_for(lambda: gauge(server, "inference_requests_arriving") == 4 * SLOTS)
        assert gauge(server, "inference_requests_running") == 0
        status, answer = server.infer(GOOD)
        assert (status, answer["error"][:51]) == (429, "requests: expected at most 8 that arrive at one tim")
        links.pop().close()
        wait_for(lambda: server.infer(GOOD)[0] == 200, SECONDS / 2)
        assert links[0].recv(12) == b"HTTP/1.1 408"
    wait_for(lambda: gauge(server, "inference_requests_arriving") == 0)


def test_slow_readers_keep_their_place_and_lose_it_in_time(server):
    start = time.monotonic()
    with readers(server, SLOTS, ROWS) as links:
        assert gauge(server, "inference_requests_running") == SLOTS
        assert server.infer(GOOD)[0] == 429
        wait_for(lambda: server.infer(GOOD)[0] == 200)
        assert time.monotonic() - start >= SECONDS
        assert len(rest(links[0])) < ROWS * 64 * 64 * 2 * 4, "cut off"


def test_a_reader_that_reads_gets_all(server):
    body = {"inputs": [tensor(ROWS)], "parameters": {"binary_data_output": True}}
    status, headers, content = server.request("POST", "/v2/models/decoder/infer", json.dumps(body).encode())
    assert status == 200
    assert len(content) - int(headers["inference-header-content-length"]) == ROWS * 64 * 64 * 2 * 4


def test_silence_and_half_a_head_end_the_connection(server):
    half = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX-a: "
    with link(server.http) as silent, link(server.http) as fresh, link(server.http) as used:
        fresh.sendall(half)
        used.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert used.recv(12) == b"HTTP/1.1 200"
        used.sendall(half)
        start = time.monotonic()
        for connection in (fresh, used, silent):
            rest(connection)
        assert time.monotonic() - start < 10 * SECONDS


def test_a_body_after_its_answer_ends_the_connection(server):
    with link(server.http) as sender:
        sender.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert sender.recv(12) == b"HTTP/1.1 404"
        sender.sendall(b"x")
        start = time.monotonic()
        rest(sender)
        assert time.monotonic() - start < 4, "uvicorn alone would wait 5 seconds for silence"


def test_connections_have_a_limit(server):
    with contextlib.ExitStack() as stack:
        for _ in range(8 * SLOTS + 64):
            stack.enter_context(link(server.http))
        assert server.request("GET", "/v2/health/live")[0] == 503
    wait_for(lambda: server.request("GET", "/v2/health/live")[0] == 200)


@pytest.fixture
def silent_calls(server):
    """A function that starts so many gRPC inferences which never send their message."""
    grpc = pytest.importorskip("grpc", reason="grpcio, which kserve brings, is not installed")
    ended = threading.Event()

    def never():
        ended.wait(60)
        yield from ()

    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelInfer")
        yield lambda count: [call(never()) for _ in range(count)]
        ended.set()


def test_calls_without_a_message_end(server, silent_calls):
    start = time.monotonic()
    calls = silent_calls(SLOTS)
    assert {call.code().name for call in calls} == {"DEADLINE_EXCEEDED"}
    assert SECONDS / 2 < time.monotonic() - start < 10 * SECONDS
    assert gauge(server, "inference_requests_running") == 0


def test_calls_that_are_not_read_keep_their_place_and_lose_it_in_time(server):
    grpc = pytest.importorskip("grpc", reason="grpcio, which kserve brings, is not installed")
    start = time.monotonic()
    window = [("grpc.http2.bdp_probe", 0)]  # or it grows, and the client takes the whole answer before anyone reads it
    with grpc.insecure_channel(server.grpc, options=window) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelInfer")
        calls = [call(iter([message(ROWS)])) for _ in range(SLOTS)]
        wait_for(lambda: gauge(server, "inference_requests_running") == SLOTS)
        assert server.infer(GOOD)[0] == 429
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(message(1), timeout=20)
        wait_for(lambda: server.infer(GOOD)[0] == 200)
        assert time.monotonic() - start >= SECONDS
        for one in calls:
            one.cancel()


def message(rows):
    """A ModelInferRequest of zeros, as bytes."""
    from malformed import field, varint

    item = field(1, b"z") + field(2, b"FP32") + field(3, varint(rows) + varint(3))
    return field(1, b"decoder") + field(5, item) + field(7, bytes(rows * 3 * 4))
