import dataclasses
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.augment import ways
from tfdicom.augment import artefacts, filters, intensity
from tfdicom.augment.augment_options import POINTWISE, AugmentOptions

pytestmark = pytest.mark.long

BATCH = len(ways.KEYS)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.uniform(-1, 3, (BATCH, 13, 10, 2)).astype(np.float32)
MASK = (RANDOM.random((BATCH, 13, 10, 3)) < 0.5).astype(np.uint8)
NUMBERS = np.linspace(-1, 2, BATCH).astype(np.float32)
LOW, HIGH = tf.fill([BATCH], -1.0), tf.fill([BATCH], 3.0)
EACH = (slice(None), None, None, None)

EVERYTHING = AugmentOptions(
    brightness=0.5,
    brightness_probability=0.5,
    contrast=0.5,
    contrast_probability=0.5,
    gamma=1.0,
    gamma_probability=0.5,
    noise=0.2,
    noise_probability=0.5,
    rician=0.3,
    rician_probability=0.5,
    window_jitter=0.5,
    window_jitter_probability=0.5,
    invert=0.5,
    cutout=1.0,
    cutout_probability=0.5,
    cutout_count=4,
    cutout_mask=True,
)


def _figures(batch=BATCH):
    values = {"mean": 1.0, "deviation": 1.2, "minimum": -1.0, "maximum": 3.0}
    return {name: tf.fill([batch], value) for name, value in values.items()}


def _apply(options, *, way="eager", keys=ways.KEYS, image=IMAGE, mask=MASK, epoch=0):
    draws = ways.draws(keys, epoch=epoch)

    def function(image, mask):
        figures = _figures(len(keys))
        return intensity.apply(image, mask, draws, options, **figures)

    found = ways.run(function, way, tf.constant(image), tf.constant(mask))
    return [one.numpy() for one in found]


def _only(name, **changes):
    """Options with this change alone, for all examples."""
    names = [name, "cutout_count"]
    values = {one: getattr(EVERYTHING, one) for one in names}
    values |= {"invert": 1.0} if name == "invert" else {}
    return AugmentOptions(**{**values, **changes})


def test_brightness_adds():
    found = intensity.adjust_brightness(IMAGE, addition=NUMBERS)
    np.testing.assert_allclose(found, IMAGE + NUMBERS[EACH])
    expected = tf.image.adjust_brightness(IMAGE, 0.25)
    found = intensity.adjust_brightness(IMAGE, addition=tf.fill([BATCH], 0.25))
    np.testing.assert_allclose(found, expected)


def test_contrast_multiplies_about_the_pivot():
    image, factor = IMAGE[..., :1], np.linspace(0.5, 2, BATCH, dtype=np.float32)
    pivot = tf.reduce_mean(image, [1, 2, 3])
    found = intensity.adjust_contrast(image, factor=factor, pivot=pivot)
    for n in range(BATCH):
        expected = tf.image.adjust_contrast(image[n], factor[n])
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


@pytest.mark.parametrize("way", ways.WAYS)
@pytest.mark.parametrize("gamma", [0.4, 1.0, 2.3])
def test_gamma_agrees_with_tensorflow(gamma, way):
    def function(image):
        return intensity.adjust_gamma(
            image, gamma=tf.fill([BATCH], gamma), minimum=LOW, maximum=HIGH
        )

    image = IMAGE.copy()
    image[:, 0, 0], image[:, 1, 0] = -1, 3
    expected = tf.image.adjust_gamma((image + 1) / 4, gamma) * 4 - 1
    found = ways.run(function, way, tf.constant(image))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_gamma_keeps_mean_and_deviation():
    image = IMAGE.copy()
    image[1] = 2.0
    arguments = {"gamma": tf.fill([BATCH], 2.0), "minimum": LOW, "maximum": HIGH}
    changed = intensity.adjust_gamma(image, **arguments).numpy()
    kept = intensity.adjust_gamma(image, **arguments, keep_mean=True).numpy()
    for n in range(BATCH):
        assert kept[n].mean() == pytest.approx(image[n].mean(), abs=1e-5)
        assert kept[n].std() == pytest.approx(image[n].std(), abs=1e-5)
    assert np.corrcoef(kept[0].ravel(), changed[0].ravel())[0, 1] > 0.9999
    assert abs(changed[0].mean() - image[0].mean()) > 0.1


def test_gamma_of_a_constant_frame_is_that_frame():
    image = np.full_like(IMAGE, 2.0)
    for keep_mean in (False, True):
        found = intensity.adjust_gamma(
            image,
            gamma=tf.fill([BATCH], 2.0),
            minimum=tf.fill([BATCH], 2.0),
            maximum=tf.fill([BATCH], 2.0),
            keep_mean=keep_mean,
        )
        np.testing.assert_array_equal(found, image)


