"""The report that gathers all measures of collapse."""

import importlib

import numpy as np
import pytest
from linear_model import DIMS, LATENTS, X, linear_vae
from models import make_vae as digits_vae

from vae_tf import collapse
from vae_tf.posteriors import InverseAutoregressiveFlow


def test_diagnose_gathers_all_of_it():
    vae = linear_vae(np.zeros((LATENTS, DIMS)), np.ones(LATENTS))
    report = collapse.diagnose(vae, X, gap_examples=3)
    assert report.kl.shape == (len(X), LATENTS)
    assert (report.collapsed.sum(), report.active.sum(), report.gap.gap.shape) == (3, 0, (3,))
    assert report.curve.tolist() == [1.0] * 50
    lines = str(report).splitlines()
    assert lines[:2] == ["Active units: 0 of 3", "Collapsed latents: 3 of 3"]
    assert lines[-1] == report.advice
    assert len(lines) == 7


def test_diagnose_without_a_kl_per_latent(digits):
    vae = digits_vae(posterior=InverseAutoregressiveFlow)
    report = collapse.diagnose(vae, digits[1][:50])
    assert report.kl is report.collapsed is report.curve is report.gap is None
    assert report.information.rate_standard_error > 0
    assert "Collapsed" not in str(report)
    gap = collapse.amortisation_gap(vae, digits[1][:4], steps=20)
    assert gap.gap.shape == (4,)
    assert gap.gap.mean() > 0


def test_data_that_do_not_fit_are_refused():
    vae = linear_vae()
    functions = (collapse.kl_per_latent, collapse.active_units, collapse.information, collapse.amortisation_gap)
    for function in (*functions, collapse.advice, collapse.diagnose):
        with pytest.raises(ValueError, match=r"Data: expected shape \[B, 6\]"):
            function(vae, X[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        collapse.kl_per_latent(vae, np.full((2, DIMS), np.nan))
    with pytest.raises(ValueError, match="chunk_size"):
        collapse.kl_per_latent(vae, X, chunk_size=0)


def test_the_chunk_size_of_diagnose_holds_for_the_gap_too(monkeypatch):
    seen = []
    report = importlib.import_module("vae_tf.collapse._report")
    gap = collapse.Gap(np.zeros(2), np.zeros(2))
    monkeypatch.setattr(report, "amortisation_gap", lambda vae, x, *, seed, chunk_size: seen.append(chunk_size) or gap)
    for size in (5, 1000):
        collapse.diagnose(linear_vae(), X[:40], gap_examples=2, chunk_size=size)
    assert seen == [5, 64]
