"""``evaluate``: predictions for a split, compared with the masks that it holds.

On the source's own grid, against the masks as the records hold them; TensorFlow is
loaded only to read the images.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import dataset_reading, example_schema, files
from tfdicom.evaluation_result import EvaluationResult
from tfdicom.example_schema import FrameExample
from tfdicom.input_options import (
    DISTANCE,
    FAIL,
    IGNORE,
    NO_WEIGHTS,
    UNKNOWN,
    InputOptions,
)
from tfdicom.input_plan import InputPlan
from tfdicom.manifest import load_manifest
from tfdicom.options import accepts_options
from tfdicom.plan_reading import plan_reading
from tfdicom.source_grid import to_source_grid
from tfdicom.volume_scores import Evaluation

_OUT_OF_RANGE = 1e-3  # of probabilities, by rounding


@accepts_options(InputOptions)
def evaluate(
    predict: Callable[[np.ndarray], Any],
    data_dir: str | os.PathLike,
    split: str = "test",
    *,
    options: InputOptions,
    threshold: float = 0.5,
) -> EvaluationResult:
    """Dice, 95th-percentile Hausdorff distance and volume for each volume and class.

    Reads the images as ``input_fn(data_dir, split, training=False)`` does, predicts,
    puts the predictions back onto the source's grid (`to_source_grid`), and compares
    them with the masks of the records, of which cropping and resampling have taken
    nothing away. A slice on which a class was not annotated does not count for it.

    Args:
      predict: Keras model, or function from images, float32 ``[batch, rows, columns,
        channels]``, to ``[batch, rows, columns, classes]``: probabilities or masks, or
        a dict of them by class. With ``label_form='label_map'`` or ``'one_hot'``:
        probabilities of background and classes, or a label map ``[batch, rows,
        columns]``.
      data_dir: Folder that ``tfdicom_convert`` wrote.
      split: Name of a split, or several joined by ``+``.
      options: The fields below as a whole: how images become input, and whether a pixel
        has one class. What only concerns training, and ``unannotated``, is not looked
        at, so that the options of the training can be given.
      threshold: Probability from which on a pixel is of the class.

    Returns:
      The scores; ``print`` shows a table.

    Raises:
      FileNotFoundError: There is no data set, or a shard is missing.
      ModuleNotFoundError: scipy is not installed; says how to.
      ValueError: An option is not allowed, the data set cannot give what is asked for,
        or a prediction is none.
    """
    # Loads TensorFlow, which nothing else here needs.
    from tfdicom.input_pipeline import input_fn

    reading = _reading(options)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: above 0 and up to 1 is allowed")
    folder = files.text_of(data_dir)
    plan = plan_reading(load_manifest(folder), split, reading, names=[folder])
    scores = Evaluation(plan.class_names)
    records = dataset_reading.read_examples(folder, split)
    for batch in input_fn(folder, split, options=reading).as_numpy_iterator():
        image, info = batch[0], batch[-1]
        found = _as_array(predict, image, plan)
        masks = _masks(found, image.shape, info, plan, threshold)
        scores.update(masks, _truths(records, info["key"], plan), info)
    return scores.result()


def _reading(options: InputOptions) -> InputOptions:
    """As asked, but whole, in order, and once."""
    if options.training:
        raise ValueError("training=True: an evaluation neither augments nor shuffles")
    if options.class_names == ():
        raise ValueError(f"classes={options.classes!r}: there is nothing to compare")
    if options.label_form == DISTANCE:
        raise ValueError(
            f"label_form={DISTANCE!r}: leave it out, and let the function give masks: "
            "distance < 0"
        )
    return dataclasses.replace(
        options,
        training=False,
        with_info=True,
        num_epochs=1,
        start_step=0,
        drop_remainder=False,
        unannotated=IGNORE,
        class_weights=NO_WEIGHTS,
        labels=None,
        positive_fraction=None,
        weights=None,
        data_service=None,
        on_corrupt=FAIL,
    )


def _as_array(predict: Any, image: np.ndarray, plan: InputPlan) -> np.ndarray:
    """What is predicted; of a dict the classes in their order."""
    found = getattr(predict, "predict_on_batch", predict)(image)
    if isinstance(found, Mapping):
        missing = [name for name in plan.class_names if name not in found]
        if missing:
            raise ValueError(
                f"predict gave {', '.join(map(str, found))}, and no {missing[0]!r}"
            )
        parts = [np.asarray(found[name]) for name in plan.class_names]
        return np.concatenate(parts, axis=-1)
    return np.asarray(found)


def _masks(
    found: np.ndarray,
    shape: tuple[int, ...],
    info: Mapping[str, Any],
    plan: InputPlan,
    threshold: float,
) -> list[np.ndarray]:
    """Masks ``[rows, columns, classes]`` on the source's grid."""
    classes, exclusive = len(plan.class_names), plan.options.excludes
    channels = classes + exclusive
    allowed = [(*shape[:3], channels), *([shape[:3]] if exclusive else [])]
    if found.shape not in allowed:
        raise ValueError(
            f"predict gave {found.shape} for images {shape}; for the classes "
            f"{', '.join(plan.class_names)} and label_form="
            f"{plan.options.label_form!r}, {' or '.join(map(str, allowed))} is wanted"
        )
    probable = found.dtype.kind not in "biu"
    if probable and found.ndim == 4:
        _check_probabilities(found)
    if not exclusive:
        return to_source_grid(found, info, threshold=threshold if probable else None)
    back = to_source_grid(found, info)
    labels = [one if one.ndim == 2 else one.argmax(axis=-1) for one in back]
    return [one[..., np.newaxis] == np.arange(1, classes + 1) for one in labels]


def _check_probabilities(found: np.ndarray) -> None:
    values = found.astype(np.float32)
    low, high = values.min(), values.max()
    if not (low >= -_OUT_OF_RANGE and high <= 1 + _OUT_OF_RANGE):
        raise ValueError(
            f"predict gave {low:g} to {high:g}; probabilities from 0 to 1 are wanted. "
            "Of logits take the sigmoid or softmax first"
        )


def _truths(
    records: Iterator[FrameExample], keys: Sequence[bytes], plan: InputPlan
) -> list[np.ndarray]:
    """Masks of the records with these keys, which come in the same order."""
    found = []
    for key in keys:
        example = next((one for one in records if one.key.encode() == key), None)
        if example is None:
            raise ValueError(f"example {key.decode()} is not where its index says")
        found.append(_truth(example, plan))
    return found


def _truth(example: FrameExample, plan: InputPlan) -> np.ndarray:
    """uint8 ``[rows, columns, classes]``: 0, 1, or ``UNKNOWN``."""
    (places,) = plan.classes.indices
    planes = example.masks[list(places)].astype(np.uint8)
    planes[np.array(example.annotated)[list(places)] == 0] = UNKNOWN
    if plan.options.excludes:
        _exclude(planes, plan.labels.order)
    if example.ignore is not None:
        ignore = example_schema.unpack_planes(example.ignore, 1, *planes.shape[1:])
        planes[:, ignore[0]] = UNKNOWN
    return np.moveaxis(planes, 0, -1)


def _exclude(planes: np.ndarray, order: Sequence[int]) -> None:
    """Leaves a pixel to the first class that has it; in place."""
    taken = np.zeros(planes.shape[1:], bool)
    unsure = np.zeros_like(taken)  # whether a class before has it
    for place in order:
        plane = planes[place]
        plane[unsure] = UNKNOWN
        plane[taken] = 0
        taken |= plane == 1
        unsure |= plane == UNKNOWN
