"""Gives the patients of a conversion their splits, and says what is odd about that."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence

from tfdicom import splits
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.classes import SegmentationClass
from tfdicom.deidentify import Pseudonyms
from tfdicom.split_choice import SplitChoice
from tfdicom.strata import strata_of

_FEW_PATIENTS = 20  # fewer make a figure of one split a matter of luck


def assign_patients(
    by_patient: Mapping[str, Sequence[AnnotatedFrame]],
    choice: SplitChoice,
    classes: Sequence[SegmentationClass],
    pseudonyms: Pseudonyms,
) -> tuple[dict[str, str], list[str]]:
    """The split of each patient, and warnings.

    Args:
      by_patient: Frames that may become examples, by source patient.
      choice: How patients are split.
      classes: The classes.
      pseudonyms: By which patients with a split are known.

    Returns:
      Split name by source patient, and what the user should know.

    Raises:
      ValueError: The choice does not fit the patients.
    """
    kept = _kept(list(by_patient), choice.frozen, pseudonyms)
    assigned = splits.assign(
        choice.rule,
        list(by_patient),
        salt=choice.salt,
        frozen=kept,
        fixed=set(choice.fixed).intersection(choice.frozen.values()),
        strata=strata_of(by_patient, choice.stratify, classes),
    )
    return assigned, list(_warnings(choice, assigned, len(choice.frozen) - len(kept)))


def _kept(
    patients: Sequence[str], frozen: Mapping[str, str], pseudonyms: Pseudonyms
) -> dict[str, str]:
    """The splits that these source patients have already."""
    if not frozen:
        return {}
    found = {one: frozen.get(pseudonyms.of("patient", one), "") for one in patients}
    kept = {patient: split for patient, split in found.items() if split}
    if not kept:
        raise ValueError(
            f"none of the {len(frozen)} patients that have a split already (by "
            "splits_from, or in the data set that is extended) is among the "
            f"{len(patients)} annotated ones here; is patient_from as it was then? If "
            "these really are other patients, leave splits_from out and give split"
        )
    return kept


def _warnings(
    choice: SplitChoice, assigned: Mapping[str, str], absent: int
) -> Iterator[str]:
    rule = choice.rule
    strangers = sorted(set(rule.patients) - set(assigned))
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        yield (
            f"{len(strangers)} patients that the split names have no annotated image: "
            f"{shown}"
        )
    if absent:
        yield f"{absent} patients that have a split already have no annotated image"
    members = collections.Counter(assigned.values())
    for name in rule.names:
        if not members[name]:
            yield (
                f"split {name!r} gets no patient: {len(assigned)} annotated patients "
                f"for {len(rule.names)} splits"
            )
    one_draw = rule.fractions and len(rule.names) > 1 and not rule.are_folds
    if one_draw and 3 <= len(assigned) < _FEW_PATIENTS:
        yield (
            f"{len(assigned)} patients are few for one fixed split; "
            f"--folds={min(len(assigned), 5)} uses them better"
        )
