"""Fixtures. TensorFlow is imported by those that need it, so that tests/export runs without it."""

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
    """See helpers.make_vae."""
    import helpers

    return helpers.make_vae
