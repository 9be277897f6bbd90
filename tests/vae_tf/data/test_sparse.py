"""Sparse matrices and AnnData through the one door for data: the numbers of an array, and nothing made dense."""

import tracemalloc

import h5py
import numpy as np
import pytest
from scipy import sparse
from tiny import Again, tiny_vae

from vae_tf import likelihoods
from vae_tf.data.tables import Table

COUNTS = np.random.default_rng(0).poisson(0.7, size=(90, 4)).astype(np.float32)
DATASETS = ("backed csr", "backed dense")


@pytest.fixture(scope="module")
def anew():
    """A function that returns the same VAE of counts in its first state."""
    return Again(lambda: tiny_vae(likelihoods.NegativeBinomial((4,), library_size=True)))


@pytest.fixture(scope="module")
def expected(anew):
    return results(anew(), COUNTS)


def results(vae, data):
    logs = vae.fit(data, batch_size=16, validation_split=0.2, epochs=2, verbose=0).history
    return np.concatenate([*logs.values(), vae.encode(data).ravel(), vae.evaluate(data, verbose=0)])


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The counts in the places where AnnData has them, by name."""
    anndata = pytest.importorskip("anndata", reason="anndata is not installed: pip install anndata")
    cells = anndata.AnnData(sparse.csr_matrix(np.log1p(COUNTS)), layers={"counts": sparse.csr_matrix(COUNTS)})
    folder = tmp_path_factory.mktemp("cells")
    for name, matrix in (("csr", sparse.csr_matrix(COUNTS)), ("csc", sparse.csc_matrix(COUNTS)), ("dense", COUNTS)):
        anndata.AnnData(matrix).write_h5ad(folder / f"{name}.h5ad")
    backed = {
        f"backed {name}": anndata.read_h5ad(folder / f"{name}.h5ad", backed="r") for name in ("csr", "csc", "dense")
    }
    return {
        "whole": cells,
        "layer": cells.layers["counts"],
        "X": anndata.AnnData(COUNTS).X,
        "view": anndata.AnnData(sparse.csr_matrix(np.repeat(COUNTS, 2, axis=0)))[::2].X,
        "csc": anndata.AnnData(sparse.csc_matrix(COUNTS)).X,
        **{name: data.X for name, data in backed.items()},
    }


@pytest.mark.parametrize("place", ["layer", "X", "view", "csc", *DATASETS])
def test_every_place_of_anndata_gives_the_numbers_of_an_array(place, cells, anew, expected):
    np.testing.assert_allclose(results(anew(), cells[place]), expected, rtol=1e-6, atol=1e-6)


def test_a_whole_anndata_is_refused_with_the_places_to_choose_from(cells, anew):
    with pytest.raises(TypeError, match=r"received an AnnData\. Pass the matrix that is meant: adata\.X, or"):
        anew().fit(cells["whole"], verbose=0)


def test_columns_on_disk_are_refused(cells, anew):
    with pytest.raises(ValueError, match=r"stored in rows \(csr\).* received one on disk in the format csc"):
        anew().fit(cells["backed csc"], verbose=0)


@pytest.mark.parametrize("place", DATASETS)
def test_rows_on_disk_are_read_when_they_are_asked_for(place, cells):
    table = Table(cells[place])
    for index in (slice(3, 9), slice(None, None, 7), slice(80, None), slice(5, 5), np.array([7, 3, 3, 80]), [-1, 0]):
        np.testing.assert_array_equal(table[index], COUNTS[index])
        np.testing.assert_array_equal(table.part(slice(2, 89))[index][:2], COUNTS[2:89][index][:2])
    np.testing.assert_array_equal(np.concatenate(list(table.blocks())), COUNTS)


def test_a_dataset_of_hdf5_trains(tmp_path, anew, expected):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = COUNTS.astype(np.int32)
        np.testing.assert_allclose(results(anew(), file["x"]), expected, rtol=1e-6, atol=1e-6)


FAULTS = {"a fraction": 0.5, "a negative": -1.0, "NaN": np.nan}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
def test_what_is_no_count_is_refused(fault, form, anew):
    x = COUNTS.copy()
    x[70, 2] = FAULTS[fault]
    with pytest.raises(ValueError, match=r"Data for NegativeBinomial: expected (finite numbers|whole numbers)"):
        anew().fit(form(x), verbose=0)


def test_what_is_not_stored_is_zero_for_the_checks():
    """Where no number is stored there is a 0, which an image in [0, 1] may hold and a full matrix need not."""
    full = sparse.csr_matrix(np.full((5, 3), 2.0))
    assert np.unique(np.concatenate(list(Table(full).value_blocks()))).tolist() == [2.0]
    for matrix, values in ((sparse.csr_matrix((5, 3)), [0.0]), (sparse.csr_matrix(np.eye(5, 3) * 2), [0.0, 2.0])):
        blocks = list(Table(matrix).value_blocks())
        assert np.unique(np.concatenate(blocks)).tolist() == values
        assert all(block.shape[1:] == (3,) for block in blocks)


def test_a_place_that_is_stored_twice_holds_the_sum(anew, expected):
    """Halves that add up to counts are counts; the caller's matrix stays as it is."""
    once = sparse.csr_matrix(COUNTS)
    twice = sparse.csr_matrix(
        (np.repeat(once.data / 2, 2), np.repeat(once.indices, 2), 2 * once.indptr), shape=once.shape
    )
    np.testing.assert_allclose(results(anew(), twice), expected, rtol=1e-6, atol=1e-6)
    assert twice.nnz == 2 * once.nnz


def test_the_check_makes_nothing_dense():
    """Of a matrix whose dense form has 160 MB, the check and a batch take a small part of that."""
    columns = np.tile(np.arange(0, 2000, 100, dtype=np.int32), 20_000)
    matrix = sparse.csr_matrix((np.ones(400_000, np.float32), columns, np.arange(0, 400_001, 20)), (20_000, 2000))
    likelihood = likelihoods.Poisson((2000,))
    tracemalloc.start()
    table = Table(matrix)
    for block in table.value_blocks():
        likelihood.check_data(block)
    batch = table[np.arange(0, 20_000, 200)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch.shape == (100, 2000)
    assert peak < 10e6
