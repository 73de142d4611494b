"""A batch of records into finished examples: what runs inside ``Dataset.map``.

A short last batch is filled up by repeating its last record, so that XLA compiles one
shape; the copies are cut off at the end. Random numbers belong to an example, so it
looks the same in any batch.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfdicom import example_parser, label_values, labelling, pixel_work, preprocess
from tfdicom.class_layout import ABSENT
from tfdicom.epoch_order import DATA_SET, EPOCH, OCCURRENCE
from tfdicom.example_schema import SCHEMA_VERSION
from tfdicom.input_options import DROP, IGNORE, SOFT
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written

_INFO = (
    *("key", "key_hash", "patient", "series", "acquisition_group", "rater"),
    *("slice_index", "phase_index", "slice_spacing", "position", "orientation"),
    *("age_band", "sex", "weight"),
)

#: What a class that a data set lacks has in place of its values.
ABSENT_VALUE = {
    "planes": 0,
    "covered_fraction": 0,
    "annotated": 0,
    "foreground_points": -1,
}

Tensors = dict[str, tf.Tensor]


def _fields(plan: InputPlan) -> list[str]:
    """The features that this plan needs; no other is parsed."""
    options = plan.options
    names = [
        "version",
        "pixels",
        *preprocess.FEATURES,
        *preprocess.features(plan.rules),
    ]
    names += _mask_fields(plan) if plan.class_names else []
    names += ["label_names", "label_values"] if plan.label_layout.labels else []
    names += [] if plan.uniform else ["shape", "dtype"]
    names += ["key_hash"] if plan.is_random else []
    names += ["pixel_spacing"] if plan.warps else []
    names += ["key"] if options.spacing is not None else []
    names += (*_INFO, "pixel_spacing") if options.with_info else []
    return list(dict.fromkeys(names))


def _mask_fields(plan: InputPlan) -> list[str]:
    options = plan.options
    names = ["covered_fraction"] if options.label_form == SOFT else ["planes"]
    names += ["foreground_points"] if plan.augmentation.foreground_crop else []
    names += [] if options.unannotated == DROP else ["annotated"]
    return [*names, "ignore"] if options.unannotated == IGNORE else names


@as_written
def parse_batch(records: tf.Tensor, turns: tf.Tensor, plan: InputPlan) -> Tensors:
    """Parses records ``[n]`` of one shape and dtype into tensors ``[n, ...]``.

    Args:
      records: Serialized, string ``[n]``.
      turns: int64 ``[n, 3]``, of ``epoch_order``; the data sets count here.
      plan: What to do.
    """
    tensors = _parse(records, plan)
    (dtype,) = plan.dtypes
    tensors["pixels"] = example_parser.decode_pixels(
        tensors["pixels"], dtype=dtype, shape=plan.shape
    )
    rows, columns, _ = plan.shape
    return _chosen_classes(tensors, turns[:, DATA_SET], plan, rows, columns)


@as_written
def parse_one(record: tf.Tensor, turn: tf.Tensor, plan: InputPlan) -> Tensors:
    """Parses one record where shapes or dtypes differ, padded to the largest size.

    The padding is never looked at: ``extent`` says how far the source reaches.
    """
    tensors = _parse(record[tf.newaxis], plan)
    shape = tf.cast(tensors.pop("shape")[0], tf.int32)
    pixels = example_parser.decode_pixels_any(
        tensors["pixels"][0], tensors.pop("dtype")[0], dtypes=plan.dtypes, shape=shape
    )
    tensors = _chosen_classes(
        tensors, turn[tf.newaxis, DATA_SET], plan, shape[0], shape[1]
    )
    if "planes" in tensors:
        tensors["mask"] = example_parser.unpack_planes(
            tensors.pop("planes"), rows=shape[0], columns=shape[1]
        )
    tensors = {name: one[0] for name, one in tensors.items()}
    tensors["pixels"] = pixels
    for name in ("pixels", "mask") if "mask" in tensors else ("pixels",):
        tensors[name] = tf.image.pad_to_bounding_box(
            tensors[name], 0, 0, *plan.shape[:2]
        )
    tensors["extent"] = shape[:2]
    return tensors


@as_written
def filled(tensors: Tensors, turns: tf.Tensor, size: int) -> tuple[Tensors, tf.Tensor]:
    """A batch of ``size``, the last example repeated; the turns ``[n, 3]`` stay."""
    count = tf.shape(turns)[0]
    return {name: _filled(one, count, size) for name, one in tensors.items()}, turns


def _filled(tensor: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    at = tf.minimum(tf.range(size), count - 1)
    # tf.equal, as == compares identity in a graph of TensorFlow 1.
    is_full = tf.equal(count, size)
    full = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, at))
    return tf.ensure_shape(full, [size, *tensor.shape[1:]])


def _parse(records: tf.Tensor, plan: InputPlan) -> Tensors:
    # Where data sets differ, their records have different numbers of classes.
    count = plan.classes.counts[0] if plan.classes.is_one else None
    sizes = {"classes": count, "labels": None}
    found = example_parser.parse(records, _fields(plan), sizes=sizes)
    if "label_values" in found:
        found["labels"] = label_values.label_values(
            found.pop("label_names"),
            found.pop("label_values"),
            plan.label_layout.labels,
        )
    version = found.pop("version")
    message = (
        f"records of another schema version than {SCHEMA_VERSION}, which this tfdicom "
        "reads; convert again. Their versions:"
    )
    is_known = tf.reduce_all(tf.equal(version, SCHEMA_VERSION))
    check = tf.debugging.Assert(is_known, [message, version])
    with tf.control_dependencies([check] if check is not None else []):
        return {name: tf.identity(one) for name, one in found.items()}


def _chosen_classes(
    tensors: Tensors,
    data_set: tf.Tensor,
    plan: InputPlan,
    rows: int | tf.Tensor,
    columns: int | tf.Tensor,
) -> Tensors:
    """Per-class fields of the classes that are read; the planes decoded.

    The ignore plane, if it is needed, becomes the last of the planes. Covered fractions
    become ``mask``, uint8 ``[n, rows, columns, planes]``, 255 for all.
    """
    size = example_parser.plane_bytes(rows, columns)
    count = max(plan.classes.counts)
    found = dict(tensors)
    for name, one in (("planes", size), ("covered_fraction", rows * columns)):
        if name in found:
            found[name] = example_parser.decode_planes(
                tensors[name], count=count, size=one
            )
    for name, absent in ABSENT_VALUE.items():
        if name in found:
            found[name] = _of_classes(found[name], data_set, plan, absent)
    ignore = found.pop("ignore", None)
    if ignore is not None:
        ignore = example_parser.decode_planes(ignore, count=1, size=size)
    if "covered_fraction" in found:
        covered = found.pop("covered_fraction")
        found["mask"] = _covered(covered, ignore, rows, columns)
    elif ignore is not None:
        found["planes"] = tf.concat([found["planes"], ignore], axis=1)
    return found


def _covered(
    fractions: tf.Tensor,
    ignore: tf.Tensor | None,
    rows: int | tf.Tensor,
    columns: int | tf.Tensor,
) -> tf.Tensor:
    mask = tf.reshape(fractions, [-1, fractions.shape[1], rows, columns])
    if ignore is not None:
        bits = example_parser.unpack_bits(ignore, rows=rows, columns=columns)
        mask = tf.concat([mask, 255 * bits], axis=1)
    return tf.transpose(mask, [0, 2, 3, 1])


def _of_classes(
    values: tf.Tensor, data_set: tf.Tensor, plan: InputPlan, absent: int
) -> tf.Tensor:
    """``[n, classes of the record, ...]`` to ``[n, classes that are read, ...]``."""
    classes = plan.classes
    if classes.is_one:
        chosen = list(classes.indices[0])
        if chosen == list(range(classes.counts[0])):
            return values
        return tf.gather(values, chosen, axis=1)
    # One more class, that nobody annotated, stands for those that a data set lacks.
    count = max(classes.counts)
    missing = count + 1 - tf.shape(values)[1]
    ends = [[0, 0], [0, missing], *[[0, 0]] * (values.shape.rank - 2)]
    values = tf.pad(values, ends, constant_values=tf.cast(absent, values.dtype))
    places = tf.constant(
        [[count if one == ABSENT else one for one in row] for row in classes.indices]
    )
    return tf.gather(values, tf.gather(places, data_set), axis=1, batch_dims=1)


@as_written
def finish(tensors: Tensors, turns: tf.Tensor, plan: InputPlan) -> Any:
    """Finishes a batch.

    Args:
      tensors: Full, from ``filled``.
      turns: int64 ``[n, 3]``, of ``epoch_order``; n of the examples are real.
      plan: What to do.

    Returns:
      The element of the dataset, ``[n, ...]``.
    """
    count = tf.shape(turns)[0]
    size = plan.options.batch_size
    full = _filled(turns, count, size)
    tensors["epoch"], tensors["occurrence"] = full[:, EPOCH], full[:, OCCURRENCE]
    if "extent" not in tensors:
        tensors["extent"] = tf.constant([plan.shape[:2]] * size)
    tensors["numbers"] = preprocess.coefficients(plan.rules, tensors)
    if plan.options.spacing is not None:
        tensors["pixel_spacing"] = preprocess.known_spacing(tensors)
    values = tensors.pop("labels", None)
    if not plan.class_names:
        tensors["mask"] = tf.zeros([size, *plan.shape[:2], plan.planes], tf.uint8)
    numeric = {k: v for k, v in tensors.items() if v.dtype != tf.string}
    image, mask, matrix = pixel_work.apply(numeric, plan)
    masks: tuple[Any, ...] = ()
    if plan.class_names:
        masks = labelling.labelled(mask, tensors.get("annotated"), plan)
    element = [image, *label_values.with_labels(masks, values, plan)]
    if plan.options.with_info:
        element.append(_info(tensors, matrix, plan))
    if plan.options.drop_remainder:
        return tuple(element)
    return tf.nest.map_structure(
        lambda one: _shortened(one, count, size), tuple(element)
    )


def _shortened(tensor: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    """Inverse of ``_filled``."""
    # A slice would share the memory, about which TensorFlow 2.21 prints errors later.
    is_full = tf.equal(count, size)
    kept = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, tf.range(count)))
    return tf.ensure_shape(kept, [None, *tensor.shape[1:]])


def _info(tensors: Tensors, matrix: tf.Tensor, plan: InputPlan) -> Tensors:
    info = {name: tensors[name] for name in (*_INFO, "epoch", "occurrence")}
    info["spacing"], info["matrix"] = tensors["pixel_spacing"], matrix
    info["source_size"] = tf.cast(tensors["extent"], tf.int64)
    deforms = plan.augmentation.elastic > 0
    return {**info, "deformed": tf.fill([plan.options.batch_size], deforms)}
