"""Files of models: how they are written, and which of those that others wrote are accepted."""

from vae_tf.storage.budget import memory_of
from vae_tf.storage.judgement import judge, reading
from vae_tf.storage.model import StoredModel, new_clock

__all__ = ["StoredModel", "judge", "memory_of", "new_clock", "reading"]
