"""The optimizer: it is updated at the speed of TensorFlow's own kernel, and left as it was."""

import tf_keras as keras
from tiny import X, tiny_vae


def test_the_optimizer_is_left_as_it_was():
    optimizer = keras.optimizers.Adam(1e-2)
    before = optimizer.get_config()
    vae = tiny_vae()
    vae.compile(optimizer)
    vae.fit(X, verbose=0)
    assert vae.optimizer is optimizer
    assert optimizer.get_config() == before
    assert optimizer.jit_compile is keras.optimizers.Adam().jit_compile
    assert "update_step" not in vars(optimizer)
