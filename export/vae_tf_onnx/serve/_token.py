"""The bearer token that requests carry, over HTTP and gRPC alike."""

from __future__ import annotations

import hmac

from vae_tf_onnx.serve._client_errors import UnauthenticatedError

UNAUTHENTICATED = UnauthenticatedError(
    "authorization: expected Bearer and the server's token, received none or another. Send it as a header."
)


def carries(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token; the check takes the same time for every wrong token."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
