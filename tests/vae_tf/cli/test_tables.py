"""`vae-tf` on tables: from a CSV file in mixed units, or counts, to a run, its pictures and its scores."""

import numpy as np
import pandas as pd
import pytest

import vae_tf

UNITS = 10.0 ** np.arange(-3, 7)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A CSV file with columns in units from 1e-3 to 1e6, which three hidden numbers explain, and one of text."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 10)) + 0.5 * rng.normal(size=(300, 10)) + 3) * UNITS
    frame = pd.DataFrame(x, columns=[f"u{i}" for i in range(10)]).assign(name="Anna")
    path = tmp_path_factory.mktemp("table") / "people.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def without_export(monkeypatch):
    monkeypatch.setattr("vae_tf.cli._plugins.entry_points", lambda **_: [])


@pytest.mark.integration
def test_a_table_in_mixed_units(run, people, tmp_path, without_export):
    folder = tmp_path / "run"
    code, out, err = run("train", "--data", people, "--drop", "name", "--epochs", 6, "--latent-dim", 3, "--out", folder)
    assert code == 0, err
    assert "standard deviations of the data in the median column" in out
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {"curves.png", "predictions.png", "marginals.png", "sigma_by_column.png"}
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == 4
    vae = vae_tf.load(folder / "model.keras")
    assert vae.columns == tuple(f"u{i}" for i in range(10))
    train, test = vae_tf.data.load(people, drop=["name"])
    share = np.asarray(vae.likelihood.scale) / train.to_numpy().std(axis=0)
    assert (share > 0.2).all()
    assert (share < 1).all()
    explained = 1 - np.square(test - vae.reconstruct(test)).mean() / test.var()
    assert (explained > 0.3).all(), "in every unit"

    code, out, err = run("evaluate", folder)
    assert code == 0, err
    logs = vae.evaluate(test, batch_size=256, verbose=0, return_dict=True)
    assert out.split()[2] == f"{logs['loss']:.4f}"
    reordered = pd.read_csv(people)[[f"u{i}" for i in range(10)][::-1]]
    reordered.to_csv(tmp_path / "other.csv", index=False)
    code, _, err = run("evaluate", folder / "model.keras", "--data", tmp_path / "other.csv")
    assert code == 2
    assert "the same in another order: 'u9' in place of 'u0'" in err


@pytest.mark.integration
def test_a_run_on_counts(run, tmp_path, without_export):
    small = vae_tf.data.simulate_counts(60, 5, seed=0)
    pd.DataFrame(small.counts, columns=list("abcde")).to_csv(tmp_path / "counts.csv", index=False)
    arguments = ["--data", tmp_path / "counts.csv", "--likelihood", "poisson"]
    code, _, err = run("train", *arguments, "--epochs", 1, "--out", tmp_path / "run")
    assert code == 0, err
    assert not (tmp_path / "run" / "sigma_by_column.png").exists()
    assert vae_tf.load(tmp_path / "run" / "model.keras").event_shape == (5,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], r"'name' (text, 'Anna' in row 1). Drop"),
        (["--drop", "names"], "drop: expected one of its columns, 'u0'"),
        (["--drop", "name", "--network", "conv"], "(H, W, C)"),
        (["--drop", "name", "--likelihood", "bernoulli"], "values in [0, 1]"),
        (["--drop", "name", "--likelihood", "poisson"], "numbers of at least 0"),
        (["--drop", "name", "--likelihood", "discretized_logistic"], "Grey levels: expected at most 256 in [0, 1]"),
        (["--drop", "name", "--likelihood", "poisson", "--levels", "4"], "levels: expected none for a table"),
        (["--drop", "name", "--size", "8"], "size (--size): expected a folder of image files, received a table"),
        (["--drop", "name", "--stream"], "in_memory (--stream)"),
    ],
)
def test_what_a_table_cannot_do(run, people, tmp_path, options, message):
    code, _, err = run("train", "--data", people, *options, "--out", tmp_path / "run")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_columns_of_images_cannot_be_dropped(run, tmp_path):
    code, _, err = run("train", "--drop", "a", "--out", tmp_path / "run")
    assert code == 2
    assert "drop (--drop): expected a table with columns, received digits" in err


def test_ppca_of_a_table(run, tmp_path):
    code, out, err = run("ppca", "--data", "wine", "--latent-dim", 2, "--output", tmp_path / "spectrum.png")
    assert code == 0, err
    assert "161 training and 17 test rows of 13 dimensions" in out
    assert "nats per row" in out


@pytest.mark.integration
def test_a_table_is_exported_and_resumes(run, people, tmp_path):
    common = ["--data", people, "--drop", "name", "--latent-dim", 2]
    code, out, err = run("train", *common, "--epochs", 2, "--out", tmp_path / "whole")
    assert code == 0, err
    assert "Exported: " in out
    with np.load(tmp_path / "whole" / "samples.npz") as samples:
        assert samples["x"].shape == (1000, 10)
    code, out, err = run("sample", tmp_path / "whole" / "bundle", "--seed", 0, "--out", tmp_path / "samples.csv")
    assert code == 0, err
    assert "64 rows" in out
    drawn = pd.concat(vae_tf.data.load(tmp_path / "samples.csv")).sort_index()
    assert list(drawn) == [f"u{i}" for i in range(10)]
    np.testing.assert_allclose(drawn, vae_tf.load(tmp_path / "whole" / "model.keras").sample(64, seed=0), rtol=1e-3)
    assert run("train", *common, "--epochs", 1, "--out", tmp_path / "parts")[0] == 0
    code, _, err = run("train", "--out", tmp_path / "parts", "--resume", "--epochs", 2)
    assert code == 0, err
    whole, parts = (vae_tf.load(tmp_path / name / "model.keras") for name in ("whole", "parts"))
    for one, other in zip(whole.variables, parts.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    code, out, err = run("evaluate", tmp_path / "whole", "--num-samples", 4)
    assert code == 0, err
    assert "test data" in out
    assert "No bits per dimension" in out
    code, _, err = run("export", tmp_path / "whole", tmp_path / "all", "--graph", "all")
    assert code == 0, err
