"""`vae_tf.data.adapter`: one door for data, whatever the container, with the same numbers and the same refusals."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy import sparse
from tiny import Again, X, tiny_vae

from vae_tf import collapse, evaluation, likelihoods
from vae_tf.callbacks import CollapseMonitor

pd = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")

N, BATCH = len(X), 32
WEIGHTS = np.random.default_rng(1).random(N).astype(np.float32)


class Batches(keras.utils.Sequence):
    """A Sequence of batches, each with its weights where there are any."""

    def __init__(self, x, weight=None):
        self.x, self.weight = x, weight

    def __len__(self):
        return -(-len(self.x) // BATCH)

    def __getitem__(self, i):
        part = slice(i * BATCH, (i + 1) * BATCH)
        if self.weight is None:
            return self.x[part]
        return self.x[part], self.x[part], self.weight[part]


def memory_map(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def dataset(x, weight):
    parts = x if weight is None else (x, x, weight)
    return tf.data.Dataset.from_tensor_slices(parts).batch(BATCH)


def generator(x, weight):
    batches = Batches(x, weight)
    return (batches[i] for i in range(len(batches)))


INDEXED = {
    "float32": lambda x, _: x,
    "float64": lambda x, _: x.astype(np.float64),
    "tensor": lambda x, _: tf.constant(x),
    "variable": lambda x, _: tf.Variable(x),
    "list": lambda x, _: x.tolist(),
    "tuple": lambda x, _: tuple(map(tuple, x.tolist())),
    "list of arrays": lambda x, _: list(x),
    "data frame": lambda x, _: pd.DataFrame(x),
    "csr_matrix": lambda x, _: sparse.csr_matrix(x),
    "coo_array": lambda x, _: sparse.coo_array(x),
    "csc_array": lambda x, _: sparse.csc_array(x),
    "memory map": memory_map,
    "Fortran order": lambda x, _: np.asfortranarray(x),
    "view": lambda x, _: np.repeat(x, 2, axis=0)[::2],
}
BATCHED = {"dataset": dataset, "sequence": Batches, "generator": generator}
WEIGHED = ("fit", "evaluate", "validation")
"""Entry points that take weights."""
ENTRIES = ("fit", "evaluate", "predict", "encode", "reconstruct", "elbo", "active_units", "monitor", "validation")


def call(entry, vae, data, weight=None):
    """The numbers that an entry point makes of data."""
    options = {} if weight is None else {"sample_weight": weight}
    if entry == "fit":
        logs = vae.fit(data, batch_size=BATCH, shuffle=False, verbose=0, **options).history
        return np.concatenate([*logs.values(), vae.encode(X).ravel()])
    if entry == "evaluate":
        return np.array(vae.evaluate(data, batch_size=None if is_batched(data) else BATCH, verbose=0, **options))
    if entry == "validation":
        parts = data if weight is None else (data, data, weight)
        logs = vae.fit(X, batch_size=BATCH, validation_data=parts, verbose=0).history
        return np.array([logs[name][0] for name in ("val_loss", "val_distortion", "val_rate", "val_elbo")])
    if entry == "predict":
        return vae.predict(data, verbose=0)
    if entry in ("encode", "reconstruct"):
        return getattr(vae, entry)(data)
    if entry == "elbo":
        return evaluation.elbo(vae, data, 2, progress=False).values
    if entry == "active_units":
        return collapse.posterior_mean_variance(vae, data)
    logs = vae.fit(X, verbose=0, callbacks=[CollapseMonitor(data)]).history
    return np.array([logs["active_units"][0], logs["kl_max"][0]])


def is_batched(data):
    return isinstance(data, tf.data.Dataset | keras.utils.Sequence) or hasattr(data, "__next__")


@pytest.fixture(scope="module")
def anew():
    """A function that returns the same VAE in its first state."""
    return Again()


@pytest.fixture(scope="module")
def expected(anew):
    """What each entry point makes of a float32 array, without and with weights."""
    made = {}

    def of(entry, weighted):
        if (entry, weighted) not in made:
            made[entry, weighted] = call(entry, anew(), X, WEIGHTS if weighted else None)
        return made[entry, weighted]

    return of


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("container", INDEXED)
def test_indexed_data_give_the_numbers_of_an_array(entry, container, expected, anew, tmp_path):
    data = INDEXED[container](X, tmp_path)
    np.testing.assert_allclose(call(entry, anew(), data), expected(entry, False), rtol=1e-6, atol=1e-6)
    if entry in WEIGHED:
        received = call(entry, anew(), data, WEIGHTS)
        np.testing.assert_allclose(received, expected(entry, True), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("entry", WEIGHED)
def test_weights_in_any_container_give_the_numbers_of_an_array(entry, expected, anew):
    for weight in (WEIGHTS[:, None].astype(np.float64), pd.Series(WEIGHTS), WEIGHTS.tolist(), tf.constant(WEIGHTS)):
        received = call(entry, anew(), X, weight)
        np.testing.assert_allclose(received, expected(entry, True), rtol=1e-6, atol=1e-6)


def test_batches_in_any_form_give_the_numbers_of_an_array(expected, anew):
    batches = dataset(X, None)
    for data in (batches.map(lambda x: (x,)), batches.map(lambda x: (x, x))):
        np.testing.assert_allclose(call("fit", anew(), data), expected("fit", False), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("entry", "container"),
    [
        (entry, container)
        for entry in ENTRIES
        for container in BATCHED
        # a generator ends after one pass: Keras would validate in the first epoch alone
        if (entry, container) != ("validation", "generator")
    ],
)
def test_batches_give_the_numbers_of_an_array(entry, container, expected, anew):
    options = [None, WEIGHTS] if entry in WEIGHED else [None]
    for weight in options:
        data = BATCHED[container](X, weight)
        received = (
            np.concatenate([*logs_of_fit(vae := anew(), data).values(), vae.encode(X).ravel()])
            if entry == "fit"
            else call(entry, anew(), data)
        )
        np.testing.assert_allclose(received, expected(entry, weight is not None), rtol=1e-6, atol=1e-6)


def logs_of_fit(vae, data):
    steps = {} if hasattr(data, "__len__") else {"steps_per_epoch": -(-N // BATCH)}
    return vae.fit(data, shuffle=False, verbose=0, **steps).history


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool])
def test_any_dtype(dtype, anew):
    data = (X > 0.5).astype(dtype)
    for entry in ("fit", "evaluate"):
        received, expected = call(entry, anew(), data), call(entry, anew(), data.astype(np.float32))
        np.testing.assert_allclose(received, expected, rtol=1e-6)
    assert anew().terms(data).rate.shape == (N,)


def test_decode_takes_what_encode_gives_in_any_container():
    vae, z = tiny_vae(), np.zeros((5, 2))
    expected = vae.decoder(z.astype(np.float32)).mean().numpy()
    for data in (z, z.tolist(), pd.DataFrame(z), tf.constant(z), tf.data.Dataset.from_tensor_slices(z).batch(2)):
        np.testing.assert_allclose(vae.decode(data), expected, rtol=1e-6)


WRONG = {
    "NaN": (np.where(X > 0.9, np.nan, X), "NaN or infinite"),
    "shape": (X[:, :3], r"shape \[B, 4\]"),
    "no examples": (X[:0], "at least 1 example"),
}


@pytest.mark.parametrize(
    ("fault", "container"),
    [
        (fault, container)
        for fault in WRONG
        for container in ("float32", "list", "data frame", "csr_matrix", *BATCHED)
        if (fault, container) not in {("no examples", "list"), ("no examples", "generator")}  # no shape, no batch
    ],
)
@pytest.mark.parametrize("entry", ["fit", "evaluate", "validation", "encode"])
def test_what_is_wrong_is_refused_alike(fault, container, entry, anew, tmp_path):
    data, message = WRONG[fault]
    made = (INDEXED | BATCHED)[container](data, None if container in BATCHED else tmp_path)
    with pytest.raises(ValueError, match=message):
        call(entry, anew(), made)


@pytest.mark.parametrize("container", ["float32", "data frame", "csr_matrix", "list", *BATCHED])
def test_grey_levels_for_a_bernoulli_are_reported_whatever_the_container(container, tmp_path):
    data = (INDEXED | BATCHED)[container](X, None if container in BATCHED else tmp_path)
    with pytest.warns(UserWarning, match="grey levels"):
        logs_of_fit(tiny_vae(likelihoods.Bernoulli((4,))), data)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones((N, 2)), r"sample_weight: expected one weight .* received shape \[96, 2\]"),
        (np.ones((N, 4)), r"shape \[96, 4\]"),
        (np.ones(N - 1), "96 and 95"),
        (-np.ones(N), "at least 0"),
        (np.full(N, np.nan), "finite"),
        (1.0, "sample_weight"),
    ],
)
def test_other_weights_are_refused(weight, message, anew):
    for entry in ("fit", "evaluate", "validation"):
        with pytest.raises((TypeError, ValueError), match=message):
            call(entry, anew(), X, weight)


def test_weights_of_another_shape_in_a_dataset_are_refused():
    data = tf.data.Dataset.from_tensor_slices((X, X, np.ones((N, 4)))).batch(BATCH)
    with pytest.raises(ValueError, match="sample_weight: expected one weight for each example"):
        tiny_vae().fit(data, verbose=0)


@pytest.mark.parametrize(
    "data",
    [
        np.array([["a"] * 4] * 3),
        np.array([[1j] * 4] * 3),
        np.array([[None] * 4] * 3, dtype=object),
        {"x": X},
        [X, X[:, :3]],
        "x.npy",
        None,
        np.ma.masked_array(X, X > 0.5),
        pd.DataFrame({"a": [1.0], "b": ["word"], "c": [1.0], "d": [1.0]}),
        tf.data.Dataset.from_tensor_slices({"x": X}).batch(2),
        tf.RaggedTensor.from_row_lengths(X.ravel(), [N * 4]),
        object(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_are_no_numbers_is_refused_by_name(data, anew):
    for entry in (lambda vae: vae.fit(data, verbose=0), lambda vae: vae.encode(data)):
        with pytest.raises((TypeError, ValueError), match=r"expected .* received"):
            entry(anew())


def test_a_dataset_without_end(anew):
    forever = tf.data.Dataset.from_tensor_slices(X).batch(BATCH).repeat()
    vae = anew()
    vae.fit(forever, steps_per_epoch=3, verbose=0)
    for entry in (vae.encode, vae.reconstruct, lambda data: evaluation.elbo(vae, data)):
        with pytest.raises(ValueError, match="repeats for ever"):
            entry(forever)


def test_a_dataset_is_not_looked_at_ahead(anew):
    """A pass over a dataset with a state of its own sees every batch once."""
    taken = []

    def batches():
        for start in range(0, N, BATCH):
            taken.append(start)
            yield X[start : start + BATCH]

    spec = tf.TensorSpec((None, 4), tf.float32)
    anew().fit(tf.data.Dataset.from_generator(batches, output_signature=spec), verbose=0)
    assert taken == list(range(0, N, BATCH))


def test_a_generator_loses_no_batch(anew):
    batches = iter([X[:BATCH], X[BATCH : 2 * BATCH], X[2 * BATCH :]])
    anew().fit(X, batch_size=BATCH, shuffle=False, verbose=0)
    expected = anew.vae.encode(X)
    anew().fit(batches, steps_per_epoch=3, verbose=0)
    np.testing.assert_allclose(anew.vae.encode(X), expected, rtol=1e-6)


def test_validation_data_win_over_a_split_as_in_keras(anew):
    logs = anew().fit(X, validation_data=X[:10], validation_split=0.5, verbose=0).history
    anew().fit(X, verbose=0)
    assert logs["val_loss"][0] == pytest.approx(anew.vae.evaluate(X[:10], verbose=0)[0], rel=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, "half", 0.999])
def test_a_split_that_is_none_is_refused(share, anew):
    with pytest.raises(ValueError, match="validation_split"):
        anew().fit(X, validation_split=share, verbose=0)


@pytest.mark.parametrize("container", BATCHED)
def test_a_split_of_batches_is_refused(container, anew):
    with pytest.raises(ValueError, match="validation_split: expected data that can be indexed"):
        anew().fit(BATCHED[container](X, None), validation_split=0.5, verbose=0)


def test_a_single_column_is_taken_as_keras_does():
    column = np.linspace(0, 1, 50)
    likelihood = likelihoods.Gaussian((1,))
    import vae_tf

    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((1,), vae_tf.posteriors.DiagonalNormal(1), hidden=(4,)),
        vae_tf.networks.mlp_decoder(1, likelihood, hidden=(4,)),
        vae_tf.priors.StandardNormal(1),
    )
    vae.compile()
    vae.fit(pd.Series(column), verbose=0)
    assert vae.encode(column).shape == vae.encode(column[:, None]).shape == (50, 1)


def test_fitting_an_array_copies_little_of_it(tmp_path):
    """The data stay where they are: numpy's allocations while fitting are below 0.3 of the array."""
    import tracemalloc

    large = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (400_000, 32))  # 51 MB
    large[:] = 0.5
    import vae_tf

    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((32,), vae_tf.posteriors.DiagonalNormal(1), hidden=()),
        vae_tf.networks.mlp_decoder(1, likelihoods.Gaussian((32,)), hidden=()),
        vae_tf.priors.StandardNormal(1),
    )
    vae.compile()
    vae.fit(large[:64], verbose=0)
    tracemalloc.start()
    vae.fit(large, batch_size=50_000, verbose=0)
    vae.encode(large[:1000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * large.nbytes + 4 * 50_000 * 32 * 4  # beside the batches that wait


def test_no_warning_for_data_as_they_should_be():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_vae().fit(pd.DataFrame(X), verbose=0)


class Loader:
    """Batches that begin anew each time, as PyTorch's DataLoader has them."""

    def __iter__(self):
        return generator(X, None)


def test_what_can_be_iterated_again_is_read_in_every_epoch(anew):
    expected = anew().fit(X, batch_size=BATCH, shuffle=False, epochs=3, validation_data=X, verbose=0).history
    received = anew().fit(Loader(), epochs=3, validation_data=Loader(), verbose=0).history
    assert received["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert received["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-6)


def test_a_generator_to_validate_on_is_refused(anew):
    with pytest.raises(ValueError, match="validation_data: expected data that can be read in every epoch"):
        anew().fit(X, epochs=3, validation_data=generator(X, None), verbose=0)


@pytest.mark.parametrize("parts", [2, 3])
def test_targets_and_weights_are_not_dropped_in_silence(parts, anew):
    data = tf.data.Dataset.from_tensor_slices((X + 1, X, WEIGHTS)[:parts]).batch(BATCH)
    for score in (evaluation.elbo, collapse.active_units):
        with pytest.raises(ValueError, match="batches of x alone, received targets or weights"):
            score(anew(), data)


def test_nullable_and_mixed_columns(anew):
    frame = pd.DataFrame(X.round())
    expected = anew().encode(frame)
    for other in (frame.astype("Int64"), frame.astype("Float64"), frame.astype({0: bool})):
        np.testing.assert_allclose(anew().encode(other), expected, rtol=1e-6)
    missing = frame.astype("Float64")
    missing.iloc[3, 1] = pd.NA
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        anew().fit(missing, verbose=0)
    for words in (pd.Series(["a"] * N), pd.DataFrame({"a": ["b"] * N})):
        with pytest.raises(TypeError, match=r"columns of other kinds: .*object"):
            anew().fit(words, verbose=0)


def test_a_dataset_of_unknown_rank(anew):
    data = tf.data.Dataset.from_generator(lambda: generator(X, None), output_types=tf.float32)
    expected = anew().fit(X, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
    assert anew().fit(data, verbose=0).history["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("element", [tf.ragged.constant([[1.0], [2.0, 3.0]]), tf.constant(["a", "b"])])
def test_a_dataset_of_other_tensors(element, anew):
    with pytest.raises((TypeError, ValueError), match=r"expected .* received"):
        anew().fit(tf.data.Dataset.from_tensor_slices(element).batch(2), verbose=0)


def test_weights_without_any_weight(anew):
    with pytest.raises(ValueError, match="a weight above 0, received only 0"):
        anew().evaluate(X, sample_weight=np.zeros(N), verbose=0)


def test_validation_data_in_a_list_are_arrays_as_in_keras(anew):
    (expected,) = anew().fit(X, validation_data=(X, X), verbose=0).history["val_loss"]
    assert anew().fit(X, validation_data=[X, X], verbose=0).history["val_loss"] == [expected]
    assert anew().fit(X, validation_data=list(X[:2]), verbose=0).history["val_loss"]  # two examples


def test_labels_beside_flat_data_are_to_be_left_out(anew):
    labelled = tf.data.Dataset.from_tensor_slices((X, np.zeros(N))).batch(BATCH)
    with pytest.raises(ValueError, match=r"received shape \[None\]\. Pass the images once, fit\(x\), without labels"):
        anew().fit(labelled, verbose=0)
