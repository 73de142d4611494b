"""The header of a label table: which columns name frames, and which are labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tfdicom.label_kinds import CLASS, NUMBER, LabelInfo, words_of

#: What a row may be about, by the names that its column may have.
JOIN_COLUMNS = {
    "patient_id": "patient",
    "PatientID": "patient",
    "study": "study",
    "StudyInstanceUID": "study",
    "series": "series",
    "SeriesInstanceUID": "series",
    "instance": "instance",
    "SOPInstanceUID": "instance",
}
WANTED = "patient_id, study, series, instance (or their DICOM keywords)"
# As people mean them; a label of such a name would be an identifier in every record.
_ALMOST_JOINS = re.compile(
    r"(patient|subject|study|series|instance|image|sop|sopinstance)(instance)?(id|uid)?"
)
_IDENTIFIERS = re.compile(
    r"(patients?|subject|persons?|first|last|given|family|full|middle|sur|maiden)?name"
    r"|initials|(patients?)?(birth(date|day)|dateofbirth|dob|address|zip(code)?|postcode"
    r"|phone(number)?|telephone(numbers?)?|e?mail(address)?)|mrn"
    r"|(medicalrecord|socialsecurity|accession|insurance)(number|no|id)|ssn|nhsnumber"
    r"|otherpatientids?|issuerofpatientid"
)


def join_places(header: Sequence[str], source: str) -> dict[str, int]:
    """Place of each column that names frames, by ``patient``, ``study``, ...

    Raises:
      ValueError: There is none, or two name the same.
    """
    found: dict[str, int] = {}
    for at, name in enumerate(header):
        join = JOIN_COLUMNS.get(name)
        if join in found:
            raise ValueError(
                f"{source}: the columns {header[found[join]]!r} and {name!r} both name "
                f"the {join}; leave one out"
            )
        if join:
            found[join] = at
    if not found:
        separated = " (cells are separated by commas)" if len(header) == 1 else ""
        raise ValueError(
            f"{source}: no column says what a row is about; one or more of {WANTED} "
            f"are wanted, got {', '.join(map(repr, header))}{separated}"
        )
    return found


def declared_labels(names: Sequence[str], source: str) -> list[LabelInfo]:
    """The labels as the header declares them; kind '' where it does not.

    Raises:
      ValueError: There is none, a name is empty or occurs twice, or seems to name
        frames or a person.
    """
    if not names:
        raise ValueError(f"{source} has no column besides those that name frames")
    found = []
    for text in names:
        try:
            name, words = words_of(text)
        except ValueError as error:
            raise ValueError(f"{source}: column {error}") from None
        kind = CLASS if words else ""
        before, _, last = name.rpartition(":")
        if not words and last.strip() in (NUMBER, CLASS) and ":" in name:
            name, kind = before.strip(), last.strip()
        found.append(LabelInfo(name, kind, words))
    twice = sorted({one.name for one in found if _times(one.name, found) > 1})
    if twice:
        raise ValueError(f"{source}: two columns are named {', '.join(twice)}")
    for one in found:
        _check_name(one.name, source)
    return found


def _times(name: str, labels: Sequence[LabelInfo]) -> int:
    return sum(one.name == name for one in labels)


def _check_name(name: str, source: str) -> None:
    if not name:
        raise ValueError(f"{source}: a column has no name")
    if any(sign in name for sign in ";,"):
        raise ValueError(
            f"{source}: column {name!r}: a label's name holds no ; and no comma"
        )
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if _ALMOST_JOINS.fullmatch(plain):
        raise ValueError(
            f"{source}: column {name!r} seems to name frames, and would be a label; "
            f"call it by one of {WANTED}, or leave it out"
        )
    if _IDENTIFIERS.fullmatch(plain):
        raise ValueError(
            f"{source}: column {name!r} seems to identify a person, and values go into "
            "the records as they are; leave it out (or, if it identifies nobody, give "
            "it another name)"
        )
