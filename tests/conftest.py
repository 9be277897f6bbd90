"""Fixtures of all tests. Only those that need TensorFlow import it, so that tests/vae_tf_onnx runs without it."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


@pytest.fixture(scope="session")
def digits():
    """Real images: [1500, 8, 8, 1] and [297, 8, 8, 1] in [0, 1]."""
    import vae_tf

    return vae_tf.data.load("digits")


@pytest.fixture
def make_vae():
    """See models.make_vae."""
    import models

    return models.make_vae


@pytest.fixture
def run_command(capsys):
    """Runs a command's `main` in this process; returns exit code, output, error output."""

    def run(main, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run
