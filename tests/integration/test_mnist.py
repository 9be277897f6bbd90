"""Claims of the README about MNIST. The short form of each claim runs by default, the full one with -m slow."""

import mnist
import pytest
from mnist_data import needs_mnist

import vae_tf

pytestmark = [pytest.mark.integration, needs_mnist]


def test_optimal_sigma_needs_one_epoch():
    """Below -400 test nats after the first epoch, where a learned sigma is still far above zero."""
    _, optimal = mnist.train("optimal", 1)
    _, learned = mnist.train("learned", 1)
    assert optimal["val_loss"][0] < -400
    assert optimal["val_loss"][0] < learned["val_loss"][0] - 400
    assert optimal["sigma"][0] ** 2 == pytest.approx(optimal["train_rmse"][0] ** 2, rel=0.04)


@pytest.mark.slow
def test_optimal_beats_learned_after_three_epochs():
    """And sigma^2 is the residual of the batches as they come, within 2 %."""
    vae, optimal = mnist.train("optimal", 3)
    _, learned = mnist.train("learned", 3)
    assert optimal["val_loss"][-1] < learned["val_loss"][-1]
    incoming = mnist.incoming_residual(vae, vae_tf.data.load("mnist")[0])
    assert float(vae.likelihood.scale) ** 2 == pytest.approx(incoming**2, rel=0.02)


@pytest.mark.slow
def test_learned_sigma_needs_many_epochs():
    _, history = mnist.train("learned", 12)
    first = next(epoch for epoch, loss in enumerate(history["val_loss"], start=1) if loss < -400)
    assert 6 <= first <= 12
