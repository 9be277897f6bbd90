"""Rows of mapped files: the right ones, and nothing read ahead where they are scattered."""

import mmap

import numpy as np
import pytest

from vae_tf.data._mapped import rows_of
from vae_tf.data.adapter import Table

X = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("index", [slice(3, 9), np.arange(4), np.array([7, 2, 17]), np.array([5]), 4])
def test_the_rows_are_those_of_the_array(mapped, index):
    for array in (X, mapped, mapped[2:], np.asarray(mapped)):
        np.testing.assert_array_equal(rows_of(array, index), np.asarray(array)[index])
    np.testing.assert_array_equal(Table(mapped)[index], X[index])


def test_scattered_rows_are_not_read_ahead(monkeypatch):
    class Map(mmap.mmap):
        advice: tuple[int, ...] = ()

        def madvise(self, option):
            self.advice += (option,)

    source = Map(-1, X.nbytes)
    array = np.ndarray(X.shape, np.float32, source)  # as numpy.memmap makes it
    rows_of(array[1:], np.array([7, 2]))
    rows_of(array, slice(0, 5))
    rows_of(array, np.arange(5))
    assert source.advice == (mmap.MADV_RANDOM, mmap.MADV_NORMAL, mmap.MADV_NORMAL)
