"""The bearer token that requests carry, over HTTP and gRPC alike."""

from __future__ import annotations

import hmac


def carries(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token; the check takes the same time for every wrong token."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
