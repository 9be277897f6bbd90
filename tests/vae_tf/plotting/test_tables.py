"""Pictures of tables: the columns that they show, in their own units."""

import numpy as np
import pytest

from vae_tf import plotting

RNG = np.random.default_rng(0)
SCALES = 10.0 ** np.arange(-3, 3)
X = RNG.normal(size=(300, 6)) * SCALES + 5 * SCALES


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_visible()]


def test_predictions_state_the_variance_explained(tmp_path):
    figure = plotting.predictions(X, X + 0.5 * SCALES, list("abcdef"))
    figure.savefig(tmp_path / "predictions.png")
    explained = [1 - 0.25 / np.var(X[:, i] / SCALES[i]) for i in range(6)]
    assert titles(figure) == [f"{name}\n{share:.0%} explained" for name, share in zip("abcdef", explained, strict=True)]


def test_marginals_count_what_lies_beyond_the_bins(tmp_path):
    middle = np.repeat(np.median(X, axis=0)[None], 100, axis=0)
    draws = np.concatenate([middle, middle + 1000 * SCALES])
    figure = plotting.marginals(X, draws)
    figure.savefig(tmp_path / "marginals.png")
    assert titles(figure) == [f"column {i}\n50% of the samples beyond" for i in range(1, 7)]
    data, samples = (patch.get_data().values for patch in figure.axes[0].patches)
    assert data.sum() == pytest.approx(1, abs=0.02)
    assert samples.sum() == pytest.approx(0.5)


def test_bins_of_counts_hold_whole_numbers():
    counts = RNG.poisson([1.0, 200.0, 1e5], size=(500, 3))
    for ax in plotting.marginals(counts, counts[:50]).axes:
        edges = ax.patches[0].get_data().edges
        assert len(edges) <= 34
        np.testing.assert_array_equal(edges % 1, 0.5)
        assert len(set(np.diff(edges))) == 1


def test_column_scales_are_in_the_units_of_the_columns(tmp_path):
    figure = plotting.column_scales(0.5 * SCALES, SCALES, [f"column with the long name {i}" for i in range(6)])
    figure.savefig(tmp_path / "scales.png")
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    data, sigma = (line.get_xdata() for line in ax.get_lines())
    np.testing.assert_allclose(sigma, 0.5 * SCALES)
    np.testing.assert_allclose(data, SCALES)


def test_wide_tables_and_single_columns(tmp_path):
    wide = RNG.normal(size=(20, 60))
    assert len(titles(plotting.predictions(wide, wide))) == 16
    assert len(plotting.column_scales(np.ones(60), np.ones(60)).axes[0].get_yticks()) == 40
    for figure in (plotting.predictions(wide[:, :1], wide[:, :1]), plotting.marginals(wide[:, :1] * 0, wide[:, :1])):
        figure.savefig(tmp_path / "one.png")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plotting.predictions(X, X[:5]), "mean: expected 300 rows"),
        (lambda: plotting.predictions(X, X[:, :2]), "mean: expected 6 columns"),
        (lambda: plotting.marginals(X, X, ["a"]), "columns: expected 6 columns"),
        (lambda: plotting.marginals(X[0], X), r"x: expected rows \[n, d\]"),
        (lambda: plotting.marginals(X * np.nan, X), "x: expected .* received 1800 of 1800 values"),
        (lambda: plotting.column_scales(np.zeros(6), np.ones(6)), "scale: expected numbers above 0"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
