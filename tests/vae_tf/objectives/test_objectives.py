"""Objectives against values by hand, schedules against their definition, and the loss and logs of training."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from models import SHAPE, binary, make_likelihood
from scipy import special

import vae_tf
from vae_tf import objectives
from vae_tf.objectives import ELBO, GECO, IWAE, Capacity, FreeBits, Progress, Terms, cyclical, linear

DISTORTION, RATE = np.array([3.0, 5.0], np.float32), np.array([1.0, 2.0], np.float32)
PER_LATENT = np.array([[0.1, 0.9], [0.2, 1.8]], np.float32)
LOG_WEIGHTS = np.array([[-4.0, -7.5], [-4.5, -6.0], [-3.0, -7.0]], np.float32)
TERMS = Terms(DISTORTION, RATE, PER_LATENT, LOG_WEIGHTS)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (ELBO(), [4.0, 7.0]),
        (ELBO(0.5), [3.5, 6.0]),
        (FreeBits(0.0), [3.0 + 0.15 + 1.35, 5.0 + 0.15 + 1.35]),
        (FreeBits(0.5), [3.0 + 0.5 + 1.35, 5.0 + 0.5 + 1.35]),
        (Capacity(1.5, 10.0), [3.0 + 5.0, 5.0 + 5.0]),
        (GECO(3.5), [1.0 - 0.5, 2.0 + 1.5]),
        (IWAE(3), np.log(3) - special.logsumexp(LOG_WEIGHTS, axis=0)),
    ],
)
def test_losses_by_hand(objective, expected):
    np.testing.assert_allclose(objective(TERMS), expected, rtol=1e-6)


def test_terms_unpack_as_distortion_and_rate():
    distortion, rate = TERMS
    assert distortion is DISTORTION
    assert rate is RATE


def test_schedules():
    def values(schedule, unit, points):
        return [float(schedule(Progress(**{unit: float(point)}))) for point in points]

    assert values(linear(10, "steps"), "step", [0, 5, 10, 99]) == [0.0, 0.5, 1.0, 1.0]
    assert values(linear(4, start=0.2, end=1.0), "epoch", [0, 2, 4]) == pytest.approx([0.2, 0.6, 1.0])
    assert values(linear(4, start=1.0, end=0.0), "epoch", [0, 1, 4]) == [1.0, 0.75, 0.0]
    cycle = cyclical(8, "steps", rise=0.25)
    assert values(cycle, "step", [0, 1, 2, 7, 8, 9, 10]) == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]
    assert (linear(10).warm_up, cycle.warm_up) == (10.0, 2.0)


def test_a_scheduled_weight_is_that_of_the_step():
    objective = ELBO(linear(10, "steps"))
    np.testing.assert_allclose(objective(TERMS, Progress(step=5.0)), DISTORTION + 0.5 * RATE)


def test_geco_is_bounded_where_its_tolerance_cannot_be_reached():
    state = {name: tf.constant(value) for name, value in GECO(-1e3).initial_state().items()}
    for _ in range(30):
        state = GECO(-1e3, speed=1.0).update(TERMS, state)
    assert float(state["log_multiplier"]) == 10.0
    assert float(state["violation"]) == pytest.approx(1004.0), "from the first batch on"
    assert np.isfinite(GECO(-1e3)(TERMS, Progress(state=state))).all()


def test_weights_of_the_examples_count():
    weighted = dataclasses.replace(TERMS, weight=tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(FreeBits(0.0)(weighted), DISTORTION + PER_LATENT[0].sum(), rtol=1e-6)
    state = GECO(1.0).update(weighted, {"log_multiplier": 0.0, "violation": np.nan})
    assert float(state["violation"]) == pytest.approx(DISTORTION[0] - 1.0)


def test_geco_moves_its_multiplier_by_the_averaged_violation():
    objective = GECO(3.0, speed=0.1, decay=0.5)  # the batch's distortion is 4: one nat too much
    state = objective.update(TERMS, {"log_multiplier": 0.2, "violation": 0.0})
    assert {name: float(value) for name, value in state.items()} == pytest.approx(
        {"violation": 0.5, "log_multiplier": 0.2 + 0.1 * 0.5}
    )
    state = GECO(100.0, speed=0.1).update(TERMS, {"log_multiplier": 0.0, "violation": 0.0})
    assert float(state["log_multiplier"]) == pytest.approx(-0.1), "the step is clipped"
    loss = objective(TERMS, Progress(state={"log_multiplier": tf.constant(np.log(2.0), tf.float32)}))
    np.testing.assert_allclose(loss, RATE + 2 * (DISTORTION - 3), rtol=1e-6)


ALL = [
    ELBO(0.5, num_samples=3),
    ELBO(linear(5, "epochs", end=2.0)),
    FreeBits(cyclical(4, "steps")),
    Capacity(linear(100, "steps", end=25.0), 3.0),
    GECO(12.0, speed=0.2, decay=0.5),
    IWAE(7),
]


def test_every_objective_is_in_the_list():
    assert {type(objective) for objective in ALL} == set(objectives.Objective.__subclasses__())


@pytest.mark.parametrize("objective", ALL, ids=lambda objective: type(objective).__name__)
def test_configuration_survives_json(objective):
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(objective)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert again.get_config() == objective.get_config()
    assert type(again) is type(objective)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ELBO(-1.0), "kl_weight"),
        (lambda: ELBO(float("nan")), "kl_weight"),
        (lambda: ELBO("warm"), "kl_weight"),
        (lambda: ELBO(num_samples=0), "num_samples"),
        (lambda: IWAE(0), "num_samples"),
        (lambda: IWAE(2.5), "num_samples"),
        (lambda: FreeBits(-0.1), "nats_per_latent"),
        (lambda: Capacity(-1.0), "capacity"),
        (lambda: Capacity(1.0, -1.0), "gamma"),
        (lambda: GECO(float("inf")), "tolerance"),
        (lambda: GECO(1.0, speed=0.0), "speed"),
        (lambda: GECO(1.0, decay=1.0), "decay"),
        (lambda: linear(0), "length"),
        (lambda: linear(3, "batches"), "unit"),
        (lambda: linear(3, start=-1.0), "start"),
        (lambda: cyclical(3, rise=1.5), "rise"),
    ],
)
def test_bad_arguments(make, name):
    with pytest.raises(ValueError, match=f"{name}: expected .*received"):
        make()


def test_free_bits_need_independent_latents(make_vae):
    with pytest.raises(ValueError, match=r"Objective FreeBits: expected .* received FullCovarianceNormal"):
        make_vae(posterior=vae_tf.posteriors.FullCovarianceNormal, objective=FreeBits(0.1))


def test_the_importance_weighted_loss_by_an_independent_computation(make_vae, digits):
    """At the first batch of `evaluate`: from the draws, the decoder's parameters and numpy alone."""
    x = binary(digits[1][:6])
    vae = make_vae(make_likelihood("bernoulli"), objective=IWAE(5))
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    q = vae.encoder(x)
    loc, scale = (vae.posterior.parameters_of(q)[name].numpy().astype(np.float64) for name in ("loc", "scale"))
    eps = vae.posterior.distribution({"loc": tf.zeros((6, 4)), "scale": tf.ones((6, 4))}).sample(
        5, seed=tf.constant([-1, 0], tf.int32)
    )
    z = loc + scale * eps.numpy().astype(np.float64)
    log_q = -(0.5 * (z - loc) ** 2 / scale**2 + np.log(scale)).sum(-1)  # without D/2 log 2 pi, as log p(z)
    log_p = -(0.5 * z**2).sum(-1)
    logits = vae.likelihood.parameters_of(vae.decoder(z.reshape(-1, 4).astype(np.float32)))["logits"].numpy()
    logits = logits.reshape(5, 6, *SHAPE).astype(np.float64)
    log_x = (x * logits - np.logaddexp(0, logits)).sum((-1, -2, -3))
    bound = special.logsumexp(log_x + log_p - log_q, axis=0) - np.log(5)
    kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * np.log(scale)).sum(-1)
    assert logs["loss"] == pytest.approx(-bound.mean(), rel=1e-5)
    assert logs["distortion"] == pytest.approx(-log_x.mean(), rel=1e-5)
    assert logs["elbo"] == pytest.approx((log_x.mean(0) - kl).mean(), rel=1e-5), "the true bound, beside the loss"
    assert -logs["loss"] > logs["elbo"]


