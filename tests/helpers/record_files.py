"""TFRecord files of images, in each form that they have."""

import io

import tensorflow as tf
from PIL import Image


def png(pixels):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def tensor(values):
    """The bytes of a serialised tensor."""
    return tf.io.serialize_tensor(values).numpy()


def example(image, label=None, name="image"):
    """The bytes of an Example."""
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
    if label is not None:
        features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, records):
    """Writes a TFRecord file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path
