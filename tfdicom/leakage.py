"""Whether something of one split is in another: patient, study, instance or pixels.

The audit takes plain values, so that the converter gives it paths to name, and whoever
has only a data set gives it keys. Of each name it remembers where it saw it first, and
nothing else of the examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

PATIENT, STUDY, SERIES = "patient", "study", "series"
INSTANCE, PIXELS = "instance", "pixels"

_NAMED = 10  # pairs in a message

_WORDS = {
    PATIENT: "the same patient",
    STUDY: "the same study",
    SERIES: "the same series",
    INSTANCE: "the same SOP Instance",
    PIXELS: "the same pixels",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """An example by its split, patient and name (a key or a path)."""

    split: str
    patient: str
    name: str

    def __str__(self) -> str:
        """For a message."""
        return f"{self.name} of patient {self.patient} in split {self.split!r}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditedExample:
    """What of an example must not be in two splits.

    ``pixel_hash`` is None where all pixels are equal: such frames are alike without
    being one image.
    """

    split: str
    patient: str
    study: str
    series: str
    instance: str
    pixel_hash: str | None
    name: str


@dataclasses.dataclass(frozen=True)
class Shared:
    """Something that two patients, or two splits, have in common.

    Attributes:
      kind: ``patient``, ``study``, ``series``, ``instance`` or ``pixels``.
      first: The example that came first.
      second: The first that has it, too.
      count: How many examples of the second patient and split have something of this
        kind in common with the first's.
    """

    kind: str
    first: Place
    second: Place
    count: int = 1

    @property
    def is_leak(self) -> bool:
        """Whether it is in two splits; else two patients of one split share it."""
        return self.first.split != self.second.split

    def __str__(self) -> str:
        """The pair, in words."""
        more = f" (and {self.count - 1} more such)" if self.count > 1 else ""
        what = _WORDS[self.kind]
        advice = "" if self.kind == PATIENT else ": is it one patient under two names?"
        return f"{self.second} has {what} as {self.first}{more}{advice}"


class LeakageAudit:
    """Takes examples one by one, in any number; ``shared`` tells what it found."""

    def __init__(self) -> None:
        """Starts with nothing seen."""
        self._seen: dict[str, dict[str | bytes, Place]] = {kind: {} for kind in _WORDS}
        self._found: dict[tuple[str, str, str, str, str], Shared] = {}

    def add(self, example: AuditedExample) -> None:
        """Compares an example with all that came before."""
        here = Place(example.split, example.patient, example.name)
        names = {
            PATIENT: example.patient,
            STUDY: example.study,
            SERIES: example.series,
            INSTANCE: example.instance,
        }
        for kind, name in names.items():
            self._see(kind, name, here)
        if example.pixel_hash is not None:
            # Half of the hash tells images apart as well, in a quarter of the memory.
            self._see(PIXELS, bytes.fromhex(example.pixel_hash[:32]), here)

    def _see(self, kind: str, name: str | bytes, here: Place) -> None:
        first = self._seen[kind].setdefault(name, here)
        if (first.split, first.patient) == (here.split, here.patient):
            return
        pair = (kind, first.split, first.patient, here.split, here.patient)
        before = self._found.get(pair)
        if before:
            self._found[pair] = dataclasses.replace(before, count=before.count + 1)
        else:
            self._found[pair] = Shared(kind, first, here)

    @property
    def shared(self) -> tuple[Shared, ...]:
        """What is shared, one for each pair of patients and splits; leaks first."""
        return tuple(sorted(self._found.values(), key=lambda one: not one.is_leak))

    @property
    def leaks(self) -> Iterator[Shared]:
        """What is in two splits."""
        return (one for one in self.shared if one.is_leak)


def refuse_leaks(audit: LeakageAudit) -> None:
    """Raises a ValueError that names the pairs, where something is in two splits."""
    leaks = list(audit.leaks)
    if not leaks:
        return
    lines = [f"{one}" for one in leaks[:_NAMED]]
    if len(leaks) > _NAMED:
        lines.append(f"and {len(leaks) - _NAMED} more such pairs")
    raise ValueError(
        "\n".join(
            [
                "the splits are not apart:",
                *lines,
                "--patient_from=study, folder:REGEX or csv:FILE can make two names one "
                "patient; or take one of the two copies out of the input folder",
            ]
        )
    )
