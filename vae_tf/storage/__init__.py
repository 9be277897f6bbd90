"""Files of models: how they are written, and which of those that others wrote are accepted."""

from vae_tf.storage.budget import memory_of
from vae_tf.storage.judgement import judge, reading
from vae_tf.storage.writing import check_path, check_weights_path, refuse_saved_model, save, save_weights

__all__ = [
    "check_path",
    "check_weights_path",
    "judge",
    "memory_of",
    "reading",
    "refuse_saved_model",
    "save",
    "save_weights",
]
