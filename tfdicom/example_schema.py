"""The record: what one example holds, and how it becomes bytes and comes back.

``FrameExample`` is the schema. Each field declares its feature key, kind, shape and
meaning once; the serializer here, the parser in ``example_parser`` and the table in
``docs/record.md`` are all driven by those declarations.

The bytes are a ``tf.train.Example`` protocol buffer with its keys sorted, equal to
what TensorFlow's ``SerializeToString(deterministic=True)`` gives; TensorFlow itself is
not needed. A feature without a value is left out: absent is stored as absent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import example_wire
from tfdicom.example_wire import Buffer

SCHEMA_VERSION = 1
KIND_FRAME = "frame"  # one 2-D frame

#: Pixel dtypes that a record may hold, little-endian.
PIXEL_DTYPES = (
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "float32",
    "float64",
)

#: Foreground coordinates kept for each class, so that a crop needs no scan.
FOREGROUND_POINTS = 16

BYTES, INT64, FLOAT = example_wire.BYTES, example_wire.INT64, example_wire.FLOAT
TEXT = "text"  # bytes that are UTF-8


@dataclasses.dataclass(frozen=True)
class Feature:
    """One feature of the record.

    Attributes:
      name: Field of ``FrameExample``.
      key: Key in the ``tf.train.Example``.
      kind: ``bytes``, ``text`` (UTF-8 bytes), ``int64`` or ``float`` (32 bits).
      shape: Names or sizes of the axes, () for a scalar; stored flat, last axis
        fastest.
      optional: May be absent.
      doc: What it means, with unit and source.
    """

    name: str
    key: str
    kind: str
    shape: tuple[int | str, ...]
    optional: bool
    doc: str

    @property
    def wire_kind(self) -> str:
        """Kind of list that ``tf.train.Example`` stores it in."""
        return BYTES if self.kind == TEXT else self.kind


def _feature(
    key: str,
    kind: str,
    doc: str,
    *,
    shape: tuple[int | str, ...] = (),
    optional: bool = False,
) -> Any:
    metadata = {"key": key, "kind": kind, "shape": shape, "optional": optional}
    metadata["doc"] = doc
    if optional:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameExample:
    """One frame with its masks, as stored. Sequences are flat tuples."""

    version: int = _feature("schema/version", INT64, "Version of this schema.")
    kind: str = _feature("schema/kind", TEXT, "`frame`: one two-dimensional frame.")

    key: str = _feature(
        "example/key",
        TEXT,
        "32 hexadecimal digits: keyed hash of instance, frame and rater.",
    )
    key_hash: int = _feature(
        "example/hash",
        INT64,
        "First 64 bits of the key, signed: names the example's random stream.",
    )
    patient: str = _feature("patient/id", TEXT, "Pseudonym of the patient.")
    study: str = _feature("study/id", TEXT, "Pseudonym of the study.")
    series: str = _feature("series/id", TEXT, "Pseudonym of the series.")
    instance: str = _feature("instance/id", TEXT, "Pseudonym of the SOP Instance.")
    source_patient: str | None = _feature(
        "patient/source",
        TEXT,
        "The patient's own identifier; only with `--keep_identifiers`.",
        optional=True,
    )
    source_study: str | None = _feature(
        "study/source",
        TEXT,
        "Study Instance UID (0020,000D); only with `--keep_identifiers`.",
        optional=True,
    )
    source_series: str | None = _feature(
        "series/source",
        TEXT,
        "Series Instance UID (0020,000E); only with `--keep_identifiers`.",
        optional=True,
    )
    source_instance: str | None = _feature(
        "instance/source",
        TEXT,
        "SOP Instance UID (0008,0018); only with `--keep_identifiers`.",
        optional=True,
    )
    age_band: str | None = _feature(
        "patient/age_band",
        TEXT,
        "Age in years, from Patient's Age (0010,1010) or from the dates of birth and "
        "study: `0-4`, `5-9`, ..., `85-89`, `90+`; only with `--keep=age_band`.",
        optional=True,
    )
    sex: str | None = _feature(
        "patient/sex",
        TEXT,
        "Patient's Sex (0010,0040): `M`, `F` or `O`; only with `--keep=sex`.",
        optional=True,
    )
    weight: int | None = _feature(
        "patient/weight",
        INT64,
        "Patient's Weight (0010,1030), whole kilograms; only with `--keep=weight`.",
        optional=True,
    )
    study_date: str | None = _feature(
        "study/date",
        TEXT,
        "Study Date (0008,0020), YYYYMMDD, moved by a number of days that is the "
        "patient's own; only with `--dates=shift`.",
        optional=True,
    )
    acquisition_date: str | None = _feature(
        "image/acquisition_date",
        TEXT,
        "Acquisition Date (0008,0022), moved as `study/date` is.",
        optional=True,
    )
    frame_number: int = _feature(
        "instance/frame_number", INT64, "Number of the frame in its instance, from 1."
    )

    pixels: bytes = _feature(
        "image/pixels",
        BYTES,
        "Stored values, little-endian, `[rows, columns, samples]`, last axis fastest.",
    )
    shape: tuple[int, ...] = _feature(
        "image/shape", INT64, "Rows, columns, samples per pixel.", shape=(3,)
    )
    dtype: str = _feature(
        "image/dtype", TEXT, "NumPy name of the stored values' dtype."
    )
    rescale_slope: float = _feature(
        "image/rescale_slope",
        FLOAT,
        "Modality value = stored value x slope + intercept (PS3.3 C.11.1).",
    )
    rescale_intercept: float = _feature(
        "image/rescale_intercept", FLOAT, "See `image/rescale_slope`."
    )
    units: str | None = _feature(
        "image/units",
        TEXT,
        "Rescale Type (0028,1054) or Units (0054,1001), as `HU` or `BQML`; absent "
        "where they are no term that is known.",
        optional=True,
    )
    photometric_interpretation: str = _feature(
        "image/photometric_interpretation",
        TEXT,
        "Photometric Interpretation (0028,0004) of the stored values.",
    )
    padding: tuple[float, ...] | None = _feature(
        "image/padding",
        FLOAT,
        "Lowest and highest stored value that mean padding (PS3.3 C.7.5.1.1.2).",
        shape=(2,),
        optional=True,
    )
    modality: str = _feature(
        "image/modality", TEXT, "Modality (0008,0060); empty if unknown."
    )
    manufacturer: str | None = _feature(
        "image/manufacturer",
        TEXT,
        "Manufacturer (0008,0070); absent where it is not made of words that are "
        "known.",
        optional=True,
    )
    model: str | None = _feature(
        "image/model",
        TEXT,
        "Manufacturer's Model Name (0008,1090); absent as `image/manufacturer` is.",
        optional=True,
    )
    field_strength: float | None = _feature(
        "image/field_strength",
        FLOAT,
        "Magnetic Field Strength (0018,0087), tesla.",
        optional=True,
    )
    suv_factor: float | None = _feature(
        "image/suv_factor",
        FLOAT,
        "PET: body-weight SUV = modality value x this.",
        optional=True,
    )
    window: tuple[float, ...] | None = _feature(
        "image/window",
        FLOAT,
        "First Window Center (0028,1050) and Window Width (0028,1051).",
        shape=(2,),
        optional=True,
    )
    image_statistics: tuple[float, ...] | None = _feature(
        "image/statistics",
        FLOAT,
        "Of the frame's modality values without padding: mean, deviation, minimum, "
        "maximum, percentiles 0.5, 1, 2, 5, 25, 50, 75, 95, 98, 99, 99.5.",
        shape=(15,),
        optional=True,
    )

    pixel_spacing: tuple[float, ...] | None = _feature(
        "geometry/pixel_spacing",
        FLOAT,
        "Distance between rows, distance between columns, mm (PS3.3 10.7.1.3).",
        shape=(2,),
        optional=True,
    )
    slice_spacing: float | None = _feature(
        "geometry/slice_spacing",
        FLOAT,
        "Median distance between neighbouring slices along the normal, mm.",
        optional=True,
    )
    position: tuple[float, ...] | None = _feature(
        "geometry/position",
        FLOAT,
        "Image Position (Patient): centre of the first pixel, mm, LPS.",
        shape=(3,),
        optional=True,
    )
    orientation: tuple[float, ...] | None = _feature(
        "geometry/orientation",
        FLOAT,
        "Image Orientation (Patient): direction of a row, then of a column.",
        shape=(6,),
        optional=True,
    )

    series_statistics: tuple[float, ...] | None = _feature(
        "series/statistics",
        FLOAT,
        "As `image/statistics`, over every readable frame of the series that is of "
        "this frame's acquisition group.",
        shape=(15,),
        optional=True,
    )
    slice_index: int | None = _feature(
        "series/slice_index",
        INT64,
        "Place along the normal among the slices of the group, from 0.",
        optional=True,
    )
    slice_count: int | None = _feature(
        "series/slice_count", INT64, "Distinct slice places.", optional=True
    )
    phase_index: int | None = _feature(
        "series/phase_index",
        INT64,
        "Place in time among the frames at this slice place, from 0.",
        optional=True,
    )
    phase_count: int | None = _feature(
        "series/phase_count", INT64, "Frames at this slice place.", optional=True
    )
    trigger_time: float | None = _feature(
        "series/trigger_time", FLOAT, "Trigger Time (0018,1060), ms.", optional=True
    )
    acquisition_group: int | None = _feature(
        "series/acquisition_group",
        INT64,
        "Number of the orientation and spacing that this frame shares, from 0.",
        optional=True,
    )

    classes: tuple[str, ...] = _feature(
        "mask/classes", TEXT, "Names of the classes.", shape=("classes",)
    )
    class_expressions: tuple[str, ...] = _feature(
        "mask/class_expressions",
        TEXT,
        "How each class is made of annotated structures, each a name or a regular "
        "expression between slashes: `outer-inner`, `/lung_(l|r)/`.",
        shape=("classes",),
    )
    annotated: tuple[int, ...] = _feature(
        "mask/annotated",
        INT64,
        "1 where the class was annotated on this frame, else 0 (its plane is then "
        "empty and says nothing).",
        shape=("classes",),
    )
    planes: bytes | None = _feature(
        "mask/planes",
        BYTES,
        "One bit for each pixel, row by row, little bit order; each class begins on a "
        "byte: `classes x ceil(rows x columns / 8)` bytes.",
        optional=True,
    )
    covered_fraction: bytes | None = _feature(
        "mask/covered_fraction",
        BYTES,
        "Fraction of each pixel that is covered, uint8, 255 = all: "
        "`[classes, rows, columns]`.",
        optional=True,
    )
    label_map: bytes | None = _feature(
        "mask/label_map",
        BYTES,
        "Instead of planes where classes or instances are many: uint16, little-endian, "
        "`[rows, columns]`; 0 is background, k the class k - 1.",
        optional=True,
    )
    ignore: bytes | None = _feature(
        "mask/ignore",
        BYTES,
        "One bit for each pixel that no loss should count; packed as one plane.",
        optional=True,
    )
    pixel_count: tuple[int, ...] = _feature(
        "mask/pixel_count", INT64, "Pixels of each class.", shape=("classes",)
    )
    bounding_box: tuple[int, ...] = _feature(
        "mask/bounding_box",
        INT64,
        "First row, first column, last row + 1, last column + 1; zeros if empty.",
        shape=("classes", 4),
    )
    foreground_points: tuple[int, ...] = _feature(
        "mask/foreground_points",
        INT64,
        "Row and column of pixels spread evenly over the class; -1 where there are "
        "none left.",
        shape=("classes", FOREGROUND_POINTS, 2),
    )
    rater: str | None = _feature(
        "mask/rater", TEXT, "Pseudonym of who drew it.", optional=True
    )

    edge_rule: str | None = _feature(
        "annotation/edge_rule",
        TEXT,
        "Which pixels a contour takes: `center`, `inside` or `half_covered`; several, "
        "joined by commas, where the contours of one frame have several.",
        optional=True,
    )
    hole_rule: str | None = _feature(
        "annotation/hole_rule",
        TEXT,
        "How contours of one structure in one plane combine.",
        optional=True,
    )
    contour_origin: str | None = _feature(
        "annotation/contour_origin",
        TEXT,
        "Name of the coordinate origin of contour text files.",
        optional=True,
    )
    contour_shift: tuple[float, ...] | None = _feature(
        "annotation/contour_shift",
        FLOAT,
        "Column and row shift that was added to the file's coordinates, pixels.",
        shape=(2,),
        optional=True,
    )
    contour_points: tuple[float, ...] | None = _feature(
        "contour/points",
        FLOAT,
        "Column and row of every vertex, pixels, (0, 0) = centre of the first pixel.",
        shape=("points", 2),
        optional=True,
    )
    contour_lengths: tuple[int, ...] | None = _feature(
        "contour/lengths",
        INT64,
        "Number of vertices of each contour.",
        shape=("contours",),
        optional=True,
    )
    contour_structures: tuple[str, ...] | None = _feature(
        "contour/structures",
        TEXT,
        "Structure that each contour outlines, as a term of `mask/class_expressions`.",
        shape=("contours",),
        optional=True,
    )
    contour_roles: tuple[str, ...] | None = _feature(
        "contour/roles",
        TEXT,
        "Contour Geometric Type (3006,0042) of each contour.",
        shape=("contours",),
        optional=True,
    )
    contour_centres_on_path: tuple[int, ...] | None = _feature(
        "contour/centres_on_path",
        INT64,
        "Pixel centres that lie on each contour: how much the edge rule matters.",
        shape=("contours",),
        optional=True,
    )

    label_names: tuple[str, ...] | None = _feature(
        "label/names",
        TEXT,
        "Names of labels beside the masks: columns of the table of `--labels`.",
        shape=("labels",),
        optional=True,
    )
    label_values: tuple[str, ...] | None = _feature(
        "label/values",
        TEXT,
        "Their values, as the table has them; empty where there is none.",
        shape=("labels",),
        optional=True,
    )

    @property
    def image(self) -> np.ndarray:
        """Stored values ``[rows, columns, samples]`` in their own dtype."""
        dtype = np.dtype(self.dtype).newbyteorder("<")
        array = np.frombuffer(self.pixels, dtype).reshape(self.shape)
        return array.astype(dtype.newbyteorder("="), copy=False)

    @property
    def masks(self) -> np.ndarray:
        """Masks ``[classes, rows, columns]``, bool; from the label map, if they are so.

        Raises:
          ValueError: The example holds no masks.
        """
        rows, columns, _ = self.shape
        count = len(self.classes)
        if not count:
            return np.zeros((0, rows, columns), bool)
        if self.planes is not None:
            return unpack_planes(self.planes, count, rows, columns)
        if self.label_map is None:
            raise ValueError(f"example {self.key} holds no masks")
        labels = np.frombuffer(self.label_map, "<u2").reshape(rows, columns)
        return labels == np.arange(1, count + 1)[:, np.newaxis, np.newaxis]

    @property
    def contours(self) -> list[tuple[str, np.ndarray]]:
        """(structure, vertices ``[n, 2]`` as column, row) of each contour."""
        points = np.array(self.contour_points or (), np.float64).reshape(-1, 2)
        ends = np.cumsum(self.contour_lengths or (), dtype=int)
        parts = np.split(points, ends[:-1]) if len(ends) else []
        return list(zip(self.contour_structures or (), parts, strict=True))


def _features() -> Iterator[Feature]:
    for field in dataclasses.fields(FrameExample):
        yield Feature(name=field.name, **field.metadata)


#: Every feature of the record by the name of its field.
FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in _features()}


def pack_pixels(pixels: np.ndarray, *, copy: bool = True) -> dict[str, Any]:
    """The fields ``pixels``, ``shape`` and ``dtype`` of an image.

    Args:
      pixels: Stored values ``[rows, columns]`` or ``[rows, columns, samples]``.
      copy: Whether they become bytes; else a view of them, for ``encode_parts``.

    Raises:
      ValueError: The dtype or the number of axes is none that a record may hold.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    name = pixels.dtype.name
    if pixels.ndim != 3 or name not in PIXEL_DTYPES:
        raise ValueError(
            f"a record holds [rows, columns, samples] of {', '.join(PIXEL_DTYPES)}; "
            f"got {name} of shape {pixels.shape}"
        )
    little = pixels.astype(pixels.dtype.newbyteorder("<"), order="C", copy=False)
    data = little.tobytes() if copy else little.reshape(-1).view(np.uint8).data
    return {"pixels": data, "shape": pixels.shape, "dtype": name}


