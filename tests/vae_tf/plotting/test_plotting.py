"""Pictures of data and models. The pictures of a run are tested in cli/test_commands.py."""

import io

import numpy as np
import pytest

from vae_tf import collapse, plotting


def test_figures_of_the_latents(tmp_path):
    kl = np.random.default_rng(0).gamma(2.0, size=(50, 4)) * [1.0, 0.5, 0.001, 0.0]
    history = {"active_units": [4.0, 2.0], "collapsed_units": [0.0, 2.0], "kl_max": [1.0, 2.0], "kl_min": [0.1, 0.0]}
    figures = {
        "2.99 nats in all": plotting.kl_per_latent(kl * 2.99 / kl.mean(axis=0).sum()),
        "2 of 4 units are active": plotting.active_units(np.array([0.0, 1.0, 0.5, 0.001])),
        "collapsed": plotting.collapse_curve(collapse.EPS_GRID, np.linspace(0, 1, 50)),
        "The rate: 3 nats": plotting.information(2.0, 1.0, 0.1, log_n=4.0),
        "below log p(x)": plotting.gaps(np.array([0.1, 0.2]), np.array([0.5, 0.4])),
        "Latents in use": plotting.units_history(history),
    }
    for i, (title, figure) in enumerate(figures.items()):
        assert title in figure.axes[0].get_title()
        figure.savefig(tmp_path / f"{i}.png")
    assert len(plotting.units_history({"active_units": [1.0]}).axes) == 1
    plotting.active_units(np.zeros(3), threshold=0.0).savefig(tmp_path / "none.png")


# --- the spectrum ----------------------------------------------------------------------------------------

EIGENVALUES = np.array([0.0, 4.0, 1e-18, 2.0, 0.5, 0.25, 0.05])


def test_the_spectrum_against_one_sigma(tmp_path):
    figure = plotting.spectrum(EIGENVALUES, 1.0)
    figure.savefig(tmp_path / "spectrum.png")
    (ax,) = figure.axes
    assert ax.get_title() == "Latents that can survive: 2 at sigma² = 1"
    assert ax.get_yscale() == "log"
    all_of_them, above, level = ax.get_lines()
    assert all_of_them.get_ydata().tolist() == [4.0, 2.0, 0.5, 0.25, 0.05]
    assert above.get_ydata().tolist() == [4.0, 2.0]
    assert level.get_ydata()[0] == 1.0
    assert ax.get_xlabel() == "rank of 7 eigenvalues; 2 of them 0, not drawn"
    low, high = ax.get_ylim()
    assert 0 < low < 0.05
    assert high > 4


def test_the_spectrum_against_several_and_the_number_of_latents(tmp_path):
    figure = plotting.spectrum(EIGENVALUES, {"sigma = 1": 1.0, "MLE": 0.1, "far": 100.0}, latent_dim=3)
    figure.savefig(tmp_path / "spectrum.png")
    (ax,) = figure.axes
    assert ax.get_title() == "Latents that can survive: 2 at sigma = 1, 3 at MLE, 0 at far"
    labels = {text.get_text() for text in ax.get_legend().get_texts()}
    assert labels == {"sigma = 1", "MLE", "far", "3 latents"}
    assert ax.get_ylim()[1] > 100
    assert plotting.spectrum(np.ones(1), 2.0, latent_dim=5).axes[0].get_title().endswith(" 0 at sigma² = 2")


@pytest.mark.parametrize(
    ("eigenvalues", "sigma2", "message"),
    [
        (np.zeros(3), 1.0, "eigenvalues: expected finite numbers, at least one above 0, received 3 numbers"),
        ([], 1.0, "eigenvalues: expected finite numbers.*received none"),
        ([1.0, np.nan], 1.0, "eigenvalues: expected finite numbers"),
        ([1.0], 0.0, "sigma2: expected a finite number above 0"),
        ([1.0], {"sigma": -1.0}, "sigma2: expected a finite number above 0"),
    ],
)
def test_a_spectrum_that_cannot_be_drawn(eigenvalues, sigma2, message):
    with pytest.raises(ValueError, match=message):
        plotting.spectrum(eigenvalues, sigma2)


# --- images, and what are none -----------------------------------------------------------------------------

