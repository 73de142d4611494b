"""No patient of one data set's split may be in another split of another data set."""

from __future__ import annotations

from collections.abc import Sequence

from tfdicom.manifest import Manifest

_NAMED = 5


def check_leakage(
    manifests: Sequence[Manifest], names: Sequence[str], splits: Sequence[str]
) -> str | None:
    """Compares the patients that are read with every data set's split table.

    Args:
      manifests: Of the data sets that are read together.
      names: What to call each of them in a message.
      splits: The splits that are read, from all of them.

    Returns:
      What could not be compared, as a sentence; None if all could.

    Raises:
      ValueError: A patient that is read is in another split of another data set.
    """
    for reader, found in zip(names, manifests, strict=True):
        read = {one for split in splits for one in found.splits[split].patients}
        for other, table in zip(names, manifests, strict=True):
            _refuse(read, reader, table, other, splits)
    keys = {found.options.get("identity_key") for found in manifests}
    if len(manifests) > 1 and (len(keys) > 1 or None in keys):
        return (
            "the pseudonyms of these data sets were made with different keys: whether "
            "a patient is in two of them cannot be told. Convert them with one "
            "--id_key_file"
        )
    return None


def _refuse(
    read: set[str], reader: str, table: Manifest, other: str, splits: Sequence[str]
) -> None:
    elsewhere = {
        patient: table.split_table[patient]
        for patient in sorted(read)
        if table.split_table.get(patient, splits[0]) not in splits
    }
    if not elsewhere:
        return
    some = [f"{one} ({split})" for one, split in list(elsewhere.items())[:_NAMED]]
    more = f" and {len(elsewhere) - _NAMED} more" if len(elsewhere) > _NAMED else ""
    raise ValueError(
        f"{len(elsewhere)} patients of {reader}, split {'+'.join(splits)}, are in "
        f"another split of {other}: {', '.join(some)}{more}. Convert them with "
        "one --split=FILE.csv"
    )
