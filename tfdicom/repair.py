"""Makes damaged shards of a data set anew, from the source, and proves them right."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Any

from tfdicom import (
    conversion,
    conversion_record,
    conversion_state,
    file_checksums,
    files,
    mended_state,
    shard_repair,
)
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import PUBLIC, Pseudonyms, load_pseudonyms
from tfdicom.manifest import MANIFEST, Manifest, load_manifest
from tfdicom.verification import VerifyResult
from tfdicom.verify import verify

_FOREIGN = "file_foreign"  # that nothing here can mend


@dataclasses.dataclass(frozen=True)
class Repair:
    """What was mended.

    Attributes:
      rebuilt: Shards that were written again.
      other_bytes: Those of them that are not, byte for byte, what the manifest said.
      verified: What verification finds now.
    """

    rebuilt: tuple[str, ...]
    other_bytes: tuple[str, ...]
    verified: VerifyResult

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong any more."""
        return self.verified.is_whole and not self.other_bytes

    def __str__(self) -> str:
        """For the terminal."""
        lines = [f"Written again: {', '.join(self.rebuilt) or 'no shard'}."]
        if self.other_bytes:
            lines.append(
                f"{', '.join(self.other_bytes)}: other bytes than the manifest said. "
                "Has the source changed, or tfdicom?"
            )
        elif self.rebuilt:
            lines.append("They are, byte for byte, what the manifest said.")
        return "\n".join([*lines, str(self.verified)])


def repair(
    data_dir: str | pathlib.Path,
    *,
    flagfile: str | None = None,
    input_dir: str | None = None,
    id_key_file: str | None = None,
    num_workers: int = 0,
) -> Repair:
    """Repairs a data set: shards whose checksum is wrong, index, ledger and manifest.

    Shards that are bad are made anew with the options that made the data set; only
    their patients' files are read, and have to be what they were. The other shards
    stay, and need no source; nor does the index. Where ledger or manifest are not what
    they were, they are made anew with the whole of the source, as it was then. Nothing
    that is new in the source is taken in.

    Args:
      data_dir: Folder of the data set.
      flagfile: The options; by default those that the conversion left beside the key.
      input_dir: The source, if it lies elsewhere by now.
      id_key_file: The key of the pseudonyms, or ``public``; by default what the
        manifest tells of, and the user's own.
      num_workers: Processes; 0: as many as there are processors.

    Raises:
      ValueError: The options are not known, or the source is not what it was.
    """
    before = _manifest(data_dir)
    options = _options(data_dir, flagfile, id_key_file, before)
    changes: dict[str, Any] = {
        "output_dir": str(data_dir),
        "num_workers": num_workers,
    }
    changes |= {"input_dir": input_dir} if input_dir else {}
    changes |= {"id_key_file": id_key_file} if id_key_file else {}
    options = dataclasses.replace(options, **changes)
    mended: tuple[str, ...] = ()
    output = files.path_of(data_dir)
    if before and MANIFEST in file_checksums.wrong_files(output):
        before = None  # nothing that it says can be gone by
    if before:
        mended = _mend(options, before)
        verified = verify(data_dir, num_workers=num_workers)
        if all(one.code == _FOREIGN for one in verified.problems):
            file_checksums.add_checksums(output)
            return Repair(mended, (), verified)
    result = conversion.rebuild(options)
    known = _checksums(before) if before else {}
    now = _checksums(result.manifest) if result.manifest else {}
    return Repair(
        tuple(sorted({*mended, *result.written})),
        tuple(
            name for name in result.written if known.get(name, now[name]) != now[name]
        ),
        verify(data_dir, num_workers=num_workers),
    )


def _mend(options: ConvertOptions, manifest: Manifest) -> tuple[str, ...]:
    """Mends what lies beside the manifest, but for the ledger; names the shards."""
    output = files.path_of(options.output_dir)
    pseudonyms, _ = load_pseudonyms(options.id_key_file)
    damaged = shard_repair.damaged_shards(output, manifest)
    state = _state(output, manifest, options, pseudonyms)
    if damaged:
        shard_repair.rebuild_shards(options, manifest, state, pseudonyms, damaged)
    with files.lock(output):
        shard_repair.mend_index(output, manifest)
    return tuple(sorted(damaged))


def _state(
    output: pathlib.Path,
    manifest: Manifest,
    options: ConvertOptions,
    pseudonyms: Pseudonyms,
) -> ConversionState:
    try:
        state = conversion_state.read_state(output)
    except ValueError as error:
        print(f"Warning: {error}", file=sys.stderr)
        state = None
    if state is None:
        state = mended_state.mended_state(output, manifest, options, pseudonyms)
        with files.lock(output):
            conversion_state.write_state(output, state)
    return state


def _manifest(data_dir: str | pathlib.Path) -> Manifest | None:
    try:
        return load_manifest(data_dir)
    except (FileNotFoundError, ValueError) as error:
        print(f"Warning: {error}", file=sys.stderr)
        return None


def _checksums(manifest: Manifest) -> dict[str, str]:
    return {
        shard.file: shard.sha256
        for split in manifest.splits.values()
        for shard in split.shards
    }


def _options(
    data_dir: str | pathlib.Path,
    flagfile: str | None,
    id_key_file: str | None,
    manifest: Manifest | None,
) -> ConvertOptions:
    if flagfile:
        return conversion_record.read(files.path_of(flagfile))
    if manifest and manifest.options.get("identifiers") == PUBLIC and not id_key_file:
        id_key_file = PUBLIC
    pseudonyms, _ = load_pseudonyms(id_key_file)
    path = conversion_record.path_for(pseudonyms, files.path_of(data_dir))
    if not path.exists():
        raise ValueError(
            f"{data_dir}: there is no {path}, which the conversion leaves on the "
            "machine that it ran on. Name the flagfile that the data set was made with "
            "by --conversion=FILE (with --input_dir and all other flags that were "
            "given), and its key by --id_key_file"
        )
    return conversion_record.read(path)
