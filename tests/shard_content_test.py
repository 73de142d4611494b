import copy
import json
import random
import sys

import numpy as np
import pytest

from tests import synthetic
from tests.synthetic import Frame
from tfdicom.label_kinds import LabelInfo
from tfdicom.shard_content import ShardContent, content_from_json
from tfdicom.value_counts import Rescale, Tally, ValueCounts, count_pixels

LABELS = (LabelInfo("grade", "class", ("low", "high")), LabelInfo("age", "number"))


def pixel_counts(example):
    """As the converter counts them: all pixels, and those of any class."""
    pixels = example.image[..., 0]
    rescale = Rescale(example.rescale_slope, example.rescale_intercept, example.padding)
    inside = example.masks.any(axis=0)
    return {
        "all": count_pixels(pixels, rescale),
        "foreground": count_pixels(pixels[inside], rescale),
    }


def content_of(*frames, first=0):
    content = ShardContent()
    for number, frame in enumerate(frames, first):
        example = synthetic.make_example(frame, number, labels=LABELS)
        content.add(example, pixel_counts(example))
    return content


def merged(*contents):
    whole = ShardContent()
    for one in contents:
        whole.merge(one)
    return whole


def read_back(content):
    return content_from_json(json.loads(json.dumps(content.to_json())))


MR = Frame(labels=("low", "61.5"))
CONTENTS = {
    "nothing": content_of(),
    "one": content_of(MR),
    "several": content_of(MR, Frame(labels=("high", "")), MR, MR),
    "fractions": content_of(Frame(slope=0.37, intercept=-1000 / 3, labels=("", ""))),
    "float": content_of(Frame(dtype="float32", labels=("low", "7"))),
    "unsigned": content_of(Frame(dtype="uint16", shape=(9, 7, 1), labels=("", "8"))),
    "kinds": content_of(MR, Frame(modality="CT", labels=("low", "61.50"))),
    "no spacing": content_of(Frame(spacing=None, labels=("low", "1"))),
    "only padding": content_of(Frame(padding=(-4000, 4000), labels=("", ""))),
    "not annotated": content_of(Frame(annotated="01", labels=("", "")), first=7),
}


def test_what_examples_add_up_to():
    frames = [
        MR,
        Frame(annotated="10", labels=("high", "")),
        Frame(spacing=(0.5, 3.0), labels=("", "61.5")),
    ]
    examples = [
        synthetic.make_example(frame, number, labels=LABELS)
        for number, frame in enumerate(frames)
    ]
    content = content_of(*frames)
    assert content.frames == {((12, 16, 1), "int16", "MR", None): 3}
    assert content.annotated == {"1111": 1, "1010": 1, "1101": 1}
    assert content.labels == {"grade": {"low": 1, "high": 1}, "age": {"61.5": 2}}
    assert content.spacings == [0.5, 3.0]
    inner = sum(int(one.masks[0].sum()) for one in examples)
    outer = sum(int(one.masks[1].sum()) for one in examples)
    assert content.classes == {
        "inner": {"annotated": 3, "positive": 3, "pixels": inner},
        "outer": {"annotated": 2, "positive": 2, "pixels": outer},
    }
    values = np.stack([one.image[..., 0] for one in examples])
    figures = content.intensities["all"].statistics()
    assert (figures.count, figures.minimum) == (values.size, values.min())
    assert figures.mean == pytest.approx(values.mean())
    assert figures.deviation == pytest.approx(values.std())
    inside = np.stack([one.masks.any(axis=0) for one in examples])
    assert content.intensities["foreground"].statistics().count == inside.sum()


def test_class_that_has_no_pixel_is_not_positive():
    empty = np.zeros((2, 12, 16), bool)
    content = content_of(Frame(masks=empty, labels=("", "")))
    for name in ("inner", "outer"):
        assert content.classes[name] == {"annotated": 1, "positive": 0, "pixels": 0}
    assert content.intensities["foreground"].statistics() is None


@pytest.mark.parametrize("name", CONTENTS)
def test_nothing_is_lost_in_json(name):
    content = CONTENTS[name]
    found = read_back(content)
    assert found.to_json() == content.to_json()
    for field in ("frames", "annotated", "classes", "spacings", "labels"):
        assert getattr(found, field) == getattr(content, field), field
    assert found.intensities.keys() == content.intensities.keys()
    for pixels, tally in content.intensities.items():
        same, other = tally.counts(), found.intensities[pixels].counts()
        np.testing.assert_array_equal(other.values, same.values)
        np.testing.assert_array_equal(other.counts, same.counts)
        assert other.values.dtype == same.values.dtype
        assert other.counts.dtype == same.counts.dtype
        assert other.total == same.total
        assert other.squared_deviations == same.squared_deviations
        assert other.statistics() == same.statistics()