def pack_planes(masks: Iterable[np.ndarray]) -> bytes:
    """Packs a bool mask ``[rows, columns]`` of each class into one bit a pixel."""
    packed = (np.packbits(mask.reshape(-1), bitorder="little") for mask in masks)
    return b"".join(one.tobytes() for one in packed)


def unpack_planes(data: bytes, classes: int, rows: int, columns: int) -> np.ndarray:
    """Inverse of ``pack_planes``: bool ``[classes, rows, columns]``.

    Raises:
      ValueError: There are more or fewer bytes than such masks take.
    """
    shape = (classes, math.ceil(rows * columns / 8))
    if len(data) != math.prod(shape):
        raise ValueError(
            f"{classes} masks of {rows} x {columns} take {math.prod(shape)} bytes; "
            f"got {len(data)}"
        )
    packed = np.frombuffer(data, np.uint8).reshape(shape)
    bits = np.unpackbits(packed, axis=1, count=rows * columns, bitorder="little")
    return bits.astype(bool).reshape(classes, rows, columns)


def describe_masks(masks: Sequence[np.ndarray] | np.ndarray) -> dict[str, Any]:
    """The fields that sum up a bool mask ``[rows, columns]`` of each class.

    Without a class there are no planes.
    """
    boxes: list[int] = []
    points: list[int] = []
    counts: list[int] = []
    for mask in masks:
        up_to = np.cumsum(np.count_nonzero(mask, axis=1))  # pixels, row by row
        boxes.extend(_bounding_box(mask, up_to))
        points.extend(_spread_points(mask, up_to))
        counts.append(int(up_to[-1]))
    return {
        "planes": pack_planes(masks) if len(masks) else None,
        "pixel_count": tuple(counts),
        "bounding_box": tuple(boxes),
        "foreground_points": tuple(points),
    }


