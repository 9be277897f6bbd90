"""The errors that a client may be told, each with one status for HTTP and one for gRPC."""

from __future__ import annotations

import reprlib
from http import HTTPStatus
from typing import Any

from grpc import StatusCode
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotLive, ServerNotReady


class TooLargeError(Exception):
    """A request that is above one of the limits of size."""


class TooManyError(Exception):
    """A request that comes when as many as allowed are there already."""


class UnauthenticatedError(Exception):
    """A request without the token."""


class UnsupportedEncodingError(Exception):
    """A body in an encoding that the server does not undo."""


class BodyTimeoutError(Exception):
    """A body that did not arrive in time."""


UNAUTHENTICATED = UnauthenticatedError(
    "authorization: expected Bearer and the server's token, received none or another. Send it as a header."
)
STATUSES: dict[type[Exception], tuple[HTTPStatus, StatusCode]] = {
    BodyTimeoutError: (HTTPStatus.REQUEST_TIMEOUT, StatusCode.DEADLINE_EXCEEDED),
    InvalidInput: (HTTPStatus.BAD_REQUEST, StatusCode.INVALID_ARGUMENT),
    ModelNotFound: (HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND),
    ModelNotReady: (HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    ServerNotLive: (HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    ServerNotReady: (HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    TooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED),
    TooManyError: (HTTPStatus.TOO_MANY_REQUESTS, StatusCode.RESOURCE_EXHAUSTED),
    UnauthenticatedError: (HTTPStatus.UNAUTHORIZED, StatusCode.UNAUTHENTICATED),
    UnsupportedEncodingError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, StatusCode.UNIMPLEMENTED),
}
_INTERNAL = (HTTPStatus.INTERNAL_SERVER_ERROR, StatusCode.INTERNAL)
_INTERNAL_TEXT = "The server failed on this request. Its log says why."
_MAX_TEXT = 1000

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
_repr.maxlist = _repr.maxtuple = 10


def status(error: Exception) -> tuple[HTTPStatus, StatusCode]:
    """The HTTP and the gRPC status of an error."""
    return STATUSES.get(type(error), _INTERNAL)


def text(error: Exception) -> str:
    """The text that a client is told of an error, cut to a length that gRPC's trailers and logs can take."""
    return str(error)[:_MAX_TEXT] if isinstance(error, tuple(STATUSES)) else _INTERNAL_TEXT


def shown(value: Any) -> str:
    """A received value, cut to a length that fits into a message."""
    return _repr.repr(value)
