"""Which of a data set's classes become which channels; several data sets may differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

ABSENT = -1


@dataclasses.dataclass(frozen=True)
class ClassLayout:
    """The classes that are read, and where each data set has them.

    Attributes:
      names: Channels of the mask.
      indices: For each data set the place of each channel among its own classes,
        ``ABSENT`` where it has no such class: not annotated there.
      counts: Classes of each data set.
    """

    names: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]

    @property
    def is_one(self) -> bool:
        """Whether all data sets have all classes at the same places."""
        return len(set(self.indices)) == 1 and len(set(self.counts)) == 1


def class_layout(
    data_sets: Sequence[Sequence[str]],
    *,
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
) -> ClassLayout:
    """Finds the classes asked for in every data set.

    Args:
      data_sets: Names of the classes of each.
      classes: The channels; all classes of all data sets if not given.
      class_map: Further names that a class has in the data sets.

    Raises:
      ValueError: No data set has a class or a name of the map, or one has a class
        under two names.
    """
    names_of = _names_of(class_map or {})
    if classes is None:
        renamed = {old: new for new, names in names_of.items() for old in names}
        found = [renamed.get(name, name) for names in data_sets for name in names]
        classes = tuple(dict.fromkeys(found))
    unused = [name for name in names_of if name not in classes]
    if unused:
        raise ValueError(
            f"class_map: {', '.join(unused)} is not among the classes that are read, "
            f"which are {', '.join(classes)}"
        )
    indices = tuple(
        tuple(_place(names_of.get(name, (name,)), name, known) for name in classes)
        for known in data_sets
    )
    for place, name in enumerate(classes):
        if all(found[place] == ABSENT for found in indices):
            raise ValueError(_unknown(names_of.get(name, (name,)), data_sets))
    unknown = sorted(
        name
        for names in (class_map or {}).values()
        for name in names
        if not any(name in known for known in data_sets)
    )
    if unknown:
        raise ValueError(f"class_map: {', '.join(unknown)} is in no data set")
    return ClassLayout(tuple(classes), indices, tuple(map(len, data_sets)))


def _names_of(class_map: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """All names of each class of the map: its own too, unless another has it."""
    every = [name for names in class_map.values() for name in names]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise ValueError(f"class_map: {', '.join(twice)} stands for two classes")
    return {
        name: tuple(names) if name in every else (name, *names)
        for name, names in class_map.items()
    }


def _place(names: Sequence[str], wanted: str, known: Sequence[str]) -> int:
    found = [name for name in names if name in known]
    if len(found) > 1:
        raise ValueError(
            f"class_map: one data set has {' and '.join(found)}, which are both "
            f"{wanted!r}; a class comes from one of them"
        )
    return list(known).index(found[0]) if found else ABSENT


def _unknown(names: Sequence[str], data_sets: Sequence[Sequence[str]]) -> str:
    wanted = " or ".join(map(repr, names))
    if len(data_sets) == 1:
        return f"no class {wanted}; this data set has {', '.join(data_sets[0])}"
    have = "; ".join(
        f"{number}: {', '.join(known)}" for number, known in enumerate(data_sets, 1)
    )
    return f"no class {wanted} in any data set; they have {have}"