def _bounding_box(mask: np.ndarray, up_to: np.ndarray) -> tuple[int, ...]:
    if not up_to[-1]:
        return (0, 0, 0, 0)
    top, bottom = np.searchsorted(up_to, (1, up_to[-1]))
    columns = np.flatnonzero(mask[top : bottom + 1].any(axis=0))
    return int(top), int(columns[0]), int(bottom) + 1, int(columns[-1]) + 1


def _spread_points(mask: np.ndarray, up_to: np.ndarray) -> list[int]:
    """Some pixels of a mask, from the first to the last in equal steps."""
    total = int(up_to[-1])
    count = min(total, FOREGROUND_POINTS)
    at = (np.arange(count) * 2 + 1) * total // (2 * max(count, 1))
    rows = np.searchsorted(up_to, at, side="right")
    within = np.cumsum(mask[rows], axis=1)  # of each row, up to each column
    before = up_to[rows] - within[:, -1]
    columns = np.count_nonzero(within <= (at - before)[:, np.newaxis], axis=1)
    pairs = np.full((FOREGROUND_POINTS, 2), -1, np.int64)
    pairs[:count] = np.stack([rows, columns], axis=1)
    return pairs.ravel().tolist()


def encode(example: FrameExample) -> bytes:
    """Serializes an example; equal examples give equal bytes.

    Raises:
      ValueError: A feature that must be there is missing, or has a wrong length.
    """
    return b"".join(encode_parts(example))


