"""What patients are stratified by: their classes, or a label of theirs."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence

from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.classes import SegmentationClass
from tfdicom.convert_options import stratify_label
from tfdicom.stratification import Amounts

_FEW_PATIENTS = 10  # of fewer, each may well have a value of their own


def strata_of(
    by_patient: Mapping[str, Sequence[AnnotatedFrame]],
    stratify: str,
    classes: Sequence[SegmentationClass],
) -> dict[str, Amounts]:
    """How much of each label the patients have.

    Args:
      by_patient: The frames of each patient that may become examples.
      stratify: As ``--stratify``; empty: no strata.
      classes: The classes.

    Raises:
      ValueError: The label's values are too many.
    """
    if not stratify:
        return {}
    label = stratify_label(stratify)
    if label is None:
        return {
            patient: _class_amounts(frames, classes)
            for patient, frames in by_patient.items()
        }
    values = {
        patient: most_frequent(dict(one.labels).get(label, "") for one in frames)
        for patient, frames in by_patient.items()
    }
    _check_values(values, label)
    return {patient: {value: 1} for patient, value in values.items()}


def _class_amounts(
    frames: Sequence[AnnotatedFrame], classes: Sequence[SegmentationClass]
) -> Amounts:
    """On how many frames each class is annotated, and on how many it is drawn.

    In a structure set every ROI is annotated on every slice; only where it is drawn
    tells a common class from a rare one.
    """
    counts: collections.Counter = collections.Counter()
    for frame in frames:
        drawn = {one.structure for one in frame.annotations}
        for one in classes:
            if one.annotated(frame.annotated):
                counts[f"{one.name} annotated"] += 1
                if drawn.intersection(one.structures):
                    counts[f"{one.name} drawn"] += 1
    return counts


def most_frequent(values: Iterable[str]) -> str:
    """The value that occurs most often; of equally frequent ones the first sorted.

    A missing value counts only where there is no other: the result is empty then.
    """
    counts = collections.Counter(filter(None, values))
    return min(counts, key=lambda value: (-counts[value], value), default="")


def _check_values(values: Mapping[str, str], label: str) -> None:
    counts = collections.Counter(values.values())
    alone = sum(number == 1 for number in counts.values())
    if len(values) >= _FEW_PATIENTS and alone > len(values) / 2:
        raise ValueError(
            f"stratify=label:{label}: {alone} of {len(values)} patients have a value "
            "that nobody else has, so there is nothing to share out; add a column to "
            "the table of labels that has few values, as bands of this one"
        )
