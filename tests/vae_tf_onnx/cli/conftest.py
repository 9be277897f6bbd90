"""The command line `vae-tf-onnx`, as a fixture."""

import functools

import pytest

from vae_tf_onnx.cli import main


@pytest.fixture
def run(run_command):
    """`vae-tf-onnx` with these arguments; see run_command."""
    return functools.partial(run_command, main)
