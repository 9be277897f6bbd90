"""Marks of parameters, so that a few of them run in the default tests and all in the integration tests."""

import pytest


def integration_but(names, *kept):
    """The parameters `names`, all but those `kept` marked as integration tests."""
    return [name if name in kept else pytest.param(name, marks=pytest.mark.integration) for name in names]
