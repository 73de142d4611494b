import io
import sys

import numpy as np
import pytest
from PIL import Image

from tfdicom import dataset_reading
from tfdicom.image_signature import LENGTH, signature
from tfdicom.leakage import Place
from tfdicom.near_duplicates import LikeImages, find_near_duplicates


def in_window(pixels, low, high):
    """Eight bits; ``low`` and ``high`` are percentiles."""
    first, last = np.percentile(pixels, [low, high])
    scaled = (pixels.astype(float) - first) / (last - first)
    return (scaled.clip(0, 1) * 255).astype(np.uint8)


def jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def resized(pixels, size):
    image = Image.fromarray(in_window(pixels, 0, 100))
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR))


REEXPORTS = {
    "8 bits": lambda one: in_window(one, 0, 100),
    "a narrow window": lambda one: in_window(one, 10, 90),
    "half of it black": lambda one: in_window(one, 50, 98),
    "JPEG of quality 75": lambda one: jpeg(in_window(one, 1, 99), 75),
    "JPEG of quality 30": lambda one: jpeg(in_window(one, 1, 99), 30),
    "inverted": lambda one: 255 - in_window(one, 1, 99),
    "half the size": lambda one: resized(one, 128),
    "twice the size": lambda one: resized(one, 512),
    "two pixels cut off": lambda one: one[2:-2, 2:-2],
    "in color": lambda one: np.repeat(in_window(one, 1, 99)[..., np.newaxis], 3, 2),
    "float": lambda one: one * 0.37 - 200,
    "32 bits": lambda one: one.astype(np.int32) * 100_000,
}


@pytest.fixture(scope="module")
def images(sunnybrook_dataset):
    """Stored values of all annotated images, and their patients."""
    examples = list(dataset_reading.read_examples(sunnybrook_dataset))
    return [one.image[..., 0] for one in examples], [one.patient for one in examples]


def test_no_two_patients_are_alike(images):
    pixels, patients = images
    assert len(set(patients)) == 3
    assert find_near_duplicates([signature(one) for one in pixels], patients) == []


@pytest.mark.parametrize("name", REEXPORTS)
def test_reexports_under_another_name_are_found(images, name):
    pixels, patients = images
    some = range(0, len(pixels), 4)
    again = [REEXPORTS[name](pixels[place]) for place in some]
    signatures = [signature(one) for one in (*pixels, *again)]
    pairs = find_near_duplicates(signatures, [*patients, *["another"] * len(again)])
    found = {one.second - len(pixels): one for one in pairs}
    # Of two phases that hardly differ either may be the likest, of this patient.
    for number, place in enumerate(some):
        assert patients[found[number].first] == patients[place]
        assert 0.8 <= found[number].likeness <= 1.0001


def test_a_signature_is_small_and_knows_no_increasing_transform(images):
    pixels = images[0][0]
    one = signature(pixels)
    assert len(one) == LENGTH == 256
    assert signature(pixels[..., np.newaxis]) == one
    assert signature(np.exp(pixels / 400)) == one
    assert signature(pixels.astype(np.int32) << 15) == one
    values = np.frombuffer(one, np.int8)
    assert np.abs(values).max() == 127
    assert abs(values.mean()) < 1
    inverted = np.frombuffer(signature(-pixels), np.int8)
    np.testing.assert_allclose(inverted, -values, atol=1)


def test_cells_hold_mean_ranks():
    pixels = np.zeros((32, 48), np.uint8)
    pixels[:, 24:] = 9
    values = np.frombuffer(signature(pixels), np.int8).reshape(16, 16)
    assert (values[:, :8] == -127).all() and (values[:, 8:] == 127).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((40, 40), np.int16),
        np.full((5, 7, 3), 200, np.uint8),
        np.eye(300, dtype=np.float32)[:, ::-1] * (np.arange(300) < 2),
        np.full((20, 20), np.nan, np.float32),
    ],
)
def test_where_nothing_is_seen_there_is_no_signature(pixels):
    assert signature(pixels) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (15, 17), (16, 16), (31, 1000)])
def test_any_size_has_a_signature(shape):
    pixels = np.random.default_rng(5).integers(0, 4000, shape).astype(np.uint16)
    one = signature(pixels)
    assert one is None if shape == (1, 1) else len(one) == LENGTH


def fields(count, seed):
    """Cells of random smooth images, as signatures have them."""
    random = np.random.default_rng(seed)
    steps = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.fftfreq(16)))
    waves = np.fft.fft2(random.standard_normal((count, 16, 16)))
    found = np.fft.ifft2(waves / np.maximum(steps, 1 / 16)).real
    found -= found.mean(axis=(1, 2), keepdims=True)
    return found / found.std(axis=(1, 2), keepdims=True)


def as_signatures(cells):
    largest = np.abs(cells).max(axis=(1, 2), keepdims=True)
    return [one.tobytes() for one in np.rint(cells / largest * 127).astype(np.int8)]


@pytest.mark.parametrize("count", [4000, 20_000])
def test_copies_among_many_are_found(count):
    """In buckets too, also where all images have an outline in common."""
    everything = fields(count, 1) + fields(1, 2)
    copies = everything[:100] + 0.1 * fields(100, 3)
    copies[::2] *= -1
    signatures = as_signatures(np.concatenate([everything, copies]))
    owners = [str(number // 10) for number in range(count)] + ["copy"] * 100
    found = find_near_duplicates(signatures, owners)
    pairs = {(one.first, one.second) for one in found}
    right = sum((number, count + number) in pairs for number in range(100))
    assert right >= 98
    assert len(pairs) == right


def test_order_of_images_does_not_matter():
    cells = fields(60, 1)
    signatures = as_signatures(np.concatenate([cells, cells + 0.1 * fields(60, 2)]))
    owners = [*["a"] * 60, *["b"] * 60]
    turned = find_near_duplicates(signatures[::-1], owners[::-1])
    found = {(119 - one.second, 119 - one.first) for one in turned}
    straight = find_near_duplicates(signatures, owners)
    assert found == {(one.first, one.second) for one in straight}
    assert len(found) == 60


def test_own_images_are_never_reported():
    signatures = as_signatures(np.repeat(fields(1, 1), 5, axis=0))
    assert find_near_duplicates(signatures, ["a"] * 5) == []
    assert find_near_duplicates([None, *signatures], ["b", *["a"] * 5]) == []
    assert find_near_duplicates([], []) == []


def test_patients_are_named_with_their_likest_pair():
    images = LikeImages()
    cells = fields(4, 1)
    near = cells + np.array([0.2, 0.05, 0.2, 0])[:, None, None] * fields(4, 2)
    for number, one in enumerate(as_signatures(cells)):
        images.add(one, Place("train", "a", f"a{number}"), f"{number}" * 64)
    for number, one in enumerate(as_signatures(near)):
        images.add(
            one,
            Place("test", "b", f"b{number}"),
            f"{number + 5 - 5 * (number == 3)}" * 64,
        )
    (found,) = images.patients()
    assert found.count == 3  # the fourth has equal pixels, which others tell
    assert (found.first.name, found.second.name) == ("a1", "b1")
    assert found.in_two_splits
    assert "(and 2 more such)" in str(found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
