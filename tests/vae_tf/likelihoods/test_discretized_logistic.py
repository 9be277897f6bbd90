"""DiscretizedLogistic: its outermost bins."""

import numpy as np

from vae_tf.likelihoods import DiscretizedLogistic


def test_edges_take_what_lies_beyond_them():
    likelihood = DiscretizedLogistic((1,))
    p = likelihood(np.array([[-3.0, -20.0], [4.0, -20.0]], np.float32))
    np.testing.assert_allclose(p.log_prob(np.array([[0.0], [255.0]], np.float32)), 0.0, atol=1e-6)
    np.testing.assert_allclose(p.mean()[:, 0], [0.0, 255.0], atol=1e-5)
