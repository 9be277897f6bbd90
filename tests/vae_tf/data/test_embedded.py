"""The sets that need no download: their sizes and labels, patches that share no pixel, counts with a known truth."""

import hashlib

import numpy as np
import pytest
from scipy.stats import nbinom
from sklearn import datasets

from vae_tf import data

TABLES = {"wine": (178, 13, 3), "breast_cancer": (569, 30, 2), "counts": (2000, 200, 4)}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name):
    rows, columns, classes = TABLES[name]
    (x, y), (x_test, y_test) = data.load(name, labels=True)
    assert name in data.NAMES
    assert (len(x) + len(x_test), x.shape[1]) == (rows, columns)
    assert len(x_test) == rows // 10
    assert set(x.dtypes) == {np.dtype(np.float32)}
    assert y.dtype == y_test.dtype == np.int64
    assert set(y) == set(y_test) == set(range(classes))
    for part, same in zip(data.load(name), (x, x_test), strict=True):
        np.testing.assert_array_equal(part, same)


def test_wine_is_scikit_learns():
    (x, y), (x_test, y_test) = data.load("wine", labels=True)
    stored = datasets.load_wine(as_frame=True)
    assert list(x) == stored.feature_names
    rows = [*x.index, *x_test.index]
    assert sorted(rows) == list(range(178))
    np.testing.assert_array_equal([*x.to_numpy(), *x_test.to_numpy()], stored.data.astype(np.float32).to_numpy()[rows])
    np.testing.assert_array_equal([*y, *y_test], stored.target.to_numpy()[rows])


def test_patches_are_cut_from_the_photographs_and_share_no_pixel():
    (x, y), (x_test, y_test) = data.load("patches", labels=True)
    assert x.shape == (6422, 32, 32, 3)
    assert x_test.shape == (300, 32, 32, 3)
    assert x.dtype == np.float32
    for label, photograph in enumerate(datasets.load_sample_images().images):
        places = {}
        for top in range(0, 427 - 31, 8):
            for left in range(0, 640 - 31, 8):
                patch = photograph[top : top + 32, left : left + 32]
                places.setdefault(patch.tobytes(), []).append((top, left))
        covered = []
        for part, labels in ((x, y), (x_test, y_test)):
            mask = np.zeros(photograph.shape[:2], bool)
            for patch in np.rint(part[labels == label] * 255).astype(np.uint8):
                (place,) = places[patch.tobytes()]
                mask[place[0] : place[0] + 32, place[1] : place[1] + 32] = True
            covered.append(mask)
        assert not (covered[0] & covered[1]).any()
        assert covered[1].sum() == 6 * 64 * 64
        assert covered[0].mean() > 0.8


def test_simulated_counts_are_pinned():
    """A new numpy that changed its generator would change every number that was measured on them."""
    counts = data.simulate_counts().counts
    assert counts.shape == (2000, 200)
    assert hashlib.sha256(counts.astype("<i8").tobytes()).hexdigest()[:16] == "c314e1ac14c77ef7"
    assert (data.simulate_counts(30, 5, seed=1).counts != data.simulate_counts(30, 5, seed=2).counts).any()


def test_simulated_counts_follow_their_formula():
    """Means and variances over 40,000 cells, to five standard errors of their own (failure below 1e-3 in all)."""
    s = data.simulate_counts(40_000, 8, num_types=2, mean_library=400.0, seed=3)
    np.testing.assert_allclose(s.share.sum(axis=-1), 1)
    mean = s.mean()
    np.testing.assert_allclose(mean, s.library[:, None] * s.share[s.cell_type, s.batch])
    variance = mean + s.dispersion * mean**2
    pearson = (s.counts - mean) / np.sqrt(variance)
    assert np.abs(pearson.mean(axis=0)).max() < 5 / np.sqrt(40_000)
    squares = np.square(pearson)
    assert (np.abs(squares.mean(axis=0) - 1) < 5 * squares.std(axis=0) / np.sqrt(40_000)).all()
    depth = [s.library[s.batch == batch].mean() for batch in (0, 1)]
    np.testing.assert_allclose(depth, [400, 200], rtol=0.02)
    np.testing.assert_allclose(np.bincount(s.cell_type) / 40_000, 0.5, atol=0.02)
    level = np.log(s.share) - np.log(s.share[:, :, :1])
    effect = level[1, 0] - level[0, 0]
    expected = 2.0 * (s.marker[1].astype(int) - s.marker[0])
    np.testing.assert_allclose(effect, expected - expected[0], atol=1e-9)


def test_the_truth_scores_its_counts():
    s = data.simulate_counts(50, 6, seed=0)
    one = sum(
        nbinom.logpmf(s.counts[7, g], 1 / s.dispersion[g], 1 / (1 + s.dispersion[g] * s.mean()[7, g])) for g in range(6)
    )
    assert s.log_prob()[7] == pytest.approx(one)


@pytest.mark.parametrize("arguments", [{"num_cells": 0}, {"num_genes": 2.5}, {"num_types": 0}, {"mean_library": 0.0}])
def test_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        data.simulate_counts(**arguments)
