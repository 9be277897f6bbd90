"""`vae_tf.training.batches`: the order of training batches is a function of (seed, epoch) alone."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.data.adapter import Rows, Table
from vae_tf.training import batches


def passes(dataset) -> list[np.ndarray]:
    return [batch[0].numpy() for batch in dataset]


def dataset(n=23, batch_size=5, seed=0, epoch=lambda: 0):
    return batches.shuffled(Rows(Table(np.arange(n))), batch_size, seed=seed, epoch=epoch)


def order(**kwargs) -> list[int]:
    return np.concatenate(passes(dataset(**kwargs))).tolist()


class TestPermutation:
    @pytest.mark.parametrize("n", [1, 2, 1000])
    def test_is_one(self, n):
        result = batches.permutation(3, 4, n)
        assert result.dtype == np.int64
        assert sorted(result) == list(range(n))

    def test_depends_on_seed_and_epoch(self):
        orders = {tuple(batches.permutation(seed, epoch, 20)) for seed in range(5) for epoch in range(5)}
        assert len(orders) == 25

    def test_does_not_depend_on_global_state(self):
        np.random.seed(0)  # noqa: NPY002
        first = batches.permutation(1, 2, 50)
        np.random.seed(1)  # noqa: NPY002
        np.testing.assert_array_equal(first, batches.permutation(1, 2, 50))


class TestOrder:
    @pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 7), (2**31 - 1, 3)])
    def test_is_that_of_permutation(self, seed, epoch):
        assert order(seed=seed, epoch=lambda: epoch) == batches.permutation(seed, epoch, 23).tolist()

    @pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
    def test_does_not_depend_on_the_batch_size(self, batch_size):
        assert order(batch_size=batch_size) == order(batch_size=5)

    def test_does_not_depend_on_tensorflows_seed(self):
        tf.random.set_seed(1)
        first = order()
        tf.random.set_seed(2)
        assert order() == first

    def test_epoch_is_asked_once_when_each_pass_begins(self):
        asked = iter(range(100))
        data = dataset(epoch=lambda: next(asked))
        for epoch in range(4):
            assert np.concatenate(passes(data)).tolist() == batches.permutation(0, epoch, 23).tolist()
        assert next(asked) == 4

    def test_an_abandoned_pass_leaves_no_trace(self):
        """A pass taken up anew in the same epoch starts at its beginning."""
        data = dataset()
        iterator = iter(data)
        next(iterator)
        del iterator
        assert np.concatenate(passes(data)).tolist() == order()

    def test_two_passes_at_once_do_not_mix(self):
        data = dataset()
        pairs = [(a[0].numpy().tolist(), b[0].numpy().tolist()) for a, b in zip(data, data, strict=True)]
        assert all(a == b for a, b in pairs)


class TestBatches:
    @pytest.mark.parametrize(("n", "batch_size"), [(23, 5), (20, 5), (1, 1), (3, 100), (7, 1), (1000, 64)])
    def test_every_example_exactly_once(self, n, batch_size):
        assert sorted(order(n=n, batch_size=batch_size)) == list(range(n))

    @pytest.mark.parametrize(
        ("n", "batch_size", "sizes"),
        [(23, 5, [5, 5, 5, 5, 3]), (20, 5, [5] * 4), (3, 100, [3]), (3, 1, [1] * 3)],
    )
    def test_sizes_and_cardinality(self, n, batch_size, sizes):
        data = dataset(n=n, batch_size=batch_size)
        assert [len(batch) for batch in passes(data)] == sizes
        assert data.cardinality().numpy() == len(data) == len(sizes)

    def test_one_array_comes_as_a_tuple_of_one(self):
        (batch,) = next(iter(dataset()))
        assert batch.shape == (5,)


class TestRows:
    def test_stay_aligned(self):
        x = np.arange(23 * 6, dtype=np.float32).reshape(23, 2, 3)
        labels = tf.constant(np.arange(23), tf.int32)
        rows = Rows(Table(x), Table(labels), np.arange(23, dtype=np.float32))
        parts = list(batches.shuffled(rows, 5, seed=0, epoch=lambda: 0).as_numpy_iterator())
        got_x, got_labels, got_weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        np.testing.assert_array_equal(got_x, x[got_labels])
        np.testing.assert_array_equal(got_weights, got_labels)
        assert got_labels.tolist() == batches.permutation(0, 0, 23).tolist()

    def test_keep_type_and_shape(self):
        rows = Rows(Table(np.zeros((7, 2, 3), np.float16)), Table(np.zeros(7, bool)))
        data = batches.shuffled(rows, 4, seed=0, epoch=lambda: 0)
        assert [spec.dtype for spec in data.element_spec] == [tf.float16, tf.bool]
        assert [spec.shape.as_list() for spec in data.element_spec] == [[None, 2, 3], [None]]

    def test_are_read_when_they_are_needed(self):
        """Nothing is copied before: that is why a memory map stays on disk."""
        read = []

        class Watched(Table):
            def __getitem__(self, index):
                read.append(index)
                return super().__getitem__(index)

        data = iter(batches.in_order(Rows(Watched(np.arange(1000))), 10))
        next(data)
        assert len(read) < 10

    def test_in_order(self):
        assert np.concatenate(passes(batches.in_order(Rows(Table(np.arange(7))), 3))).tolist() == list(range(7))


def test_steps_of_one_epoch_in_a_graph():
    """Keras iterates inside a tf.function, several batches per call."""
    data = dataset(n=12, batch_size=4)

    @tf.function
    def total(iterator):
        return tf.add_n([tf.reduce_sum(next(iterator)[0]) for _ in range(3)])

    assert total(iter(data)).numpy() == sum(range(12))
