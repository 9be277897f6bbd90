"""onnxruntime sessions of a bundle's graphs, from checked bytes alone, and on the providers that were asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any

import onnxruntime

from vae_tf_onnx.bundle import EXTERNAL, ORT, Bundle
from vae_tf_onnx.errors import BundleError, ProviderError

Providers = Sequence[str | tuple[str, dict[str, Any]]]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_FORMAT = "session.load_model_format"
_WHEELS = ("onnxruntime", "onnxruntime-gpu")
_INSTALL = 'pip uninstall -y onnxruntime onnxruntime-gpu && pip install "onnxruntime-gpu[cuda,cudnn]"'


def open_session(
    bundle: Bundle, name: str, *, threads: int | None = None, providers: Providers | None = None
) -> onnxruntime.InferenceSession:
    """A session of the graph in the file `name` of a bundle.

    Args:
        bundle: An opened bundle.
        name: Name of the file.
        threads: Number of threads for one run; None leaves the choice to onnxruntime.
        providers: Execution providers of onnxruntime, the preferred one first; None means the CPU.

    Raises:
        BundleError: For a file that is damaged or does not load.
        ProviderError: If the preferred provider is not available.
    """
    wanted = [CPU] if providers is None else list(providers)
    first = _name(wanted[0]) if wanted else CPU
    _check_available(first)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry(_FORMAT, "ORT" if name.endswith(ORT) else "ONNX")
    content = bundle.read(name)
    try:
        with tempfile.TemporaryDirectory() as nowhere:  # so weights in files that no checksum covers are not found
            options.add_session_config_entry(_EXTERNAL_FOLDER, nowhere)
            weights = _external(bundle, name)
            if weights is not None:
                place = PurePosixPath(name + EXTERNAL).name
                options.add_external_initializers_from_files_in_memory([place], [weights], [len(weights)])
            session = onnxruntime.InferenceSession(content, options, providers=wanted)
    except Exception as error:  # onnxruntime's exceptions share no narrower class
        raise graph_error(bundle, name, "a graph that onnxruntime loads", str(error)) from error
    received = session.get_providers()
    if received[0] != first:
        raise ProviderError(f"a session on {first}", str(received), f"Its libraries do not load here: {_INSTALL}.")
    return session


def graph_error(bundle: Bundle, name: str, expected: str, received: str) -> BundleError:
    """The error to raise for the graph in the file `name`."""
    path = str(bundle.folder / name)
    return BundleError(f"Bundle file {path}: expected {expected}, received {received}. Export again.", path)


def _name(provider: str | tuple[str, dict[str, Any]]) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _check_available(provider: str) -> None:
    if provider == CPU:
        return
    installed = [wheel for wheel in _WHEELS if _is_installed(wheel)]
    if len(installed) > 1:
        raise ProviderError("one build of onnxruntime", f"{' and '.join(installed)}", f"Keep one: {_INSTALL}.")
    available = onnxruntime.get_available_providers()
    if provider not in available:
        remedy = f"For an NVIDIA GPU: {_INSTALL}."
        raise ProviderError(f"one of {', '.join(available)}", provider, remedy)
    if provider == CUDA:
        onnxruntime.preload_dlls()  # the libraries that pip installed


def _is_installed(wheel: str) -> bool:
    try:
        version(wheel)
    except PackageNotFoundError:
        return False
    return True


def _external(bundle: Bundle, name: str) -> bytes | None:
    """The weights that lie beside a graph of more than 2 GB; None for other graphs."""
    return bundle.read(name + EXTERNAL) if name + EXTERNAL in bundle.manifest["files"] else None
