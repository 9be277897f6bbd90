"""The mark of tests that read MNIST: none of them downloads it."""

import os
from pathlib import Path

import pytest

needs_mnist = pytest.mark.skipif(
    not Path(os.environ.get("VAE_TF_DATA_DIR") or "-", "mnist.npz").is_file(),
    reason="needs MNIST: set VAE_TF_DATA_DIR to a folder with mnist.npz",
)