def test_logs_of_a_scheduled_weight(make_vae, digits):
    """By epoch: the weight is that of the last step; a model that is saved and loaded goes on from there."""
    vae = make_vae(objective=ELBO(linear(4, "epochs")))
    with pytest.warns(UserWarning, match=r"kl_weight: its warm-up takes 4 epochs, and training ends after 2: .* 0\.5"):
        history = vae.fit(digits[0][:128], batch_size=32, epochs=2, verbose=0).history
    assert history["kl_weight"] == pytest.approx([4 / 16, 8 / 16])
    for loss, elbo in zip(history["loss"], history["elbo"], strict=True):
        assert loss < -elbo, "the objective is easier than the bound"
    history = vae.fit(digits[0][:128], batch_size=32, epochs=2, verbose=0).history
    assert history["kl_weight"] == pytest.approx([12 / 16, 1.0])
    assert history["loss"][1] != pytest.approx(-history["elbo"][1]), "an average over the epoch"
    logs = vae.evaluate(digits[1][:64], verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(-logs["elbo"], rel=1e-6)


def test_epochs_are_counted_on_when_the_batch_size_changes(make_vae, digits):
    vae = make_vae(objective=ELBO(linear(4, "epochs")))
    with pytest.warns(UserWarning, match="training ends after 2"):
        vae.fit(digits[0][:64], batch_size=16, epochs=2, verbose=0)
    history = vae.fit(digits[0][:64], batch_size=64, epochs=2, verbose=0).history
    assert history["kl_weight"] == pytest.approx([0.75, 1.0])


def test_a_sequence_has_a_length(make_vae, digits):
    class Batches(keras.utils.Sequence):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return digits[0][32 * index : 32 * (index + 1)]

    vae = make_vae(objective=ELBO(linear(1, "epochs")))
    assert vae.fit(Batches(), verbose=0).history["kl_weight"] == [1.0]


def test_epochs_of_data_without_a_length(make_vae, digits):
    data = tf.data.Dataset.from_tensor_slices(digits[0][:64]).batch(32).filter(lambda x: True)
    vae = make_vae(objective=ELBO(linear(4, "epochs")))
    with pytest.raises(ValueError, match="Schedule of kl_weight: expected data of known length"):
        vae.fit(data, verbose=0)


def test_geco_reaches_its_tolerance_and_is_saved(make_vae, digits, tmp_path):
    vae = make_vae(make_likelihood(0.3), objective=GECO(5.0, speed=0.05))
    history = vae.fit(digits[0][:256], batch_size=32, epochs=12, verbose=0).history
    assert history["multiplier"][0] > 1, "the constraint is violated at first"
    assert history["distortion"][-1] < history["distortion"][0]
    vae.save(tmp_path / "vae.keras")
    loaded = vae_tf.load(tmp_path / "vae.keras")
    assert float(loaded.objective_state["log_multiplier"]) == float(vae.objective_state["log_multiplier"]) != 0
    assert loaded.evaluate(digits[1][:32], verbose=0) == vae.evaluate(digits[1][:32], verbose=0)


def test_free_bits_keep_latents_in_use(make_vae, digits):
    """At sigma = 1 the ELBO collapses all latents of the digits; free bits do not."""
    rates = []
    for objective in (ELBO(), FreeBits(0.5)):
        vae = make_vae(make_likelihood(1.0), objective=objective)
        rates.append(vae.fit(digits[0][:512], batch_size=32, epochs=15, verbose=0).history["rate"][-1])
    assert rates[0] < 1.0
    assert rates[1] > 1.5


def test_more_draws_are_averaged(make_vae, digits):
    """The distortion of 64 draws lies between those of single ones, and its noise is smaller."""
    x = digits[1][:8]
    single = [make_vae(seed=0).terms(x, seed=seed).distortion.numpy().mean() for seed in range(5)]
    logs = make_vae(objective=ELBO(num_samples=64)).evaluate(x, verbose=0, return_dict=True)
    assert min(single) < logs["distortion"] < max(single)
    assert logs["loss"] == pytest.approx(-logs["elbo"], rel=1e-6)


def test_geco_does_not_move_on_a_batch_without_weight():
    geco = GECO(1.0)
    state = {"log_multiplier": tf.constant(0.3), "violation": tf.constant(2.0)}
    terms = Terms(tf.constant([5.0, 6.0]), tf.constant([1.0, 1.0]), weight=tf.zeros(2))
    after = geco.update(terms, state)
    assert {name: float(value) for name, value in after.items()} == pytest.approx(
        {name: float(value) for name, value in state.items()}
    )
