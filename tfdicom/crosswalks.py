"""Finds the crosswalks that tell of a data set, also after it was moved or renamed.

A crosswalk lies beside the key, under a name that comes from the place of the data set.
Pseudonyms come from the key and what they stand for alone. So a crosswalk of the same
key that knows a candidate knows it rightly, whichever place it was written for.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Iterator, Mapping

from tfdicom import conversion_record, deidentify, files
from tfdicom.deidentify import Pseudonyms
from tfdicom.manifest import MANIFEST


@dataclasses.dataclass(frozen=True)
class Crosswalk:
    """Names by pseudonym.

    Attributes:
      path: The file; None where there is none that knows anything.
      sources: Path of a candidate.
      patients: The source's identifier of a patient.
    """

    path: pathlib.Path | None = None
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    patients: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(path: pathlib.Path) -> Crosswalk:
    """Reads a crosswalk that was named.

    Raises:
      ValueError: It is none.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            header = file.readline()
    except OSError as error:
        raise ValueError(f"crosswalk={path}: {error.strerror or error}") from error
    if header.strip() != ",".join(deidentify.CROSSWALK_COLUMNS):
        raise ValueError(
            f"crosswalk={path} is none: its header should be "
            f"{','.join(deidentify.CROSSWALK_COLUMNS)}"
        )
    rows = list(deidentify.read_crosswalk(path))
    return Crosswalk(
        path,
        {candidate: source for candidate, _, _, source in rows},
        {patient: source for _, patient, source, _ in rows if patient},
    )


def find(
    pseudonyms: Pseudonyms, output_dir: str, candidates: Collection[str]
) -> Crosswalk:
    """The crosswalk that knows most of some candidates.

    Args:
      pseudonyms: Made with the data set's key.
      output_dir: Where the data set lies now; its own crosswalk is asked first.
      candidates: Pseudonyms of files.

    Returns:
      An empty one where no crosswalk beside the key knows any.
    """
    best, most = Crosswalk(), 0
    for path in paths(pseudonyms, output_dir):
        found = read(path)
        known = sum(one in found.sources for one in candidates)
        if known == len(candidates) > 0:
            return found
        if known > most:
            best, most = found, known
    return best


def of_data_set(
    pseudonyms: Pseudonyms, output_dir: str, candidates: Collection[str]
) -> list[pathlib.Path]:
    """The crosswalks of a data set: of its place, and of places where it was before.

    Args:
      pseudonyms: Made with the data set's key.
      output_dir: Where the data set lies now.
      candidates: Those of its ledger: a crosswalk of it knows them all.

    Returns:
      Besides the one of the place, those of places that hold no data set any more.
    """
    own = deidentify.crosswalk_path(pseudonyms, output_dir)
    return [
        path
        for path in paths(pseudonyms, output_dir)
        if path == own
        or (_is_left(path) and read(path).sources.keys() >= set(candidates))
    ]


def _is_left(path: pathlib.Path) -> bool:
    """Whether the data set that a crosswalk was written for is at its place no more.

    The flagfile beside it, which was written with it, tells the place.
    """
    place = conversion_record.place_of(path)
    return place is not None and not files.exists(files.path_of(place) / MANIFEST)


def paths(pseudonyms: Pseudonyms, output_dir: str) -> Iterator[pathlib.Path]:
    """The crosswalks beside the key, the one of the data set's place first."""
    own = deidentify.crosswalk_path(pseudonyms, output_dir)
    if own is None:
        return
    if own.exists():
        yield own
    for path in sorted(own.parent.glob("crosswalk-*.csv")):
        if path != own:
            yield path
