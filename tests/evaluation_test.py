import dataclasses
import math
import sys

import numpy as np
import pytest

import tfdicom
from tests import real_data, source_folders, synthetic
from tfdicom import dataset_reading
from tfdicom.input_options import InputOptions
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

PIXEL_ML = 1.5 * 1.25 * 8 / 1000  # of source_folders
FAST = {"jit_compile": False, "classes": "inner;outer"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three patients, of whom an inner is on slices 0 and 1, an outer on slice 0."""
    root = tmp_path_factory.mktemp("evaluation")
    source = source_folders.write_folder(root / "in", annotated=3, outer=2)
    source_folders.convert(source.root, root / "out", split="test")
    return root / "out"


def _oracle(folder, split="test", label=lambda mask: mask):
    """Gives the truth, whatever the images are: they come in the records' order."""
    records = dataset_reading.read_examples(folder, split)

    def predict(image):
        some = [next(records).masks for _ in image]
        mask = np.moveaxis(np.array(some), 1, -1).astype(np.uint8)
        assert mask.shape[:3] == image.shape[:3]
        return label(mask)

    return predict


def _reader(folder, split="test", label=lambda mask: mask, **fields):
    """The same on another grid, as the reader gives it."""
    options = {"unannotated": "ignore", "training": False, **FAST, **fields}
    batches = iter(input_fn(folder, split, **options))

    def predict(image):
        _, mask = next(batches)
        mask = np.where(mask.numpy() == 255, 0, mask.numpy())
        assert mask.shape[:3] == image.shape[:3]
        return label(mask)

    return predict


def _truth(folder, split=None):
    """Examples by patient."""
    found = {}
    for one in dataset_reading.read_examples(folder, split):
        found.setdefault(one.patient, []).append(one)
    return found


def test_the_truth_is_right(folder):
    result = tfdicom.evaluate(_oracle(folder), folder, batch_size=2, **FAST)
    patients = _truth(folder)
    assert len(result.rows) == 2 * len(patients) == 6
    assert [row.patient for row in result.rows[::2]] == sorted(patients)
    for row in result.rows:
        place = ("inner", "outer").index(row.class_name)
        examples = patients[row.patient]
        known = [one for one in examples if one.annotated[place]]
        pixels = sum(one.pixel_count[place] for one in known)
        assert (row.dice, row.hd95_mm, row.status) == (1.0, 0.0, "")
        assert (row.slices, row.not_annotated) == (len(known), 3 - len(known))
        assert row.volume_ml == row.truth_volume_ml
        assert row.volume_ml == pytest.approx(pixels * PIXEL_ML, rel=1e-6)
        assert row.series == examples[0].series
    assert {row.slices for row in result.rows} == {2, 3}
    assert result.mean()["outer"].dice == 1.0


def test_what_was_moved_is_as_far_off(folder):
    predict = _oracle(folder, label=lambda mask: np.roll(mask, 2, 2))
    result = tfdicom.evaluate(predict, folder, **FAST)
    patients = _truth(folder)
    for row in result.rows:
        place = ("inner", "outer").index(row.class_name)
        masks = [e.masks[place] for e in patients[row.patient] if e.annotated[place]]
        both = sum((mask & np.roll(mask, 2, 1)).sum() for mask in masks)
        assert row.dice == pytest.approx(both / sum(mask.sum() for mask in masks))
        assert 1.25 < row.hd95_mm <= 2.5 + 1e-6
        assert row.volume_ml == row.truth_volume_ml


@pytest.mark.parametrize(
    ("grid", "rows"),
    [
        ({"image_size": "8,64"}, slice(16, 24)),
        ({"image_size": "40,96", "target_spacing": "1.5,0.625"}, slice(None)),
    ],
)
def test_it_is_measured_on_the_grid_of_the_source(folder, grid, rows):
    result = tfdicom.evaluate(_reader(folder, **grid), folder, **grid, **FAST)
    patients = _truth(folder)
    for row in result.rows:
        place = ("inner", "outer").index(row.class_name)
        masks = [e.masks[place] for e in patients[row.patient] if e.annotated[place]]
        total = sum(int(mask.sum()) for mask in masks)
        kept = sum(int(mask[rows].sum()) for mask in masks)
        assert (kept < total) == (rows != slice(None))
        assert row.truth_volume_ml == pytest.approx(total * PIXEL_ML, rel=1e-6)
        assert row.volume_ml == pytest.approx(kept * PIXEL_ML, rel=1e-6)
        assert row.dice == pytest.approx(2 * kept / (total + kept))


def _exclusive(mask):
    """Label map in which inner wins."""
    return np.where(mask[..., 0] == 1, 1, 2 * mask[..., 1])


def _one_hot(mask):
    return np.eye(3, dtype=np.uint8)[_exclusive(mask)]


@pytest.mark.parametrize(
    ("form", "label"), [("label_map", _exclusive), ("one_hot", _one_hot)]
)
def test_label_maps_are_compared_as_such(folder, form, label):
    fields = {"label_form": form, "label_priority": "inner;outer"}
    oracle = _oracle(folder, label=label)
    result = tfdicom.evaluate(oracle, folder, **fields, **FAST)
    patients = _truth(folder)
    for row in result.rows:
        assert row.dice == 1.0 and row.hd95_mm == 0.0
        pixels = 0
        for one in patients[row.patient]:
            inner, outer = one.masks
            mask = inner if row.class_name == "inner" else outer & ~inner
            pixels += int(mask.sum()) * one.annotated[row.class_name == "outer"]
        assert row.truth_volume_ml == pytest.approx(pixels * PIXEL_ML, rel=1e-6)


def test_a_label_is_unknown_where_another_could_win(folder):
    # Where outer wins and was not annotated, nothing is known of inner.
    fields = {"label_form": "label_map", "label_priority": "outer;inner"}
    result = tfdicom.evaluate(
        _oracle(folder, label=lambda mask: 2 * mask[..., 1]), folder, **fields, **FAST
    )
    inner, outer = result.rows[:2]
    assert (inner.slices, outer.slices) == (2, 2)
    # In an outer there is no inner left.
    assert inner.status == "both_empty" and outer.status == ""


@pytest.mark.parametrize(
    ("threshold", "dice", "status"), [(0.7, 1.0, ""), (0.71, 0.0, "prediction_empty")]
)
def test_probabilities_have_a_threshold(folder, threshold, dice, status):
    probable = _oracle(folder, label=lambda mask: np.float32([0.2, 0.7])[mask])
    result = tfdicom.evaluate(probable, folder, threshold=threshold, **FAST)
    assert {(row.dice, row.status) for row in result.rows} == {(dice, status)}


def _softmax(mask):
    outside = 1 - mask.max(axis=-1, keepdims=True)
    return np.concatenate([outside, mask], axis=-1) * 0.6 + 0.13


def test_the_most_probable_class_has_a_pixel(folder):
    fields = {"label_form": "one_hot", "label_priority": "inner;outer"}
    planes = _oracle(folder, label=_softmax)  # inner lies in outer: the first one wins
    result = tfdicom.evaluate(planes, folder, **fields, **FAST)
    assert {row.dice for row in result.rows} == {1.0}


def test_a_dict_by_class_is_put_in_order(folder):
    def split_up(mask):
        return {"outer": mask[..., 1:], "inner": mask[..., :1]}

    result = tfdicom.evaluate(_oracle(folder, label=split_up), folder, **FAST)
    assert {row.dice for row in result.rows} == {1.0}
    with pytest.raises(ValueError, match="predict gave outer, and no 'inner'"):
        tfdicom.evaluate(lambda image: {"outer": image}, folder, **FAST)


def test_a_keras_model_is_a_function_too(folder):
    keras = pytest.importorskip("keras")
    inputs = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(2, 1, activation="sigmoid", bias_initializer="ones")
    model = keras.Model(inputs, layer(inputs))
    result = tfdicom.evaluate(model, folder, threshold=1e-9, **FAST)
    for row in result.rows:
        assert row.volume_ml == pytest.approx(40 * 48 * row.slices * PIXEL_ML)
        assert 0 < row.dice < 0.5


def test_options_of_the_training_can_be_given(folder):
    options = InputOptions(
        augment="heavy",
        class_weights="inverse",
        num_epochs=None,
        drop_remainder=True,
        image_size=24,
        unannotated="weight",
        **FAST,
    )
    before = dataclasses.asdict(options)
    result = tfdicom.evaluate(
        lambda image: np.zeros((*image.shape[:3], 2), bool), folder, options=options
    )
    assert dataclasses.asdict(options) == before
    assert sum(row.slices for row in result.rows) == 3 * (3 + 2)


def test_pixels_to_ignore_do_not_count(tmp_path):
    ignore = np.zeros((12, 16), bool)
    ignore[:, 9:] = True
    frames = [synthetic.Frame(slice_index=n, ignore=ignore) for n in range(2)]
    written = synthetic.write_dataset(tmp_path, {"test": {"a": frames}})["test"]
    result = tfdicom.evaluate(
        lambda image: np.ones((*image.shape[:3], 2), bool), tmp_path, **FAST
    )
    for place, row in enumerate(result.rows):
        total = sum(int(one.masks[place][:, :9].sum()) for one in written)
        assert row.dice == pytest.approx(2 * total / (total + 2 * 12 * 9))


def test_compressed_and_joined_splits_are_read(tmp_path):
    frames = {"a": synthetic.frames(3)}, {"b": synthetic.frames(2)}
    splits = {"fold0": frames[0], "fold1": frames[1]}
    synthetic.write_dataset(tmp_path, splits, compression="zlib")
    split = "fold1+fold0"
    oracle = _oracle(tmp_path, split)
    result = tfdicom.evaluate(oracle, tmp_path, split, **FAST)
    assert [(row.patient, row.slices) for row in result.rows[::2]] == [
        ("a", 3),
        ("b", 2),
    ]
    assert {row.dice for row in result.rows} == {1.0}
    # These records have no position, so nothing is said of distances.
    assert all(math.isnan(row.hd95_mm) for row in result.rows)


@pytest.mark.parametrize(
    ("found", "fields", "message"),
    [
        (np.ones((3, 40, 48, 1)), {}, r"predict gave \(3, 40, 48, 1\) for images \(3,"),
        (np.ones((3, 40, 48, 3)), {}, r"\(3, 40, 48, 2\) is wanted"),
        (np.ones((3, 20, 24, 2)), {}, "predict gave"),
        (np.ones((3, 40, 48), int), {}, "label_form='planes'"),
        (
            np.ones((3, 40, 48, 2)),
            {"label_form": "label_map"},
            r"\(3, 40, 48, 3\) or \(3, 40, 48\) is wanted",
        ),
        (np.full((3, 40, 48, 2), -3.0), {}, "gave -3 to -3; probabilities .* logits"),
        (np.full((3, 40, 48, 2), 7.5), {}, "probabilities from 0 to 1"),
        (np.full((3, 40, 48, 2), np.nan), {}, "probabilities from 0 to 1"),
        (None, {"threshold": 1.5}, "threshold=1.5: above 0 and up to 1"),
        (None, {"training": True}, "training=True: an evaluation neither"),
        (None, {"label_form": "distance"}, "label_form='distance': leave it out"),
        (None, {"classes": ""}, "classes='': there is nothing to compare"),
        (None, {"classes": "liver"}, "no class 'liver'"),
        (None, {"split": "val"}, "no split 'val'"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, found, fields, message):
    fields = {**FAST, "batch_size": 3, **fields}
    with pytest.raises(ValueError, match=message):
        tfdicom.evaluate(lambda image: found, folder, **fields)


def test_a_missing_scipy_is_said_first(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        tfdicom.evaluate(lambda image: 1 / 0, folder, **FAST)


@real_data.needs_sunnybrook
def test_real_hearts(sunnybrook_dataset):
    """The truth is right, and moved by one pixel it is as far off."""
    folder, grid = sunnybrook_dataset, {"image_size": 160}
    oracle = _reader(folder, "test", **grid)
    result = tfdicom.evaluate(oracle, folder, "test", **grid, **FAST)
    examples = [one for some in _truth(folder, "test").values() for one in some]
    assert sum(row.slices for row in result.rows) == sum(
        sum(one.annotated) for one in examples
    )
    assert {row.dice for row in result.rows if row.slices} == {1.0}
    assert {row.hd95_mm for row in result.rows if row.slices} == {0.0}
    for row in result.rows:
        if row.class_name == "inner":
            assert 10 < row.volume_ml < 400  # a left ventricle
    moved = _reader(folder, "test", label=lambda m: np.roll(m, 1, axis=1), **grid)
    result = tfdicom.evaluate(moved, folder, "test", **grid, **FAST)
    spacing = {one.pixel_spacing[0] for one in examples}
    for row in result.rows:
        if row.slices:
            assert any(row.hd95_mm == pytest.approx(one) for one in spacing)
            assert 0.8 < row.dice < 1.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
