"""Puts what is kept of patients among the fields of their records, and nothing else.

It happens in the process that plans, so that workers never see the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.deidentify import Pseudonyms
from tfdicom.patient_facts import PatientFacts, fact_fields
from tfdicom.privacy_options import FactRules

_NOTHING = FactRules()


def with_facts(
    frames: Sequence[AnnotatedFrame],
    source_patients: Sequence[str],
    rules: FactRules,
    pseudonyms: Pseudonyms,
) -> Sequence[AnnotatedFrame]:
    """The frames with what the rules keep as attributes of their headers.

    Args:
      frames: Frames with headers.
      source_patients: The source patient identifier of each.
      rules: What is kept.
      pseudonyms: Make the shift of dates.
    """
    if rules == _NOTHING:
        return frames
    found = []
    for frame, patient in zip(frames, source_patients, strict=True):
        header = frame.header
        facts = header.facts or PatientFacts()
        fields = fact_fields(facts, patient, rules, pseudonyms)
        if rules.identifiers:
            fields |= {
                "source_patient": patient,
                "source_study": header.study,
                "source_series": header.series,
                "source_instance": header.instance,
            }
        attributes = {**header.attributes, **fields}
        header = dataclasses.replace(header, attributes=attributes, facts=None)
        found.append(dataclasses.replace(frame, header=header))
    return found


def check_labels(frames: Iterable[AnnotatedFrame], patients: Iterable[str]) -> None:
    """Refuses a label that is an identifier of the patient or image wherever it is.

    Args:
      frames: Frames with headers and labels.
      patients: The source patient identifier of each.

    Raises:
      ValueError: Names the column of the table.
    """
    identifies: dict[str, bool] = {}
    for frame, patient in zip(frames, patients, strict=True):
        header = frame.header
        own = {patient, header.patient_id, header.study, header.series, header.instance}
        for name, value in frame.labels:
            if value:
                identifies[name] = identifies.get(name, True) and value in own
    for name, is_identifier in identifies.items():
        if is_identifier:
            raise ValueError(
                f"labels: the column {name!r} holds identifiers of patients or images, "
                "which must not lie in the data set: take it out of the table"
            )