def test_inversion_mirrors_the_range():
    chosen = tf.constant([n % 2 == 0 for n in range(BATCH)])
    found = intensity.invert(IMAGE, inverted=chosen, minimum=LOW, maximum=HIGH)
    np.testing.assert_allclose(found[::2], 2 - IMAGE[::2], atol=1e-6)
    np.testing.assert_array_equal(found[1::2], IMAGE[1::2])


def test_window_clips_and_stretches():
    low, high = tf.fill([BATCH], 0.0), tf.fill([BATCH], 2.0)
    found = intensity.adjust_window(
        IMAGE, low=low, high=high, minimum=LOW, maximum=HIGH
    )
    np.testing.assert_allclose(found, np.clip(IMAGE, 0, 2) * 2 - 1, atol=1e-6)
    same = intensity.adjust_window(IMAGE, low=LOW, high=HIGH, minimum=LOW, maximum=HIGH)
    np.testing.assert_array_equal(same, IMAGE)


def test_noise_has_its_deviation():
    image = np.zeros((BATCH, 64, 64, 1), np.float32)
    draws = ways.draws()["noise_pixels"]
    found = intensity.add_noise(image, draws=draws, sigma=tf.constant(abs(NUMBERS)))
    for values, sigma in zip(found.numpy(), abs(NUMBERS).tolist(), strict=True):
        assert values.mean() == pytest.approx(0, abs=0.1 * sigma)
        assert values.std() == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0])
def test_rician_noise_has_the_moments_of_the_distribution(signal):
    image = np.full((BATCH, 64, 64, 1), signal - 1, np.float32)
    found = intensity.add_rician_noise(
        image,
        draws=ways.draws()["rician_pixels"],
        sigma=tf.fill([BATCH], 0.5),
        minimum=LOW,
    )
    values = found.numpy().astype(float) + 1
    assert values.min() >= 0
    assert (values**2).mean() == pytest.approx(signal**2 + 2 * 0.25, rel=0.02)
    fourth = signal**4 + 8 * signal**2 * 0.25 + 8 * 0.25**2
    assert (values**4).mean() == pytest.approx(fourth, rel=0.03)
    if signal == 0:
        expected = 0.5 * math.sqrt(math.pi / 2)
        assert values.mean() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("planes", [IMAGE, MASK], ids=["image", "mask"])
def test_cut_out_fills_rectangles(planes):
    boxes = RANDOM.uniform(-3, 14, (BATCH, 3, 2, 2)).astype(np.float32)
    boxes = np.sort(boxes, axis=2).reshape(BATCH, 3, 4)
    value = np.arange(BATCH).astype(planes.dtype)
    found = intensity.cut_out(planes, boxes=tf.constant(boxes), value=value)
    expected = planes.copy()
    for n in range(BATCH):
        for box in boxes[n]:
            r0, c0, r1, c1 = (max(0, math.ceil(edge)) for edge in box)
            expected[n, r0:r1, c0:c1] = value[n]
    np.testing.assert_array_equal(found, expected)


def test_neutral_numbers_give_the_image_back_bit_by_bit():
    pivot = tf.constant(NUMBERS * 1000 / 7)
    same = intensity.adjust_contrast(IMAGE, factor=tf.ones([BATCH]), pivot=pivot)
    np.testing.assert_array_equal(same, IMAGE)
    same = intensity.adjust_brightness(IMAGE, addition=tf.zeros([BATCH]))
    np.testing.assert_array_equal(same, IMAGE)
    zero, draws = tf.zeros([BATCH]), ways.draws()["noise_pixels"]
    same = intensity.add_noise(IMAGE, draws=draws, sigma=zero)
    np.testing.assert_array_equal(same, IMAGE)


def _draws(gate: float, value: float) -> dict[str, tf.Tensor]:
    pair = tf.constant([[gate, value]])
    return dict.fromkeys(ways.draws(), pair)


@pytest.mark.parametrize(
    ("value", "addition", "factor"), [(0.0, -0.3, 0.5), (0.5, 0.0, 1.0)]
)
def test_random_numbers_span_the_range(value, addition, factor):
    options = AugmentOptions(
        brightness=0.3, contrast=1.0, gamma=1.0, window_jitter=1.0, noise=0.4
    )
    draws = _draws(0.2, value)
    found = intensity.random_addition(draws, options).numpy()
    np.testing.assert_allclose(found, [addition], atol=1e-6)
    for random in (intensity.random_factor, intensity.random_gamma):
        np.testing.assert_allclose(random(draws, options), [factor], atol=1e-6)
    found = intensity.random_sigma(draws, options, name="noise")
    np.testing.assert_allclose(found, [0.4 * value], atol=1e-6)
    low, high = intensity.random_window(
        draws, options, minimum=LOW[:1], maximum=HIGH[:1]
    )
    np.testing.assert_allclose(high - low, [4 * factor], atol=1e-6)
    shift = (value * 2 - 1) * 0.5 * 4 * factor
    np.testing.assert_allclose((high + low) / 2, [1 + shift], atol=1e-6)