RNG = np.random.default_rng(0)
HISTORY = {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "rmse": [0.3, 0.2]}
IMAGES = {
    "grey": RNG.random((5, 4, 6, 1)),
    "without a channel": RNG.random((5, 4, 6)),
    "colour": RNG.random((5, 4, 6, 3)),
    "with opacity": RNG.random((5, 4, 6, 4)),
    "8-bit": RNG.integers(0, 256, (5, 4, 6, 1)).astype(np.uint8),
    "8-bit colour": RNG.integers(0, 256, (5, 4, 6, 3)).astype(np.uint8),
    "binary": RNG.integers(0, 2, (5, 4, 6, 1)).astype(np.uint8),
    "truth values": RNG.random((5, 4, 6)) > 0.5,
    "beyond [0, 1]": RNG.normal(size=(5, 4, 6, 1)),
    "one": RNG.random((1, 4, 6, 1)),
}


def save(figure):
    figure.savefig(io.BytesIO(), format="png")
    return figure


@pytest.mark.parametrize("name", IMAGES)
def test_pictures_of_images(name):
    x = IMAGES[name]
    figures = [plotting.reconstructions(x, x), plotting.samples(x, x), plotting.overview(HISTORY, x, x, x)]
    for figure in figures:
        save(figure)
    above, below = figures[0].axes
    shown = above.get_images()[0].get_array()
    np.testing.assert_array_equal(shown, below.get_images()[0].get_array())
    first = np.asarray(x[0], np.float64).reshape(*x.shape[1:3], -1)
    first = first / 255 if first.max() > 10 else np.clip(first, 0, 1)
    corner = np.asarray(shown)[:4, :6].reshape(first.shape)
    np.testing.assert_allclose(corner, first)
    assert np.asarray(shown).shape[:2] == (4, 7 * len(x) - 1)


def test_a_grid_has_the_columns_it_is_told():
    ax = plotting.reconstructions(IMAGES["grey"], IMAGES["grey"]).axes[0]
    plotting.image_grid(ax, IMAGES["grey"], columns=2)
    assert ax.get_images()[-1].get_array().shape == (3 * 5 - 1, 2 * 7 - 1)
    for columns in (0, -1, 1.5):
        with pytest.raises(ValueError, match="columns: expected a whole number"):
            plotting.image_grid(ax, IMAGES["grey"], columns=columns)


def test_8_bit_data_beside_their_reconstructions_in_the_unit_interval():
    x = IMAGES["8-bit"]
    figure = plotting.overview(HISTORY, x, x / 255, x / 255)
    pairs = np.asarray(figure.axes[2].get_images()[0].get_array())
    np.testing.assert_allclose(pairs[:4, :6], pairs[:4, 7:13])


