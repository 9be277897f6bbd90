"""Data sets of other libraries: sequences of dictionaries with an image."""

import numpy as np
import pytest
from PIL import Image
from record_files import png

from vae_tf import data

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
ORDER = np.random.default_rng(0).permutation(20)
EXPECTED = (PIXELS / 255).astype(np.float32)[ORDER]
FORMS = {
    "array": lambda x: x,
    "Pillow": Image.fromarray,
    "bytes": lambda x: {"bytes": png(x), "path": None},
}


@pytest.mark.parametrize("form", ["array", "Pillow", "bytes"])
def test_sequences_of_dictionaries(form):
    examples = [{"image": FORMS[form](x), "label": i} for i, x in enumerate(PIXELS)]
    (x_train, y_train), (x_test, y_test) = data.load(examples, labels=True)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), EXPECTED)
    assert [*y_train, *y_test] == ORDER.tolist()
    assert data.load(examples, size=4, in_memory=False)[0][:2].shape == (2, 4, 4, 3)
    train, test = data.load({"train": examples[:15], "test": examples[15:]})
    assert (len(train), len(test)) == (15, 5)


def test_what_is_no_image():
    with pytest.raises(ValueError, match=r"example 1: expected an image .* dtype int64"):
        data.load([{"image": PIXELS[0]}, {"image": [[1, 2]]}])
    with pytest.raises(ValueError, match="expected an image under one of the keys image, img, x, received picture"):
        data.load([{"picture": PIXELS[0]}])
    with pytest.raises(ValueError, match="example 0: expected a whole number under one of the keys label"):
        data.load([{"image": PIXELS[0]}] * 3, labels=True)


def test_hugging_face():
    """The README's lines; the images are decoded here, from what is stored."""
    datasets = pytest.importorskip("datasets", reason="needs pip install datasets")
    features = datasets.Features({"picture": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"picture": [Image.fromarray(x) for x in PIXELS], "label": [i % 2 for i in range(20)]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    (x_train, y_train), (x_test, _) = data.load(whole, labels=True)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), EXPECTED)
    assert y_train.tolist() == (ORDER[:18] % 2).tolist()
    train, test = data.load(whole.train_test_split(test_size=0.25), in_memory=False, size=4)
    assert (train.shape, test.shape) == ((15, 4, 4, 3), (5, 4, 4, 3))
