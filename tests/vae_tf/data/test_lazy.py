"""Images that are read when they are indexed: equal to arrays, checked without being read, small in memory."""

import gc

import numpy as np
import pytest
from image_files import COLOUR, GREY, images, save
from models import make_vae
from PIL import Image

import vae_tf
from vae_tf import data
from vae_tf.data._arrays import ArrayImages, stored_arrays
from vae_tf.data.adapter import Adapter

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)


class Counted(ArrayImages):
    """Images that count how many of them were read."""

    def __init__(self, array):
        self.count = 0
        super().__init__(array, "x")

    def _read(self, numbers):
        self.count += len(numbers)
        return super()._read(numbers)


def photographs(folder, count=40):
    for number, pixels in enumerate(PIXELS[:count, ..., 0]):
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def sources(tmp_path):
    names = {
        "float.npy": (PIXELS / 255).astype(np.float64),
        "bool.npy": PIXELS > 99,
        "fortran.npy": np.asfortranarray(PIXELS),
    }
    yield photographs(tmp_path / "photos")
    for name, array in names.items():
        yield save(tmp_path / name, array)
    yield save(tmp_path / "x.npz", x_train=PIXELS, x_test=PIXELS[:3])


@pytest.fixture(params=range(5), ids=["folder", "float", "bool", "fortran", "npz"])
def source(request, tmp_path):
    return list(sources(tmp_path))[request.param]


def test_equal_to_arrays_bit_for_bit(source):
    for lazy, array in zip(data.load(source, in_memory=False), data.load(source), strict=True):
        assert isinstance(lazy, data.LazyImages)
        assert isinstance(array, np.ndarray)
        assert (lazy.shape, lazy.dtype, lazy.ndim, len(lazy)) == (array.shape, array.dtype, 4, len(array))
        np.testing.assert_array_equal(np.asarray(lazy), array)
        np.testing.assert_array_equal(np.concatenate(list(lazy.blocks())), array)


@pytest.mark.parametrize(
    "index",
    [
        *[
            0,
            -1,
            np.int64(3),
            slice(None),
            slice(2, 30, 7),
            slice(None, None, -1),
            [3, 1, 3],
            np.array([-1, 0]),
            [],
            ...,
        ],
        *[np.arange(36) % 3 == 0, (slice(3), 0), (2, ..., 0), (slice(2, 5), slice(None), 3)],
    ],
    ids=repr,
)
def test_indices(tmp_path, index):
    lazy, array = (data.load(save(tmp_path / "x.npy", PIXELS), in_memory=flag)[0] for flag in (False, True))
    np.testing.assert_array_equal(lazy[index], array[index])
    if not isinstance(index, tuple | int | np.integer):
        part = lazy.part(index)
        np.testing.assert_array_equal(part[1:], array[index][1:])
        np.testing.assert_array_equal(part.part(slice(2))[:], array[index][:2])


@pytest.mark.parametrize("index", [36, -37, [0, 36], 0.5, "a", np.ones(3, bool), [[1, 2]]], ids=repr)
def test_indices_that_are_none(tmp_path, index):
    lazy = data.load(save(tmp_path / "x.npy", PIXELS), in_memory=False)[0]
    with pytest.raises(IndexError, match="expected"):
        lazy[index]


def test_iterating_ends(tmp_path):
    lazy = data.load(save(tmp_path / "x.npy", PIXELS), in_memory=False)[0]
    assert sum(1 for _ in lazy) == 36


