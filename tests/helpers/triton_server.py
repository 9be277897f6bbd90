"""A real Triton Inference Server: the one in the wheel nvidia-pytriton, which lives in an environment of its own."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "VAE_TF_TRITON_PYTHON"
HOW = (
    f"{VARIABLE} is not set to the Python of an environment with Triton: "
    "python3 -m venv triton && triton/bin/pip install nvidia-pytriton onnxruntime; "
    f"export {VARIABLE}=$PWD/triton/bin/python"
)
NO_BACKEND = "unable to find backend library for backend 'onnxruntime'"
START_SECONDS = 180
_LOCATE = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "package": os.path.dirname(importlib.util.find_spec("pytriton").origin),
    "python": "%d.%d" % sys.version_info[:2],
    "libraries": sysconfig.get_config_var("LIBDIR"),
}))
"""


def python():
    """The Python of the environment with Triton; None where there is none."""
    return os.environ.get(VARIABLE)


@dataclass(frozen=True)
class Server:
    """A server that has loaded, or has failed to load, its models."""

    http: str
    grpc: str
    log: Path

    def index(self):
        """graph -> (state, reason)."""
        models = json.loads(self.request("repository/index", b"{}"))
        return {model["name"]: (model.get("state"), model.get("reason", "")) for model in models}

    def request(self, path, body=None):
        with urllib.request.urlopen(f"http://{self.http}/v2/{path}", body, timeout=30) as answer:
            return answer.read()


@contextlib.contextmanager
def serve(repository, scratch, *, backend=True, arguments=("--disable-auto-complete-config",)):
    """Starts Triton on a repository as it is, and stops it in the end.

    Args:
        repository: the folder of a bundle.
        scratch: a folder for the server's files.
        backend: False leaves the stand-in for the onnxruntime backend away.
        arguments: further ones of tritonserver.
    """
    found = json.loads(subprocess.run([python(), "-c", _LOCATE], capture_output=True, check=True).stdout)
    scratch.mkdir(parents=True, exist_ok=True)
    package = Path(found["package"])
    http, grpc = _free_ports()
    command = [package / "tritonserver/bin/tritonserver", f"--model-repository={repository}", *arguments]
    command += [f"--backend-directory={_backends(package, found['python'], scratch / 'backends', backend)}"]
    command += ["--http-address=127.0.0.1", f"--http-port={http}", "--grpc-address=127.0.0.1", f"--grpc-port={grpc}"]
    command += [
        "--allow-metrics=false",
        "--exit-on-error=false",
        f"--backend-config=python,stub-timeout-seconds={START_SECONDS}",
    ]
    environment = os.environ | {
        "PATH": f"{Path(python()).parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{package.parent / 'nvidia_pytriton.libs'}:{found['libraries']}",
    }
    log = scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    server = Server(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", log)
    try:
        _wait(server, process)
        yield server
    finally:
        _stop(process)


def _backends(package, version, folder, with_stand_in):
    """A folder of backends: links out of it are refused by the server, so files are copied."""
    target = folder / "python"
    shutil.copytree(package / "tritonserver/backends/python", target)
    shutil.copy(package / "tritonserver/python_backend_stubs" / version / "triton_python_backend_stub", target)
    if with_stand_in:
        (folder / "onnxruntime").mkdir()
        shutil.copy(Path(__file__).with_name("triton_backend.py"), folder / "onnxruntime/model.py")
    return folder


def _free_ports():
    """Two, below those of outgoing connections, which could take them before the server has loaded its models."""
    found = []
    while len(found) < 2:
        port = random.SystemRandom().randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _wait(server, process):
    """Returns once the server answers: it does when every model has been loaded or refused."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            server.request("health/live")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"Triton did not start:\n{server.log.read_text(errors='replace')}")


def _stop(process):
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
