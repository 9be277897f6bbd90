"""An HTTP connection of uvicorn with bounds where uvicorn has none: heads, silence, and answers that nobody takes."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 2**16
"""Bytes of a request line and headers that may arrive before they are complete."""


class HttpConnection(HttpToolsProtocol):
    """A connection that refuses a head without end, and closes if its client keeps it waiting.

    httptools would keep a head of any length, and uvicorn has a time limit only between two requests.

    Attributes:
        seconds: Time in which a head must be complete, and in which a part of an answer that was sent must be taken.
    """

    seconds = 30.0
    _head = 0
    _is_complete = False
    _is_body = False
    _for_head: asyncio.TimerHandle | None = None
    _for_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Notes the start of the connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1)  # writing pauses until the system has taken all of it
        self._for_head = self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end of the connection."""
        super().connection_lost(exc)
        for timer in (self._for_head, self._for_reader):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Takes the next bytes of the connection."""
        was_body, self._is_complete = self._is_body, False
        super().data_received(data)
        self._head = 0 if was_body or self._is_complete else self._head + len(data)
        if self._head > MAX_HEAD:
            self.send_400_response("The head of the request is too long.")
        if self._for_head is None and self.cycle.response_complete:
            self._for_head = self._abort_later()

    def on_headers_complete(self) -> None:
        """Notes the end of a head."""
        super().on_headers_complete()
        self._is_complete = self._is_body = True
        if self._for_head is not None:
            self._for_head.cancel()
            self._for_head = None

    def on_message_complete(self) -> None:
        """Notes the end of a request."""
        super().on_message_complete()
        self._is_body = False

    def pause_writing(self) -> None:
        """Notes that the client has yet to take what was written."""
        super().pause_writing()
        self._for_reader = self._abort_later()

    def resume_writing(self) -> None:
        """Notes that the client has taken what was written."""
        super().resume_writing()
        if self._for_reader is not None:
            self._for_reader.cancel()

    def _abort_later(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.seconds, self.transport.abort)
