"""Whether an example agrees with itself, and with the manifest of its data set.

A check yields (code, text) for each thing that is wrong. Whatever a record stores about
its pixels and masks is worked out again from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from tfdicom import example_schema, label_kinds
from tfdicom.deidentify import signed_64_bits
from tfdicom.example_schema import FOREGROUND_POINTS, FrameExample
from tfdicom.intensity_statistics import FIGURES
from tfdicom.manifest import Manifest
from tfdicom.value_counts import PixelCounts, Rescale, count_pixels

_KEY = re.compile(r"[0-9a-f]{32}")
# A record holds the rescale slope and the figures with 32 bits.
_TOLERANCE = 1e-3

#: What is wrong: a code, and words.
Wrong = Iterator[tuple[str, str]]
Intensities = dict[str, PixelCounts]


def check_example(
    example: FrameExample, manifest: Manifest, counts: Intensities | None
) -> Wrong:
    """All checks of one example that need nothing but the manifest.

    Args:
      example: The example.
      manifest: Of its data set.
      counts: What ``intensities`` gives.
    """
    yield from _check_identity(example)
    yield from _check_classes(example, manifest)
    yield from _check_labels(example, manifest)
    yield from _check_places(example)
    yield from _check_contours(example)
    yield from _check_sizes(example)
    if counts is not None:
        yield from _check_masks(example)
        yield from _check_statistics(example, counts)


def intensities(example: FrameExample) -> Intensities | None:
    """Counts of the values of ``all`` and of the ``foreground`` pixels.

    None where pixels or masks have not the sizes that the record says.
    """
    if any(_check_sizes(example)):
        return None
    rescale = Rescale(
        example.rescale_slope,
        example.rescale_intercept,
        example.padding,  # type: ignore[arg-type]
    )
    pixels = example.image
    inside = pixels[example.masks.any(axis=0)]
    return {
        "all": count_pixels(pixels, rescale),
        "foreground": count_pixels(inside, rescale),
    }


def _check_identity(example: FrameExample) -> Wrong:
    if example.kind != example_schema.KIND_FRAME:
        yield "record_kind", f"schema/kind is {example.kind!r}, not 'frame'"
    if not _KEY.fullmatch(example.key):
        yield "record_key", f"{example.key!r} is not 32 hexadecimal digits"
    elif example.key_hash != signed_64_bits(example.key):
        yield "record_key", f"example/hash {example.key_hash} is not that of the key"
    for name in ("patient", "study", "series", "instance"):
        if not getattr(example, name):
            yield "record_identity", f"{name}/id is empty"


def _check_classes(example: FrameExample, manifest: Manifest) -> Wrong:
    if example.classes != manifest.class_names:
        names = f"{list(example.classes)}, the manifest's {list(manifest.class_names)}"
        yield "record_classes", f"mask/classes is {names}"
    expressions = tuple(one.expression for one in manifest.classes)
    if example.class_expressions != expressions:
        yield (
            "record_classes",
            f"mask/class_expressions is {list(example.class_expressions)}, the "
            f"manifest's {list(expressions)}",
        )
    if not set(example.annotated) <= {0, 1}:
        yield "record_annotated", f"mask/annotated is {list(example.annotated)}"


def _check_labels(example: FrameExample, manifest: Manifest) -> Wrong:
    names = tuple(one.name for one in manifest.labels)
    if (example.label_names or ()) != names:
        found = list(example.label_names or ())
        yield "record_labels", f"label/names is {found}, the manifest's {list(names)}"
        return
    for label, value in zip(manifest.labels, example.label_values or (), strict=True):
        if value and not _is_value(label, value):
            yield "record_labels", f"{value!r} is no value of the label {label.name!r}"


def _is_value(label: label_kinds.LabelInfo, value: str) -> bool:
    if label.kind == label_kinds.CLASS:
        return value in label.vocabulary
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _check_places(example: FrameExample) -> Wrong:
    for name in ("slice", "phase"):
        index = getattr(example, f"{name}_index")
        count = getattr(example, f"{name}_count")
        if index is not None and (index < 0 or index >= (count or index + 1)):
            yield "record_place", f"{name} {index} of {count}"
    for name in ("pixel_spacing", "position", "orientation"):
        values = getattr(example, name)
        if values is not None and not np.isfinite(values).all():
            yield "record_geometry", f"{name} is {values}"
    if example.pixel_spacing and min(example.pixel_spacing) <= 0:
        yield "record_geometry", f"pixel_spacing is {example.pixel_spacing}"


def _check_contours(example: FrameExample) -> Wrong:
    points = len(example.contour_points or ()) // 2
    told = sum(example.contour_lengths or ())
    if points != told:
        yield (
            "record_contours",
            f"{points} vertices, contour/lengths adds to {told}",
        )
    if not np.isfinite(example.contour_points or ()).all():
        yield "record_contours", "a vertex is not finite"


def _check_sizes(example: FrameExample) -> Wrong:
    """Whether there are as many bytes as the shapes say."""
    if example.dtype not in example_schema.PIXEL_DTYPES or min(example.shape) < 1:
        yield "record_pixels", f"image/pixels is {example.dtype} {example.shape}"
        return
    rows, columns, _ = example.shape
    count = len(example.classes)
    plane = math.ceil(rows * columns / 8)
    wanted = {
        "pixels": math.prod(example.shape) * np.dtype(example.dtype).itemsize,
        "planes": count * plane,
        "covered_fraction": count * rows * columns,
        "label_map": 2 * rows * columns,
        "ignore": plane,
    }
    for name, size in wanted.items():
        data = getattr(example, name)
        if data is not None and len(data) != size:
            code = "record_pixels" if name == "pixels" else "record_masks"
            key = example_schema.FEATURES[name].key
            yield code, f"{key} is {len(data)} bytes, not {size}"
    if count and example.planes is None and example.label_map is None:
        yield "record_masks", "there are no masks"


def _check_masks(example: FrameExample) -> Wrong:
    masks = example.masks
    told = example_schema.describe_masks(masks)
    for name in ("pixel_count", "bounding_box"):
        found = getattr(example, name)
        if found != told[name]:
            key = example_schema.FEATURES[name].key
            yield "record_masks", f"{key} is {found}, the masks' is {told[name]}"
    points = np.reshape(example.foreground_points, (-1, FOREGROUND_POINTS, 2))
    for name, annotated, mask, some in zip(
        example.classes, example.annotated, masks, points, strict=True
    ):
        if mask.any() and not annotated:
            yield "record_masks", f"class {name!r} has pixels and is not annotated"
        if not _are_inside(mask, some):
            yield "record_masks", f"mask/foreground_points of {name!r} are not its own"


def _are_inside(mask: np.ndarray, points: np.ndarray) -> bool:
    """Whether there are as many points as can be, each on the mask."""
    count = min(np.count_nonzero(mask), FOREGROUND_POINTS)
    used, rest = points[:count], points[count:]
    if (rest != -1).any() or (used < 0).any() or (used >= mask.shape).any():
        return False
    return bool(mask[used[:, 0], used[:, 1]].all())


def _check_statistics(example: FrameExample, counts: Intensities) -> Wrong:
    told = example.image_statistics
    actual = counts["all"].statistics()
    if (told is None) != (actual is None):
        yield "record_statistics", "image/statistics is there without values, or absent"
        return
    if told is None or actual is None:
        return
    for figure, one, other in zip(FIGURES, told, actual.to_floats(), strict=True):
        if not are_close(one, other, actual.deviation):
            yield "record_statistics", f"{figure} is {one:g}, the pixels' is {other:g}"
    if example.series_statistics is None:
        return
    low, high = (FIGURES.index(name) for name in ("minimum", "maximum"))
    series = example.series_statistics
    if series[low] > told[low] or series[high] < told[high]:
        yield "record_statistics", "the image has values outside its series' range"


def are_close(one: float, other: float, deviation: float = 0.0) -> bool:
    """Whether two figures of grey values agree, up to what 32 bits lose."""
    return abs(one - other) <= _TOLERANCE * max(abs(one), abs(other), deviation)
