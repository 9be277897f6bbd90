"""ServerSettings: where a server may listen, and with which token."""

import pytest

from vae_tf_onnx.serve import ServerSettings


@pytest.mark.parametrize(
    "settings",
    [
        ServerSettings(host="127.0.0.1"),
        ServerSettings(host="localhost"),
        ServerSettings(host="::1"),
        ServerSettings(host="0.0.0.0", insecure=True),
    ],
)
def test_where_it_may_listen(settings):
    settings.check()


def test_the_old_name_of_the_class_is_still_there():
    from vae_tf_onnx import serve

    with pytest.warns(DeprecationWarning, match="expected its new name, ServerSettings, received the old one"):
        assert serve.Settings is ServerSettings
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = serve.nothing


def test_a_token_is_enough_beyond_loopback(tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef\n")
    settings = ServerSettings(host="0.0.0.0", token_file=tmp_path / "token")
    settings.check()
    assert settings.token() == "0123456789abcdef"
