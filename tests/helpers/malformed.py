"""Malformed requests for a server of the Open Inference Protocol: raw bytes for a socket, sampled from a seed."""

import gzip
import json
import zlib

from serving import INFER, LENGTH, tensor

VALUES = (
    None, True, -1, 0, 2**31, 2**63, 10**40, 1e308, 1.5, "", "z", "\x00", "é" * 50, "\ud800", "1", "NaN", [], [[]], {},
    {"z": []}, [None], [1, "1"], ["FP32"], "x" * 5000,
)  # fmt: skip
LENGTHS = ("-1", "1e3", "0x10", "", " ", "NaN", "99999999999999999999", "1, 2", "+5", "٣", "5.0", "0", "7")
TYPES = (
    "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json",
    "application/cloudevents+json", "application/octet-stream", "image/png", "a/b/c", "\xff", "",
)  # fmt: skip
BOMB = gzip.compress(bytes(2**24), 6)
BOMBS = ((BOMB, "gzip"), (zlib.compress(bytes(2**24)), "deflate"), (gzip.compress(BOMB), "gzip"))


def http(body=b"", headers=(), *, method="POST", path=INFER, length=None):
    """The bytes of one request, after which the server is to close the connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    if length != "none":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def document(**changes):
    return {"id": "1", "inputs": [tensor()], "outputs": [{"name": "mean"}]} | changes


def encode(content):
    return json.dumps(content).encode()


def framed(rng, size=12, length=None):
    """A binary request whose binary_data_size is `size`."""
    item = {"name": "z", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = encode({"inputs": [item]})
    return http(head + rng.randbytes(12), [(LENGTH, len(head) if length is None else length)])


def lying_header(rng):
    return framed(rng, length=rng.choice((*LENGTHS, str(rng.randrange(10**6)))))


def lying_size(rng):
    return framed(rng, rng.choice((-4, 0, 8, 16, 10**12, "12", 12.5, True, [12], {}, None)))


def truncated(rng):
    """Fewer bytes than announced, and then the end."""
    whole = framed(rng)
    return whole[: rng.randrange(1, len(whole))]


def shape(rng):
    shapes = ([10**9, 3], [2**63, 3], [10**30], [-1, 3], [0, 3], [], [3], [1, 3, 1], [1] * 40, [1.5, 3], ["1", 3])
    chosen = rng.choice((*shapes, [[1, 3]], {"0": 1}, [1] * 20000, [2**32, 2**32]))
    return http(encode(document(inputs=[tensor(shape=chosen)])))


def compressed(rng):
    good = encode(document())
    bodies = (
        *BOMBS, (good, "gzip"),
        (gzip.compress(good)[:-9], "gzip"), (gzip.compress(good) + b"x", "gzip"), (b"", "gzip"), (good, "br"),
        (good, "gzip, gzip"), (gzip.compress(good), "deflate, x"), (rng.randbytes(200), "gzip"), (good, "\xff"),
        (gzip.compress(good) * 2, "gzip"), (b"\x1f\x8b\x08" + rng.randbytes(50), "gzip"),
    )  # fmt: skip
    body, encoding = rng.choice(bodies)
    return http(body, [("Content-Encoding", encoding)])


def deep(rng):
    depth = rng.choice((10, 65, 100, 900, 1100, 20000, 200000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ("[[],", "]")))
    nested = opening * depth + "1" + closing * rng.choice((depth, depth - 1, 0))
    head = '{"inputs":[{"name":"z","shape":[1,3],"datatype":"FP32","data":'
    return http((nested if rng.random() < 0.3 else f"{head}{nested}}}]}}").encode())


def empty(rng):
    """Lists of nothing, which take little as gzip, and much time and memory as objects."""
    unit = rng.choice((b"[],", b"[[]],", b"{},", b"[1],", b'"",', b"1,", b"[ ],"))
    head = b'{"inputs":[{"name":"z","shape":[1,3],"datatype":"FP32","data":['
    body = head + unit * rng.choice((3, 1000, 2**20, 5 * 2**20)) + b"[]]}]}"
    return http(gzip.compress(body, 1), [("Content-Encoding", "gzip")])


def noise(rng):
    body = rng.randbytes(rng.randrange(1, 2000))
    return rng.choice((body, http(body), http(body, [(LENGTH, rng.randrange(len(body)))])))


def content_type(rng):
    body = rng.choice((encode(document(inputs=[])), b"a=b", rng.randbytes(30), b"--x\r\n\r\n--x--", b""))
    events = [("ce-id", "1"), ("ce-source", "x"), ("ce-type", "y"), ("ce-specversion", "1.0")]
    return http(body, [("Content-Type", rng.choice(TYPES)), *rng.choice(([], events))])


def mutated(rng):
    """A good document with one value, anywhere, replaced or left out."""
    content = document(parameters={"binary_data_output": False})
    places = [(content, key) for key in content] + [(content["inputs"][0], key) for key in content["inputs"][0]]
    places += [(content["outputs"][0], "name"), (content["outputs"][0], "parameters"), (content["inputs"], 0)]
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and key != "id" and rng.random() < 0.2:
        holder.pop(key, None)
    else:
        holder[key] = rng.choice(VALUES)
    return http(encode(content))


def lengths(rng):
    """Content-Length and Transfer-Encoding that lie, contradict each other or make no sense."""
    body = encode(document(inputs=[tensor(width=4)]))
    chunked = [("Transfer-Encoding", "chunked")]
    return rng.choice(
        (
            http(body, length=len(body) + 50)[:-1],
            http(body, length=len(body) // 2),
            http(body, length=rng.choice(LENGTHS)),
            http(body, length=10**12),
            http(body, chunked),
            http(b"zz\r\n" + body, chunked, length="none"),
            http(b"5\r\nabc\r\n0\r\n\r\n", chunked, length="none"),
            http(b"ffffffffffffffff\r\n" + body, chunked, length="none"),
            http(body, [("Transfer-Encoding", "gzip, chunked")], length="none"),
            http(body, [("Content-Length", 3)]),
        )
    )


def path(rng):
    methods = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "X", "")
    paths = (
        "/v2/models/%00/infer", "/v2/models/../../etc/passwd/infer", "/%2e%2e/%2e%2e/etc/passwd", "//", "/v2//infer",
        f"/v2/models/{'a' * 5000}/infer", "/v2/models/decoder/versions/2/infer", "/v2/models/decoder/versions//infer",
        "/v2/models/\xff/infer", "/v2/models/%ff%fe/infer", "*", "http://y/v2/models/decoder/infer", "/?%zz=1", "x",
        "/v2/repository/models/decoder/load", "/v2/repository/models/x/unload", f"/{'%00' * 9}", "/v2/models/é\ud800",
        "/v2/models/decoder/infer/infer", "/v2/models/%0a/infer", "/v2/models/no/ready",
    )  # fmt: skip
    return http(encode(document(inputs=[])), method=rng.choice(methods), path=rng.choice(paths))


def many(rng):
    count = rng.choice((65, 1000, 50000))
    chosen = rng.choice(("inputs", "outputs", "parameters", "own", "numbers"))
    changes = {
        "inputs": {"inputs": [{"name": "z"}] * count},
        "outputs": {"outputs": [{"name": "mean"}] * count},
        "parameters": {"parameters": {str(i): i for i in range(count)}},
        "own": {"inputs": [tensor(parameters={str(i): "x" for i in range(count)})]},
        "numbers": {"inputs": [0] * count},
    }
    return http(encode(document(**changes[chosen])))


def head(rng):
    """Header lines that are too long, too many, or none."""
    return rng.choice(
        (
            http(b"x", [("X", "a" * 200_000)]),
            http(b"x", [(f"X{i}", "a" * 50) for i in range(3000)]),
            http(b"x", [("X y", "a")]),
            http(b"x", [("X", "a\x00b")]),
            b"POST " + INFER.encode() + b" HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300),
            http(b"", [("Upgrade", "websocket"), ("Connection", "Upgrade")], method="GET"),
            http(b"x" * 10, [("Expect", "100-continue")], length=10**9),
        )
    )


def large(rng):
    """A body above the limit, announced or not."""
    body = bytes(2**20 + rng.randrange(1, 2**20))
    if rng.random() < 0.5:
        return http(body)
    return http(
        f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n", [("Transfer-Encoding", "chunked")], length="none"
    )


def numbers(rng):
    """Numbers that are none, or do not fit, or are of another kind."""
    text = rng.choice(
        ("NaN", "-Infinity", "1e39", "1e999", "9" * 5000, '"1"', "null", "[1]", "{}", "0x1", "-", "1.", "01")
    )
    return http(f'{{"inputs":[{{"name":"z","shape":[1,3],"datatype":"FP32","data":[1,2,{text}]}}]}}'.encode())


def named(rng):
    wrong = rng.choice(
        (
            [tensor(name="y")], [tensor(), tensor()], [tensor(), tensor(name="y")], [tensor(width=4)], [],
            [tensor(datatype="FP64")], [tensor(datatype="BYTES", data=["a"] * 3)], [tensor(datatype="fp99")],
            [tensor(rows=400)], [tensor(data=[1, 2])], [tensor(data=[[1, 2], [3]])], [tensor(data=["abc", 1, 2])],
        )
    )  # fmt: skip
    return http(encode(document(inputs=wrong)))


KINDS = (
    compressed, content_type, deep, empty, framed, head, large, lengths, lying_header, lying_size, many, mutated, named,
    noise, numbers, path, shape, truncated,
)  # fmt: skip


def sample(rng):
    """(name of the kind, bytes) of one request."""
    kind = rng.choice(KINDS)
    return kind.__name__, kind(rng)


def field(number, content):
    """A length-delimited field of a protocol buffer."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(rng):
    """A ModelInferRequest for gRPC, as bytes, with something wrong."""
    sizes = rng.choice(([1, 3], [1, 4], [0, 3], [2**62, 3], [2**63], [3], [1] * 5000))
    item = (
        field(1, b"z")
        + field(2, rng.choice((b"FP32", b"FP64", b"BYTES", b"x", b"\xff")))
        + field(3, b"".join(map(varint, sizes)))
    )
    good = field(1, b"decoder") + field(5, item) + field(7, rng.randbytes(rng.choice((0, 8, 12, 13))))
    place = rng.randrange(len(good))
    return rng.choice(
        (
            good,
            good[:place],
            good[:place] + rng.randbytes(4) + good[place:],
            good + field(7, bytes(12)),
            good + field(5, item),
            field(1, b"decoder") + field(5, b"") * 20000,
            field(1, b"decoder") + field(6, field(1, b"mean")) * 4000,
            field(1, b"decoder") + field(4, field(1, b"k")) * 500 + field(7, bytes(12)),
            field(1, rng.choice((b"", b"nothing", b"\xff\xfe", b"a" * 5000))),
            field(3, b"\xed\xa0\x80") + good,
            rng.randbytes(rng.randrange(1, 300)),
        )
    )
