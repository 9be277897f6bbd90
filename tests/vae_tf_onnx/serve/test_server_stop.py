"""The end of the running server, after a signal."""

import json
import time

import pytest
from handmade import write_bundle
from serving import INFER, Server, lacks, tensor
from slow_clients import gauge, wait_for

pytestmark = lacks("kserve")


def hold(server, length):
    """A request whose body has not arrived yet."""
    connection = server.connect()
    connection.putrequest("POST", INFER)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    wait_for(lambda: gauge(server, "inference_requests_arriving") == 1)
    return connection


def ask_until(server, end):
    while time.monotonic() < end:
        server.request("GET", "/v2/health/live")


def test_a_signal_lets_the_accepted_finish(tmp_path):
    """Not ready at once, new requests for a while more, the slow one answered, and exit code 0."""
    server = Server(write_bundle(tmp_path / "bundle"), "--notice-seconds", 1.5)
    body = json.dumps({"inputs": [tensor()]}).encode()
    slow = hold(server, len(body))
    server.terminate()
    end = time.monotonic() + 10
    while server.request("GET", "/v2/health/ready")[0] == 200:
        assert time.monotonic() < end, "ready after the signal"
    assert server.request("GET", "/v2/health/ready")[0] == 503
    assert server.request("GET", "/v2/health/live")[0] == 200
    status, headers, _ = server.request("POST", INFER, body)
    assert (status, headers["connection"]) == (200, "close")
    with pytest.raises(ConnectionError):
        ask_until(server, end)
    assert server.process.poll() is None, "it waits for the slow one"
    slow.send(body)
    response = slow.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["outputs"][0]["name"] == "mean"
    slow.close()
    code, log = server.stop()
    assert code == 0
    assert "2 inference requests in all" in log


def test_the_grace_ends(tmp_path):
    server = Server(write_bundle(tmp_path / "bundle"), "--grace-seconds", 1)
    slow = hold(server, 100)
    start = time.monotonic()
    code, log = server.stop()
    assert code == 0
    assert 1 < time.monotonic() - start < 15
    assert slow.getresponse().status == 503
    assert "Traceback" not in log
    slow.close()
