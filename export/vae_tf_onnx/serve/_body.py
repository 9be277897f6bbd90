"""The reading of an HTTP request's body: it is inflated as it arrives, and never more of it than allowed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from kserve.errors import InvalidInput
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from vae_tf_onnx.serve._client_errors import BodyTimeoutError, TooLargeError, UnsupportedEncodingError, shown

_EITHER = 32 + zlib.MAX_WBITS
"""zlib's word for data in gzip or zlib format, whichever its header says."""
_DISCARD_BYTES, _DISCARD_SECONDS = 2**26, 2.0
"""The bytes of a refused body that are still read, so that a sender who reads nothing before its end is answered."""


async def read_body(
    receive: Receive, headers: Headers, *, limit: int, seconds: float, hold: Callable[[int], None]
) -> bytes:
    """The whole body, inflated.

    Args:
        receive: ASGI's function of that name.
        headers: Headers of the request.
        limit: Most bytes, before and after inflation.
        seconds: Time in which the whole body must arrive.
        hold: Function that is told how many more bytes are kept. It raises if all bodies together are too large.

    Raises:
        BodyTimeoutError: For a body that is late.
        ClientDisconnect: If its sender has gone.
        InvalidInput: For a body that does not have the encoding that it states.
        TooLargeError: For a body that is above the limit, or says that it will be.
        UnsupportedEncodingError: For an encoding other than gzip and deflate.
    """
    content = _Content(headers.get("content-encoding", ""), limit, hold)
    chunks = _Chunks(receive)
    try:
        async with asyncio.timeout(seconds):
            content.announce(headers.get("content-length", ""))
            async for chunk in chunks:
                content.feed(chunk)
    except TooLargeError:
        if "expect" not in headers:
            await _discard(chunks)
        raise
    except TimeoutError as error:
        raise BodyTimeoutError(
            f"body: expected all of it within {seconds:g} seconds, received a part. Send it faster, or less."
        ) from error
    return content.close()


class _Chunks:
    """The parts of a body as they arrive; a second loop goes on where the first one stopped."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if not self._more:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._more = message.get("more_body", False)
        return message.get("body", b"")


async def _discard(chunks: _Chunks) -> None:
    left = _DISCARD_BYTES
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    return
    except TimeoutError:
        return


class _Content:
    """The part of a body that has arrived."""

    def __init__(self, encoding: str, limit: int, hold: Callable[[int], None]) -> None:
        if encoding.lower() not in ("", "identity", "gzip", "deflate"):
            raise UnsupportedEncodingError(
                f"Content-Encoding: expected gzip, deflate or none, received {shown(encoding)}. Send it plain."
            )
        self._inflater = None if encoding.lower() in ("", "identity") else zlib.decompressobj(_EITHER)
        self._limit = limit
        self._hold = hold
        self._received = 0
        self._content = bytearray()

    def announce(self, length: str) -> None:
        """Raises TooLargeError if the length that the sender announces is above the limit."""
        if length.isdecimal() and int(length[:18]) > self._limit:
            raise self._too_large(f"{length[:18]} to come")

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the body."""
        self._received += len(chunk)
        if self._inflater is not None:
            try:
                chunk = self._inflater.decompress(chunk, self._limit - len(self._content) + 1)
            except zlib.error as error:
                raise InvalidInput(f"body: expected the stated encoding, received: {error}. Compress it.") from error
        self._hold(len(chunk))
        self._content += chunk
        if max(self._received, len(self._content)) > self._limit:
            raise self._too_large("more")

    def close(self) -> bytes:
        """The whole body."""
        if self._inflater is not None and (not self._inflater.eof or self._inflater.unused_data):
            raise InvalidInput("body: expected one compressed stream, received a part, or more. Compress it in one.")
        return bytes(self._content)

    def _too_large(self, received: str) -> TooLargeError:
        return TooLargeError(
            f"body: expected at most {self._limit} bytes, before and after decompression, received {received}. "
            "Send fewer rows."
        )
