"""Folders of images: which files are read, in which order, and what is refused."""

import os

import numpy as np
import pytest
from image_files import COLOUR, images
from PIL import Image

from vae_tf import data
from vae_tf.data._decoding import Preparation
from vae_tf.data._folders import list_images


class TestFolders:
    def test_grey(self, tmp_path):
        names = ("b.png", "a.bmp", "c.PNG", "e.gif", "f.webp", "g.tif", "h.tiff", "i.jpg", "j.jpeg", "d.png")
        images(tmp_path, dict.fromkeys(names, ("L", (5, 4))))
        (tmp_path / "labels.csv").write_text("not an image")
        (tmp_path / "._a.png").write_text("a hidden file")
        (tmp_path / "more").mkdir()
        train, test = data.load(tmp_path)
        # WebP has no grey: it is stored, and so read, as colour.
        assert (train.shape, test.shape) == ((9, 4, 5, 3), (1, 4, 5, 3))
        shades = np.sort(np.concatenate([train, test])[:, 0, 0, 0] * 255)
        np.testing.assert_allclose(shades, np.arange(10, 101, 10), atol=1)

    def test_order_is_that_of_the_names(self, tmp_path):
        images(tmp_path, {f"{name}.png": ("L", (5, 4)) for name in "cab"})
        shades = np.array([20, 30, 10]) / 255  # a, b, c
        order = np.random.default_rng(0).permutation(3)
        train, test = data.load(str(tmp_path))
        np.testing.assert_array_equal(train[:, 0, 0, 0], shades[order[:2]].astype(np.float32))
        np.testing.assert_array_equal(test[:, 0, 0, 0], shades[order[2:]].astype(np.float32))
        assert train.shape == (2, 4, 5, 1)

    def test_train_and_test(self, tmp_path):
        files = ["train/1.png", "train/2.png", "train/3.png", "test/1.png"]
        images(tmp_path, {**dict.fromkeys(files, ("L", (5, 4))), "ignored.png": ("RGB", (9, 9))})
        train, test = data.load(tmp_path)
        assert train.shape == (3, 4, 5, 1)
        np.testing.assert_allclose(train[:, 0, 0, 0] * 255, [10, 20, 30], rtol=1e-6)
        np.testing.assert_allclose(test[:, 0, 0, 0] * 255, [40], rtol=1e-6)

    def test_train_alone_is_a_folder_as_any(self, tmp_path):
        images(tmp_path, {"train/1.png": ("L", (5, 4)), "1.png": ("L", (5, 4)), "2.png": ("L", (5, 4))})
        train, test = data.load(tmp_path)
        assert (len(train), len(test)) == (2, 1)

    def test_one_colour_image_makes_all_colour(self, tmp_path):
        images(tmp_path, {"train/1.png": ("L", (5, 4)), "train/2.png": ("1", (5, 4)), "test/1.png": ("RGB", (5, 4))})
        train, test = data.load(tmp_path)
        assert (train.shape, test.shape) == ((2, 4, 5, 3), (1, 4, 5, 3))
        assert np.ptp(train, axis=-1).max() == 0

    @pytest.mark.parametrize(
        ("file", "mode", "channels"),
        [
            ("a.png", "1", 1),
            ("a.png", "LA", 1),
            ("a.png", "P", 3),
            ("a.png", "RGBA", 3),
            ("a.jpg", "CMYK", 3),
            ("a.tif", "LAB", 3),
        ],
    )
    def test_modes(self, tmp_path, file, mode, channels):
        image = Image.new("LAB", (5, 4)) if mode == "LAB" else Image.new("L", (5, 4), 200).convert(mode)
        image.save(tmp_path / file)
        images(tmp_path, {"b.png": ("L", (5, 4))})
        train, test = data.load(tmp_path)
        assert train.shape == test.shape == (1, 4, 5, channels)

    def test_colours_and_pixels_keep_their_place(self, tmp_path):
        for name in ("train", "test"):
            (tmp_path / name).mkdir()
            for i, image in enumerate(COLOUR[:3]):
                Image.fromarray(image).save(tmp_path / name / f"{i}.png")
        np.testing.assert_array_equal(data.load(tmp_path)[0], COLOUR[:3] / np.float32(255))

    def test_palette_with_transparency(self, tmp_path):
        for name in "ab":
            image = Image.new("RGB", (5, 4), "red").convert("P")
            image.save(tmp_path / f"{name}.png", transparency=bytes([0] * 256))
        train, _ = data.load(tmp_path)
        np.testing.assert_array_equal(train[0, 0, 0], [1, 1, 1], "white behind it")
        train, _ = data.load(tmp_path, background="#0000ff")
        np.testing.assert_array_equal(train[0, 0, 0], [0, 0, 1])

    def test_animation_counts_as_its_first_frame(self, tmp_path):
        first, second = (Image.new("L", (5, 4), shade) for shade in (50, 100))
        for name in "ab":
            first.save(tmp_path / f"{name}.gif", save_all=True, append_images=[second])
        train, test = data.load(tmp_path)
        np.testing.assert_allclose([train[0, 0, 0, 0], test[0, 0, 0, 0]], 50 / 255, rtol=1e-6)

    @pytest.mark.parametrize("prefix", ["", "t"], ids=["one folder", "train and test"])
    def test_other_size(self, tmp_path, prefix):
        folders = ("train/", "test/") if prefix else ("", "")
        names = [f"{folders[0]}a.png", f"{folders[0]}b.png", f"{folders[1]}c.png", f"{folders[1]}d.png"]
        sizes = [(5, 4), (5, 4), (4, 5), (6, 6)]
        images(tmp_path, {name: ("L", size) for name, size in zip(names, sizes, strict=True)})
        expected = rf"{folders[1]}c\.png: expected 5 x 4 pixels, as a\.png has, received 4 x 5\. .*--size 64"
        with pytest.raises(ValueError, match=expected):
            data.load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "header"])
    def test_unreadable(self, tmp_path, content):
        images(tmp_path, {"a.png": ("L", (5, 4)), "c.png": ("L", (5, 4))})
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.png: expected an image that Pillow can read, .*it out, or skip"):
            data.load(tmp_path)

    def test_broken_inside(self, tmp_path):
        """Pillow raises a SyntaxError where the chunks of a PNG do not follow each other."""
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        head, tail = (tmp_path / "a.png").read_bytes().split(b"IDAT", 1)
        (tmp_path / "a.png").write_bytes(head[:-4] + (100).to_bytes(4, "big") + b"IDAT" + tail)
        with pytest.raises(ValueError, match=r"a\.png: expected an image that Pillow can read"):
            data.load(tmp_path)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
    def test_truncated(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(ValueError, match=rf"a\.{suffix}: expected an image that Pillow can read"):
            data.load(tmp_path)

    def test_too_many_pixels(self, tmp_path, monkeypatch):
        images(tmp_path, {"a.png": ("L", (5, 4))})
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
        with pytest.raises(ValueError, match=r"a\.png: .*more than 64,000,000 pixels"):
            data.load(tmp_path)

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_more_than_16_bits(self, tmp_path, mode):
        """Pillow's conversion would clip them to white."""
        Image.new(mode, (5, 4)).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match=rf"a\.tif: .*received 32 bits for each channel .*mode {mode}.* PNG"):
            data.load(tmp_path)

    @pytest.mark.parametrize("names", [[], ["labels.csv"], ["a/labels.csv"], ["train/a.png", "test/"]])
    def test_no_images(self, tmp_path, names):
        for name in names:
            path = tmp_path / name
            (path if name.endswith("/") else path.parent).mkdir(exist_ok=True)
            if not name.endswith("/"):
                Image.new("L", (5, 4)).save(path) if path.suffix == ".png" else path.touch()
        where = "/test" if "test/" in names else ""
        with pytest.raises(
            ValueError, match=rf"{tmp_path}{where}: expected image files \(\.png.*received a folder without"
        ):
            data.load(tmp_path)

    def test_too_few(self, tmp_path):
        images(tmp_path, {"a.png": ("L", (5, 4))})
        with pytest.raises(ValueError, match=rf"{tmp_path}: expected at least 2 images, .* received 1\. .*too few"):
            data.load(tmp_path)


