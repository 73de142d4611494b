"""Which patient goes to which split.

Fractions are met exactly: patients are ranked by SHA-256(salt, patient identifier) and
the ranks are cut, so anyone with the same data and salt gets the same splits, and every
split asked for gets at least one patient where there are enough of them. A patient who
has a split keeps it, whoever comes later.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import io
import re
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tfdicom.split_sizes import fill_deficits
from tfdicom.stratification import Amounts, stratify

DEFAULT_SALT = "tfdicom"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_BY_NAME = "by name"
_FOLDS = re.compile(r"(\d+) folds")
_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """Either fractions by split name, or patients by name.

    ``fractions`` are positive and sum to 1; ``patients`` maps source patient
    identifiers to split names. One of the two is empty. ``names`` keeps the order
    in which the splits were given. ``asked`` is what the manifest says of the rule; it
    names no patient.
    """

    names: tuple[str, ...]
    fractions: Mapping[str, float]
    patients: Mapping[str, str]
    asked: str = dataclasses.field(default=_BY_NAME, compare=False)

    @property
    def are_folds(self) -> bool:
        """Whether the splits are for cross-validation."""
        return _FOLDS.fullmatch(self.asked) is not None


def fold_rule(number: int) -> SplitRule:
    """``fold0``, ``fold1`` and so on, of equal size."""
    names = tuple(f"fold{index}" for index in range(number))
    return SplitRule(names, dict.fromkeys(names, 1 / number), {}, f"{number} folds")


def rule_of_counts(counts: Mapping[str, int]) -> SplitRule:
    """The fractions that splits with so many patients have."""
    known = {name: number for name, number in counts.items() if number}
    whole = sum(known.values())
    fractions = {name: number / whole for name, number in known.items()}
    asked = ",".join(f"{name}:{part:.4g}" for name, part in fractions.items())
    return SplitRule(tuple(known), fractions, {}, asked)


def parse_recorded(asked: str) -> SplitRule | None:
    """The rule that a manifest tells of; None where it was by patients' names."""
    if asked == _BY_NAME:
        return None
    folds = _FOLDS.fullmatch(asked)
    return fold_rule(int(folds[1])) if folds else parse_split(asked)


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
        return SplitRule(names, {names[0]: 1.0}, {}, text)
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        fractions = dict(zip(names, map(float, values), strict=True))
        _check_fractions(fractions, text)
        return SplitRule(names, fractions, {}, text)
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
    rule: SplitRule,
    patients: Sequence[str],
    *,
    salt: str = DEFAULT_SALT,
    frozen: Mapping[str, str] = _NOTHING,
    fixed: Collection[str] = (),
    strata: Mapping[str, Amounts] = _NOTHING,
) -> dict[str, str]:
    """The split of each patient that gets one.

    Args:
      rule: From ``parse_split``, ``parse_split_table`` or ``fold_rule``.
      patients: Source patient identifiers; order and repeats do not matter.
      salt: Public text that makes another draw.
      frozen: Splits that patients have already, and keep. Others fill what each split
        lacks of its fraction.
      fixed: Splits that nobody enters.
      strata: How much of each label patients have, of which every split is to get its
        share.

    Returns:
      Split name by patient. Patients that a rule by name does not mention, and who have
      no split already, are left out.

    Raises:
      ValueError: The rule names patients and none of them is here, or would move one,
        or there are fewer patients than folds, or no split that somebody may enter.
    """
    present = sorted(set(patients))
    kept = {one: frozen[one] for one in present if one in frozen}
    _check_kept(rule, kept)
    if rule.patients:
        return _by_name(rule, present, kept, fixed)
    new = [one for one in present if one not in kept]
    if not new:
        return kept
    if rule.are_folds and len(present) < len(rule.names):
        raise ValueError(
            f"folds={len(rule.names)}: every fold wants a patient, and "
            f"{len(present)} with annotations are here; ask for fewer folds"
        )
    new.sort(key=lambda patient: (rank_hash(salt, patient), patient))
    growing = {name: rule.fractions[name] for name in rule.names if name not in fixed}
    if not growing:
        raise ValueError(
            f"all splits are fixed ({', '.join(rule.names)}), and {len(new)} patients "
            f"have none, as {new[0]!r}: fix fewer of them with fixed_splits"
        )
    places = fill_deficits(growing, collections.Counter(kept.values()), len(new))
    if strata:
        members = collections.defaultdict(list)
        for one, name in kept.items():
            members[name].append(one)
        return kept | stratify(new, strata, places, members)
    names = [name for name, number in places.items() for _ in range(number)]
    return kept | dict(zip(new, names, strict=True))


def _check_kept(rule: SplitRule, kept: Mapping[str, str]) -> None:
    for patient, name in kept.items():
        asked = rule.patients.get(patient, name)
        if asked != name or name not in rule.names:
            there = (
                f"is to go to {asked!r}" if asked != name else "no such one is asked"
            )
            raise ValueError(
                f"patient {patient!r} is in split {name!r} already, and {there}; a "
                "patient keeps their split, so ask for it as it was (the manifest's "
                "split_table), or make another data set without splits_from"
            )


def _by_name(
    rule: SplitRule,
    present: Sequence[str],
    kept: Mapping[str, str],
    fixed: Collection[str],
) -> dict[str, str]:
    named = {p: rule.patients[p] for p in present if p in rule.patients}
    if not named and not kept:
        raise ValueError(
            f"none of the patients that the split names is in the data; "
            f"named are {_some(rule.patients)}; found are {_some(present)}"
        )
    for patient, name in named.items():
        if name in fixed and patient not in kept:
            raise ValueError(
                f"patient {patient!r} is to go to split {name!r}, which is fixed: it "
                "takes nobody new. Put them elsewhere, or fix it no longer"
            )
    return {**kept, **named}


def _some(names: Sequence[str] | Mapping[str, str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def rank_hash(salt: str, patient: str) -> str:
    """What patients are ranked by: SHA-256 of salt and identifier, hexadecimal."""
    # Names of folders need not be UTF-8; Python keeps such bytes as surrogates.
    text = f"{salt}\0{patient}".encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()
