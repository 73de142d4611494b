"""Finds the source images of pseudonymised examples again.

Keys of examples are keyed hashes; whoever has the source folder and the key file can
make them again for each frame of each file, and see which is which.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterator, Sequence

import pydicom
from pydicom.dataset import Dataset

from tfdicom import deidentify, files
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom_elements import number, numbers, quiet, text
from tfdicom.dicom_file import open_header
from tfdicom.reasons import InputSkipped
from tfdicom.spatial import ImagePlane

_PSEUDONYM = re.compile("[0-9a-f]{32}")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TIMES = ("TemporalPositionIdentifier", "TriggerTime", "InstanceNumber")


@dataclasses.dataclass(frozen=True)
class SourceFrame:
    """A frame of an image file, and the header of the file.

    Attributes:
      header: All elements before the pixels; frames of one file share it.
      frame_number: From 1.
      frame_count: Frames of the file.
      rater: Pseudonym of whose mask is meant; empty is nobody in particular.
    """

    header: Dataset
    frame_number: int
    frame_count: int
    rater: str = ""

    @property
    def is_enhanced(self) -> bool:
        """Whether functional groups say where the frames of a file lie."""
        # Some single frames hold functional groups beside a place of their own.
        may = self.frame_count > 1 or "ImagePositionPatient" not in self.header
        return may and all(self.header.get(keyword) for keyword in _GROUPS)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def plane(self) -> ImagePlane | None:
        """Where the image lies; None where it does not say, or makes no sense."""
        header = self.header
        try:
            position = numbers(header, "ImagePositionPatient", 3)
            orientation = numbers(header, "ImageOrientationPatient", 6)
            spacing = numbers(header, "PixelSpacing", 2)
            if not position or not orientation or not spacing:
                return None
            return ImagePlane(position, orientation, spacing)  # type: ignore[arg-type]
        except (InputSkipped, ValueError):
            return None

    @property
    def time(self) -> tuple[float, ...]:
        """Sorts images of one place by time."""
        return tuple(number(self.header, keyword) or 0.0 for keyword in _TIMES)


def pseudonyms_that_exist(id_key_file: str | None) -> Pseudonyms:
    """The pseudonyms that a data set was made with; no key is made.

    Raises:
      ValueError: There is no such key, or the file holds none.
    """
    path = deidentify.key_path(id_key_file)
    if path is not None and not path.exists():
        raise ValueError(
            f"id_key_file={id_key_file!r}: {path} does not exist; give the key file "
            "that the data set was converted with, or 'public'"
        )
    return deidentify.load_pseudonyms(id_key_file)[0]


def find_frames(
    source_dir: str | pathlib.Path,
    keys: Collection[str],
    pseudonyms: Pseudonyms,
    *,
    raters: Sequence[str],
) -> dict[str, SourceFrame]:
    """Finds the frames that keys stand for.

    Args:
      source_dir: Folder that was converted.
      keys: Keys of examples.
      pseudonyms: Of the key file that was used.
      raters: Names or pseudonyms of raters that the keys may be of, beside nobody in
        particular.

    Raises:
      ValueError: A key is of no image in the folder.
    """
    folder = files.path_of(source_dir)
    hashed = dict.fromkeys(("", *(_rater(one, pseudonyms) for one in raters)))
    found: dict[str, SourceFrame] = {}
    wanted = set(keys)
    for name in files.walk(folder):
        if not wanted:
            break
        here = dict(_frames_of(folder / name, wanted, pseudonyms, list(hashed)))
        found |= here
        wanted -= here.keys()
    if wanted:
        raise ValueError(
            f"{len(wanted)} of {len(set(keys))} keys, {min(wanted)} among them, are of "
            f"no image below source_dir={str(source_dir)!r}: give the folder and the "
            "key file that the data set was converted with, and raters=... where that "
            "was done with --several_annotations=raters"
        )
    return found


def _rater(name: str, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a rater, by name or pseudonym; that of nobody is empty."""
    if not name or _PSEUDONYM.fullmatch(name):
        return name
    return pseudonyms.of("rater", name)


def _frames_of(
    path: pathlib.Path,
    wanted: Collection[str],
    pseudonyms: Pseudonyms,
    raters: Sequence[str],
) -> Iterator[tuple[str, SourceFrame]]:
    """Keys that are wanted, with their frames of this file."""
    brief = _brief(path)
    if brief is None or "Rows" not in brief:
        return
    instance = text(brief, "SOPInstanceUID")
    count = int(number(brief, "NumberOfFrames") or 1)
    places = {
        pseudonyms.of("example", instance, str(frame), rater): (frame, rater)
        for frame in range(1, count + 1)
        for rater in raters
    }
    here = wanted & places.keys() if places else ()
    header = _read(path) if here else None
    if header is not None:
        for key in here:
            frame, rater = places[key]
            yield key, SourceFrame(header, frame, count, rater)


def _brief(path: pathlib.Path) -> Dataset | None:
    """Some elements, read quickly; None where the file was not converted."""
    try:
        dataset = open_header(path)
        return dataset if text(dataset, "SOPInstanceUID") else None
    except InputSkipped:
        return None


def _read(path: pathlib.Path) -> Dataset | None:
    """All elements before the pixels, of a file that is known to be DICOM."""
    try:
        with files.opened(path) as file, quiet():
            return pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except Exception:  # a damaged file can raise anything
        return None
