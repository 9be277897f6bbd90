"""The commands of `vae-tf`, from a recipe to a run folder."""

import csv
import functools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vae_tf
from vae_tf.cli import main
from vae_tf.runs import run as runs


@pytest.fixture
def run(run_command):
    """`vae-tf` with these arguments; see run_command."""
    return functools.partial(run_command, main)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    command = ["train", "--out", str(folder), "--epochs", "3", "--latent-dim", "4"]
    done = subprocess.run([sys.executable, "-m", "vae_tf.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def rows(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_folder_is_complete(finished):
    folder, out = finished
    for word in ("sigma = ", "1/(2 sigma^2) = ", "Exported: ", "Checked: ", "Sampled: "):
        assert word in out
    history = rows(folder)
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    for row in history:
        assert float(row["loss"]) == pytest.approx(float(row["distortion"]) + float(row["rate"]), rel=1e-5)
        assert float(row["mse_scale"]) == pytest.approx(0.5 / float(row["sigma"]) ** 2)
    for name in ("overview", "curves", "reconstructions", "samples"):
        image = np.asarray(Image.open(folder / f"{name}.png").convert("L"))
        assert image.shape[1] > 500
        assert image.std() > 10, "not blank"
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page, "it opens from disk, alone"
    assert vae_tf.load(folder / "model.keras").latent_dim == 4
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_samples_are_those_of_the_bundle(finished):
    from vae_tf_onnx import Decoder

    with np.load(finished[0] / "samples.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], Decoder(finished[0] / "bundle").sample(64, seed=0))


def test_evaluate(run, finished):
    code, out, _ = run("evaluate", finished[0])
    assert code == 0
    vae = vae_tf.load(finished[0] / "model.keras")
    logs = vae.evaluate(vae_tf.data.load("digits")[1], batch_size=256, verbose=0, return_dict=True)
    assert f"{logs['loss']:.4f} nats per example" in out
    assert f"{0.5 / float(vae.likelihood.scale) ** 2:.4g} x summed mse" in out
    assert run("evaluate", finished[0] / "model.keras", "--data", "digits")[1] == out


def test_export_check_and_sample_are_there_too(run, finished, tmp_path):
    assert run("export", finished[0], tmp_path / "bundle")[0] == 0
    assert run("check", tmp_path / "bundle")[0] == 0
    assert run("sample", tmp_path / "bundle", "--out", tmp_path / "x.npy")[0] == 0


def test_without_vae_tf_onnx_the_pip_command_is_named(run, monkeypatch):
    monkeypatch.setattr("vae_tf.cli.entry_points", lambda **_: [])
    code, _, err = run("export", "model.keras")
    assert code == 2
    assert 'pip install "vae-tf-onnx[convert]"' in err
    assert err.count("\n") == 1


def test_training_without_vae_tf_onnx_says_what_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setattr("vae_tf.cli.entry_points", lambda **_: [])
    code, _, err = run("train", "--out", tmp_path / "run", "--epochs", 1)
    assert code == 0
    assert "Not exported to ONNX" in err
    assert (tmp_path / "run" / "samples.png").is_file()
    assert not (tmp_path / "run" / "bundle").exists()


def test_equivalence(run):
    code, out, _ = run("equivalence", "--loss", "mse", "--reduction", "mean", "--kl-weight", 1, "--dims", 784)
    assert code == 0
    assert "sigma = 19.8" in out
    assert "66 to 198 times" in out
    assert "from 2.55e-05 (sigma = 0.1) to 0.00023 (sigma = 0.3)" in out
    assert 'scale="optimal"' in out


def test_equivalence_of_mae(run):
    _, out, _ = run("equivalence", "--loss", "mae", "--reduction", "sum", "--dims", 784)
    assert "b = 1 " in out
    assert "standard deviation = sqrt(2) b = 1.41" in out


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


def test_bad_data_leave_nothing(run, tmp_path):
    np.save(tmp_path / "x.npy", np.full((20, 8, 8), np.nan, np.float32))
    code, _, err = run("train", "--out", tmp_path / "run", "--data", tmp_path / "x.npy")
    assert code == 2
    assert "NaN" in err
    assert not (tmp_path / "run").exists()


def test_hostile_files_are_refused(run, tmp_path):
    """The command line loads through vae_tf.load alone; test_saving has the attacks."""
    from tf_keras import Sequential, layers

    Sequential([layers.InputLayer((2,)), layers.Lambda(lambda x: x)]).save(tmp_path / "model.keras")
    for command in (["export", tmp_path / "model.keras"], ["evaluate", tmp_path / "model.keras", "--data", "digits"]):
        code, _, err = run(*command)
        assert code == 2
        assert "Lambda" in err


def test_binary_images_and_a_bernoulli(run, tmp_path, digits):
    np.savez(tmp_path / "x.npz", x_train=digits[0][:100] > 0.5, x_test=digits[1][:20] > 0.5)
    arguments = ["--data", tmp_path / "x.npz", "--likelihood", "bernoulli", "--network", "conv", "--epochs", 1]
    code, out, err = run("train", "--out", tmp_path / "run", *arguments)
    assert code == 0, err
    assert "test -ELBO" in out


# --- interrupted runs --------------------------------------------------------------------------------------


def interrupt(folder, how, *options):
    """Starts, or goes on with, a long run in a process of its own and sends it a signal after two epochs."""
    command = [sys.executable, "-m", "vae_tf.cli", "train", "--out", str(folder), "--epochs", "500", *options]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    hear = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background job is deaf to it
    history = folder / "history.csv"
    target = 2 + (len(rows(folder)) if history.is_file() else 0)
    with subprocess.Popen(command, **streams, preexec_fn=hear) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if history.is_file() and len(rows(folder)) >= target:
                break
            time.sleep(0.05)
        process.send_signal(how)
        _, err = process.communicate(timeout=300)
        return process.returncode, err


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(run, tmp_path):
    """One run, interrupted three times, ends in the model of a run that was not."""
    folder = tmp_path / "run"
    for how, options in {signal.SIGINT: ["--latent-dim", "4"], signal.SIGTERM: ["--resume"]}.items():
        code, err = interrupt(folder, how, *options)
        assert code == 130
        assert f"vae-tf train --out {folder} --resume" in err
        assert "Traceback" not in err
    assert interrupt(folder, signal.SIGKILL, "--resume")[0] == -signal.SIGKILL
    done = int(vae_tf.load(folder / "model.keras").optimizer.iterations) // 47
    assert done >= 3
    assert run("train", "--out", folder, "--resume", "--epochs", done + 2)[0] == 0
    assert len(rows(folder)) == done + 2
    straight = runs.Run(tmp_path / "straight", runs.Settings(latent_dim=4, epochs=done + 2))
    assert straight.train(lambda _: None, verbose=0)
    resumed = vae_tf.load(folder / "model.keras")
    for one, other in zip(straight.vae.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows(folder) == rows(tmp_path / "straight")


def test_a_torn_history_is_cut_to_the_model(tmp_path):
    """Killed between history and model, the history is one epoch ahead."""
    settings = runs.Settings(latent_dim=2, epochs=1)
    runs.Run(tmp_path / "run", settings).train(lambda _: None, verbose=0)
    path = tmp_path / "run" / "history.csv"
    header, row = path.read_text().splitlines()
    path.write_text("\n".join([header, row, "2" + row[1:]]) + "\n")
    assert len(runs.Run(tmp_path / "run").history) == 1


def test_settings_with_something_else_in_them(tmp_path):
    for text in ("[]", "{", json.dumps({"shell": "rm"}), json.dumps({"epochs": "many"})):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"expected a run, with settings.json"):
            runs.stored_settings(tmp_path)


# --- help ---------------------------------------------------------------------------------------------------


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


def test_the_demo_does_not_write_over_another(tmp_path):
    from vae_tf.cli import _unused

    assert _unused(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    assert _unused(tmp_path / "demo") == tmp_path / "demo", "empty"
    (tmp_path / "demo" / "file").touch()
    assert _unused(tmp_path / "demo") == Path(tmp_path / "demo-2")
