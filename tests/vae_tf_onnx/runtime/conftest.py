"""Bundles made by hand that differ from the plain one: of a fixed batch, and without a stated likelihood."""

import pytest
from bundle_changes import rewrite


@pytest.fixture
def fixed_batch(make_bundle):
    """A bundle whose decoder takes four rows and no other number."""

    def fix(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 4

    return rewrite(make_bundle(), fix, batch=4)


@pytest.fixture
def unstated(make_bundle):
    """The bundle of a Keras decoder: a mean, and no likelihood."""

    def only_the_mean(model):
        del model.graph.output[1:]

    unknown = {"family": None, "parameters": {}}
    return rewrite(make_bundle(), only_the_mean, likelihood=unknown, prior=unknown, posterior=unknown)
