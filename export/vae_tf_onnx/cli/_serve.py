"""The command `serve`."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import click

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.cli._inspect import BUNDLE
from vae_tf_onnx.serve import ServerSettings, serve

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_PAGE = click.Path(file_okay=False, exists=True, path_type=Path)
_DEFAULT = ServerSettings()
_LOG = logging.getLogger("vae_tf_onnx.serve")


@click.command("serve")
@click.argument("bundle", type=BUNDLE)
@click.option("--host", default=_DEFAULT.host, show_default=True, help="Name or address to bind.")
@click.option("--http-port", default=_DEFAULT.http_port, show_default=True, help="0 takes a free one.")
@click.option("--grpc-port", default=_DEFAULT.grpc_port, show_default=True, help="0 takes a free one.")
@click.option("--variant", default=FP32, show_default=True, help="fp16, int8-dynamic, ...: one that the bundle holds.")
@click.option("--threads", default=1, show_default=True, help="Threads of onnxruntime for one run of one graph.")
@click.option("--page", type=_PAGE, help="Shown at /.  [default: the explorer that web makes; none with a token]")
@click.option("--no-page", is_flag=True, help="Show no explorer at /.")
@click.option("--ort-web", type=_FOLDER, help="Package onnxruntime-web for the explorer; see web.")
@click.option("--max-body-bytes", default=_DEFAULT.max_body_bytes, show_default=True, help="Also after gzip.")
@click.option("--max-rows", default=_DEFAULT.max_rows, show_default=True, help="Examples in one request.")
@click.option("--max-concurrent", default=_DEFAULT.max_concurrent, show_default=True, help="Requests at one time.")
@click.option("--token-file", type=_FILE, help="File with the bearer token that requests must carry.")
@click.option("--tls-cert", type=_FILE, help="Certificate, a PEM file.")
@click.option("--tls-key", type=_FILE, help="Its private key, a PEM file.")
@click.option("--body-seconds", default=_DEFAULT.body_seconds, show_default=True, help="To send, or take, one body.")
@click.option("--insecure", is_flag=True, help="Serve beyond loopback without token and TLS.")
@click.option("--notice-seconds", default=_DEFAULT.notice_seconds, show_default=True, help="Not ready, still serving.")
@click.option("--grace-seconds", default=_DEFAULT.grace_seconds, show_default=True, help="To answer, after that.")
def serve_command(
    bundle: Path,
    variant: str,
    threads: int,
    page: Path | None,
    no_page: bool,
    ort_web: Path | None,
    **settings: Any,
) -> None:
    """Serves BUNDLE by the Open Inference Protocol (KServe v2), over HTTP and gRPC, until SIGTERM.

    At / it shows the explorer that the command `web` writes, as soon as that is made, if onnxruntime-web is available.
    With a token it shows none, because a browser that opens a page does not send one.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpc's errors reach us as exceptions: it need not print them too
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("vae_tf_onnx").setLevel(logging.INFO)
    chosen = ServerSettings(**settings)
    chosen.check()
    opened = open_bundle(bundle)
    if page is not None or no_page:
        serve(opened, chosen, page=_checked(page), variant=variant, threads=threads)
    elif chosen.token_file is not None:
        _LOG.info("No explorer at /: a browser that opens a page sends no token")
        serve(opened, chosen, variant=variant, threads=threads)
    else:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            out = Path(scratch) / "page"
            make = threading.Thread(target=write_explorer, args=(opened, out, variant, ort_web), daemon=True)
            serve(opened, chosen, page=out, variant=variant, threads=threads, on_start=make.start)


def _checked(page: Path | None) -> Path | None:
    if page is not None and not (page / "index.html").is_file():
        raise ValueError(f"page: expected a folder with an index.html, received {page}. Make it: vae-tf web BUNDLE.")
    return page


def write_explorer(bundle: Bundle, out: Path, variant: str, ort_web: Path | None) -> None:
    """Writes the bundle's explorer into `out`, and a line into the log that says that it is there, or why not."""
    from vae_tf_onnx.web import build

    try:
        build(bundle, out, variant=variant if bundle.holds("decoder", variant) else FP32, ort_web=ort_web)
    except (ValueError, OSError) as error:
        _LOG.warning("No explorer at /: %s", error)
    else:
        _LOG.info("The explorer is at /")
