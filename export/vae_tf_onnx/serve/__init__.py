"""A server of a bundle: the Open Inference Protocol (KServe v2) over HTTP and gRPC, on kserve's data plane."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.serve._settings import Settings

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Settings", "serve"]

_DEFAULTS = Settings()


def serve(
    bundle: str | Path | Bundle,
    settings: Settings = _DEFAULTS,
    *,
    page: str | Path | None = None,
    variant: str = FP32,
    threads: int = 1,
    on_start: Callable[[], object] = lambda: None,
) -> None:
    """Serves every graph of a bundle, each as a model of its name, until SIGTERM or SIGINT.

    Requests for one graph that wait while it runs go into its next run together. On a signal the server is no longer
    ready, answers what it has accepted, and returns. In int8-dynamic each request runs alone: there the precision of a
    row depends on the others of its run.

    Args:
        bundle: the folder of the bundle, or an opened one.
        settings: where to listen, and what to refuse.
        page: a folder, shown at `/` once it holds an `index.html`; it may be made while the server runs.
        variant: of the graphs, one of `vae_tf_onnx.bundle.VARIANTS` or "fp32"; a graph without it runs in fp32.
        threads: of onnxruntime for one run of one graph.
        on_start: is called once requests are answered, in the thread that answers them: it must not take long.

    Raises:
        BundleError: for a bundle that is damaged or newer.
        ValueError: for settings, a variant or a number of threads that cannot be.
        OSError: where a port is taken, or a file cannot be read.
        ImportError: where kserve is not installed.
    """
    from vae_tf_onnx.serve._graphs import load_graphs  # numpy and onnxruntime

    settings.check()
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    graphs = load_graphs(bundle, variant=variant, threads=threads)
    _import_server().run(graphs, settings, Path(page) if page is not None else None, on_start)


def _import_server() -> ModuleType:
    arguments, sys.argv = sys.argv, sys.argv[:1]  # kserve reads the command line while it is imported
    try:
        from vae_tf_onnx.serve import _server as server
    except ImportError as error:
        raise ImportError(
            f'serve: expected kserve, received {error}. Install it: pip install "vae-tf-onnx[serve]".'
        ) from error
    finally:
        sys.argv = arguments
    return server
