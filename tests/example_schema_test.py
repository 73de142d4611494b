import dataclasses
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom import example_schema, example_wire, intensity_statistics
from tfdicom.example_schema import FEATURES, FOREGROUND_POINTS, FrameExample

RANDOM = np.random.default_rng(0)
MASKS = RANDOM.random((2, 5, 7)) < 0.3
PIXELS = RANDOM.integers(-1000, 1000, (5, 7), np.int16)


def _example(pixels: np.ndarray = PIXELS, **changes) -> FrameExample:
    """An example with nothing in it that may be left out; all floats fit 32 bits."""
    fields = {
        "version": example_schema.SCHEMA_VERSION,
        "kind": example_schema.KIND_FRAME,
        "key": "0123456789abcdef" * 2,
        "key_hash": -(2**62) - 1,
        "patient": "p" * 32,
        "study": "s" * 32,
        "series": "t" * 32,
        "instance": "i" * 32,
        "frame_number": 1,
        "rescale_slope": 0.5,
        "rescale_intercept": -1024.0,
        "photometric_interpretation": "MONOCHROME2",
        "modality": "CT",
        "classes": ("cavity", "myo"),
        "class_expressions": ("inner", "outer-inner"),
        "annotated": (1, 0),
        **example_schema.pack_pixels(pixels),
        **example_schema.describe_masks(MASKS),
    }
    return FrameExample(**{**fields, **changes})


def _full_example() -> FrameExample:
    """An example with every feature."""
    statistics = tuple(float(n) for n in range(len(intensity_statistics.FIGURES)))
    return _example(
        source_patient="P-1",
        source_study="1.2.3",
        source_series="1.2.3.4",
        source_instance="1.2.3.4.5",
        age_band="60-64",
        sex="F",
        weight=71,
        study_date="20040119",
        acquisition_date="20040120",
        units="HU",
        padding=(-2000.0, -1999.0),
        manufacturer="Müller & Söhne 日本",
        model="",
        field_strength=1.5,
        suv_factor=0.125,
        window=(40.0, 400.0),
        image_statistics=statistics,
        series_statistics=statistics,
        pixel_spacing=(1.25, 0.75),
        slice_spacing=8.0,
        position=(-1.5, 2.0, 3.25),
        orientation=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        slice_index=0,
        slice_count=12,
        phase_index=19,
        phase_count=20,
        trigger_time=512.5,
        acquisition_group=0,
        covered_fraction=RANDOM.bytes(2 * 5 * 7),
        label_map=bytes(5 * 7 * 2),
        ignore=bytes(5),
        rater="anna",
        edge_rule="half_covered",
        hole_rule="nested",
        contour_origin="center1",
        contour_shift=(-1.0, -1.0),
        contour_points=(0.5, 1.5, 2.25, 3.0, 4.0, 1.0, 6.0, 6.0, 0.0, 5.0),
        contour_lengths=(3, 2),
        contour_structures=("inner", "outer"),
        contour_roles=("CLOSED_PLANAR", "POINT"),
        contour_centres_on_path=(2, 0),
        label_names=("diagnosis", "age"),
        label_values=("Hypertrophie, größer", "61"),
    )


EXAMPLES = {"least": _example(), "full": _full_example()}


def _as_tensorflow(example: FrameExample) -> tf.train.Example:
    result = tf.train.Example()
    for feature in FEATURES.values():
        value = getattr(example, feature.name)
        if value is None:
            continue
        values = value if feature.shape else [value]
        if feature.kind == "text":
            values = [text.encode("utf-8") for text in values]
        kind = {"text": "bytes"}.get(feature.kind, feature.kind)
        entry = result.features.feature[feature.key]
        getattr(entry, f"{kind}_list").value.extend(values)
        entry.SetInParent()
    return result


def test_full_example_has_every_feature():
    example = EXAMPLES["full"]
    assert [n for n in FEATURES if getattr(example, n) is None] == []


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_bytes_are_those_of_tensorflow(example):
    expected = _as_tensorflow(example).SerializeToString(deterministic=True)
    assert example_schema.encode(example) == expected


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_reads_what_tensorflow_wrote(example):
    assert example_schema.decode(_as_tensorflow(example).SerializeToString()) == example


def test_what_is_absent_is_not_stored():
    stored = example_wire.decode(example_schema.encode(EXAMPLES["least"]))
    optional = {f.key for f in FEATURES.values() if f.optional}
    assert set(stored) == {f.key for f in FEATURES.values()} - optional | {
        "mask/planes"
    }


def _parser_of(feature: example_schema.Feature) -> object:
    """How TensorFlow's parser would declare the feature, for what the schema says."""
    kinds = {"int64": tf.int64, "float": tf.float32}
    dtype = kinds.get(feature.kind, tf.string)
    if any(isinstance(axis, str) for axis in feature.shape):
        inner = [axis for axis in feature.shape if isinstance(axis, int)]
        return tf.io.FixedLenSequenceFeature(inner, dtype, allow_missing=True)
    return tf.io.FixedLenFeature(feature.shape, dtype)


def test_parser_of_tensorflow_reads_every_feature():
    example = EXAMPLES["full"]
    features = {f.key: _parser_of(f) for f in FEATURES.values()}
    parsed = tf.io.parse_single_example(example_schema.encode(example), features)
    for feature in FEATURES.values():
        got = parsed[feature.key].numpy()
        wanted = getattr(example, feature.name)
        if feature.kind == "text":
            encoded = np.char.encode(np.array(wanted, dtype=str), "utf-8")
            assert np.array_equal(got, encoded.astype(object)), feature.key
        elif feature.kind == "bytes":
            assert got == wanted, feature.key
        else:
            assert np.array_equal(np.ravel(got), np.ravel(wanted)), feature.key
    image = tf.io.decode_raw(parsed[FEATURES["pixels"].key], tf.int16)
    image = tf.reshape(image, parsed[FEATURES["shape"].key])
    assert np.array_equal(image[..., 0], PIXELS)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 8), (4, 6, 1), (7, 2, 3)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", example_schema.PIXEL_DTYPES)
def test_pixels_come_back(name, order, shape):
    dtype = np.dtype(name)
    raw = RANDOM.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    pixels = raw.view(dtype.newbyteorder(order)).reshape(shape)
    pixels[~np.isfinite(pixels)] = 1
    example = example_schema.decode(example_schema.encode(_example(pixels)))
    assert example.image.dtype == dtype
    assert example.image.dtype.isnative
    assert example.image.shape == (*shape, 1)[:3]
    assert np.array_equal(example.image.reshape(shape), pixels)


def test_pixels_may_be_any_view():
    pixels = np.arange(60, dtype=np.int32).reshape(5, 12)[::-1, ::3].T
    assert np.array_equal(_example(pixels).image[..., 0], pixels)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("int64", (2, 2)),
        ("uint64", (2, 2)),
        ("float16", (2, 2)),
        ("bool", (2, 2)),
        ("complex64", (2, 2)),
        ("int16", (4,)),
        ("int16", (1, 2, 2, 1)),
    ],
)
def test_refuses_pixels_that_records_do_not_hold(dtype, shape):
    with pytest.raises(
        ValueError, match=rf"int8, .*; got {dtype} of shape \({shape[0]}"
    ):
        example_schema.pack_pixels(np.zeros(shape, dtype))


SIZES = [(1, 1, 1), (1, 3, 5), (2, 4, 4), (3, 5, 7), (5, 1, 9)]


