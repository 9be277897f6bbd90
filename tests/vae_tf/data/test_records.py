"""TFRecord files: each form of a record gives the same images, and what is no image is refused by its place."""

import gzip
import os

import numpy as np
import pytest
from record_files import example, png, tensor, write

from vae_tf import data

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
EXPECTED = (PIXELS / 255).astype(np.float32)[np.random.default_rng(0).permutation(20)]
FORMS = {
    "image": png,
    "tensor": tensor,
    "float": lambda x: tensor((x / 255).astype(np.float32)),
    "image in an Example": lambda x: example(png(x)),
    "tensor in an Example": lambda x: example(tensor(x), name="image_raw"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_every_form(tmp_path, form, in_memory):
    path = write(tmp_path / "x.tfrecord", map(FORMS[form], PIXELS))
    train, test = data.load(path, in_memory=in_memory)
    np.testing.assert_array_equal(train, EXPECTED[:18])
    np.testing.assert_array_equal(test, EXPECTED[18:])


def test_shards_labels_and_sizes(tmp_path):
    for shard in range(2):
        records = [example(png(x), label=7 + shard) for x in PIXELS[10 * shard : 10 * shard + 10]]
        write(tmp_path / f"x.tfrecord-0000{shard}-of-00002", records)
    (x_train, y_train), (x_test, y_test) = data.load(tmp_path, labels=True, size=4)
    assert (x_train.shape, x_test.shape) == ((18, 4, 4, 3), (2, 4, 4, 3))
    order = np.random.default_rng(0).permutation(20)
    assert [*y_train, *y_test] == [7 + number // 10 for number in order]


def test_train_and_test_folders(tmp_path):
    for name, part in (("train", PIXELS[:15]), ("test", PIXELS[15:])):
        write(tmp_path / name / "x.tfrecords", map(png, part))
    train, test = data.load(tmp_path)
    np.testing.assert_array_equal(train, (PIXELS[:15] / 255).astype(np.float32))
    assert len(test) == 5


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (b"nothing", "no image in one of the formats"),
        (example(b"", name="other"), "an Example without one string of bytes called image or"),
        (b"\x0a\xff\xff", "no tf.train.Example"),
        (b"\x08\x01\xff\xff", "no serialised tensor"),
        (tensor(np.zeros((6, 5, 2), np.uint8)), r"a tensor of shape \[6, 5, 2\]"),
        (tensor(np.zeros((6, 5), np.int32)), "a tensor of dtype int32"),
        (tensor(np.full((6, 5), 2.0)), r"values from 2 to 2 and not in \[0, 1\]"),
        (tensor(np.full((6, 5), "a")), "a tensor of dtype object"),
    ],
    ids=range(8),
)
def test_no_image(tmp_path, record, match):
    path = write(tmp_path / "x.tfrecord", [png(PIXELS[0]), record, png(PIXELS[1])])
    with pytest.raises(ValueError, match=rf"x\.tfrecord: record at byte \d+: expected an image .*{match}"):
        data.load(path)
    with pytest.warns(UserWarning, match="1 of 3 images were skipped"):
        assert len(data.load(path, on_error="skip")[0]) == 1


def test_damaged_files(tmp_path):
    whole = write(tmp_path / "x.tfrecord", map(png, PIXELS)).read_bytes()
    changed = bytearray(whole)
    changed[100] ^= 1  # inside the first record: only its checksum tells
    for content in (whole[:-5], whole + b"more", bytes(changed), b"nothing of the kind", gzip.compress(whole)):
        (tmp_path / "x.tfrecord").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.tfrecord: expected a TFRecord file, received"):
            data.load(tmp_path / "x.tfrecord")
    (tmp_path / "x.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="expected at least 2 images"):
        data.load(tmp_path / "x.tfrecord")
    (tmp_path / "x.tfrecord").unlink()
    os.mkfifo(tmp_path / "x.tfrecord")
    with pytest.raises(ValueError, match="a named pipe and not a regular file"):
        data.load(tmp_path / "x.tfrecord")


def test_labels_that_are_not_there(tmp_path):
    path = write(tmp_path / "x.tfrecord", [example(png(x)) for x in PIXELS])
    with pytest.raises(ValueError, match="record at byte 12: expected a whole number called label or"):
        data.load(path, labels=True)
