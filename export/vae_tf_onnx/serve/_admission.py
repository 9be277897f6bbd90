"""The admission of requests: how many may arrive and run at one time, and whether the server is about to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vae_tf_onnx.serve import _metrics
from vae_tf_onnx.serve._client_errors import TooManyError
from vae_tf_onnx.serve._server_settings import ServerSettings

_ARRIVING = 4
"""Bodies that may be arriving for each request that may run, so that a slow sender takes no place of those that run."""
_ARRIVING_BYTES = 8
"""The most bytes that may have arrived of all these bodies together, in bodies of the largest size."""


class Admission:
    """A count of the inference requests that run, of HTTP and gRPC together, and of the HTTP bodies that arrive.

    Args:
        settings: Limits of both counts.

    Attributes:
        draining: Whether the server is about to stop.
        accepted: Number of requests that were let in so far.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.draining = False
        self.accepted = 0
        self._limit = settings.max_concurrent
        self._bytes_limit = _ARRIVING_BYTES * settings.max_body_bytes
        self._running = self._arriving = self._bytes = 0

    @contextmanager
    def arrive(self) -> Iterator[Callable[[int], None]]:
        """The time in which one body arrives; yields a function to call with the number of bytes of each part of it.

        Raises:
            TooManyError: If too much is arriving already. The function raises it too.
        """
        if self._arriving >= _ARRIVING * self._limit:
            raise _too_many(f"{_ARRIVING * self._limit} that arrive")
        held = 0

        def hold(num_bytes: int) -> None:
            nonlocal held
            if self._bytes + num_bytes > self._bytes_limit:
                raise _too_many(f"{self._bytes_limit} bytes that arrive")
            held += num_bytes
            self._bytes += num_bytes

        self._arriving += 1
        _metrics.ARRIVING.inc()
        try:
            yield hold
        finally:
            self._arriving -= 1
            self._bytes -= held
            _metrics.ARRIVING.dec()

    @contextmanager
    def enter(self, protocol: str) -> Iterator[None]:
        """The time from the arrival of one request until its answer is sent.

        Raises:
            TooManyError: If the largest number of requests is running already.
        """
        if self._running >= self._limit:
            raise _too_many(str(self._limit))
        self.accepted += 1
        self._running += 1
        _metrics.RUNNING.inc()
        start = time.perf_counter()
        try:
            yield
        finally:
            self._running -= 1
            _metrics.RUNNING.dec()
            _metrics.SECONDS.labels(protocol).observe(time.perf_counter() - start)


def _too_many(expected: str) -> TooManyError:
    return TooManyError(f"requests: expected at most {expected} at one time, received more. Try again in a moment.")
