"""tfdicom_inspect: look at a data set.

  tfdicom_inspect summary --data_dir=D
      Splits, classes, shapes, grey values, and what became of each file.
  tfdicom_inspect report --data_dir=D --out=report.html [--examples=4]
      One page to open in a browser, without a network: what is in the data set, charts,
      pictures of the extremes, findings, leaks, and how to read it.
  tfdicom_inspect show --data_dir=D --out=sheet.png [--split=test] [--count=20]
      A picture of examples with masks and contours over them; --key=KEY for one.
  tfdicom_inspect export --data_dir=D --out=FOLDER [--split=test] [--format=png|nifti]
      Files for other programs: PNG pictures of images and masks, or NIfTI volumes.
  tfdicom_inspect doctor --data_dir=D [--split=train] [--augment=light ...]
      Runs the reader with these options for some seconds: which stage takes the time,
      and which flag would help.
  tfdicom_inspect augment_sheet --data_dir=D --out=sheet.png [--augment=heavy]
      One example under every change that augmentation can make; --key=KEY chooses it.
  tfdicom_inspect verify --data_dir=D [--num_workers=N]
      Reads every record and checks all that is said of it; names what is wrong.
  tfdicom_inspect repair --data_dir=D [--conversion=FILE.flags] [--input_dir=IN]
      Makes damaged shards anew from the source, and proves them right.
  tfdicom_inspect explain --data_dir=D --key=KEY [--id_key_file=F] [--crosswalk=F]
      Which files one example came from, by which rules, and what it holds.
  tfdicom_inspect phi_scan --data_dir=D [--input_dir=IN] [--show_values]
      Searches all files of the data set for every identifying value of the source's
      headers, and for dates, UIDs, names and the like; fails where it finds one.
  tfdicom_inspect diff BEFORE AFTER [--out=FILE.json] [--num_workers=N]
      What changed between two data sets: examples, masks, splits, options. Exit code 0
      if they are the same, byte for byte, else 1.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from tfdicom import interrupts

if __name__ == "__main__":  # before all that takes its time to import
    interrupts.end_at_once()

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from absl import flags

from tfdicom import command, options
from tfdicom.example_schema import FrameExample
from tfdicom.export_options import ExportOptions
from tfdicom.input_options import InputOptions, input_options_from_flags
from tfdicom.manifest import load_manifest, split_names

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data set.")
_SPLIT = flags.DEFINE_string(
    "split", None, "Splits to show or export, as train+test; all."
)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "File to write to: the picture, .png, the report, .html, or all differences, "
    ".json; of export, the folder.",
)
_COUNT = flags.DEFINE_integer(
    "count", 20, "Examples to show, evenly spread.", lower_bound=1
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", 4, "Pictures in each row of the report.", lower_bound=1
)
_KEY = flags.DEFINE_string("key", None, "Show the example whose key begins so.")
_SECONDS = flags.DEFINE_float(
    "seconds", 20.0, "Time for the doctor's measurements.", lower_bound=0.1
)
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", 0, "Processes that read; 0: one for each processor.", lower_bound=0
)
_INPUT_DIR = flags.DEFINE_string(
    "input_dir", None, "Folder that the data set was made from."
)
_ID_KEY_FILE = flags.DEFINE_string(
    "id_key_file",
    None,
    "Key of the pseudonyms, as tfdicom_convert has it; the crosswalk lies beside it.",
)
_CROSSWALK = flags.DEFINE_string(
    "crosswalk",
    None,
    "File that names the source's files and patients; default: one beside the key that "
    "knows the example.",
)
_CONVERSION = flags.DEFINE_string(
    "conversion",
    None,
    "Flagfile that the data set was made with; default: the one that the conversion "
    "left beside the key.",
)
_SHOW_VALUES = flags.DEFINE_bool(
    "show_values", False, "Let phi_scan print what it found, which identifies people."
)
options.define_flags(ExportOptions, module_name="tfdicom.inspect_main")
options.define_flags(InputOptions, module_name="tfdicom.inspect_main")


def summary() -> int:
    """Prints the data set at a glance."""
    from tfdicom.summary import describe

    print(describe(load_manifest(_data_dir())))
    return command.DONE


def show() -> int:
    """Writes a picture of some examples."""
    from tfdicom.contact_sheet import contact_sheet

    if not _OUT.value:
        raise command.UsageError("show wants --out=FILE.png")
    examples = list(_chosen_examples(_data_dir()))
    if not examples:
        wanted = f" with a key that begins with {_KEY.value!r}" if _KEY.value else ""
        raise ValueError(
            f"there is no example{wanted} in {_SPLIT.value or 'any split'}"
        )
    tile = 240 if len(examples) > 1 else 720
    contact_sheet(examples, tile=tile).save(_OUT.value)
    print(f"{len(examples)} examples in {_OUT.value}")
    return command.DONE


def report() -> int:
    """Writes a page about the data set."""
    from tfdicom import report as reporting

    if not _OUT.value:
        raise command.UsageError("report wants --out=FILE.html")
    print(
        reporting.report(
            _data_dir(),
            _OUT.value,
            examples=_EXAMPLES.value,
            num_workers=_NUM_WORKERS.value,
        )
    )
    return command.DONE


def augment_sheet() -> int:
    """Writes a picture of one example under every change."""
    if not _OUT.value:
        raise command.UsageError("augment_sheet wants --out=FILE.png")
    chosen = input_options_from_flags()

    import tensorflow as tf  # which no verb waits for that does without it

    from tfdicom import augment_sheet as sheet

    tf.get_logger().setLevel("ERROR")  # each change is a graph of its own, as it says
    options = chosen.augmentation if chosen.augment else sheet.SHOWN
    example = _example_with_masks(_data_dir())
    sheet.augment_sheet(example, options=options, seed=chosen.seed).save(_OUT.value)
    print(f"{example.key} in {_OUT.value}")
    return command.DONE


def _example_with_masks(data_dir: str) -> FrameExample:
    """The first of the chosen examples with all classes, or else the first of all."""
    examples = list(_chosen_examples(data_dir))
    if not examples:
        raise ValueError(f"there is no example in {_SPLIT.value or 'any split'}")
    whole = (one for one in examples if all(mask.any() for mask in one.masks))
    return next(whole, examples[0])


def _chosen_examples(data_dir: str) -> Iterator:
    from tfdicom import dataset_reading

    manifest = load_manifest(data_dir)
    names = list(manifest.splits)
    if _SPLIT.value:
        names = split_names(manifest, _SPLIT.value)
    examples = dataset_reading.read_examples(data_dir, "+".join(names))
    if _KEY.value:
        yield from (one for one in examples if one.key.startswith(_KEY.value))
        return
    total = sum(manifest.splits[name].examples for name in names)
    wanted = dataset_reading.spread(total, _COUNT.value)
    yield from (one for at, one in enumerate(examples) if at in wanted)


def _data_dir() -> str:
    if not _DATA_DIR.value:
        raise command.UsageError("--data_dir is wanted")
    return _DATA_DIR.value


def export() -> int:
    """Writes pictures or volumes."""
    from tfdicom import export as exporting

    if not _OUT.value:
        raise command.UsageError("export wants --out=FOLDER")
    print(
        exporting.export(
            _data_dir(),
            _OUT.value,
            _SPLIT.value,
            options=options.from_flags(ExportOptions),
            num_workers=_NUM_WORKERS.value,
        )
    )
    return command.DONE


def doctor() -> int:
    """Prints where a reader's time goes."""
    chosen = input_options_from_flags()

    from tfdicom.doctor import diagnose  # TensorFlow, which no other verb waits for

    report = diagnose(
        _data_dir(), _SPLIT.value or "train", options=chosen, seconds=_SECONDS.value
    )
    print(report)
    return command.DONE