class TestClasses:
    def test_as_keras(self, tmp_path):
        """Order, labels and names are those of the function that users know."""
        keras = pytest.importorskip("tf_keras")
        names = [
            "b/z.png",
            "b/deep/a.png",
            "a2/1.png",
            "a2/10.png",
            "a2/2.png",
            "B/x.png",
            "b/deep/deeper/0.png",
            "b/a.png",
        ]
        images(tmp_path, dict.fromkeys(names, ("L", (5, 4))))
        (tmp_path / "empty").mkdir()
        (tmp_path / ".hidden").mkdir()
        twin = keras.utils.image_dataset_from_directory(
            tmp_path, shuffle=False, image_size=(4, 5), color_mode="grayscale", batch_size=None
        )
        x, y = (np.array(part) for part in zip(*twin.as_numpy_iterator(), strict=True))
        found = list_images(tmp_path, Preparation(), labels=True)
        assert data.class_names(tmp_path) == twin.class_names == ["B", "a2", "b", "empty"]
        assert found.classes.tolist() == y.tolist()
        assert found.files == twin.file_paths
        (x_train, y_train), (x_test, y_test) = data.load(tmp_path, labels=True)
        order = np.random.default_rng(0).permutation(len(names))
        assert np.concatenate([y_train, y_test]).tolist() == y[order].tolist()
        np.testing.assert_array_equal(np.concatenate([x_train, x_test]), (x / 255).astype(np.float32)[order])
        assert (y_train.dtype, y_train.shape) == (np.int64, (7,))
        np.testing.assert_array_equal(data.load(tmp_path)[0], x_train, "the same images without labels")

    def test_train_and_test(self, tmp_path):
        names = ["train/cat/1.png", "train/dog/1.png", "train/dog/2.png", "test/cat/1.png", "test/dog/1.png"]
        images(tmp_path, dict.fromkeys(names, ("L", (5, 4))))
        (x_train, y_train), (x_test, y_test) = data.load(tmp_path, labels=True)
        assert (y_train.tolist(), y_test.tolist()) == ([0, 1, 1], [0, 1])
        assert (len(x_train), len(x_test)) == (3, 2)
        assert data.class_names(tmp_path) == ["cat", "dog"]
        with pytest.raises(ValueError, match="test_fraction: expected data without a test set"):
            data.load(tmp_path, test_fraction=0.5)
        (tmp_path / "test" / "eel").mkdir()
        with pytest.raises(ValueError, match="expected the same in train and test, received eel in one of them only"):
            data.load(tmp_path, labels=True)

    @pytest.mark.parametrize("names", [["1.png", "2.png"], ["1.png", "a/2.png", "b/3.png"]])
    def test_images_without_a_class(self, tmp_path, names):
        images(tmp_path, dict.fromkeys(names, ("L", (5, 4))))
        with pytest.raises(ValueError, match=r"Labels of .*: expected sub-folders, one for each class"):
            data.load(tmp_path, labels=True)

    def test_names_of_no_folder(self, tmp_path):
        with pytest.raises(ValueError, match="expected a folder of images, received no folder"):
            data.class_names(tmp_path / "none")


