"""`vae-tf` as a whole: commands of other packages, bad input in one line, and help without anything heavy."""

import subprocess
import sys

import pytest

import vae_tf


def test_export_check_and_sample_are_there_too(run, finished, tmp_path):
    assert run("export", finished[0], tmp_path / "bundle")[0] == 0
    assert run("check", tmp_path / "bundle")[0] == 0
    assert run("sample", tmp_path / "bundle", "--out", tmp_path / "x.npy")[0] == 0


def test_without_vae_tf_onnx_the_pip_command_is_named(run, monkeypatch):
    monkeypatch.setattr("vae_tf.cli._plugins.entry_points", lambda **_: [])
    code, _, err = run("export", "model.keras")
    assert code == 2
    assert 'pip install "vae-tf-onnx[convert]"' in err
    assert err.count("\n") == 1


GOOD = ["equivalence", "--loss", "mse", "--reduction", "mean", "--dims", "784"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command"),
        (["nothing"], "No such command 'nothing'"),
        ([*GOOD, "--kl-weight", "0"], "kl_weight: expected a finite number above 0"),
        ([*GOOD, "--dims", "0"], "dims: expected a whole number of at least 1"),
        ([*GOOD, "--dims", "many"], "'many' is not a valid integer"),
        ([*GOOD, "--loss", "bce"], "a Bernoulli likelihood, which has no scale"),
        ([*GOOD, "--kl-reduction", "mean"], "latent_dim: expected the number of latents"),
        (["train"], "Missing option '--out'"),
        (["train", "--out", "{tmp}/x", "--data", "nowhere"], "nowhere"),
        (["train", "--out", "{tmp}/x", "--scale", "huge"], "scale: expected a positive number or one of"),
        (["train", "--out", "{tmp}/x", "--scale", "-1"], "scale: expected a finite number above 0"),
        (["train", "--out", "{tmp}/x", "--scale", "nan"], "scale: expected a finite number above 0"),
        (["train", "--out", "{tmp}/x", "--latent-dim", "0"], "latent_dim: expected a whole number"),
        (["train", "--out", "{tmp}/x", "--epochs", "0"], "epochs: expected a whole number"),
        (["train", "--out", "{tmp}/x", "--batch-size", "-3"], "batch_size: expected a whole number"),
        (["train", "--out", "{tmp}/x", "--seed", "-1"], "seed: expected a whole number"),
        (["train", "--out", "{tmp}/x", "--learning-rate", "0"], "learning_rate: expected a finite number above 0"),
        (["train", "--out", "{tmp}/x", "--likelihood", "cauchy"], "'cauchy' is not one of"),
        (["train", "--out", "{tmp}/x", "--resume"], "expected a run, with settings.json and model.keras"),
        (["train", "--out", "{tmp}/x", "--likelihood", "bernoulli", "--scale", "1"], "bernoulli, which has no scale"),
        (["train", "--out", "{tmp}/x", "--levels", "16"], "--levels: expected --quantised beside it"),
        (["train", "--out", "{tmp}/x", "--df", "3"], "--df: expected a likelihood of student_t, received gaussian"),
        (["train", "--out", "{tmp}/x", "--likelihood", "student_t", "--df", "1"], "df: expected a number above 1"),
        (["train", "--out", "{tmp}/x", "--components", "0"], "--components: expected a likelihood of mixture_of_log"),
        (
            ["train", "--out", "{tmp}/x", "--likelihood", "mixture_of_logistics", "--components", "0"],
            "components: expected a whole number of at least 1",
        ),
        (
            ["train", "--out", "{tmp}/x", "--likelihood", "categorical", "--levels", "16"],
            "Data for Categorical: expected 16 levels in [0, 1]",
        ),
        (["train", "--out", "{tmp}/x", "--resume", "--seed", "1"], "leave out --seed"),
        (["train", "--out", "{tmp}"], "expected a new or empty folder"),
        (["evaluate", "{tmp}"], "expected a run, with settings.json"),
        (["evaluate", "{tmp}/file"], "name the data with --data"),
        (["evaluate", "{tmp}/file", "--data", "digits"], "zip file named"),
        (["export", "{tmp}/file"], "zip file named"),
        (["check", "{tmp}"], "manifest.json: expected a file"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    (tmp_path / "file").write_text("no model")
    code, _, err = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 2
    assert err.startswith("vae-tf: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_hostile_files_are_refused(run, tmp_path):
    """The command line loads through vae_tf.load alone; test_saving has the attacks."""
    from tf_keras import Sequential, layers

    Sequential([layers.InputLayer((2,)), layers.Lambda(lambda x: x)]).save(tmp_path / "model.keras")
    for command in (["export", tmp_path / "model.keras"], ["evaluate", tmp_path / "model.keras", "--data", "digits"]):
        code, _, err = run(*command)
        assert code == 2
        assert "Lambda" in err


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"vae-tf, version {vae_tf.__version__}\n", "")


HEAVY = """
import sys
heavy = {"tensorflow", "tf_keras", "numpy", "scipy", "sklearn", "matplotlib"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
HELP = "import contextlib, vae_tf.cli\nwith contextlib.suppress(SystemExit): vae_tf.cli.main(['--help'])\n"


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP + HEAVY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("check", "demo", "equivalence", "evaluate", "export", "ppca", "sample", "train"):
        assert command in done.stdout


def test_that_test_can_fail():
    done = subprocess.run([sys.executable, "-c", "import numpy\n" + HELP + HEAVY], capture_output=True, check=False)
    assert done.returncode == 1
