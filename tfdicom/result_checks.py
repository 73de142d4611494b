"""Whether what is kept for later conversions agrees with the data set itself."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from tfdicom import shard_results
from tfdicom.dataset_index import IndexEntry
from tfdicom.manifest import ShardInfo
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ExampleTrace, ShardResult
from tfdicom.verification import Problem


@dataclasses.dataclass(frozen=True)
class FoundShard:
    """A shard as it was found.

    Attributes:
      split: Its split.
      info: What the manifest says of it.
      entries: Its lines of the index.
      traces: Of its examples, without candidates; None where not all could be read.
      content: What the examples add up to.
    """

    split: str
    info: ShardInfo
    entries: Sequence[IndexEntry]
    traces: Sequence[ExampleTrace] | None
    content: ShardContent


def check_result(folder: pathlib.Path, shard: FoundShard) -> Iterator[Problem]:
    """Compares the stored result of a shard with the shard.

    Args:
      folder: Of the data set.
      shard: The shard as it was found.
    """
    name = f"{shard_results.CONVERSION}/{shard.info.file}.json"
    try:
        result = shard_results.read(folder, shard.info.file)
    except (ValueError, OSError) as error:
        yield Problem("result_damaged", str(error), name)
        return
    for text in _differences(result, shard):
        yield Problem("result_differs", text, name)


def _differences(result: ShardResult, shard: FoundShard) -> Iterator[str]:
    if (result.split, result.info) != (shard.split, shard.info):
        yield "the split or the file is another"
    entries = [one for patient in result.patients for one in patient.entries]
    if entries != list(shard.entries):
        yield "the examples are others"
    if shard.traces is None:
        return
    traces = [
        dataclasses.replace(one, candidate="")
        for patient in result.patients
        for one in patient.traces
    ]
    if len(traces) != len(shard.traces):
        yield f"it traces {len(traces)} examples, the shard has {len(shard.traces)}"
    pairs = zip(traces, shard.traces, strict=False)
    wrong = sum(one != other for one, other in pairs)
    if wrong:
        yield f"{wrong} examples have another study, series, instance or image"
    told = ShardContent()
    for patient in result.patients:
        told.merge(patient.content)
    for field in ("frames", "annotated", "classes", "labels"):
        if _counted(getattr(told, field)) != _counted(getattr(shard.content, field)):
            yield f"{field} are counted otherwise"


def _counted(table: dict) -> dict:
    """Without what is counted 0 times."""
    nested = {
        name: _counted(one) if isinstance(one, dict) else one
        for name, one in table.items()
    }
    return {name: one for name, one in nested.items() if one}
