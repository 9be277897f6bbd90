"""The running server's limits: whom it answers, and how much it takes."""

import datetime
import gzip
import http.client
import ipaddress
import json
import threading

import numpy as np
import pytest
from handmade import LATENT_DIM, write_bundle
from serving import INFER, Server, binary, lacks, tensor

kserve = lacks("kserve")
TOKEN = "0123456789abcdef"
CARRIED = {"Authorization": f"Bearer {TOKEN}"}
MAX_BODY, MAX_ROWS = 20_000, 8


def write_certificate(folder):
    """A self-signed certificate for 127.0.0.1 and its key; their files."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography, which kserve brings, is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return cert_file, key_file


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """With TLS, a token, a page and small limits."""
    folder = tmp_path_factory.mktemp("serve")
    cert, key = write_certificate(folder)
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("<title>Explorer</title>")
    (folder / "page" / "decoder.wasm").write_bytes(b"\0asm")
    arguments = ["--tls-cert", cert, "--tls-key", key, "--token-file", folder / "token", "--page", folder / "page"]
    arguments += ["--max-body-bytes", MAX_BODY, "--max-rows", MAX_ROWS, "--max-concurrent", 1]
    server = Server(write_bundle(folder / "bundle"), *arguments, ca=cert)
    server.folder = folder
    yield server
    assert server.stop()[0] == 0


@lacks("kserve", "tritonclient")
def test_tritonclient_with_token_and_tls(server):
    arguments = ["--expected", server.folder / "bundle" / "golden.npz", "--ca", server.folder / "cert.pem"]
    with_token = server.run("protocol_client.py", *arguments, "--token", server.folder / "token")
    without = server.run("protocol_client.py", *arguments)
    for way, refusal in {"http-json": "401", "http-binary": "401", "grpc": "UNAUTHENTICATED"}.items():
        assert with_token[way]["inference"] == "ok"
        assert with_token[way]["wrong width"] in ("400", "INVALID_ARGUMENT")
        assert {without[way][name] for name in ("metadata", "inference", "unknown model", "NaN")} == {refusal}


@kserve
@pytest.mark.parametrize("given", [None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN])
def test_a_wrong_token_is_401_but_for_health(server, given):
    headers = {} if given is None else {"Authorization": given}
    for method, path in (("POST", INFER), ("GET", "/metrics"), ("GET", "/"), ("GET", "/v2/models/decoder")):
        status, answer_headers, content = server.request(method, path, headers=headers)
        assert (status, answer_headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(content)["error"].startswith("authorization: expected Bearer and the server's token")
    assert server.request("GET", "/v2/health/live", headers=headers)[0] == 200
    assert server.request("GET", "/v2/health/ready", headers=headers)[0] == 200


@kserve
def test_the_page_is_shown_at_the_root(server):
    status, headers, content = server.request("GET", "/", headers=CARRIED)
    assert (status, headers["content-type"], content) == (200, "text/html; charset=utf-8", b"<title>Explorer</title>")
    assert server.request("GET", "/decoder.wasm", headers=CARRIED)[1]["content-type"] == "application/wasm"
    for path in ("/../token", "/%2e%2e/token", "/..%2ftoken"):
        assert server.request("GET", path, headers=CARRIED)[0] == 404


@kserve
def test_plain_http_is_not_answered_where_there_is_tls(server):
    connection = http.client.HTTPConnection(server.http, timeout=10)
    connection.request("GET", "/v2/health/live")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()


def refused(server, body, headers=None):
    status, answer = server.infer(body, CARRIED | (headers or {}))
    assert "expected at most" in answer["error"]
    return status


@kserve
def test_bodies_above_the_limit_are_413(server):
    body = json.dumps({"inputs": [tensor()]}).encode()
    fits, over = body + b" " * (MAX_BODY - len(body)), body + b" " * (MAX_BODY - len(body) + 1)
    assert server.infer(fits, CARRIED)[0] == 200
    assert refused(server, over) == 413
    squeezed = {"Content-Encoding": "gzip"}
    assert server.infer(gzip.compress(fits), CARRIED | squeezed)[0] == 200
    assert refused(server, gzip.compress(over), squeezed) == 413
    assert refused(server, gzip.compress(bytes(2**24)), squeezed) == 413
    assert refused(server, bytes(2**24)) == 413


@kserve
def test_a_body_that_hides_its_length_is_stopped_too(server):
    connection = server.connect()
    connection.request("POST", INFER, (bytes(1000) for _ in range(30)), CARRIED, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@kserve
def test_rows_above_the_limit_are_413(server):
    z = np.zeros((MAX_ROWS + 1, LATENT_DIM), np.float32)
    assert server.infer(*with_token(*binary(z[:-1])))[0] == 200
    status, answer = server.infer(*with_token(*binary(z)))
    assert (status, answer["error"][:41]) == (413, "z: expected at most 8 rows, received 9. S")


def with_token(body, headers):
    return body, headers | CARRIED


@kserve
def test_calls_without_token_end_before_their_message(server):
    """More than may run at one time, which send nothing: refused at once, and others are answered."""
    grpc = pytest.importorskip("grpc", reason="grpcio, which kserve brings, is not installed")
    trusted = grpc.ssl_channel_credentials((server.folder / "cert.pem").read_bytes())
    ended = threading.Event()

    def never():
        ended.wait(60)
        yield from ()

    with grpc.secure_channel(server.grpc, trusted) as channel:
        service = "/inference.GRPCInferenceService/"
        calls = [channel.stream_stream(f"{service}ModelInfer")(never(), timeout=20) for _ in range(60)]
        assert channel.unary_unary(f"{service}ServerReady")(b"", timeout=20) == b"\x08\x01"
        assert {call.code().name for call in calls} == {"UNAUTHENTICATED"}
        ended.set()