def test_rectangles_are_no_larger_than_asked_for():
    options = AugmentOptions(cutout=0.4, cutout_count=3, cutout_probability=0.6)
    draws = ways.draws(np.arange(500))
    boxes = intensity.random_boxes(draws, options, size=(50, 100)).numpy()
    sides = boxes[..., 2:] - boxes[..., :2]
    assert sides[..., 0].max() == pytest.approx(20, abs=0.3)
    assert sides[..., 1].max() == pytest.approx(40, abs=0.6)
    empty = (boxes == 0).all(axis=(1, 2)).mean()
    assert empty == pytest.approx(0.4, abs=0.07)
    centres = (boxes[..., 2:] + boxes[..., :2])[sides[..., 0] > 0] / 2
    assert centres.min() >= 0 and (centres.max(axis=0) <= (50, 100)).all()


@pytest.mark.parametrize("name", POINTWISE)
def test_alone_it_changes_all_or_with_probability_some(name):
    image, mask = _apply(_only(name))
    assert all((image[n] != IMAGE[n]).any() for n in range(BATCH))
    np.testing.assert_array_equal(mask, MASK)
    probability = {"invert": 0.5} if name == "invert" else {f"{name}_probability": 0.5}
    some, _ = _apply(_only(name, **probability))
    changed = [(some[n] != IMAGE[n]).any() for n in range(BATCH)]
    assert 0 < sum(changed) < BATCH
    np.testing.assert_array_equal(some[changed], image[changed])


@pytest.mark.parametrize("way", ways.WAYS[1:])
@pytest.mark.parametrize("name", POINTWISE)
def test_alone_it_is_the_same_eagerly_and_in_a_graph(name, way):
    options = _only(name, gamma_keeps_mean=True, cutout_mask=True)
    for found, eager in zip(_apply(options, way=way), _apply(options), strict=True):
        np.testing.assert_allclose(found, eager, atol=1e-5)


@pytest.mark.parametrize("way", ["eager", "map_xla"])
def test_an_example_looks_the_same_in_any_batch(way):
    whole = _apply(EVERYTHING, way=way)
    assert (whole[0] != IMAGE).any() and (whole[1] != MASK).any()
    for some in (slice(4, 9),):
        part = {"keys": ways.KEYS[some], "image": IMAGE[some], "mask": MASK[some]}
        found = _apply(EVERYTHING, way=way, **part)
        np.testing.assert_allclose(found[0], whole[0][some], atol=1e-5)
        np.testing.assert_array_equal(found[1], whole[1][some])


def test_another_epoch_looks_different():
    first, second = _apply(EVERYTHING)[0], _apply(EVERYTHING, epoch=1)[0]
    assert all((first[n] != second[n]).any() for n in range(BATCH))


def test_cutout_takes_the_mask_along_only_if_asked():
    options = _only("cutout", cutout=1.0, cutout_mask=True)
    image, mask = _apply(options)
    gone = (image == 1.0).all(axis=-1)
    assert 0.05 < gone.mean() < 0.6
    assert (mask[gone] == 0).all()
    np.testing.assert_array_equal(mask[~gone], MASK[~gone])


def test_what_is_off_adds_nothing_to_the_graph():
    def operations(options):
        graph = tf.function(
            lambda image, mask, draws: intensity.apply(
                image, mask, draws, options, **_figures()
            )
        ).get_concrete_function(tf.constant(IMAGE), tf.constant(MASK), ways.draws())
        return {one.type for one in graph.graph.get_operations()}

    assert operations(AugmentOptions()) <= {
        "Placeholder",
        "Identity",
        "NoOp",
        "Const",
        "Fill",
    }
    off = dataclasses.replace(EVERYTHING, rician=0, gamma=0, window_jitter=0)
    assert not any("While" in name for name in operations(off))
    assert any("While" in name for name in operations(EVERYTHING))


@pytest.mark.parametrize("module", [intensity, filters, artefacts])
def test_parameters_are_keyword_only(module):
    allowed = ["image", "planes", "mask", "draws", "options"]
    functions = ways.positional(module)
    assert len(functions) > 4
    for name, parameters in functions.items():
        assert [one for one in parameters if one not in allowed] == [], name


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
