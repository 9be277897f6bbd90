"""TensorFlow functions as onnxruntime runs them, converted with this package's handlers alone."""

import onnxruntime
import tensorflow as tf
import tf2onnx

from vae_tf_onnx.convert import _operators

TYPES = {"float32": tf.float32, "float64": tf.float64}


def converted(function, *specs):
    """`function` as a function of arrays; its tensors are named x0, x1, ..."""
    traced = tf.function(function, input_signature=specs)
    model, _ = tf2onnx.convert.from_function(
        traced, traced.input_signature, opset=13, custom_op_handlers=_operators.handlers()
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda *arrays: session.run(None, {f"x{i}": array for i, array in enumerate(arrays)})[0]


def elementwise(function, dtype, arity=1):
    """A function of `arity` vectors of this type, converted."""
    return converted(function, *(tf.TensorSpec((None,), TYPES[dtype], name=f"x{i}") for i in range(arity)))