def test_equal_contents_give_equal_text():
    frames = [MR, Frame(modality="CT", labels=("low", "2")), Frame(labels=("", "1"))]
    one = merged(content_of(frames[0]), content_of(*frames[1:], first=1))
    text = json.dumps(one.to_json())
    assert text == json.dumps(read_back(one).to_json())
    assert text == json.dumps(copy.deepcopy(one).to_json())
    backwards = merged(
        content_of(frames[2], first=2),
        content_of(frames[1], first=1),
        content_of(frames[0]),
    )
    # Counts do not depend on the order; sums of fractions may, in the last digit.
    for field in ("frames", "annotated", "classes", "spacings", "labels"):
        assert one.to_json()[field] == backwards.to_json()[field], field


def test_merging_gives_what_adding_gives():
    frames = [MR, Frame(annotated="01", labels=("high", "4")), MR, MR]
    whole = content_of(*frames)
    parts = [content_of(one, first=number) for number, one in enumerate(frames)]
    found = merged(*parts)
    assert found.frames == whole.frames and found.annotated == whole.annotated
    assert found.classes == whole.classes and found.labels == whole.labels
    for pixels, tally in whole.intensities.items():
        counts, other = tally.counts(), found.intensities[pixels].counts()
        np.testing.assert_array_equal(other.values, counts.values)
        np.testing.assert_array_equal(other.counts, counts.counts)
        assert other.total == counts.total
        assert other.squared_deviations == pytest.approx(counts.squared_deviations)


def test_what_was_read_back_merges_to_the_same_bits():
    """So that a patient who is kept counts exactly as one who is converted."""
    contents = [one for one in CONTENTS.values() for _ in range(2)]
    random.Random(3).shuffle(contents)
    direct = merged(*contents)
    mixed = merged(
        *(read_back(one) if at % 2 else one for at, one in enumerate(contents))
    )
    assert json.dumps(mixed.to_json()) == json.dumps(direct.to_json())
    assert json.dumps(merged(read_back(direct)).to_json()) == json.dumps(
        direct.to_json()
    )


@pytest.mark.parametrize(
    ("values", "size"),
    [
        (np.arange(-1000, 3096), 8),  # CT
        (np.arange(0, 4096) * 3.0, 8),
        (ValueCounts.of(np.arange(4096), slope=0.37, intercept=0.1).values, 8),
        (np.array([-0.0, 1.0, 2.0]), None),
        (np.array([-1.0, -0.0, 1.0]), None),
        (np.array([5.0]), None),
        (np.array([1e300, 2e300]), None),
        (np.array([0.0, 2.0**40]), None),
        (np.array([-(2.0**60), 2.0**60]), None),
        (np.array([1 / 3, 1.0, 1e9]), None),
    ],
)
def test_values_are_kept_to_the_bit_in_few_bytes(values, size):
    values = values.astype(np.float64)
    counts = np.arange(1, len(values) + 1, dtype=np.int64) ** 3
    counts[-1] = 1 << 40
    if size:
        counts = counts % 200 + 1
    content = ShardContent()
    content.merge(ShardContent(intensities={"all": tally_of(values, counts)}))
    found = read_back(content).intensities["all"].counts()
    assert found.values.tobytes() == values.tobytes()
    assert found.counts.tobytes() == counts.tobytes()
    if size:
        assert len(json.dumps(content.to_json())) < size * len(values)


def tally_of(values, counts):
    tally = Tally()
    tally.add(ValueCounts(values, counts, 1.0, 2.0, values[0], values[-1]))
    return tally


def test_what_was_read_back_can_be_added_to():
    frames = [MR, Frame(labels=("high", "4"))]
    content = read_back(content_of(frames[0]))
    for field in ("all", "foreground"):
        assert content.intensities[field].statistics().count
    example = synthetic.make_example(frames[1], 1, labels=LABELS)
    content.add(example, pixel_counts(example))
    parts = merged(content_of(frames[0]), content_of(frames[1], first=1))
    assert content.to_json() == parts.to_json()


def test_merging_changes_nothing_that_is_merged():
    first, second = content_of(MR, MR), content_of(MR, first=5)
    before = [json.dumps(one.to_json()) for one in (first, second)]
    whole = merged(first, second)
    whole.merge(first)
    assert [json.dumps(one.to_json()) for one in (first, second)] == before


def test_no_pixel_at_all():
    content = ShardContent(intensities={})
    content.merge(CONTENTS["only padding"])
    assert content.to_json()["intensities"]["all"] == {}
    found = read_back(content).intensities["all"].counts()
    assert isinstance(found, ValueCounts) and found.count == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
