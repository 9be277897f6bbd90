"""Clients that keep a server waiting: they send a part of a request, or read a part of an answer."""

import contextlib
import json
import socket
import time

from serving import INFER, tensor


def link(address):
    """A new connection."""
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


@contextlib.contextmanager
def senders(server, count, length=1000):
    """Requests of which the head and one byte of the body have been sent."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(link(server.http)) for _ in range(count)]
        for sender in links:
            sender.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{{".encode())
        yield links


@contextlib.contextmanager
def readers(server, count, rows):
    """Requests for many rows, in binary, of whose answers twelve bytes have been read."""
    item = tensor(rows)
    body = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    host, port = server.http.split(":")
    with contextlib.ExitStack() as stack:
        links = []
        for _ in range(count):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(20)
            reader.connect((host, int(port)))
            reader.sendall(head + body)
            links.append(reader)
        assert [reader.recv(12) for reader in links] == [b"HTTP/1.1 200"] * count
        yield links


def rest(connection):
    """What still comes until the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(2**16):
            received += chunk
    return received


def gauge(server, name, headers=None):
    """A number that the server shows to Prometheus."""
    lines = server.request("GET", "/metrics", headers=headers or {})[2].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))


def wait_for(condition, seconds=15):
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)
