"""A large input folder: the images and contours of a small one under many names.

Each copy of the source is other patients: new UIDs and Patient IDs of the same length
are written over the old ones in the bytes, and the pixels stay. Hard links would not
do, for two images with one UID are refused.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping

import pydicom

_STANDARD = "1.2.840.10008."  # the root of UIDs that name kinds, not instances
LINK_FILE = "link.csv"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"


def write(source: pathlib.Path, folder: pathlib.Path, *, files: int) -> None:
    """Writes copies until there are enough images.

    Args:
      source: A folder in the layout ``sunnybrook``.
      folder: Made if absent.
      files: Images wanted; the last copy may be cut short.
    """
    links = _links(source)
    rows = []
    for number, patient, paths in _copies(source, files):
        original = links[patient]
        _write_images(paths, folder / "dicoms" / _name(patient, number), number)
        contours = pathlib.Path("contourfiles")
        _copy_contours(
            source / contours / original,
            folder / contours / _name(original, number),
            {int(path.stem) for path in paths},
        )
        rows.append(f"{_name(patient, number)},{_name(original, number)}\n")
    (folder / LINK_FILE).write_text("patient_id,original_id\n" + "".join(rows))


def _links(source: pathlib.Path) -> dict[str, str]:
    with (source / LINK_FILE).open(newline="") as file:
        return {row["patient_id"]: row["original_id"] for row in csv.DictReader(file)}


def _copies(
    source: pathlib.Path, files: int
) -> Iterator[tuple[int, str, list[pathlib.Path]]]:
    """Number of the copy, a patient, and so many images as are still wanted."""
    by_patient: dict[str, list[pathlib.Path]] = {}
    for path in (source / "dicoms").glob("*/*.dcm"):
        by_patient.setdefault(path.parent.name, []).append(path)
    if not by_patient:
        raise ValueError(f"no images in {source / 'dicoms'}")
    for number in itertools.count():
        for patient, paths in sorted(by_patient.items()):
            if files <= 0:
                return
            chosen = sorted(paths, key=lambda path: int(path.stem))[:files]
            files -= len(chosen)
            yield number, patient, chosen


def _name(name: str, number: int) -> str:
    return f"{name}-{number:05d}"


def _write_images(paths: list[pathlib.Path], folder: pathlib.Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        data = path.read_bytes()
        head, separator, pixels = data.partition(_PIXEL_DATA)
        names = _new_names(path, number)
        longest_first = sorted(names, key=len, reverse=True)
        old = re.compile(b"|".join(map(re.escape, longest_first)))
        head = old.sub(lambda found: names[found[0]], head)  # noqa: B023
        (folder / path.name).write_bytes(head + separator + pixels)


def _new_names(path: pathlib.Path, number: int) -> Mapping[bytes, bytes]:
    """New identifiers by old ones, of equal length; the same wherever they occur."""
    with pydicom.config.disable_value_validation():  # the source has odd UIDs
        header = pydicom.dcmread(path, stop_before_pixels=True)
        elements = [*header.file_meta, *header.iterall()]
    uids = {str(one.value) for one in elements if one.VR == "UI"}
    own = {uid for uid in uids if uid and not uid.startswith(_STANDARD)}
    names = {uid: f"2.1{_digits(uid, number, len(uid) - 3)}" for uid in own}
    patient = header.PatientID
    names[patient] = f"P{_digits(patient, number, len(patient) - 1)}"
    return {old.encode(): new.encode() for old, new in names.items()}


def _digits(name: str, number: int, length: int) -> str:
    digest = hashlib.sha512(f"{number} {name}".encode()).hexdigest()
    return str(int(digest, 16))[:length]


def _copy_contours(
    source: pathlib.Path, target: pathlib.Path, numbers: set[int]
) -> None:
    for path in source.rglob("IM-*.txt"):
        if int(path.name.split("-")[2]) in numbers:
            copied = target / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
