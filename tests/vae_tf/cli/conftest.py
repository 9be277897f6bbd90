"""What the tests of the commands share."""

import functools
import subprocess
import sys

import pytest


@pytest.fixture
def run(run_command):
    """`vae-tf` with these arguments; see run_command."""
    from vae_tf.cli import main

    return functools.partial(run_command, main)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a short run, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    command = ["train", "--out", str(folder), "--epochs", "3", "--latent-dim", "4"]
    done = subprocess.run([sys.executable, "-m", "vae_tf.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout
