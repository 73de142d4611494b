"""Writes the parts of the documentation that the code knows best.

  PYTHONPATH=. python tools/docs.py          writes the generated parts of all pages
  PYTHONPATH=. python tools/docs.py --check  fails if they are not up to date

A part of a Markdown file stands between the lines ``<!-- generated: NAME -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys

from tfdicom import options
from tfdicom.augment.presets import PRESETS, AugmentOptions
from tfdicom.convert_options import ConvertOptions
from tfdicom.example_schema import FEATURES, SCHEMA_VERSION, Feature
from tfdicom.input_options import InputOptions
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.serving.serve_options import ServeOptions
from tools import api_reference, program_reference

ROOT = pathlib.Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def record_table() -> str:
    """Every feature of the record."""
    rows = ["| key | kind | shape | meaning |", "|---|---|---|---|"]
    rows += [_row(feature) for feature in FEATURES.values()]
    version = f"Schema version {SCHEMA_VERSION}. Keys marked (?) may be absent."
    return "\n".join([version, "", *rows])


def _row(feature: Feature) -> str:
    key = f"`{feature.key}`" + (" (?)" if feature.optional else "")
    shape = f"[{', '.join(map(str, feature.shape))}]" if feature.shape else "one"
    return f"| {key} | {feature.kind} | {shape} | {feature.doc} |"


def reason_table() -> str:
    """Every reason code of the ledger."""
    rows = ["| code | status | meaning | what to do |", "|---|---|---|---|"]
    for code, reason in REASONS.items():
        status = "skipped" if reason.fault else "left out"
        rows.append(f"| `{code}` | {status} | {reason.sentence} | {reason.hint} |")
    return "\n".join(rows)


def finding_table() -> str:
    """Every finding of the ledger."""
    rows = [f"| `{code}` | {text} |" for code, text in FINDINGS.items()]
    return "\n".join(["| finding | meaning |", "|---|---|", *rows])


def augment_table() -> str:
    """The presets: what they set, with the probability where it is not 1."""
    fields = [
        field
        for field in dataclasses.fields(AugmentOptions)
        if not field.name.endswith("_probability")
        and any(_set(preset, field) for preset in PRESETS.values())
    ]
    rows = [f"| | {' | '.join(PRESETS)} |", "|---" * (len(PRESETS) + 1) + "|"]
    for field in fields:
        cells = (_set(preset, field) for preset in PRESETS.values())
        rows.append(f"| `{field.name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _set(preset: AugmentOptions, field: dataclasses.Field) -> str:
    value = getattr(preset, field.name)
    if value == field.default:
        return ""
    text = f"{value:g}" if field.metadata["kind"] is float else str(value).lower()
    probability = getattr(preset, f"{field.name}_probability", 1)
    return text if probability == 1 else f"{text} (p {probability:g})"


def augment_changes() -> str:
    """Every field of the augmentation, but for the probabilities, which are alike."""
    rows = ["| field | allowed | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(AugmentOptions):
        if not field.name.endswith("_probability"):
            known = field.metadata
            allowed = f"{known['lower']} to {known['upper']}"
            if known["kind"] is bool:
                allowed = "true, false"
            elif known["choices"]:
                allowed = ", ".join(known["choices"])
            elif known["kind"] is str:
                allowed = "text"
            default = str(field.default).removesuffix(".0").lower()
            default = "" if field.default is None else default
            rows.append(f"| `{field.name}` | {allowed} | {default} | {known['help']} |")
    return "\n".join(rows)


TABLES = {
    "api": api_reference.reference,
    "augment": augment_table,
    "augment_changes": augment_changes,
    "convert_flags": lambda: options.table(ConvertOptions),
    "input_options": lambda: options.table(InputOptions),
    "reasons": reason_table,
    "data_service_flags": lambda: program_reference.flag_table("data_service_main"),
    "data_service_uses": lambda: program_reference.uses("data_service_main"),
    "findings": finding_table,
    "inspect_flags": lambda: program_reference.flag_table(
        "inspect_main", without_reader=True
    ),
    "inspect_uses": lambda: program_reference.uses("inspect_main"),
    "record": record_table,
    "serve_flags": lambda: options.table(ServeOptions),
    "serve_uses": lambda: program_reference.uses("serve_main"),
}


def fill(text: str) -> str:
    """The text with its generated blocks made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}\n{block[3]}", text)


def main() -> int:
    """Writes or checks; returns the exit code."""
    stale = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        if fill(text) == text:
            continue
        stale.append(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.write_text(fill(text))
            print(f"wrote {stale[-1]}")
    if stale and "--check" in sys.argv:
        print(f"out of date: {', '.join(map(str, stale))}; run python tools/docs.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