def verify() -> int:
    """Checks the data set; fails where anything is wrong."""
    from tfdicom import verify as verifying

    result = verifying.verify(_data_dir(), num_workers=_NUM_WORKERS.value)
    print(result)
    return command.DONE if result.is_whole else command.FAILED


def repair() -> int:
    """Makes damaged shards anew; fails where something is wrong afterwards."""
    from tfdicom import repair as repairing

    result = repairing.repair(
        _data_dir(),
        flagfile=_CONVERSION.value,
        input_dir=_INPUT_DIR.value,
        id_key_file=_ID_KEY_FILE.value,
        num_workers=_NUM_WORKERS.value,
    )
    print(result)
    return command.DONE if result.is_whole else command.FAILED


def diff(before: str, after: str) -> int:
    """Prints what changed between two data sets, and writes all of it."""
    from tfdicom import dataset_diff, files

    found = dataset_diff.diff(before, after, num_workers=_NUM_WORKERS.value)
    if _OUT.value:
        files.write_text(files.path_of(_OUT.value), found.to_json())
    print(found)
    return command.DONE if found.is_none else command.FAILED


def explain() -> int:
    """Prints where one example is from."""
    from tfdicom import explanation

    if not _KEY.value:
        raise command.UsageError("explain wants --key=KEY, or its first digits")
    print(
        explanation.explain(
            _data_dir(), _KEY.value, _ID_KEY_FILE.value, _CROSSWALK.value
        )
    )
    return command.DONE


def phi_scan() -> int:
    """Searches the data set for what identifies people; fails where it finds some."""
    from tfdicom import phi_scan as scanning

    result = scanning.phi_scan(_data_dir(), _INPUT_DIR.value)
    print(scanning.report(result, show_values=_SHOW_VALUES.value))
    return command.FAILED if result.hits else command.DONE


VERBS: Mapping[str, Callable[..., int]] = {
    "summary": summary,
    "report": report,
    "show": show,
    "augment_sheet": augment_sheet,
    "doctor": doctor,
    "verify": verify,
    "repair": repair,
    "diff": diff,
    "explain": explain,
    "phi_scan": phi_scan,
    "export": export,
}
_READER_FLAGS = frozenset(field.name for field in dataclasses.fields(InputOptions))
# The reader's flags that a verb takes; others, it refuses.
_TAKEN = {
    "doctor": _READER_FLAGS - {"data_service", "data_service_timeout"},
    "augment_sheet": {"augment", "seed"},
}


def _refuse_reader_flags(verb: str) -> None:
    for name in sorted(_READER_FLAGS - _TAKEN.get(verb, set())):
        if name in flags.FLAGS and flags.FLAGS[name].present:
            raise command.UsageError(f"--{name} is no flag of {verb}")


def main(arguments: Sequence[str]) -> int:
    """Does what the verb says; returns the exit code."""
    verb, *others = arguments or ["summary"]
    if verb == "diff" and len(others) != 2:
        raise command.UsageError("diff wants two folders: diff BEFORE AFTER")
    if verb not in VERBS or (others and verb != "diff"):
        known = ", ".join(VERBS)
        raise command.UsageError(f"{' '.join(arguments)!r}: the verbs are {known}")
    _refuse_reader_flags(verb)
    return VERBS[verb](*others)


def run() -> None:
    """Entry point of the console script."""
    command.run(main)


if __name__ == "__main__":
    run()
