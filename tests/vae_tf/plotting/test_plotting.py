"""Pictures of data and models. The pictures of a run are tested in cli/test_commands.py."""

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


def test_public_names():
    assert all(callable(getattr(plotting, name)) for name in plotting.__all__)
