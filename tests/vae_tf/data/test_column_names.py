"""Data frames keep the order of their columns from `fit` on: another order would give other numbers in silence."""

import numpy as np
import pandas as pd
import pytest
from tiny import X, tiny_vae

import vae_tf
from vae_tf import collapse, evaluation

NAMES = [f"column {i}" for i in range(X.shape[1])]
FRAME = pd.DataFrame(X, columns=NAMES)
REORDERED = FRAME[NAMES[::-1]]


@pytest.fixture(scope="module")
def fitted():
    vae = tiny_vae()
    vae.fit(FRAME, verbose=0)
    return vae


CALLS = {
    "fit": lambda vae, x: vae.fit(x, verbose=0),
    "validation": lambda vae, x: vae.fit(X, validation_data=x, verbose=0),
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
    "predict": lambda vae, x: vae.predict(x, verbose=0),
    "encode": lambda vae, x: vae.encode(x),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "terms": lambda vae, x: vae.terms(x),
    "elbo": lambda vae, x: evaluation.elbo(vae, x, 2),
    "collapse": lambda vae, x: collapse.active_units(vae, x),
    "train_on_batch": lambda vae, x: vae.train_on_batch(x),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_another_order_is_refused(fitted, call):
    with pytest.raises(ValueError, match="the same in another order: 'column 3' in place of 'column 0', at column 1"):
        call(fitted, REORDERED)


def test_the_same_order_and_arrays_pass(fitted):
    np.testing.assert_array_equal(fitted.encode(FRAME), fitted.encode(X))
    assert fitted.columns == tuple(NAMES)


def test_other_names_are_refused(fitted):
    with pytest.raises(ValueError, match=r"received others: 'x' in place of 'column 2'.*to_numpy"):
        fitted.encode(FRAME.rename(columns={"column 2": "x"}))


def test_a_target_in_another_order_is_refused():
    with pytest.raises(ValueError, match="Target: columns: expected those of the inputs"):
        tiny_vae().fit(FRAME, REORDERED, verbose=0)


def test_names_are_saved_with_the_model(fitted, tmp_path):
    fitted.save(tmp_path / "vae.keras")
    loaded = vae_tf.load(tmp_path / "vae.keras")
    assert loaded.columns == tuple(NAMES)
    with pytest.raises(ValueError, match="another order"):
        loaded.encode(REORDERED)


def test_a_linear_vae_keeps_them_too(tmp_path):
    vae = vae_tf.LinearVAE(2, X.shape[1])
    vae.compile("adam")
    vae.remember_columns(NAMES)
    vae.save(tmp_path / "vae.keras")
    with pytest.raises(ValueError, match="another order"):
        vae_tf.load(tmp_path / "vae.keras").encode(REORDERED)


def test_numbered_columns_are_no_names():
    vae = tiny_vae()
    vae.fit(pd.DataFrame(X), verbose=0)
    assert vae.columns is None
    assert "columns" not in vae.get_config()


def test_what_was_refused_leaves_no_names():
    vae = tiny_vae()
    with pytest.raises(ValueError, match="NaN"):
        vae.fit(FRAME.replace(FRAME.iloc[0, 0], np.nan), verbose=0)
    assert vae.columns is None
