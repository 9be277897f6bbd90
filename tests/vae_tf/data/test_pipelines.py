"""`vae_tf.data.stream`: batches in the order of `fit`, and images that are kept are decoded once."""

import numpy as np
import pytest
from models import make_vae
from PIL import Image

from vae_tf import data
from vae_tf.data.lazy import LazyImages
from vae_tf.data.order import permutation

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
X = (PIXELS / 255).astype(np.float32)


class Counted(LazyImages):
    """Images that note which of them were read."""

    def __init__(self, is_deep=False):
        super().__init__(X.shape, None if is_deep else np.unique(X))
        self.seen = []

    def _read(self, numbers):
        self.seen += numbers.tolist()
        return X[numbers]


def joined(dataset):
    return np.concatenate([batch.numpy() for batch in dataset])


def test_order_is_that_of_seed_and_epoch():
    pipeline = data.stream(X, 16, seed=3)
    assert int(pipeline.cardinality()) == 3
    for epoch in range(3):
        np.testing.assert_array_equal(joined(pipeline), X[permutation(3, epoch, 40)])
    np.testing.assert_array_equal(joined(data.stream(X, 16, seed=3, initial_epoch=2)), X[permutation(3, 2, 40)])
    np.testing.assert_array_equal(joined(data.stream(X, 16, shuffle=False)), X)


def test_fit_on_it_is_fit_on_the_data():
    histories = []
    for source in (X, data.stream(Counted(), 16, seed=5, cache=True)):
        vae = make_vae(seed=5)
        histories.append(vae.fit(source, batch_size=16 if source is X else None, epochs=3, verbose=0).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("is_deep", [False, True])
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_kept_images_are_read_once(tmp_path, where, is_deep):
    images = Counted(is_deep)
    pipeline = data.stream(images, 16, cache=True if where == "memory" else tmp_path)
    for epoch in range(3):
        np.testing.assert_array_equal(joined(pipeline), X[permutation(0, epoch, 40)])
    assert sorted(images.seen) == list(range(40))
    assert not list(tmp_path.iterdir()), "the file has no name"


def test_labels_come_with_their_images():
    labels = np.arange(40)
    for x, y in data.stream((Counted(), labels), 16):
        np.testing.assert_array_equal(x, X[y])


def test_folders(tmp_path):
    for number, pixels in enumerate(PIXELS[..., 0]):
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    train, _ = data.load(tmp_path, in_memory=False)
    np.testing.assert_array_equal(joined(data.stream(train, 7, shuffle=False)), train[:])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [(([], 4), "at least 1 example"), ((X, 0), "batch_size"), (((X, X[:3]), 4), "the same in all arrays")],
    ids=["empty", "batch_size", "lengths"],
)
def test_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.stream(*arguments)
    with pytest.raises(TypeError, match="expected numbers in an array"):
        data.stream(np.array(["a"]))
