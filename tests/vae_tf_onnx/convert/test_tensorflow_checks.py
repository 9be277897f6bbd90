"""Operations that cannot be exported, and leave no file: random ones, unknown ones, bfloat16."""

import pytest
import tensorflow as tf
import tf_keras as keras
from keras_decoders import with_function

from vae_tf_onnx import UnsupportedOpError, export_keras


def generator_normal(z):
    return z + tf.random.get_global_generator().normal(tf.shape(z))


RANDOM = {
    "RandomStandardNormal": lambda z: z + tf.random.normal(tf.shape(z), seed=1),
    "RandomUniform": lambda z: z + tf.random.uniform(tf.shape(z), seed=1),
    "TruncatedNormal": lambda z: z + tf.random.truncated_normal(tf.shape(z), seed=1),
    "RandomUniformInt": lambda z: z + tf.cast(tf.random.uniform(tf.shape(z), 0, 9, tf.int32), tf.float32),
    "Multinomial": lambda z: tf.cast(tf.random.categorical(z, 4), tf.float32),
    "RandomGamma": lambda z: z + tf.random.gamma((4,), 1.0),
    "RandomPoissonV2": lambda z: z + tf.random.poisson((4,), 1.0),
    "RandomShuffle": tf.random.shuffle,
    "StatelessRandomNormalV2": lambda z: z + tf.random.stateless_normal(tf.shape(z), (1, 2)),
    "StatelessRandomUniformV2": lambda z: z + tf.random.stateless_uniform(tf.shape(z), (1, 2)),
    "StatelessTruncatedNormalV2": lambda z: z + tf.random.stateless_truncated_normal(tf.shape(z), (1, 2)),
    "StatelessMultinomial": lambda z: tf.cast(tf.random.stateless_categorical(z, 4, (1, 2)), tf.float32),
    "RngReadAndSkip": generator_normal,
    "dropout": lambda z: tf.nn.dropout(z, 0.5, seed=1),
}

UNKNOWN = {
    "Digamma": tf.math.digamma,
    "BesselI0e": tf.math.bessel_i0e,
    "EagerPyFunc": lambda z: tf.ensure_shape(tf.py_function(lambda x: x, [z], tf.float32), (None, 4)),
    "FFT": lambda z: tf.math.real(tf.signal.fft(tf.cast(z, tf.complex64))),
    "Cast": lambda z: tf.cast(tf.cast(z, tf.bfloat16) * 2, tf.float32),
    "Atan": lambda z: tf.cast(tf.atan(tf.cast(z, tf.float64)), tf.float32),  # ONNX has it, onnxruntime's CPU has not
}


@pytest.mark.parametrize("name", [*RANDOM, *UNKNOWN])
def test_no_file_of_what_cannot_be_exported(tmp_path, name):
    model = with_function((RANDOM | UNKNOWN)[name])
    with pytest.raises(UnsupportedOpError, match="of layer 'odd': expected an operator of ONNX opset 17") as caught:
        export_keras(model, tmp_path / "bundle")
    assert caught.value.op == {"dropout": "RandomUniform"}.get(name, name)
    assert caught.value.layer == "odd"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16"])
def test_bfloat16_policies(tmp_path, policy):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=policy, name="half")])
    with pytest.raises(UnsupportedOpError, match=r"of layer 'half': expected .* received one in bfloat16"):
        export_keras(model, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