def test_vectors_are_drawn_as_curves_each_with_its_reconstruction():
    x, mean = RNG.normal(size=(3, 12)), RNG.normal(size=(3, 12))
    (ax,) = save(plotting.reconstructions(x, mean)).axes
    curves = ax.get_lines()
    assert [curve.get_ydata().tolist() for curve in curves] == [*x.tolist(), *mean.tolist()]
    assert [curve.get_linestyle() for curve in curves] == ["-"] * 3 + ["--"] * 3
    assert [a.get_color() for a in curves[:3]] == [b.get_color() for b in curves[3:]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["test vectors x", "reconstructions E[x|z]"]
    assert ax.get_xlabel() == "dimension"


def test_many_and_long_vectors():
    x = RNG.normal(size=(200, 1000))
    (ax,) = save(plotting.reconstructions(x, x)).axes
    assert len(ax.get_lines()) == 16


def test_samples_and_overview_of_vectors():
    x = RNG.normal(size=(4, 3))
    assert [len(ax.get_lines()) for ax in save(plotting.samples(x, x)).axes] == [4, 4]
    figure = save(plotting.overview(HISTORY, x, x, x[:2]))
    assert [len(ax.get_lines()) for ax in figure.axes[2:]] == [8, 2]


NAN = np.full((2, 4, 6, 1), np.nan)
NO_IMAGES = {
    "two channels": (np.ones((2, 4, 6, 2)), r"1, 3 or 4 channels.*received shape \[2, 4, 6, 2\].*\[\.\.\., :1\]"),
    "five axes": (np.ones((2, 3, 4, 6, 1)), "1, 3 or 4 channels"),
    "one image": (np.ones(6), r"at least one, received shape \[6\]"),
    "none": (np.ones((0, 4, 6, 1)), r"at least one, received shape \[0, 4, 6, 1\]"),
    "without pixels": (np.ones((2, 0, 6, 1)), "at least one, received shape"),
    "NaN": (NAN, "finite.*received 48 of 48 values that are NaN or infinite"),
    "infinite": (np.where(np.arange(6) == 1, np.inf, np.ones((2, 4, 6))), "received 8 of 48 values"),
    "NaN in colour": (np.full((2, 4, 6, 3), np.nan), "received 144 of 144"),
    "NaN in vectors": (np.full((2, 6), np.nan), "received 12 of 12"),
    "text": (np.full((2, 4, 6), "a"), "received dtype <U1"),
    "complex": (np.ones((2, 4, 6), complex), "received dtype complex128"),
    "ragged": (np.array([np.ones(2), np.ones(3)], dtype=object), "received dtype object"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_picture_is_refused_by_all_of_them(name):
    x, message = NO_IMAGES[name]
    ax = plotting.curves(HISTORY).axes[0]
    for call in (
        lambda: plotting.reconstructions(x, x),
        lambda: plotting.samples(x, x),
        lambda: plotting.overview(HISTORY, x, x, x),
        lambda: plotting.image_grid(ax, x),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_vectors_are_no_grid_of_images():
    ax = plotting.curves(HISTORY).axes[0]
    with pytest.raises(ValueError, match=r"received shape \[3, 784\]\. Reshape.*reshape\(-1, 28, 28, 1\)"):
        plotting.image_grid(ax, np.ones((3, 784)))


@pytest.mark.parametrize(("n", "shape"), [(4, (4, 6, 1)), (5, (4, 5, 1)), (5, (24,)), (5, (4, 6, 3))])
def test_reconstructions_of_other_examples_are_refused(n, shape):
    x = IMAGES["grey"]
    with pytest.raises(ValueError, match=r"mean: expected shape \[(n|5), 4, 6, 1\], as x has, received shape"):
        plotting.reconstructions(x, np.ones((n, *shape)))
    with pytest.raises(ValueError, match="mean: expected shape"):
        plotting.overview(HISTORY, x, np.ones((n, *shape)), x)
    if shape != x.shape[1:]:
        with pytest.raises(ValueError, match="draws: expected shape"):
            plotting.samples(x, np.ones((n, *shape)))
        with pytest.raises(ValueError, match="draws: expected shape"):
            plotting.overview(HISTORY, x, x, np.ones((n, *shape)))


# --- numbers that cannot be drawn --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.kl_per_latent(np.ones(3)), r"kl: expected KL per latent \[n, D\].*received shape \[3\]"),
        (lambda: plotting.kl_per_latent(np.ones((0, 3))), "kl: expected"),
        (lambda: plotting.kl_per_latent(np.full((2, 3), np.nan)), "received 6 of 6 values that are NaN"),
        (lambda: plotting.active_units(np.ones((2, 3))), "variances: expected one variance for each latent"),
        (lambda: plotting.active_units([1.0, np.nan]), "received 1 of 2 values that are NaN"),
        (lambda: plotting.collapse_curve(np.ones(3), np.ones(2)), "share: expected 3 numbers, as eps has, received 2"),
        (lambda: plotting.gaps(np.ones(3), np.ones(2)), "approximation: expected 3 numbers"),
        (lambda: plotting.gaps(np.array([-np.inf]), np.ones(1)), "amortisation: expected .* finite"),
        (lambda: plotting.curves({}), "history: expected one of loss, val_loss, received nothing"),
        (lambda: plotting.curves({"accuracy": [1.0]}), "history: expected one of loss, val_loss, received accuracy"),
        (lambda: plotting.units_history(HISTORY), "history: expected one of active_units, collapsed_units"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lists_are_drawn_too():
    save(plotting.kl_per_latent([[1.0, 0.1], [0.5, 0.2]]))
    save(plotting.active_units([1.0, 0.1]))
    save(plotting.gaps([0.1, 0.2], [0.3, 0.4]))
    save(plotting.collapse_curve([0.1, 1.0], [0.0, 1.0]))


def test_public_names():
    assert all(callable(getattr(plotting, name)) for name in plotting.__all__)
