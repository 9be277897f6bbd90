"""`vae-tf train` and `vae-tf demo`: the folder that they leave, and runs that are interrupted."""

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
from vae_tf.cli._train import _unused
from vae_tf.runs import run as runs


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


def test_training_without_vae_tf_onnx_says_what_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setattr("vae_tf.cli._plugins.entry_points", lambda **_: [])
    code, _, err = run("train", "--out", tmp_path / "run", "--epochs", 1)
    assert code == 0
    assert "Not exported to ONNX" in err
    assert (tmp_path / "run" / "samples.png").is_file()
    assert not (tmp_path / "run" / "bundle").exists()


def test_bad_data_leave_nothing(run, tmp_path):
    np.save(tmp_path / "x.npy", np.full((20, 8, 8), np.nan, np.float32))
    code, _, err = run("train", "--out", tmp_path / "run", "--data", tmp_path / "x.npy")
    assert code == 2
    assert "NaN" in err
    assert not (tmp_path / "run").exists()


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


@pytest.mark.integration
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
    assert straight.train(verbose=0)
    resumed = vae_tf.load(folder / "model.keras")
    for one, other in zip(straight.vae.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows(folder) == rows(tmp_path / "straight")


def test_a_torn_history_is_cut_to_the_model(tmp_path):
    """Killed between history and model, the history is one epoch ahead."""
    settings = runs.Settings(latent_dim=2, epochs=1)
    runs.Run(tmp_path / "run", settings).train(verbose=0)
    path = tmp_path / "run" / "history.csv"
    header, row = path.read_text().splitlines()
    path.write_text("\n".join([header, row, "2" + row[1:]]) + "\n")
    assert len(runs.Run(tmp_path / "run").history) == 1


def test_settings_with_something_else_in_them(tmp_path):
    for text in ("[]", "{", json.dumps({"shell": "rm"}), json.dumps({"epochs": "many"})):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"expected a run, with settings.json"):
            runs.stored_settings(tmp_path)


def test_the_demo_does_not_write_over_another(tmp_path):
    assert _unused(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    assert _unused(tmp_path / "demo") == tmp_path / "demo", "empty"
    (tmp_path / "demo" / "file").touch()
    assert _unused(tmp_path / "demo") == Path(tmp_path / "demo-2")
