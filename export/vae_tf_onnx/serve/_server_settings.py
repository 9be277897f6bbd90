"""The settings of the server: where it listens, whom it answers, and how much it takes."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

_REMEDY = "Pass token_file, or tls_cert and tls_key; insecure=True (--insecure) serves anyone who can connect."


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server: where to listen, whom to answer, and how much to take.

    Attributes:
        host: Name or address to bind. One beyond loopback needs a token, TLS or `insecure`.
        http_port: Port of HTTP; 0 takes a free one.
        grpc_port: Port of gRPC; 0 takes a free one.
        max_body_bytes: Most bytes of one request, before and after decompression; fewer for a graph whose `max_rows`
            rows need fewer.
        max_rows: Most examples in one request, and in one run of a graph.
        max_concurrent: Most inference requests at one time, HTTP and gRPC together; more may be arriving.
        token_file: File with the bearer token that every request must carry, except those for the server's health.
        tls_cert: PEM file with the certificate and its chain.
        tls_key: PEM file with the certificate's private key.
        insecure: Whether to bind beyond loopback without token and TLS.
        notice_seconds: Time after a signal in which the server is no longer ready but still lets requests in.
        grace_seconds: Time that the accepted requests may take after that.
        body_seconds: Time in which a request's head must arrive, then its body, and in which its answer must be taken.
    """

    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    max_body_bytes: int = 16 * 2**20
    max_rows: int = 256
    max_concurrent: int = 64
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    notice_seconds: float = 0.25
    grace_seconds: float = 30.0
    body_seconds: float = 30.0

    def check(self) -> None:
        """Raises ValueError for impossible settings, and OSError for files that cannot be read."""
        for name in ("http_port", "grpc_port"):
            _check_range(name, getattr(self, name), 0, 65535)
        for name in ("max_body_bytes", "max_rows", "max_concurrent"):
            _check_range(name, getattr(self, name), 1, 2**31 - 1)
        for name in ("notice_seconds", "grace_seconds", "body_seconds"):
            _check_range(name, getattr(self, name), 0, 86400)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert, tls_key: expected both or neither, received one. Pass the other one too.")
        self.token()
        self.tls()
        if not self.insecure and self.token_file is None and self.tls_cert is None and not _is_loopback(self.host):
            raise ValueError(f"host: expected a loopback address, received {self.host!r}. {_REMEDY}")

    def token(self) -> str | None:
        """The bearer token; None if there is none."""
        if self.token_file is None:
            return None
        token = self.token_file.read_text(encoding="utf-8", errors="replace").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(
                f"token_file: expected one word of printable ASCII in {self.token_file}, received something else. "
                "Write one: openssl rand -hex 32."
            )
        return token

    def tls(self) -> tuple[bytes, bytes] | None:
        """The private key and its certificate, in PEM; None if there are none."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        key, cert = Path(self.tls_key).read_bytes(), Path(self.tls_cert).read_bytes()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key, password="")
        except ssl.SSLError as error:
            raise ValueError(
                f"tls_cert, tls_key: expected a PEM certificate and its unencrypted key, received {self.tls_cert} and "
                f"{self.tls_key}: {error.reason or error}. Pass the files of one certificate."
            ) from error
        return key, cert


def _check_range(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low} to {high}, received {value}. Pass a value in between.")


def _is_loopback(host: str) -> bool:
    """Whether every address of the name is this machine's own."""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE)}
    except socket.gaierror as error:
        raise ValueError(f"host: expected a name or address, received {host!r}: {error}. Pass 127.0.0.1.") from error
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)
