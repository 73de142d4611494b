"""Which patient goes to which split.

Fractions are met exactly: patients are ranked by SHA-256(salt, patient identifier) and
the ranks are cut, so anyone with the same data and salt gets the same splits, and every
split asked for gets at least one patient where there are enough of them.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import re
from collections.abc import Mapping, Sequence

DEFAULT_SALT = "tfdicom"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """Either fractions by split name, or patients by name.

    ``fractions`` are positive and sum to 1; ``patients`` maps source patient
    identifiers to split names. One of the two is empty. ``names`` keeps the order
    in which the splits were given.
    """

    names: tuple[str, ...]
    fractions: Mapping[str, float]
    patients: Mapping[str, str]


def parse_split(text: str) -> SplitRule:
    """Reads ``--split``: ``train:0.7,test:0.3``, ``train:A+B,test:C`` or ``train``.

    Raises:
      ValueError: The text cannot be read, or the fractions do not sum to 1.
    """
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    names = tuple(name.strip() for name, _, _ in pairs)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"split={text!r}: one or more different names are wanted")
    for name in names:
        _check_name(name, text)
    values = [value.strip() for _, _, value in pairs]
    if values == [""]:
        return SplitRule(names, {names[0]: 1.0}, {})
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        fractions = dict(zip(names, map(float, values), strict=True))
        _check_fractions(fractions, text)
        return SplitRule(names, fractions, {})
    return _named_patients(names, values, text)


def _check_name(name: str, text: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"split={text!r}: {name!r} is no split name; wanted is as "
            "'train:0.7,validation:0.15,test:0.15', 'train:PATIENT1+PATIENT2,"
            "test:PATIENT3' or a CSV file with the columns patient_id,split"
        )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_fractions(fractions: Mapping[str, float], text: str) -> None:
    total = sum(fractions.values())
    if not (min(fractions.values()) > 0 and abs(total - 1) <= 0.011):  # NaN too
        raise ValueError(
            f"split={text!r}: fractions must be positive and sum to 1, got {total:g}"
        )


def _named_patients(
    names: Sequence[str], values: Sequence[str], text: str
) -> SplitRule:
    patients: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if not value.strip("+ "):
            raise ValueError(
                f"split={text!r}: {name!r} has neither a fraction nor patients"
            )
        for patient in filter(None, (part.strip() for part in value.split("+"))):
            if patient in patients:
                raise ValueError(
                    f"split={text!r}: patient {patient!r} is named in "
                    f"{patients[patient]!r} and in {name!r}"
                )
            patients[patient] = name
    mixed = [value for value in values if _number(value) is not None]
    if mixed:
        raise ValueError(
            f"split={text!r} mixes fractions and patients' names; if {mixed[0]!r} is "
            f"the name of a patient, write '{mixed[0]}+'"
        )
    return SplitRule(tuple(names), {}, patients)


def parse_split_table(text: str, *, source: str) -> SplitRule:
    """Reads a CSV with the columns ``patient_id`` and ``split``.

    Args:
      text: The file's content.
      source: Its name, for messages.

    Raises:
      ValueError: A column or value is missing, or a patient has two splits.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    columns = reader.fieldnames or []
    if not {"patient_id", "split"} <= set(columns):
        raise ValueError(
            f"{source}: the columns patient_id and split are wanted, "
            f"got {', '.join(columns) or 'none'}"
        )
    patients: dict[str, str] = {}
    for row in reader:
        where = f"{source}, line {reader.line_num}"
        patient, name = ((row[c] or "").strip() for c in ("patient_id", "split"))
        if not patient or not name or patients.get(patient, name) != name:
            raise ValueError(
                f"{where}: a patient with one split is wanted, "
                f"got {patient!r} and {name!r}"
                + (f" (before: {patients[patient]!r})" if patient in patients else "")
            )
        _check_name(name, where)
        patients[patient] = name
    if not patients:
        raise ValueError(f"{source}: it names no patient")
    return SplitRule(tuple(dict.fromkeys(patients.values())), {}, patients)


def assign(
    rule: SplitRule, patients: Sequence[str], *, salt: str = DEFAULT_SALT
) -> dict[str, str]:
    """The split of each patient that gets one.

    Args:
      rule: From ``parse_split`` or ``parse_split_table``.
      patients: Source patient identifiers; order and repeats do not matter.
      salt: Public text that makes another draw.

    Returns:
      Split name by patient. Patients that a rule by name does not mention are left
      out.

    Raises:
      ValueError: The rule names patients and none of them is here.
    """
    present = sorted(set(patients))
    if rule.patients:
        named = {p: rule.patients[p] for p in present if p in rule.patients}
        if not named:
            raise ValueError(
                f"none of the patients that the split names is in the data; "
                f"named are {_some(rule.patients)}; found are {_some(present)}"
            )
        return named
    ranked = sorted(present, key=lambda patient: (rank_hash(salt, patient), patient))
    counts = exact_counts(rule.fractions, len(ranked))
    names = [name for name in rule.names for _ in range(counts[name])]
    return dict(zip(ranked, names, strict=True))


def _some(names: Sequence[str] | Mapping[str, str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def rank_hash(salt: str, patient: str) -> str:
    """What patients are ranked by: SHA-256 of salt and identifier, hexadecimal."""
    return hashlib.sha256(f"{salt}\0{patient}".encode()).hexdigest()


def exact_counts(fractions: Mapping[str, float], total: int) -> dict[str, int]:
    """Numbers that sum to ``total``, by largest remainder, none zero if possible."""
    whole = sum(fractions.values())
    quotas = {name: total * part / whole for name, part in fractions.items()}
    counts = {name: int(quota + 1e-9) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    for name in [name for name in counts if not counts[name]]:
        richest = max(counts, key=lambda other: counts[other])
        if counts[richest] > 1:
            counts[richest] -= 1
            counts[name] += 1
    return counts
