"""The part of a VAE that writes it to files, and takes it from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from vae_tf.storage import writing
from vae_tf.training.finite import check_weights

_CLOCK = ("steps_done", "steps_per_epoch", "step_before", "epochs_before")


class StoredModel(keras.Model):
    """A Keras model that is saved as a `.keras` file, with its count of steps; see VAE."""

    objective_state: dict[str, tf.Variable]
    clock: tf.train.Checkpoint
    steps_unknown: bool = False
    """Whether the file of this model held no count of steps, which is then the optimizer's."""

    def save(self, filepath: Any, overwrite: bool = True, save_format: str | None = None, **kwargs: Any) -> None:
        """Saves model, weights and optimizer in one `.keras` file, for `vae_tf.load`.

        The file is written beside its place and put there when it is whole and `vae_tf.load` would take it; until
        then the file that is there stays as it is.

        Args:
            filepath: Path of the file, which ends in ".keras".
            overwrite: Whether to replace a file that is there.
            save_format: None or "keras". HDF5 and SavedModel do not hold distributions.
            **kwargs: Nothing; arguments of Keras' other formats are refused by name.

        Raises:
            FileExistsError: If there is a file, and it is not to be replaced.
            ValueError: For another format, for weights that are NaN or infinite, and for a model that cannot be
                loaded, such as one with a `Lambda` layer, a TensorFlow operation as a layer or a lookup layer. (A
                layer class of yours can: `vae_tf.load(path, custom_objects)` needs it.)
        """
        writing.save(self, filepath, overwrite, save_format, kwargs)

    def check_callbacks(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Refuses, before the first step, a `ModelCheckpoint` of a file that cannot hold the model."""
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.ModelCheckpoint):
                check = writing.check_weights_path if callback.save_weights_only else writing.check_path
                check(callback.filepath)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, save_format: str | None = None, options: Any = None
    ) -> None:
        """Saves the weights and the state of the optimizer, for `load_weights`.

        Args:
            filepath: Path of a file, which ends in ".weights.h5", or of a TensorFlow checkpoint, without ending.
            overwrite: Whether to replace a file that is there.
            save_format: None goes by the path; "h5" or "tf" must agree with it.
            options: `tf.train.CheckpointOptions`, for a checkpoint.

        Raises:
            FileExistsError: If there is a file, and it is not to be replaced.
            ValueError: For another format, and for weights that are NaN or infinite.
        """
        writing.save_weights(self, filepath, overwrite, save_format, {"options": options})

    def export(self, filepath: Any) -> None:
        """Raises ValueError: a SavedModel holds no distributions. `vae_tf_onnx.export` writes ONNX."""
        writing.refuse_saved_model(f"Exporting a VAE to {filepath}")

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> Any:
        if save_type == "savedmodel":  # keras.models.save_model and tf.saved_model.save ask for them before they write
            writing.refuse_saved_model("Saving a VAE")
        return super()._trackable_children(save_type, **kwargs)

    def get_build_config(self) -> Any:
        """As Keras has it. It is asked for before a file is opened, whoever saves: NaN weights are refused then."""
        check_weights(self, writing.TO_BE_SAVED)
        return super().get_build_config()

    def adopt_steps(self) -> None:
        """Takes the number of steps from the optimizer, for a model of a file that did not hold it."""
        if self.steps_unknown:
            self.clock.steps_done.assign(tf.cast(self.optimizer.iterations, tf.int64) if self.optimizer else 0)
            self.steps_unknown = False

    def save_own_variables(self, store: Any) -> None:
        """The objective's state, and the count of steps and epochs."""
        self.adopt_steps()
        super().save_own_variables(store)
        for name in _CLOCK:
            store[name] = getattr(self.clock, name).numpy()

    def load_own_variables(self, store: Any) -> None:
        """See save_own_variables; in files of version 0.1 the count of steps is the optimizer's."""
        own = {name: store[name] for name in store if name not in _CLOCK}
        self.steps_unknown = "steps_done" not in store
        kept = {name: store[name] for name in store if name in _CLOCK}
        if self.steps_unknown:  # where schedules went by epochs, the last three weights were the count of epochs
            count, first = len(self.objective_state), len(own) - len(_CLOCK[1:])
            kept = {name: own.pop(str(first + i)) for i, name in enumerate(_CLOCK[1:])} if first == count else {}
        for name, value in kept.items():
            getattr(self.clock, name).assign(np.asarray(value))
        super().load_own_variables(own)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.load_weights`; the optimizer of a compiled model takes its state, too."""
        self.build_optimizer()
        status = super().load_weights(filepath, *args, **kwargs)
        check_weights(self, f"Weights in {filepath}", "Load a file that was saved before the training diverged.")
        return status

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, and makes the optimizer's slots, for their saved values."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizer()


def new_clock() -> tf.train.Checkpoint:
    """The count of steps and epochs: saved with the model, but no weights, so that `set_weights` turns no time back.

    Epochs are counted from the last call of `fit` that changed their length.
    """
    variables = {name: tf.Variable(0.0, trainable=False, name=name) for name in _CLOCK[1:]}
    return tf.train.Checkpoint(
        steps_done=tf.Variable(0, trainable=False, dtype=tf.int64, name="steps_done"), **variables
    )
