"""The check of a bundle against its golden set, and golden sets that must not be trusted."""

import pickle

import numpy as np
import pytest
from bundle_changes import replace
from handmade import golden

from vae_tf_onnx import BundleError, ParityError, verify
from vae_tf_onnx.bundle import GOLDEN, sha256
from vae_tf_onnx.verification import relative_error


def test_verify(make_bundle):
    errors = verify(make_bundle())
    assert set(errors) == {"decoder/mean", "decoder/scale", "encoder/loc", "encoder/scale", "log_prob"}
    assert max(errors.values()) < 1e-5


def test_verify_fails_on_other_values(make_bundle, edit_manifest):
    """The golden set says 1e-4 more than the graph gives, under a valid checksum."""
    from vae_tf_onnx.bundle import GOLDEN

    folder = make_bundle()
    values = golden("Gaussian")
    values["encoder/loc"] = values["encoder/loc"] * (1 + 1e-4)
    np.savez(folder / GOLDEN, **values)
    checksum = sha256((folder / GOLDEN).read_bytes())
    edit_manifest(folder, lambda manifest: manifest["files"].update({GOLDEN: checksum}))
    with pytest.raises(
        ParityError, match="Parity of encoder/loc: expected a relative error of at most 1e-05"
    ) as caught:
        verify(folder)
    assert caught.value.tensor == "encoder/loc"
    assert caught.value.error == pytest.approx(1e-4, rel=0.1)
    assert caught.value.tolerance == 1e-5


def test_relative_error():
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_error(np.array([1.0]), np.array([1.0, 4.0])) == np.inf
    assert relative_error(np.array([np.nan]), np.array([1.0])) == np.inf
    assert relative_error(np.zeros(2), np.zeros(2)) == 0.0


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_the_golden_set_is_not_run(make_bundle, tmp_path):
    folder, marker = make_bundle(), tmp_path / "marker"
    path = tmp_path / "hostile.npz"
    np.savez(path, z=np.array([Payload(marker)], dtype=object))
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)
    assert not marker.exists()


def test_that_test_can_fail(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(marker))).close()
    assert marker.exists()


def test_a_golden_set_without_what_it_must_hold(make_bundle, tmp_path):
    folder = make_bundle()
    path = tmp_path / "empty.npz"
    np.savez(path, z=np.zeros((1, 3), np.float32))
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match=r"golden.npz: expected numeric arrays .*log_prob"):
        verify(folder)


@pytest.mark.parametrize("values", [{"z": np.array(["a"])}, {"z": np.zeros((0, 3))}, {"x": np.zeros((5, 3))}])
def test_golden_values_that_cannot_be(make_bundle, tmp_path, values):
    folder = make_bundle()
    path = tmp_path / "other.npz"
    np.savez(path, **golden("Gaussian") | values)
    replace(folder, GOLDEN, path.read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)


def test_a_golden_set_that_is_a_single_array(make_bundle, tmp_path):
    folder = make_bundle()
    np.save(tmp_path / "x.npy", np.zeros(3))
    replace(folder, GOLDEN, (tmp_path / "x.npy").read_bytes())
    with pytest.raises(BundleError, match="expected numeric arrays"):
        verify(folder)