class TestDamagedFiles:
    def folder(self, tmp_path):
        images(tmp_path, {f"{number}.png": ("L", (5, 4)) for number in range(8)})
        (tmp_path / "3.png").write_bytes(b"no image")
        (tmp_path / "5.png").write_bytes((tmp_path / "4.png").read_bytes()[:50])
        os.mkfifo(tmp_path / "7.5.png")
        (tmp_path / "9.png").symlink_to(tmp_path / "nowhere")
        return tmp_path

    def test_the_first_is_named(self, tmp_path):
        with pytest.raises(ValueError, match=r"/3\.png: expected an image that Pillow can read"):
            data.load(self.folder(tmp_path))

    def test_they_are_skipped_and_counted(self, tmp_path):
        folder = self.folder(tmp_path)
        with pytest.warns(UserWarning, match=r"4 of 10 images were skipped, the first .*/3\.png \(no image in one of"):
            train, test = data.load(folder, on_error="skip", test_fraction=0.5)
        shades = np.sort(np.concatenate([train, test])[:, 0, 0, 0] * 255)
        np.testing.assert_allclose(shades, [10, 20, 30, 50, 70, 80], rtol=1e-6)

    def test_labels_belong_to_those_that_are_left(self, tmp_path):
        images(tmp_path, {f"{'ab'[number % 2]}/{number}.png": ("L", (5, 4)) for number in range(8)})
        (tmp_path / "a" / "2.png").write_bytes(b"")
        with pytest.warns(UserWarning, match="1 of 8 images"):
            (x, y), (x_test, y_test) = data.load(tmp_path, on_error="skip", labels=True, test_fraction=0.2)
        for image, label in zip([*x, *x_test], [*y, *y_test], strict=True):
            assert (round(float(image[0, 0, 0]) * 25.5) - 1) % 2 == label

    def test_nothing_is_left(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"a\.png: expected an image"):
            data.load(tmp_path, on_error="skip")

    def test_a_pipe_keeps_nobody_waiting(self, tmp_path):
        os.mkfifo(tmp_path / "a.png")
        with pytest.raises(ValueError, match=r"a\.png: .*a named pipe and not a regular file"):
            data.load(tmp_path)

    def test_links_in_a_ring_come_to_an_end(self, tmp_path):
        images(tmp_path, {"a/1.png": ("L", (5, 4)), "b/2.png": ("L", (5, 4))})
        (tmp_path / "a" / "up").symlink_to(tmp_path)
        (tmp_path / "b" / "over").symlink_to(tmp_path / "a")
        (tmp_path / "b" / "self").symlink_to("self")
        train, test = data.load(tmp_path)
        assert len(train) + len(test) == 2, "each folder once"


class TestPreparation:
    def test_mixed_sizes(self, tmp_path):
        images(
            tmp_path,
            {"a.png": ("RGB", (50, 40)), "b.jpg": ("L", (31, 90)), "c.gif": ("P", (7, 5)), "d.png": ("1", (9, 9))},
        )
        train, test = data.load(tmp_path, size=(6, 8))
        assert (train.shape, test.shape) == ((3, 6, 8, 3), (1, 6, 8, 3))
        assert data.load(tmp_path, size=8, channels=1)[0].shape == (3, 8, 8, 1)
        assert data.load(tmp_path, crop=(5, 6), test_fraction=0.5)[0].shape == (2, 5, 6, 3)

    def test_8_and_16_bits_together(self, tmp_path):
        Image.fromarray(np.full((2, 2), 1000, np.uint16)).save(tmp_path / "a.png")
        Image.fromarray(np.full((2, 2), 200, np.uint8)).save(tmp_path / "b.png")
        found = np.sort(np.concatenate(data.load(tmp_path))[:, 0, 0, 0])
        np.testing.assert_array_equal(found, np.array([1000 / 65535, 200 / 255], np.float32))
