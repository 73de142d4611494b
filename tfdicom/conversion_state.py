"""What a conversion has decided, kept beside its shards from before the first on.

A conversion that goes on, after it was stopped or because there are new inputs, keeps
what was decided: who is in which split and shard, and where contours begin. It also
notices what must not change: the options that shape records, the key, the inputs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tfdicom import files, sealed_json
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, key_to_name
from tfdicom.example_schema import SCHEMA_VERSION
from tfdicom.shard_results import CONVERSION
from tfdicom.sharding import FrozenShards
from tfdicom.version import VERSION

STATE = "state.json"
# Beside the state of what is to replace a data set. It is no part of the state, so that
# a data set has the same bytes whether or not there was another one before.
_REPLACES = "replaces"
# Options whose value is the path of a table.
_TABLES = frozenset({"labels", "mask_table"})
# Options that do not shape the bytes, or that only new patients feel.
WITHOUT_EFFECT = frozenset(
    {
        "beam_args",
        "beam_timeout",
        "dry_run",
        "fail_on",
        "fixed_splits",
        "header_cache",
        "id_key_file",  # the fingerprint of the key counts
        "input_dir",
        "max_error_rate",
        "num_workers",
        "on_error",
        "output_dir",
        "overwrite",
        "redact_logs",
        "runner",
        "splits_from",
        "stratify",
        "withdraw",
    }
)
#: Of a pseudonym, in ``inputs``.
DIGITS = 16
_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class ConversionState:
    """What was decided, and what must not change.

    Attributes:
      options: Keyed digest of each option that shapes the bytes, by name.
      identity_key: Fingerprint of the key of the pseudonyms.
      split_table: Split by the patient's pseudonym.
      buckets: For each split, the shard of each virtual bucket in use.
      shard_counts: Shards of each split.
      contour_origin: Name of the origin of contour files; empty without such.
      contour_shift: Columns and rows that it adds.
      classes: Name and expression of each class.
      inputs: First digits of the pseudonym of every input file, sorted.
      held: Input files, named likewise, that are new of patients in fixed splits, and
        were left out.
      fixed_splits: Splits that nobody enters any more.
      stratified: What the manifest says of how patients were stratified.
      withdrawn: Keyed digest of each patient who was withdrawn.
      replaces: Whether it is to replace another data set.
      version: Of tfdicom.
      schema_version: Of the records.
    """

    options: Mapping[str, str]
    identity_key: str
    split_table: Mapping[str, str]
    buckets: Mapping[str, Mapping[str, int]]
    shard_counts: Mapping[str, int]
    contour_origin: str
    contour_shift: tuple[float, float]
    classes: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    replaces: bool = False
    held: tuple[str, ...] = ()
    fixed_splits: tuple[str, ...] = ()
    stratified: str | None = None
    withdrawn: tuple[str, ...] = ()
    version: str = VERSION
    schema_version: int = SCHEMA_VERSION

    @property
    def shards(self) -> dict[str, FrozenShards]:
        """The shards of each split."""
        return {
            split: FrozenShards(
                self.shard_counts[split],
                {int(bucket): shard for bucket, shard in table.items()},
            )
            for split, table in self.buckets.items()
        }


def option_digests(options: ConvertOptions, pseudonyms: Pseudonyms) -> dict[str, str]:
    """A keyed digest of each option that shapes the bytes: values may name patients."""
    return {
        field.name: pseudonyms.of(
            "option", field.name, _shaping(field.name, getattr(options, field.name))
        )[:DIGITS]
        for field in sorted(dataclasses.fields(options), key=lambda one: one.name)
        if field.name not in WITHOUT_EFFECT
    }


def _shaping(name: str, value: Any) -> str:
    """A value as text; of a table that it is one: it may lie elsewhere by now.

    What a table says is not here: `plan_changes` refuses what it would change.
    """
    if name in _TABLES and value is not None:
        return "a table"
    if name == "split" and value.endswith(".csv"):
        return "a table"
    if name == "patient_from" and value.startswith("csv:"):
        return "csv"
    return repr(value)


def input_digest(pseudonyms: Pseudonyms, path: str) -> str:
    """How ``inputs`` names a file."""
    return pseudonyms.of("candidate", path)[:DIGITS]


def read_state(folder: pathlib.Path) -> ConversionState | None:
    """The state of a data set or of an unfinished conversion; None if there is none.

    Raises:
      ValueError: It is not what was written; names the file.
    """
    path = folder / CONVERSION / STATE
    if not files.exists(path):
        return None
    try:
        fields = sealed_json.read(path)
        fields["contour_shift"] = tuple(fields["contour_shift"])
        for name in ("inputs", "held", "fixed_splits", "withdrawn"):
            fields[name] = tuple(fields.get(name, ()))
        fields["classes"] = tuple((name, text) for name, text in fields["classes"])
        replaces = files.exists(folder / CONVERSION / _REPLACES)
        return ConversionState(**fields, replaces=replaces)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise sealed_json.unreadable(path, folder, error) from error


def read_unfinished(aside: pathlib.Path) -> ConversionState | None:
    """As ``read_state``; what is damaged is as if it were not there, and is told."""
    try:
        return read_state(aside)
    except ValueError:
        print(
            f"Warning: {aside / CONVERSION / STATE} is damaged; what an unfinished "
            "conversion had made is made again",
            file=sys.stderr,
        )
        return None


def withdrawn_in(folder: pathlib.Path) -> tuple[str, ...]:
    """Who was withdrawn from a data set; also where its state is damaged.

    Nothing else tells of them: where that is lost, a warning says so.
    """
    path = folder / CONVERSION / STATE
    try:
        state = read_state(folder)
        return state.withdrawn if state else ()
    except ValueError:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = json.loads(path.read_bytes())["withdrawn"]
            if all(_DIGEST.fullmatch(one) for one in found):
                return tuple(sorted(found))
    print(
        f"Warning: {path} is damaged. Patients who were withdrawn are no longer known: "
        "see that their files are not in the input",
        file=sys.stderr,
    )
    return ()


def write_state(folder: pathlib.Path, state: ConversionState) -> None:
    """Writes the state, whole or not at all; equal states give equal bytes."""
    fields: dict[str, Any] = dataclasses.asdict(state)
    files.make_folder(folder / CONVERSION)
    mark = folder / CONVERSION / _REPLACES
    if fields.pop("replaces"):
        files.write_text(mark, "")
    else:
        files.remove(mark)
    sealed_json.write(folder / CONVERSION / STATE, fields, indent=1)


class InputsChanged(ValueError):
    """Options or inputs are not those that a conversion was begun with."""


def refuse_changes(
    before: ConversionState, options: ConvertOptions, pseudonyms: Pseudonyms
) -> None:
    """Refuses to go on with what was begun under other conditions.

    Raises:
      InputsChanged: Options, key or version differ; names what does.
    """
    fingerprint, advice = pseudonyms.fingerprint, "or convert anew with --overwrite"
    if before.identity_key != fingerprint:
        raise InputsChanged(
            f"{options.output_dir} was made with another key of the pseudonyms than "
            f"{fingerprint}; {key_to_name(before.identity_key)}, {advice}"
        )
    if (before.schema_version, before.version) != (SCHEMA_VERSION, VERSION):
        raise InputsChanged(
            f"{options.output_dir} was made by tfdicom {before.version}; this is "
            f"{VERSION}, whose records may differ. Use that version, {advice}"
        )
    now = option_digests(options, pseudonyms)
    names = sorted({*before.options, *now})
    changed = [name for name in names if before.options.get(name) != now.get(name)]
    if changed:
        flags = ", ".join(f"--{name}" for name in changed)
        raise InputsChanged(
            f"{options.output_dir} was begun with other values of {flags}; give the "
            f"same as then (see {CONVERSION} and dataset.json there), {advice}"
        )


def refuse_vanished(
    before: ConversionState,
    inputs: Iterable[str],
    options: ConvertOptions,
    names: Mapping[str, str],
) -> None:
    """Refuses to go on when input files are gone that were there before.

    Args:
      before: The state until now.
      inputs: As in ``ConversionState``, now.
      options: Of this conversion.
      names: Paths of files that are known from before, by the same digits.

    Raises:
      InputsChanged: Some are gone; names the first few where they are known.
    """
    gone = sorted(set(before.inputs).difference(inputs))
    if not gone:
        return
    shown = ", ".join(names.get(one, f"candidate {one}...") for one in gone[:5])
    more = ", ..." if len(gone) > 5 else ""
    raise InputsChanged(
        f"{len(gone)} files that {options.output_dir} is made of are no longer in "
        f"{options.input_dir}: {shown}{more}. Put them back; or take a patient out "
        "with --withdraw=PATIENT; or convert anew with --overwrite. (Files that came "
        "in during a conversion that was stopped are forgotten when its folder "
        ".partial-data-set is deleted.)"
    )
