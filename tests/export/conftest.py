"""Fixtures around the bundle made by hand."""

import json

import handmade
import pytest


@pytest.fixture
def make_bundle(tmp_path):
    """See handmade.write_bundle; the folder is new."""
    return lambda family="Gaussian": handmade.write_bundle(tmp_path / "bundle", family)


@pytest.fixture
def edit_manifest():
    """Changes a bundle's manifest by a function of its content."""

    def edit(folder, change):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit
