"""Fixtures for the page's files: a bundle to explore, and a stand-in for onnxruntime-web."""

import pytest
import web_bundles


@pytest.fixture
def bundle(tmp_path):
    """See web_bundles.gaussian; the folder is new."""
    return web_bundles.gaussian(tmp_path / "bundle")


@pytest.fixture
def runtime(tmp_path):
    """A folder that stands for the npm package onnxruntime-web."""
    return web_bundles.write_runtime(tmp_path / "package")
