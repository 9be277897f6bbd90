"""A server of a bundle by the Open Inference Protocol (KServe v2), over HTTP and gRPC, on kserve's data plane."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.serve._server_settings import ServerSettings

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ServerSettings", "serve"]

_DEFAULTS = ServerSettings()


def serve(
    bundle: str | Path | Bundle,
    settings: ServerSettings = _DEFAULTS,
    *,
    page: str | Path | None = None,
    variant: str = FP32,
    threads: int = 1,
    on_start: Callable[[], object] = lambda: None,
) -> None:
    """Serves every graph of a bundle, each as a model of its name, until SIGTERM or SIGINT.

    Requests for one graph that arrive while it runs go into its next run together. On a signal the server is no longer
    ready, answers the requests that it has accepted, and returns. In int8-dynamic each request runs alone, because
    there the precision of a row depends on the other rows of its run.

    Args:
        bundle: Folder of the bundle, or an opened bundle.
        settings: Addresses to listen on, and limits of what is answered.
        page: Folder that is shown at `/` as soon as it holds an `index.html`; it may be made while the server runs.
        variant: Variant of the graphs, one of `vae_tf_onnx.bundle.VARIANTS` or "fp32"; a graph without it runs in fp32.
        threads: Number of threads of onnxruntime for one run of one graph.
        on_start: Function that is called when the server begins to answer. It runs in the thread that answers, so it
            must not take long.

    Raises:
        BundleError: For a bundle that is damaged or newer.
        ValueError: For impossible settings, an unknown variant, or fewer threads than one.
        OSError: If a port is taken or a file cannot be read.
        ImportError: If kserve is not installed.
    """
    from vae_tf_onnx.serve._served_graph import load_graphs  # needs numpy and onnxruntime

    settings.check()
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    graphs = load_graphs(bundle, variant=variant, threads=threads)
    _import_server().run(graphs, settings, Path(page) if page is not None else None, on_start)


def __getattr__(name: str) -> Any:
    if name != "Settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = "vae_tf_onnx.serve.Settings: expected its new name, ServerSettings, received the old one. Rename it."
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return ServerSettings


def _import_server() -> ModuleType:
    arguments, sys.argv = sys.argv, sys.argv[:1]  # kserve reads the command line when it is imported
    try:
        from vae_tf_onnx.serve import _server as server
    except ImportError as error:
        raise ImportError(
            f'serve: expected kserve, received {error}. Install it: pip install "vae-tf-onnx[serve]".'
        ) from error
    finally:
        sys.argv = arguments
    return server
