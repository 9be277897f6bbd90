"""The commands `check` and `sample`."""

import click
import numpy as np
import pytest
from PIL import Image

from vae_tf_onnx.cli._inspect import _save_csv, _save_png


def test_check(run, make_bundle):
    code, out, _ = run("check", make_bundle())
    assert code == 0
    assert "5 outputs, largest relative error" in out


def test_sample(run, make_bundle, tmp_path):
    from vae_tf_onnx import Decoder

    folder = make_bundle()
    expected = Decoder(folder).sample(10, seed=4)
    for suffix in ("npy", "npz", "png"):
        assert run("sample", folder, "--num-samples", 10, "--seed", 4, "--out", tmp_path / f"x.{suffix}")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], expected)
        np.testing.assert_array_equal(arrays["mean"], Decoder(folder).sample(10, seed=4, observation_noise=False))
    image = np.asarray(Image.open(tmp_path / "x.png"))
    assert image.shape == (3 * 4 * 4, 4 * 2 * 4), "three rows of four, each pixel four wide"
    np.testing.assert_allclose(image[::4, ::4][:4, :2], 255 * np.clip(expected[0, :, :, 0], 0, 1), atol=0.51)


def test_a_picture_shows_the_range_of_the_data(run, make_bundle, edit_manifest, tmp_path):
    from vae_tf_onnx import Decoder

    folder = make_bundle()
    edit_manifest(folder, lambda manifest: manifest.update(data_range=[-1, 3]))
    assert run("sample", folder, "--num-samples", 1, "--seed", 4, "--out", tmp_path / "x.png")[0] == 0
    grey = 255 * np.clip((Decoder(folder).sample(1, seed=4)[0, :, :, 0] + 1) / 4, 0, 1)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "x.png"))[::4, ::4], grey, atol=0.51)


def test_what_is_no_image_is_not_drawn(tmp_path):
    for shape in ((2, 5), (2, 4, 4, 2)):
        with pytest.raises(click.UsageError, match=r"expected a \.npz or \.npy file"):
            _save_png(tmp_path / "x.png", np.zeros(shape), [0.0, 1.0])


def test_rows_below_the_names_of_their_columns(tmp_path):
    x = np.array([[0.1, 1e6], [-2.0, 3e-7]], np.float32)
    _save_csv(tmp_path / "x.csv", x, ["a", 'b, "in" m'])
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == 'a,"b, ""in"" m"'
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "x.csv", np.float32, delimiter=",", skiprows=1), x)
    _save_csv(tmp_path / "x.csv", x, None)
    assert (tmp_path / "x.csv").read_text().startswith("column 1,column 2\n")


def test_images_are_no_rows(run, make_bundle, tmp_path):
    code, _, err = run("sample", make_bundle(), "--out", tmp_path / "x.csv")
    assert code == 2
    assert "examples of shape [4, 2, 1] are no rows" in err


def test_sample_without_a_seed_says_which_it_took(run, make_bundle, tmp_path):
    _, out, _ = run("sample", make_bundle(), "--out", tmp_path / "x.npy")
    assert "64 images, seed " in out


def test_a_failed_sample_leaves_nothing(run, make_bundle, tmp_path):
    before = set(tmp_path.iterdir()) | {make_bundle()}
    assert run("sample", tmp_path / "bundle", "--num-samples", 0, "--out", tmp_path / "x.npy")[0] == 2
    assert set(tmp_path.iterdir()) == before