@pytest.mark.parametrize("shape", SIZES)
def test_planes_are_one_bit_a_pixel(shape):
    masks = RANDOM.random(shape) < 0.5
    packed = example_schema.pack_planes(masks)
    stride = -(-shape[1] * shape[2] // 8)
    assert len(packed) == shape[0] * stride
    for (plane, row, column), value in np.ndenumerate(masks):
        byte, bit = divmod(row * shape[2] + column, 8)
        assert packed[plane * stride + byte] >> bit & 1 == value
    assert np.array_equal(example_schema.unpack_planes(packed, *shape), masks)


@pytest.mark.parametrize("size", [0, 9, 11])
def test_refuses_planes_of_another_size(size):
    with pytest.raises(ValueError, match=f"2 masks of 5 x 7 take 10 bytes; got {size}"):
        example_schema.unpack_planes(bytes(size), 2, 5, 7)


def test_masks_come_back_from_planes():
    assert np.array_equal(_example().masks, MASKS)


def test_masks_come_back_from_a_label_map():
    labels = np.zeros((5, 7), "<u2")
    labels[0, 1:4], labels[3] = 1, 2
    masks = _example(planes=None, label_map=labels.tobytes()).masks
    assert [np.argwhere(mask).tolist() for mask in masks] == [
        [[0, 1], [0, 2], [0, 3]],
        [[3, column] for column in range(7)],
    ]


def test_absent_masks_are_not_empty_masks():
    with pytest.raises(ValueError, match="example 0123.* holds no masks"):
        _ = _example(planes=None).masks


def test_an_example_may_have_no_classes():
    nothing = np.zeros((0, 5, 7), bool)
    described = example_schema.describe_masks(nothing)
    assert described["planes"] is None and described["pixel_count"] == ()
    example = _example(
        np.zeros((5, 7), np.int16),
        **described,
        classes=(),
        class_expressions=(),
        annotated=(),
    )
    data = example_schema.encode(example)
    assert data == _as_tensorflow(example).SerializeToString(deterministic=True)
    found = example_schema.decode(data)
    assert found == example
    assert found.masks.shape == (0, 5, 7) and found.masks.dtype == bool


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((4, 6), bool),
        np.ones((1, 1), bool),
        np.ones((9, 11), bool),
        np.eye(FOREGROUND_POINTS, dtype=bool),
        np.eye(FOREGROUND_POINTS + 1, dtype=bool),
        np.arange(35).reshape(5, 7) == 34,
        RANDOM.random((13, 17)) < 0.2,
    ],
    ids=["empty", "pixel", "whole", "16 points", "17 points", "corner", "random"],
)
def test_masks_are_described(mask):
    described = example_schema.describe_masks(np.stack([mask, ~mask]))
    for number, plane in enumerate((mask, ~mask)):
        inside = [at for at, value in np.ndenumerate(plane) if value]
        assert described["pixel_count"][number] == len(inside)
        box = described["bounding_box"][4 * number :][:4]
        if inside:
            rows, columns = zip(*inside, strict=True)
            extent = min(rows), min(columns), max(rows) + 1, max(columns) + 1
            assert box == extent
        else:
            assert box == (0, 0, 0, 0)
        size = 2 * FOREGROUND_POINTS
        points = described["foreground_points"][size * number :][:size]
        _check_points(list(zip(points[::2], points[1::2], strict=True)), inside)


def _check_points(points: list[tuple], inside: list[tuple]) -> None:
    kept = min(len(inside), FOREGROUND_POINTS)
    assert points[kept:] == [(-1, -1)] * (FOREGROUND_POINTS - kept)
    ranks = [inside.index(point) for point in points[:kept]]
    assert len(set(ranks)) == kept
    if kept:  # evenly, and as far from the first pixel as from the last
        assert np.diff(ranks).max(initial=0) <= np.ceil(len(inside) / kept)
        assert abs(ranks[0] - (len(inside) - 1 - ranks[-1])) <= 1


