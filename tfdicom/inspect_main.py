"""tfdicom_inspect: look at a data set.

  tfdicom_inspect summary --data_dir=D
      Splits, classes, shapes, grey values, and what became of each file.
  tfdicom_inspect show --data_dir=D --out=sheet.png [--split=test] [--count=20]
      A picture of examples with masks and contours over them; --key=KEY for one.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from absl import flags

from tfdicom import command
from tfdicom.manifest import load_manifest, split_names

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data set.")
_SPLIT = flags.DEFINE_string("split", None, "Splits to show, as train+test; all.")
_OUT = flags.DEFINE_string("out", None, "File to write the picture to, .png.")
_COUNT = flags.DEFINE_integer(
    "count", 20, "Examples to show, evenly spread.", lower_bound=1
)
_KEY = flags.DEFINE_string("key", None, "Show the example whose key begins so.")


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


VERBS: Mapping[str, Callable[[], int]] = {"summary": summary, "show": show}


def main(arguments: Sequence[str]) -> int:
    """Does what the verb says; returns the exit code."""
    verb, *others = arguments or ["summary"]
    if verb not in VERBS or others:
        known = ", ".join(VERBS)
        raise command.UsageError(f"{' '.join(arguments)!r}: the verbs are {known}")
    return VERBS[verb]()


def run() -> None:
    """Entry point of the console script."""
    command.run(main)


if __name__ == "__main__":
    run()