def test_training_is_that_on_arrays_bit_for_bit(tmp_path):
    folder = photographs(tmp_path / "photos")
    models = []
    for in_memory in (True, False):
        train, test = data.load(folder, in_memory=in_memory)
        vae = make_vae()
        history = vae.fit(train, validation_data=test, batch_size=16, epochs=2, verbose=0).history
        models.append((history, vae.encode(train), vae))
    for one, other in zip(models[0][:2], models[1][:2], strict=True):
        np.testing.assert_equal(one, other)
    for one, other in zip(models[0][2].variables, models[1][2].variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_tf.data._decoded.KEPT_BYTES", 0)
    folder = photographs(tmp_path / "photos")
    train, _ = data.load(folder, in_memory=False)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(
        ValueError, match=r"photos/\d\d\.png: expected an image that Pillow can read, received FileNotFound"
    ):
        make_vae().fit(train, verbose=0)
    images(folder, {f"{number:02}.png": ("L", (9, 8)) for number in range(40)})
    with pytest.raises(ValueError, match=r"expected an image of shape \(8, 8, 1\), as it had at first"):
        train[:]


class TestValues:
    """Of lazy images it is known which values they can have, so that the door need not read them."""

    def opened(self, images, likelihood):
        counted = Counted(images)
        Adapter((8, 8, 1), (8, 8, 1), likelihood.check_data).open(counted)
        return counted.count

    @pytest.mark.parametrize("kind", ["Gaussian", "Laplace", "ContinuousBernoulli"])
    @pytest.mark.parametrize(
        "array", [PIXELS, PIXELS > 99, (PIXELS / 255).astype(np.float32)], ids=["uint8", "bool", "float"]
    )
    def test_nothing_is_read(self, kind, array):
        before = Counted(array).count
        assert self.opened(array, getattr(vae_tf.likelihoods, kind)((8, 8, 1))) == before == 0

    def test_levels(self):
        assert self.opened(PIXELS, vae_tf.likelihoods.DiscretizedLogistic((8, 8, 1), levels=256)) == 0
        rounded = np.round(PIXELS / 255).astype(np.float32)
        assert self.opened(rounded, vae_tf.likelihoods.DiscretizedLogistic((8, 8, 1), levels=256)) == 40, "who knows"
        with pytest.raises(ValueError, match="expected 17 levels"):
            self.opened(PIXELS, vae_tf.likelihoods.DiscretizedLogistic((8, 8, 1), levels=17))

    def test_a_warning_is_given_for_what_is_there(self, recwarn):
        black_and_white = (PIXELS > 99).astype(np.uint8) * 255
        assert self.opened(black_and_white, vae_tf.likelihoods.Bernoulli((8, 8, 1))) == 40
        assert not recwarn.list
        with pytest.warns(UserWarning, match="grey levels"):
            self.opened(PIXELS, vae_tf.likelihoods.Bernoulli((8, 8, 1)))

    def test_counts(self, tmp_path):
        lazy, _ = data.load(save(tmp_path / "x.npy", PIXELS), in_memory=False)
        counts = lazy.as_levels(255)
        assert set(np.unique(counts[:])) <= set(range(256))
        vae_tf.likelihoods.Poisson((8, 8, 1)).check_data(counts[:])
        adapter = Adapter((8, 8, 1), (8, 8, 1), vae_tf.likelihoods.Poisson((8, 8, 1)).check_data)
        adapter.open(counts)
        with pytest.raises(ValueError, match="whole numbers"):
            adapter.open(lazy)

    def test_files_know_theirs(self, tmp_path):
        images(tmp_path, {"a.png": ("1", (8, 8)), "b.png": ("1", (8, 8))})
        train, _ = data.load(tmp_path, in_memory=False)
        assert set(train.values) <= {0, 1}

    @pytest.mark.parametrize("steps", [1, 16, 255])
    def test_number_of_levels(self, tmp_path, steps):
        grid = (
            np.rint(np.rint(PIXELS / 255 * steps) / steps * 255) / 255
            if steps == 255
            else np.rint(PIXELS / 255 * steps) / steps
        )
        path = save(tmp_path / "x.npy", grid.astype(np.float32))
        lazy, array = (data.load(path, in_memory=flag)[0] for flag in (False, True))
        assert data.levels(lazy) == data.levels(array) == steps + 1

    def test_no_levels(self, tmp_path):
        lazy, _ = data.load(save(tmp_path / "x.npy", RNG.random((40, 8, 8))), in_memory=False)
        with pytest.raises(ValueError, match="Grey levels: expected at most 256"):
            data.levels(lazy)


def anonymous():
    """Anonymous memory of this process, in MB."""
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("RssAnon"))


class TestMemory:
    def test_large_data_are_lazy_by_default(self, tmp_path):
        """2 GB that take no space: 667,000 images of 32 x 32 x 3, 8 GB as floats."""
        np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (667_000, 32, 32, 3))
        before = anonymous()
        train, test = data.load(tmp_path / "x.npy")
        assert isinstance(train, data.LazyImages)
        assert (len(train), len(test)) == (600_300, 66_700)
        adapter = Adapter((32, 32, 3), (32, 32, 3), vae_tf.likelihoods.Gaussian((32, 32, 3)).check_data)
        rows = adapter.open(train)
        for start in range(0, 600_300, 60_000):
            assert rows.batch(slice(start, start + 256))[0].shape == (256, 32, 32, 3)
        assert anonymous() - before < 100, "MB"

    def test_an_npz_that_is_not_compressed_is_mapped(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vae_tf.data._arrays._MAPPED_BYTES", 100)
        path = save(tmp_path / "x.npz", x_train=COLOUR, x_test=GREY[:0])
        assert isinstance(stored_arrays(path, (("x_train",),))["x_train"], np.memmap)
        np.testing.assert_array_equal(stored_arrays(path, (("x_train",),))["x_train"], COLOUR)
        np.savez_compressed(tmp_path / "y.npz", x=COLOUR)
        assert not isinstance(stored_arrays(tmp_path / "y.npz")["x"], np.memmap)

    def test_a_bomb_is_not_unpacked(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vae_tf.data._arrays._physical_memory", lambda: 2000)
        np.savez_compressed(tmp_path / "x.npz", x=np.zeros((100, 8, 8), np.uint8))
        with pytest.raises(ValueError, match=r"x\.npz: .*x takes 6,528 bytes, and it is compressed"):
            data.load(tmp_path / "x.npz")

    def test_only_so_many_pixels_are_kept(self, tmp_path, monkeypatch):
        """The others are decoded again; the images are the same."""
        folder = photographs(tmp_path / "photos")
        whole = data.load(folder)[0]
        monkeypatch.setattr("vae_tf.data._decoded.KEPT_BYTES", 10 * 64)
        train, _ = data.load(folder, in_memory=False)
        assert len(train._images._kept) == 10  # noqa: SLF001
        np.testing.assert_array_equal(train[:], whole)