def test_contours_come_back():
    (inner, first), (outer, second) = EXAMPLES["full"].contours
    assert (inner, outer) == ("inner", "outer")
    assert first.tolist() == [[0.5, 1.5], [2.25, 3.0], [4.0, 1.0]]
    assert second.tolist() == [[6.0, 6.0], [0.0, 5.0]]
    assert EXAMPLES["least"].contours == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": None}, "'image/modality' is missing"),
        ({"shape": (5, 7)}, r"'image/shape' has shape \(3,\); got 2 values"),
        ({"position": (1.0,) * 4}, r"'geometry/position' has shape \(3,\); got 4"),
        ({"bounding_box": (0,) * 7}, r"'mask/bounding_box' has shape .*; got 7"),
        ({"bounding_box": (0,) * 12}, r"bounding_box.*, classes = 2; got 12 values"),
        ({"annotated": (1,)}, r"'mask/annotated' .*, classes = 2; got 1 values"),
        ({"contour_points": (1.0,) * 3}, r"'contour/points' has shape .*; got 3"),
        (
            {"label_names": ("a", "b"), "label_values": ("1",)},
            "'label/values' .* labels = 2; got 1 values",
        ),
    ],
)
def test_refuses_to_write(changes, message):
    with pytest.raises(ValueError, match=message):
        example_schema.encode(_example(**changes))


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("schema/version", None, r"schema/version is \[None\], .* reads \[1\]"),
        ("schema/version", ("int64", [2]), r"schema/version is \[2\], .* reads \[1\]"),
        ("schema/version", ("int64", []), r"schema/version is \[\], "),
        ("schema/version", ("bytes", [b"1"]), r"schema/version is \[b'1'\], "),
        ("image/dtype", None, "'image/dtype' is missing"),
        ("image/dtype", ("int64", [1]), "'image/dtype' is a list of bytes; got int64"),
        ("image/shape", ("float", [5, 7, 1]), "'image/shape' is .* int64; got float"),
        ("image/shape", ("int64", [5, 7]), r"'image/shape' has shape \(3,\); got 2"),
        ("image/modality", ("bytes", []), r"modality' has shape \(\); got 0 values"),
        ("image/modality", ("bytes", [b"A", b"B"]), r"shape \(\); got 2 values"),
        ("image/modality", ("bytes", [b"\xff"]), "utf-8"),
        ("mask/pixel_count", ("int64", [1]), "pixel_count.*classes = 2; got 1 values"),
        ("geometry/orientation", ("float", [1, 0]), "geometry/orientation.*; got 2"),
    ],
)
def test_refuses_to_read(key, entry, message):
    features = example_wire.decode(example_schema.encode(EXAMPLES["least"]))
    features.pop(key, None)
    if entry:
        features[key] = entry
    with pytest.raises(ValueError, match=message):
        example_schema.decode(example_wire.encode(features))


def test_unknown_features_are_passed_over():
    features = example_wire.decode(example_schema.encode(EXAMPLES["least"]))
    features["mine/own"] = ("int64", [1])
    decoded = example_schema.decode(example_wire.encode(features))
    assert decoded == EXAMPLES["least"]


def test_examples_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLES["least"].modality = "MR"


def test_every_feature_is_declared_well():
    keys = [feature.key for feature in FEATURES.values()]
    assert len(set(keys)) == len(keys)
    for feature in FEATURES.values():
        assert re.fullmatch(r"[a-z]+/[a-z0-9_]+", feature.key)
        assert re.fullmatch(r"\S.{8,}\.", feature.doc), feature.key
        assert feature.kind in ("bytes", "text", "int64", "float")
        assert feature.wire_kind in ("bytes", "int64", "float")


def test_no_feature_key_begins_another():
    # Runtimes of protocol buffers disagree which of the two they would sort first.
    keys = sorted(feature.key for feature in FEATURES.values())
    for key, following in zip(keys, keys[1:], strict=False):
        assert not following.startswith(key)


def test_statistics_have_the_declared_shape_and_words():
    for name in ("image_statistics", "series_statistics"):
        assert FEATURES[name].shape == (len(intensity_statistics.FIGURES),)
    percentiles = ", ".join(f"{p:g}" for p in intensity_statistics.PERCENTILES)
    assert f"percentiles {percentiles}." in FEATURES["image_statistics"].doc


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
