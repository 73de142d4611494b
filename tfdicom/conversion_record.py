"""The options that a data set was made with, as a flagfile for its maker alone.

They name paths, and may name patients, so the file lies beside the key (0600), never in
the data set. With it a conversion can be run again from any folder.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from absl import flags

from tfdicom import options as option_flags
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, private_path, write_private

_PATHS = (
    "header_cache",
    "id_key_file",
    "input_dir",
    "labels",
    "mask_table",
    "output_dir",
    "splits_from",
)
#: Of this run alone.
_ONCE = ("dry_run", "overwrite", "withdraw", "num_workers", "fail_on", "redact_logs")
_WORDS = ("public", "none")


def path_for(pseudonyms: Pseudonyms, output_dir: pathlib.Path) -> pathlib.Path:
    """Where the flagfile of a data set lies."""
    path = private_path(pseudonyms, str(output_dir.absolute()), "conversion")
    return path.with_name(f"{path.name}.flags")


def place_of(crosswalk: pathlib.Path) -> str | None:
    """Where the data set lay whose flagfile was written beside a crosswalk."""
    name = crosswalk.stem.replace("crosswalk-", "conversion-")
    try:
        lines = crosswalk.with_name(f"{name}.flags").read_text(errors="surrogateescape")
    except OSError:
        return None
    flag = "--output_dir="
    places = [one for one in lines.splitlines() if one.startswith(flag)]
    return places[-1].removeprefix(flag) if places else None


def write(path: pathlib.Path, options: ConvertOptions) -> None:
    """Writes the options that are not the default ones, paths from the root."""
    lines = [f"# How {_absolute(options.output_dir)} was made."]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default or field.name in _ONCE:
            continue
        lines.append(f"--{field.name}={_as_text(field.name, value)}")
    write_private(path, "\n".join(lines) + "\n")


def _as_text(name: str, value: object) -> str:
    text = str(value)
    if name in _PATHS and text not in _WORDS:
        return _absolute(text)
    if name == "split" and text.endswith(".csv"):
        return _absolute(text)
    if name == "patient_from" and text.startswith("csv:"):
        return "csv:" + _absolute(text.removeprefix("csv:"))
    return text


def _absolute(text: str) -> str:
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def read(path: pathlib.Path) -> ConvertOptions:
    """Reads a flagfile of a conversion; also one that a person wrote.

    Raises:
      ValueError: It cannot be read, or a flag is unknown or not allowed.
    """
    values = flags.FlagValues()
    option_flags.define_flags(
        ConvertOptions, module_name="tfdicom.convert_main", flag_values=values
    )
    flags.DEFINE_string("flagfile", "", "As absl's own.", flag_values=values)
    try:
        path.open("rb").close()
        left = values(["tfdicom_convert", f"--flagfile={path}"])
    except (flags.Error, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no flagfile of tfdicom_convert: {error}"
        ) from error
    if left[1:]:
        raise ValueError(f"{path}: {left[1]!r} is no flag")
    return option_flags.from_flags(ConvertOptions, flag_values=values)
