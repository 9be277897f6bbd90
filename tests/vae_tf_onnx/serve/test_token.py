"""The bearer token in an Authorization header."""

import pytest

from vae_tf_onnx.serve._token import carries

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_headers_that_carry_the_token(header):
    assert carries(header, TOKEN)


@pytest.mark.parametrize(
    "header", ["", "Bearer", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"]
)
def test_headers_that_do_not(header):
    assert not carries(header, TOKEN)
