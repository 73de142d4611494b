import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom import losses

RANDOM = np.random.default_rng(4)
TRUTH = (RANDOM.random((3, 6, 5, 2)) < 0.4).astype(np.uint8)
TRUTH[0, :, :, 1] = 255
TRUTH[1, :2] = 255
PREDICTED = RANDOM.random(TRUTH.shape).astype(np.float32)
KNOWN = TRUTH != 255


def _entropy(truth, predicted):
    return -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted))


def test_crossentropy_agrees_with_numpy():
    found = losses.masked_binary_crossentropy(TRUTH, PREDICTED)
    assert found.shape == (3, 1, 1)
    for n in range(3):
        known = KNOWN[n]
        wanted = _entropy(TRUTH[n][known] * 1.0, PREDICTED[n][known]).mean()
        assert float(found[n, 0, 0]) == pytest.approx(wanted, rel=1e-5)


def test_crossentropy_is_keras_own_where_all_is_known():
    truth = (TRUTH == 1).astype(np.float32)
    wanted = tf.keras.losses.BinaryCrossentropy()(truth, PREDICTED)
    found = tf.reduce_mean(losses.masked_binary_crossentropy(truth, PREDICTED))
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


def test_dice_loss_agrees_with_numpy():
    wanted = []
    for k in range(2):
        known = KNOWN[..., k]
        truth, predicted = TRUTH[..., k][known] * 1.0, PREDICTED[..., k][known]
        shared = (truth * predicted).sum()
        wanted.append(1 - (2 * shared + 1) / (truth.sum() + predicted.sum() + 1))
    found = losses.masked_dice_loss(TRUTH, PREDICTED)
    np.testing.assert_allclose(found, np.full((3, 1, 1), np.mean(wanted)), rtol=1e-5)


def test_combined_loss_is_the_sum():
    parts = losses.masked_binary_crossentropy(TRUTH, PREDICTED)
    parts += losses.masked_dice_loss(TRUTH, PREDICTED)
    found = losses.masked_combined_loss(TRUTH, PREDICTED)
    np.testing.assert_allclose(found, parts, rtol=1e-6)


LOSSES = [
    losses.masked_binary_crossentropy,
    losses.masked_dice_loss,
    losses.masked_combined_loss,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_unknown_pixels_have_no_gradient(loss):
    predicted = tf.constant(PREDICTED)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = tf.reduce_mean(loss(TRUTH, predicted))
    gradient = tape.gradient(value, predicted).numpy()
    assert (gradient[~KNOWN] == 0).all() and (gradient[KNOWN] != 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_nothing_known_and_certain_predictions_stay_finite(loss, certain):
    unknown = np.full_like(TRUTH, 255)
    predicted = tf.fill(TRUTH.shape, certain)
    np.testing.assert_array_equal(loss(unknown, predicted), np.zeros((3, 1, 1)))
    assert np.isfinite(loss(TRUTH, predicted)).all()


def test_empty_and_predicted_empty_is_no_dice_loss():
    zeros = np.zeros(TRUTH.shape, np.float32)
    np.testing.assert_allclose(losses.masked_dice_loss(zeros, zeros), 0, atol=1e-7)


@pytest.mark.parametrize("class_index", [None, 0, 1])
def test_metric_pools_over_batches(class_index):
    metric = losses.MaskedDice(class_index=class_index, threshold=0.3)
    for n in range(3):
        metric.update_state(TRUTH[n : n + 1], PREDICTED[n : n + 1])
    at = slice(None) if class_index is None else class_index
    known = KNOWN[..., at]
    truth, positive = TRUTH[..., at][known] == 1, PREDICTED[..., at][known] >= 0.3
    wanted = 2 * (truth & positive).sum() / (truth.sum() + positive.sum())
    assert float(metric.result()) == pytest.approx(wanted)
    metric.reset_state()
    assert float(metric.result()) == 1


def test_metric_weighs_examples():
    metric = losses.MaskedDice()
    metric.update_state(TRUTH, PREDICTED, sample_weight=[0.0, 1.0, 0.0])
    alone = losses.MaskedDice()
    alone.update_state(TRUTH[1:2], PREDICTED[1:2])
    assert float(metric.result()) == pytest.approx(float(alone.result()))


def test_metric_weighs_pixels():
    metric = losses.MaskedDice()
    weight = np.zeros(TRUTH.shape[:3], np.float32)
    weight[:, 2:4] = 1
    metric.update_state(TRUTH, PREDICTED, sample_weight=weight)
    alone = losses.MaskedDice()
    alone.update_state(TRUTH[:, 2:4], PREDICTED[:, 2:4])
    assert float(metric.result()) == pytest.approx(float(alone.result()))


def test_metric_counts_beyond_the_integers_of_float32():
    metric = losses.MaskedDice()
    ones = tf.ones([1, 2048, 2048, 1])
    for _ in range(5):
        metric.update_state(ones, ones)
    metric.update_state(ones[:, :1, :1], 1 - ones[:, :1, :1])
    shared, sizes = (float(one) for one in metric.variables)
    assert (shared, sizes) == (5 * 2**22, 10 * 2**22 + 1)


def test_metric_can_be_made_again():
    metric = losses.MaskedDice(class_index=1, threshold=0.7, name="outer")
    again = losses.MaskedDice.from_config(metric.get_config())
    assert (again.class_index, again.threshold, again.name) == (1, 0.7, "outer")


@pytest.mark.parametrize("loss", LOSSES)
def test_keras_reports_what_they_say(loss):
    inputs = tf.keras.Input((6, 5, 2))
    model = tf.keras.Model(inputs, tf.keras.layers.Activation("linear")(inputs))
    model.compile("sgd", loss=loss, metrics=[losses.MaskedDice(class_index=0)])
    data = tf.data.Dataset.from_tensors((PREDICTED, TRUTH))
    logs = model.evaluate(data, verbose=0, return_dict=True)
    wanted = float(tf.reduce_mean(loss(TRUTH, PREDICTED)))
    assert logs["loss"] == pytest.approx(wanted, rel=1e-5)
    metric = losses.MaskedDice(class_index=0)
    metric.update_state(TRUTH, PREDICTED)
    assert logs["dice"] == pytest.approx(float(metric.result()), rel=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
