"""Importing TensorFlow without its banners."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Imports TensorFlow and lets it look for GPUs, with what it writes to standard error thrown away.

    Some of its banners ignore TF_CPP_MIN_LOG_LEVEL. Errors of the import are raised as ever.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _no_stderr():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.constant(0.0)  # TensorFlow looks for GPUs at its first operation


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
