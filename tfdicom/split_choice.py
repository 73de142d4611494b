"""What the options, earlier splits and the data set that is extended say of splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdicom import files, splits
from tfdicom.convert_options import DEFAULT_SPLIT, ConvertOptions, stratify_label
from tfdicom.deidentify import Pseudonyms
from tfdicom.earlier_splits import EarlierSplits, read_earlier_splits
from tfdicom.label_table import LabelTable
from tfdicom.splits import DEFAULT_SALT, SplitRule

_THEN = ", then "  # between what earlier and what later patients were dealt by


@dataclasses.dataclass(frozen=True)
class SplitChoice:
    """How patients are split.

    Attributes:
      rule: Fractions, or patients by name.
      salt: Public text that patients are ranked with.
      frozen: Splits that patients have already, by pseudonym.
      fixed: Splits that nobody enters who has none, where somebody is in them.
      stratify: What is shared out evenly, as ``--stratify``; empty: nothing.
      stratified: What the manifest says so far of how those with a split got it.
    """

    rule: SplitRule
    salt: str = DEFAULT_SALT
    frozen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    stratify: str = ""
    stratified: str | None = None

    def recorded(self, patients: Iterable[str]) -> dict[str, Any]:
        """What the manifest says of it; names no patient.

        Args:
          patients: Pseudonyms of all who have a split now.
        """
        return {
            "fixed_splits": list(self.fixed),
            "split": self.rule.asked,
            "stratify": self._applied(patients),
        }

    def _applied(self, patients: Iterable[str]) -> str | None:
        """What was shared out evenly when patients got their splits."""
        if not self.frozen:
            return self.stratify or None
        before, now = self.stratified or "none", self.stratify or "none"
        nobody_new = self.frozen.keys() >= set(patients)
        if nobody_new or before.rpartition(_THEN)[2] == now:
            return self.stratified
        return f"{before}{_THEN}{now}"

    def may_part(self, one: str, other: str) -> bool:
        """Whether two source patients could be in two splits."""
        if self.rule.patients and not self.frozen:
            found = {self.rule.patients.get(patient) for patient in (one, other)}
            return None not in found and len(found) > 1
        return len({*self.rule.names, *self.frozen.values()}) > 1

    def by_name(self, rule: SplitRule) -> SplitChoice:
        """The choice with a table of patients in the place of fractions.

        Raises:
          ValueError: Strata or fixed splits do not go with it.
        """
        found = dataclasses.replace(self, rule=rule)
        _check(found)
        return found


def choose_splits(
    options: ConvertOptions,
    pseudonyms: Pseudonyms,
    frozen: Mapping[str, str] | None = None,
    fixed_before: Sequence[str] = (),
    stratified: str | None = None,
) -> SplitChoice:
    """Brings together what is asked for and what is so already.

    Args:
      options: The conversion's.
      pseudonyms: Of the conversion.
      frozen: Split by pseudonym in the data set that is extended.
      fixed_before: Its splits that nobody enters any more; they stay so.
      stratified: What its manifest says of how its patients were stratified.

    Raises:
      ValueError: A file cannot be read, or two of these contradict each other.
    """
    asked = _asked(options)
    fixed = tuple(dict.fromkeys([*fixed_before, *options.fixed_split_names]))
    salt = options.split_salt
    table = dict(frozen or {})
    if options.splits_from:
        earlier = read_earlier_splits(options.splits_from, pseudonyms)
        asked = asked or earlier.rule
        if salt == DEFAULT_SALT:
            salt = earlier.salt or salt
        fixed = tuple(dict.fromkeys([*fixed, *earlier.fixed]))
        table = _together(table, earlier)
    rule = asked or splits.parse_split(options.split)
    found = SplitChoice(rule, salt, table, fixed, options.stratify or "", stratified)
    _check(found)
    return found


def _asked(options: ConvertOptions) -> SplitRule | None:
    """The rule that flags give; None where they say nothing."""
    if options.folds:
        return splits.fold_rule(options.folds)
    if options.split.endswith(".csv"):
        path = files.path_of(options.split)
        text = files.read_text(path, flag="--split")
        return splits.parse_split_table(text, source=f"--split: {path}")
    return None if options.split == DEFAULT_SPLIT else splits.parse_split(options.split)


def _together(table: Mapping[str, str], earlier: EarlierSplits) -> dict[str, str]:
    for patient, split in earlier.table.items():
        if table.get(patient, split) != split:
            raise ValueError(
                f"{earlier.source} has the patient with pseudonym {patient} in split "
                f"{split!r}, and the data set in output_dir in {table[patient]!r}; a "
                "patient keeps their split: leave splits_from out, or name another "
                "output_dir"
            )
    return {**table, **earlier.table}


def _check(found: SplitChoice) -> None:
    names = found.rule.names
    for name in found.fixed:
        if name not in names:
            raise ValueError(
                f"fixed_splits: there is no split {name!r}; there are "
                f"{', '.join(names)}"
            )
    if found.stratify and found.rule.patients:
        raise ValueError(
            f"stratify={found.stratify!r} draws patients, and the split names them; "
            "give one of the two"
        )


def check_stratify_label(stratify: str, table: LabelTable | None) -> None:
    """Refuses to stratify by a label that the table has not.

    Raises:
      ValueError: Names the labels that there are.
    """
    label = stratify_label(stratify) if stratify else None
    if label is not None and (table is None or label not in table.names):
        known = ", ".join(table.names) if table else "none"
        raise ValueError(f"stratify={stratify!r}: the labels that there are: {known}")
