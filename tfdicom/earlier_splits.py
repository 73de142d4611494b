"""Splits that were made before: from a data set's manifest, or from a CSV."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tfdicom import files, splits
from tfdicom.deidentify import Pseudonyms
from tfdicom.manifest import MANIFEST
from tfdicom.splits import SplitRule

_FLAG = "--splits_from"


@dataclasses.dataclass(frozen=True)
class EarlierSplits:
    """Who is where, and what decided it.

    Attributes:
      table: Split by the patient's pseudonym.
      rule: Fractions that the patients who come later fill.
      salt: Public text that they were ranked with; None if none is known.
      fixed: Splits that nobody may enter any more.
      source: Where it was read, for messages.
    """

    table: Mapping[str, str]
    rule: SplitRule
    salt: str | None
    fixed: tuple[str, ...]
    source: str


def read_earlier_splits(text: str, pseudonyms: Pseudonyms) -> EarlierSplits:
    """Reads ``--splits_from``.

    Args:
      text: A CSV with the columns patient_id and split (its name ends in .csv), a
        manifest (in .json), or the folder of a data set; local, or with a scheme.
      pseudonyms: Of the conversion; a manifest's have to be of the same key.

    Raises:
      ValueError: It cannot be read, or is of another key.
    """
    path = files.path_of(text)
    source = f"{_FLAG}: {path}"
    if path.name.endswith(".csv"):
        rule = splits.parse_split_table(
            files.read_text(path, flag=_FLAG), source=source
        )
        table = {
            pseudonyms.of("patient", patient): split
            for patient, split in rule.patients.items()
        }
        return EarlierSplits(table, _shares(table, rule.names), None, (), source)
    if not path.name.endswith(".json"):
        path = path / MANIFEST
        source = f"{_FLAG}: {path}"
    return _of_manifest(files.read_text(path, flag=_FLAG), pseudonyms, source)


def _of_manifest(text: str, pseudonyms: Pseudonyms, source: str) -> EarlierSplits:
    """Only what concerns splits, so that manifests of other versions will do."""
    try:
        fields = json.loads(text)
        options: Mapping[str, Any] = fields["options"]
        table = {str(who): str(split) for who, split in fields["split_table"].items()}
        names = tuple(fields["splits"])
        rule = splits.parse_recorded(options["split"]) or _shares(table, names)
        salt, fingerprint = fields["salt"], options["identity_key"]
        fixed = tuple(options.get("fixed_splits", ()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{source} is no manifest of a data set ({error!r}); wanted is a "
            f"{MANIFEST} or the folder of one, or a CSV file (.csv) with the columns "
            "patient_id,split"
        ) from error
    if fingerprint != pseudonyms.fingerprint:
        raise ValueError(
            f"{source} was made with another identity key ({fingerprint}, here "
            f"{pseudonyms.fingerprint}), so its patients cannot be known again; give "
            "the key that was used then as --id_key_file, or the splits as a CSV file "
            "with the columns patient_id,split"
        )
    return EarlierSplits(table, rule, salt, fixed, source)


def _shares(table: Mapping[str, str], names: tuple[str, ...]) -> SplitRule:
    """Fractions as the table has them, in the order of the names."""
    counts = collections.Counter(table.values())
    return splits.rule_of_counts({name: counts[name] for name in names})
