"""Labels beside masks: what each of them is, and how often its values occur.

A label is a column of a table: a number, or a word of a vocabulary (a class label).
Records hold its values as text; what the text means stands once, in the manifest. Both
halves need this module, so it imports neither pydicom nor TensorFlow.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, MutableMapping, Sequence

NUMBER, CLASS = "number", "class"

#: What counts values: of each label, how many examples have each text.
LabelCounts = MutableMapping[str, collections.Counter]


@dataclasses.dataclass(frozen=True)
class LabelInfo:
    """A label.

    Attributes:
      name: Its column in the table.
      kind: ``number`` (read as float32) or ``class`` (read as a place in the
        vocabulary).
      vocabulary: Words of a class label, each at the place that is its number, from 0;
        empty for a number.
    """

    name: str
    kind: str
    vocabulary: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class LabelFrequency:
    """How often the values of a label occur in a split.

    Attributes:
      known: Examples that have a value.
      examples: Of a class label, examples with each word of the vocabulary.
      mean: Of a number, over the examples that have it; None where none has.
      deviation: Likewise, of the population (divided by n).
      minimum: Likewise.
      maximum: Likewise.
    """

    known: int
    examples: tuple[int, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None


def label_from_json(fields: Mapping) -> LabelInfo:
    """A label as the manifest's JSON has it."""
    return LabelInfo(**{**fields, "vocabulary": tuple(fields["vocabulary"])})


def frequency_from_json(fields: Mapping) -> LabelFrequency:
    """Frequencies as the manifest's JSON has them."""
    return LabelFrequency(**{**fields, "examples": tuple(fields["examples"])})


def words_of(text: str) -> tuple[str, tuple[str, ...]]:
    """Splits ``diagnosis:benign|malignant`` into the name and the vocabulary.

    Without a ``|`` behind the last colon, all of it is the name.

    Raises:
      ValueError: The name or a word is empty, or a word occurs twice.
    """
    name, _, after = text.rpartition(":")
    if "|" not in after or not name:
        return text.strip(), ()
    words = tuple(word.strip() for word in after.split("|"))
    if not all(words) or len(set(words)) < len(words) or not name.strip():
        raise ValueError(f"{text!r}: 'name:word|word' is wanted, each word once")
    return name.strip(), words


def known_pattern(
    annotated: Sequence[int], label_values: Sequence[str] | None = None
) -> str:
    """What is known of an example, as index and manifest write it.

    Args:
      annotated: Of ``FrameExample``: 1 for each class that was annotated.
      label_values: Of ``FrameExample``; empty text where there is no value.

    Returns:
      One character for each class, then one for each label: ``1`` or ``0``.
    """
    flags = [*map(bool, annotated), *map(bool, label_values or ())]
    return "".join("1" if flag else "0" for flag in flags)


def count_labels(
    counts: LabelCounts,
    names: Sequence[str] | None,
    values: Sequence[str] | None,
) -> None:
    """Adds the values of one example; those that are missing do not count."""
    for name, value in zip(names or (), values or (), strict=True):
        if value:
            counts.setdefault(name, collections.Counter())[value] += 1


def merge_counts(counts: LabelCounts, others: LabelCounts) -> None:
    """Adds the counts of others."""
    for name, values in others.items():
        counts.setdefault(name, collections.Counter()).update(values)


def label_frequencies(
    labels: Sequence[LabelInfo], counts: LabelCounts
) -> dict[str, LabelFrequency]:
    """The manifest's section of a split.

    Args:
      labels: Those of the data set.
      counts: Of the split's examples, from ``count_labels`` and ``merge_counts``; the
        order in which they were added does not count.
    """
    return {
        one.name: _frequency(one, counts.get(one.name, collections.Counter()))
        for one in labels
    }


def _frequency(label: LabelInfo, values: collections.Counter) -> LabelFrequency:
    known = values.total()
    if label.kind == CLASS:
        examples = tuple(values.get(word, 0) for word in label.vocabulary)
        return LabelFrequency(known, examples)
    if not known:
        return LabelFrequency(0)
    # Sums in an order of their own, so that they do not depend on the shards'.
    pairs = sorted((float(text), count) for text, count in values.items())
    mean = math.fsum(value * count for value, count in pairs) / known
    squares = math.fsum((value - mean) ** 2 * count for value, count in pairs)
    return LabelFrequency(
        known,
        mean=mean,
        deviation=math.sqrt(squares / known),
        minimum=pairs[0][0],
        maximum=pairs[-1][0],
    )


def describe_label(label: LabelInfo, frequency: LabelFrequency | None = None) -> str:
    """A label in words: its values, and in a split how often they occur."""
    if label.kind == NUMBER:
        if frequency is None or frequency.mean is None:
            return "number"
        return (
            f"number, mean {frequency.mean:.4g}, deviation {frequency.deviation:.4g}, "
            f"{frequency.minimum:g} to {frequency.maximum:g}, {frequency.known} known"
        )
    if frequency is None:
        return ", ".join(f"{n} {word}" for n, word in enumerate(label.vocabulary))
    pairs = zip(label.vocabulary, frequency.examples, strict=True)
    return ", ".join(f"{word} {count}" for word, count in pairs)
