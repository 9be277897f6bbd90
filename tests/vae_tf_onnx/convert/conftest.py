"""Trained models and their bundles, made once for all tests of the export, which leave them as they are."""

import functools

import pytest
from models import SHAPE, binary, make_likelihood, make_vae

import vae_tf
from vae_tf_onnx import export


@pytest.fixture(scope="session")
def trained(digits):
    """A function of a likelihood's name and a kind of network that returns a model after one epoch of digits."""

    @functools.cache
    def train(name="optimal", network="mlp"):
        vae = make_vae(make_likelihood(name), network=network)
        vae.fit(binary(digits[0][:64]), verbose=0)
        return vae

    return train


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """A function of the same arguments, which returns the folder of that model's bundle."""

    @functools.cache
    def export_once(name="optimal", network="mlp"):
        return export(trained(name, network), tmp_path_factory.mktemp("exported") / "bundle")

    return export_once


@pytest.fixture(scope="session")
def fitted(digits):
    """A Gaussian model after two epochs of digits."""
    vae = make_vae(vae_tf.likelihoods.Gaussian(SHAPE))
    vae.fit(digits[0], epochs=2, verbose=0)
    return vae


@pytest.fixture(scope="session")
def complete(fitted, digits, tmp_path_factory):
    """The bundle of the fitted model with all that may lie beside the graphs: scores, a variant, Triton's files."""
    folder = tmp_path_factory.mktemp("complete") / "bundle"
    extras = {"variants": ("fp16",), "gpu": True, "kserve": "s3://models/digits"}
    return export(fitted, folder, x=digits[1], data="digits", **extras)
