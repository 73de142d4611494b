import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.volume_scores import Evaluation

ROWS, COLUMNS = 9, 11
SPACING = (1.5, 0.8)
ORIENTATION = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)  # oblique
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])


def _info(*indices, **fields):
    """Of slices 4 mm apart, of one series; fields are one for all, or one for each."""
    count = len(indices)
    keys = [f"{number}-{index}" for number, index in enumerate(indices)]
    info = {"patient": "p", "series": "s", "acquisition_group": 0, "rater": ""}
    info |= {"phase_index": 0, "spacing": SPACING, "slice_spacing": 4.0, "key": keys}
    along = np.array(fields.pop("along", np.array(indices) * 4.0), float)
    info["position"] = np.array([3.0, -4.0, 5.0]) + along[:, None] * NORMAL
    info |= {"orientation": ORIENTATION, "source_size": (ROWS, COLUMNS), **fields}
    info["slice_index"] = list(indices)
    return {name: _column(value, count) for name, value in info.items()}


def _column(value, count):
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, list) and isinstance(value[0], str):
        value = [one.encode() for one in value]
    if not isinstance(value, (list, np.ndarray)):
        value = [value] * count
    floats = isinstance(np.ravel(value)[0], float)
    return np.array(value, np.float32 if floats else None)


def _box(rows, columns, *, classes=1):
    mask = np.zeros((ROWS, COLUMNS, classes), np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    return mask


BOX = _box((2, 6), (3, 8))  # 20 pixels
EMPTY, UNKNOWN = BOX * 0, BOX * 0 + 255


def _score(prediction, truth, info, classes=("inner",)):
    scores = Evaluation(classes)
    scores.update(prediction, truth, info)
    rows = scores.result().rows
    return rows[0] if len(rows) == 1 else rows


def test_figures_of_boxes_are_known():
    moved = _box((2, 6), (4, 9))
    row = _score([moved] * 3, [BOX] * 3, _info(0, 1, 2))
    assert row.dice == 2 * 16 / 40
    assert row.hd95_mm == pytest.approx(0.8)
    assert row.volume_ml == row.truth_volume_ml
    assert row.volume_ml == pytest.approx(3 * 20 * 1.5 * 0.8 * 4 / 1000)
    assert (row.slices, row.gaps, row.not_annotated, row.status) == (3, 0, 0, "")


def test_the_order_and_the_batches_do_not_matter():
    masks = [BOX, _box((1, 5), (3, 8)), _box((1, 9), (2, 7)), BOX]
    info = _info(0, 1, 2, 4)
    expected = _score(masks, masks[::-1], info)
    scores = Evaluation(["inner"])
    for n in (3, 0, 2, 1):
        one = {name: value[n : n + 1] for name, value in info.items()}
        scores.update([masks[n]], [masks[::-1][n]], one)
    assert scores.result().rows == (expected,)
    assert expected.dice not in (0.0, 1.0)


def test_tensors_are_taken_too():
    info = _info(0, 1)
    tensors = {name: tf.constant(value) for name, value in info.items()}
    masks = [tf.constant(BOX)] * 2
    assert _score(masks, masks, tensors) == _score([BOX] * 2, [BOX] * 2, info)


def test_volumes_stay_apart():
    info = _info(
        *(0, 0, 0, 0, 0, 0),
        patient=["q", "p", "p", "p", "p", "p"],
        series=["s", "s", "t", "t", "t", "t"],
        acquisition_group=[0, 0, 0, 1, 0, 0],
        phase_index=[0, 0, 0, 0, 1, 0],
        rater=["", "", "", "", "", "r"],
    )
    rows = _score([BOX] * 6, [BOX] * 6, info)
    places = [
        (r.patient, r.series, r.acquisition_group, r.phase_index, r.rater) for r in rows
    ]
    assert places == [
        ("p", "s", 0, 0, ""),
        ("p", "t", 0, 0, ""),
        ("p", "t", 0, 0, "r"),
        ("p", "t", 0, 1, ""),
        ("p", "t", 1, 0, ""),
        ("q", "s", 0, 0, ""),
    ]
    assert all(row.slices == 1 for row in rows)


def test_a_slice_counts_for_the_classes_that_were_annotated():
    prediction = np.concatenate([BOX, BOX], axis=-1)
    truth = [np.concatenate(pair, axis=-1) for pair in ((BOX, UNKNOWN), (BOX, BOX))]
    inner, outer = _score([prediction] * 2, truth, _info(0, 1), ["inner", "outer"])
    assert (inner.slices, inner.not_annotated) == (2, 0)
    assert (outer.slices, outer.not_annotated) == (1, 1)
    assert outer.dice == 1.0 and outer.volume_ml == pytest.approx(inner.volume_ml / 2)
    row = _score([BOX], [UNKNOWN], _info(0))
    assert (row.slices, row.not_annotated, row.status) == (0, 1, "not_annotated")
    assert (
        math.isnan(row.dice) and math.isnan(row.hd95_mm) and math.isnan(row.volume_ml)
    )


def test_unknown_pixels_do_not_count():
    truth = BOX.copy()
    truth[:, 7:] = 255  # the last column of the box, and what is beyond it
    row = _score([_box((2, 6), (3, 11))], [truth], _info(0))
    assert row.dice == 1.0 and row.hd95_mm == 0.0
    assert row.volume_ml == pytest.approx(16 * 1.5 * 0.8 * 4 / 1000)


def test_missing_slices_are_counted_and_have_no_volume():
    row = _score([BOX] * 3, [BOX] * 3, _info(2, 3, 6))
    assert row.gaps == 2 and row.slices == 3
    assert row.volume_ml == pytest.approx(3 * 20 * 1.5 * 0.8 * 4 / 1000)
    # The last slice, 12 mm further, is only in the truth.
    row = _score([BOX, BOX, EMPTY], [BOX] * 3, _info(2, 3, 6))
    # From the truth's surface: the whole first slice and the outline of the second one
    # are there, and all 20 pixels of the last slice are 12 mm away.
    wanted = np.percentile([0.0] * (20 + 14) + [12.0] * 20, 95)
    assert row.hd95_mm == pytest.approx(wanted) == 12.0
    # Without one column of the last slice: 4 of 54 distances are not 0.
    part = _box((2, 6), (3, 7))
    row = _score([BOX, BOX, part], [BOX] * 3, _info(2, 3, 6))
    assert row.hd95_mm == pytest.approx(0.8)


def test_slices_of_other_distances_weigh_so():
    # 4 mm is the usual distance; the last two are 10 mm apart, and neighbours.
    row = _score([BOX] * 3, [BOX] * 3, _info(0, 1, 2, along=[0, 4, 14]))
    assert row.gaps == 0
    thick = (4 / 2 + 4 / 2) + (4 / 2 + 10 / 2) + (10 / 2 + 4 / 2)
    assert row.volume_ml == pytest.approx(20 * 1.5 * 0.8 * thick / 1000)


def test_a_file_that_never_was_there_is_a_gap():
    # The third of six slices, 4 mm apart: indices know nothing of it.
    row = _score([BOX] * 5, [BOX] * 5, _info(*range(5), along=[0, 4, 12, 16, 20]))
    assert (row.slices, row.gaps, row.not_annotated) == (5, 1, 0)
    assert row.volume_ml == pytest.approx(5 * 20 * 1.5 * 0.8 * 4 / 1000)
    assert row.truth_volume_ml == row.volume_ml
    # Distances go across it, as far as it is: only the first two are in the truth.
    truth = [BOX] * 2 + [EMPTY] * 3
    row = _score([BOX] * 5, truth, _info(*range(5), along=[0, 4, 12, 16, 20]))
    assert row.hd95_mm == pytest.approx(16.0)


def test_each_slice_is_left_out_once():
    # Of ten places: one never was there, one was not converted, three not annotated.
    truth = [BOX, UNKNOWN, BOX, BOX, UNKNOWN, BOX, UNKNOWN, BOX]
    along = [0, 4, 8, 16, 20, 28, 32, 36]
    info = _info(0, 1, 2, 3, 4, 6, 7, 8, along=along)
    row = _score([BOX] * 8, truth, info)
    assert (row.slices, row.not_annotated, row.gaps) == (5, 3, 2)
    assert row.slices + row.not_annotated + row.gaps == 10
    assert row.volume_ml == pytest.approx(5 * 20 * 1.5 * 0.8 * 4 / 1000)
    # What is missing before the first that counts is not between.
    truth[:3] = [UNKNOWN] * 3
    row = _score([BOX] * 8, truth, info)
    assert (row.slices, row.not_annotated, row.gaps) == (3, 5, 1)


NAN3, NAN6 = (math.nan,) * 3, (math.nan,) * 6


@pytest.mark.parametrize(
    ("fields", "indices", "distance", "volume"),
    [
        ({"spacing": (math.nan, math.nan)}, (0, 1), False, False),
        ({"slice_spacing": math.nan}, (0, 1), True, False),
        ({"slice_spacing": math.nan}, (0,), True, False),
        ({"position": NAN3, "orientation": NAN6}, (0, 1), False, False),
        ({"position": NAN3, "slice_spacing": math.nan}, (-1, -1), False, False),
        ({"position": NAN3, "slice_spacing": 4.0}, (0,), True, True),
    ],
)
def test_what_is_not_known_is_not_guessed(fields, indices, distance, volume):
    count = len(indices)
    row = _score([BOX] * count, [BOX] * count, _info(*indices, **fields))
    assert row.dice == 1.0
    assert row.slices == count
    assert math.isnan(row.hd95_mm) != distance
    assert math.isnan(row.volume_ml) != volume


@pytest.mark.parametrize(
    ("prediction", "truth", "status", "dice"),
    [
        (BOX, BOX, "", 1.0),
        (EMPTY, BOX, "prediction_empty", 0.0),
        (BOX, EMPTY, "truth_empty", 0.0),
        (EMPTY, EMPTY, "both_empty", math.nan),
    ],
)
def test_empty_masks_have_a_status(prediction, truth, status, dice):
    row = _score([prediction], [truth], _info(0))
    assert row.status == status
    assert row.dice == dice or (math.isnan(row.dice) and math.isnan(dice))
    assert math.isnan(row.hd95_mm) == bool(status)
    assert row.volume_ml == pytest.approx(prediction.sum() * 1.5 * 0.8 * 4 / 1000)


@pytest.mark.parametrize("classes", ["inner", [], ["a", "a"]])
def test_classes_are_names(classes):
    with pytest.raises(ValueError, match="classes=.*: a list of names is wanted"):
        Evaluation(classes)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (BOX[:-1], BOX, r"prediction: the mask's shape is \(8, 11, 1\).*\(9, 11, 1\)"),
        (BOX, BOX[..., 0], r"truth: the mask's shape is .* to_source_grid brings"),
        (BOX * 0.5, BOX, "prediction: bool or integers 0, 1 are wanted; got float64"),
        (BOX * 255, BOX, "prediction: bool or integers 0, 1 .* uint8 from 0 to 255"),
        (BOX, BOX * 2, "truth: bool or integers 0, 1, 255 are wanted"),
    ],
)
def test_what_is_no_mask_is_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        _score([prediction], [truth], _info(0))


def test_no_slice_counts_twice():
    scores = Evaluation(["inner"])
    scores.update([BOX], [BOX], _info(3))
    with pytest.raises(ValueError, match="example 0-3: its slice came before"):
        scores.update([BOX], [BOX], _info(3))
    scores.update([BOX] * 2, [BOX] * 2, _info(-1, -1, series="t"))
    with pytest.raises(ValueError, match="example 1--1: its slice came before"):
        scores.update([BOX] * 2, [BOX] * 2, _info(4, -1, series="t"))


def test_slices_of_other_sizes_are_no_volume():
    scores = Evaluation(["inner"])
    scores.update([BOX], [BOX], _info(0))
    scores.update([BOX[1:]], [BOX[1:]], _info(1, source_size=(ROWS - 1, COLUMNS)))
    with pytest.raises(ValueError, match=r"series s: its slices have \[\(8, 11\), "):
        scores.result()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
