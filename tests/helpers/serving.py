"""The command `vae-tf-onnx serve` in a process of its own, on free ports, for the tests of the running server."""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "from vae_tf_onnx.cli import main; main()", "serve"]
PORTS = ["--http-port", "0", "--grpc-port", "0"]
STARTED = re.compile(r"Serving (?P<models>.*): (?P<scheme>https?)://(?P<http>\S+), gRPC (?P<grpc>\S+)")
INFER = "/v2/models/decoder/infer"
LENGTH = "Inference-Header-Content-Length"
EXTRAS = {"kserve": "serve", "tritonclient": "test"}


def lacks(*packages):
    """A mark that skips where one of these packages is not installed, without importing it.

    kserve takes seconds, reads pytest's own command line, and brings messages that tritonclient brings too.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    reason = "; ".join(f'{name} is not installed: pip install "vae-tf-onnx[{EXTRAS[name]}]"' for name in missing)
    return pytest.mark.skipif(bool(missing), reason=reason)


class Server:
    """A running server.

    Attributes:
        process: its process.
        http: host:port of HTTP.
        grpc: host:port of gRPC.

    Args:
        bundle: its folder.
        *arguments: further ones of the command.
        environment: further variables.
        ca: the file with the certificate to trust, where the server speaks TLS.
        page: whether it makes the explorer, where the arguments do not say so.
    """

    def __init__(self, bundle, *arguments, environment=None, ca=None, page=False):
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed by stop
        no_page = [] if page or {"--page", "--ort-web"} & set(arguments) else ["--no-page"]
        command = [*COMMAND, str(bundle), *PORTS, *no_page, *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=self._log, env=os.environ | (environment or {}))
        started = self._wait_for(STARTED, 90)
        self.http, self.grpc = started["http"], started["grpc"]
        self._tls = ssl.create_default_context(cafile=ca) if ca else None

    def log(self):
        """What it has written."""
        self._log.seek(0)
        return self._log.read()

    def _wait_for(self, pattern, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            found = pattern.search(self.log())
            if found:
                return found
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError(f"no server within {seconds} s: {self.log()}")

    def terminate(self, number=signal.SIGTERM):
        """Sends a signal."""
        self.process.send_signal(number)

    def stop(self, seconds=60):
        """Ends it; its exit code and what it wrote."""
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
        text = self.log()
        self._log.close()
        return code, text

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body) of one HTTP request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()

    def connect(self):
        """A new HTTP connection."""
        if self._tls is None:
            return http.client.HTTPConnection(self.http, timeout=30)
        return http.client.HTTPSConnection(self.http, timeout=30, context=self._tls)

    def infer(self, body, headers=None, path=INFER):
        """(status, decoded JSON) of one inference; `body` is sent as JSON where it is no bytes."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, content = self.request("POST", path, body, headers)
        return status, json.loads(content)

    def run(self, script, *arguments):
        """The JSON that a script beside this file prints, run on this server in a process of its own."""
        process = self.start(script, *arguments)
        out, _ = process.communicate(timeout=240)
        if process.returncode:
            raise RuntimeError(f"{script}: exit code {process.returncode}")
        return json.loads(out)

    def start(self, script, *arguments):
        """The process of such a script."""
        command = [sys.executable, str(HERE / script), "--http", self.http, "--grpc", self.grpc, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def serving(bundle, *arguments, **options):
    """A server for the length of a with block."""
    server = Server(bundle, *arguments, **options)
    try:
        yield server
    finally:
        server.stop()


def tensor(rows=1, width=3, name="z", value=0.5, **changes):
    """An input of the bundle made by hand, as JSON."""
    return {"name": name, "shape": [rows, width], "datatype": "FP32", "data": [value] * (rows * width)} | changes


def binary(array, name="z", **changes):
    """Body and headers of a request with one binary tensor."""
    data = array.tobytes()
    item = {
        "name": name,
        "shape": list(array.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"inputs": [item | changes]}).encode()
    return head + data, {LENGTH: str(len(head))}