def encode_parts(example: FrameExample) -> list[Buffer]:
    """As ``encode``, in parts that follow one another; large values are not copied."""
    entries = {}
    axes: dict[str, int] = {}
    for feature in FEATURES.values():
        value = getattr(example, feature.name)
        if value is None and not feature.optional:
            raise ValueError(f"feature {feature.key!r} is missing")
        if value is not None:
            values = _listed(feature, value)
            _check_count(feature, len(values), axes)
            entries[feature.key] = (feature.wire_kind, values)
    return example_wire.encode_parts(entries)


def _listed(feature: Feature, value: Any) -> Any:
    values = value if feature.shape else [value]
    return [item.encode() for item in values] if feature.kind == TEXT else values


def _check_count(feature: Feature, count: int, axes: dict[str, int]) -> None:
    """Checks the length of a flat list; ``axes`` keeps the sizes of axes with names."""
    names = [axis for axis in feature.shape if isinstance(axis, str)]
    unit = math.prod(axis for axis in feature.shape if isinstance(axis, int))
    size, rest = divmod(count, unit)
    wanted = axes.setdefault(names[0], size) if names else 1
    if rest or size != wanted:
        known = f", {names[0]} = {wanted}" if names and not rest else ""
        raise ValueError(
            f"feature {feature.key!r} has shape {feature.shape}{known}; "
            f"got {count} values"
        )


def decode(data: bytes) -> FrameExample:
    """Reads an example back.

    Raises:
      ValueError: The bytes are no example of this schema version.
    """
    found = example_wire.decode(data)
    version_key = FEATURES["version"].key
    version = found.get(version_key, (INT64, [None]))[1]
    if list(version) != [SCHEMA_VERSION]:
        raise ValueError(
            f"{version_key} is {version}, this tfdicom reads [{SCHEMA_VERSION}]"
        )
    fields = {}
    axes: dict[str, int] = {}
    for feature in FEATURES.values():
        if feature.key in found:
            kind, values = found[feature.key]
            _check_kind(feature, kind)
            _check_count(feature, len(values), axes)
            fields[feature.name] = _restored(feature, values)
        elif not feature.optional:
            raise ValueError(f"feature {feature.key!r} is missing")
    return FrameExample(**fields)


def _check_kind(feature: Feature, kind: str) -> None:
    if kind != feature.wire_kind:
        raise ValueError(
            f"feature {feature.key!r} is a list of {feature.wire_kind}; got {kind}"
        )


def _restored(feature: Feature, values: list[Any]) -> Any:
    if feature.kind == TEXT:
        values = [value.decode() for value in values]
    return tuple(values) if feature.shape else values[0]
