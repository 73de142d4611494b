"""The CSV file of ``--mask_table``: which mask goes with which image.

Its columns are image and mask, and if need be patient_id, split and class. Paths are
relative to the file's own folder or to the input folder. The image of a volume may be
any one of its series, or the folder that holds them.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import pathlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from tfdicom import files
from tfdicom.sources.candidates import IMAGE, MASK, LeftFile
from tfdicom.sources.mask_listing import (
    MaskListing,
    MaskPair,
    is_mask_format,
    is_volume,
    listing_of,
)

COLUMNS = ("image", "mask", "patient_id", "split", "class")
_REQUIRED = COLUMNS[:2]


@dataclasses.dataclass(frozen=True)
class MaskRow:
    """A row. Texts are empty where a cell is, or where the column is missing."""

    line: int
    image: str
    mask: str
    patient_id: str
    split: str
    class_name: str


def parse_mask_table(text: str, *, source: str) -> list[MaskRow]:
    """Reads the table.

    Args:
      text: Content of the CSV.
      source: Its name, for messages.

    Raises:
      ValueError: The header or a row is wrong.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(reader.fieldnames or (), source)
        rows = [_row(cells, f"{source}, line {reader.line_num}") for cells in reader]
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{source}: there is no row below the header")
    return rows


def _check_header(found: Iterable[str], source: str) -> None:
    names = [name.strip() for name in found]
    is_known = set(_REQUIRED) <= set(names) <= set(COLUMNS)
    if not is_known or len(set(names)) < len(names):
        raise ValueError(
            f"{source}: the header should be image,mask and of patient_id,split,class "
            f"what is needed; got {','.join(names) or 'nothing'}"
        )


def _row(cells: dict, place: str) -> MaskRow:
    if None in cells or None in cells.values():
        raise ValueError(f"{place}: it has another number of cells than the header")
    texts = {name.strip(): text.strip() for name, text in cells.items()}
    for name in _REQUIRED:
        if not texts[name]:
            raise ValueError(f"{place}: the cell of {name} is empty")
    if texts.get("class", "").startswith("#"):
        raise ValueError(
            f"{place}: a class should not begin with '#'; got {texts['class']!r}"
        )
    values = [texts.get(name, "") for name in COLUMNS]
    return MaskRow(int(place.rpartition(" ")[2]), *values)


def pair(
    folder: pathlib.Path, paths: Sequence[str], table: pathlib.Path
) -> MaskListing:
    """Pairs masks and images as a table says.

    Args:
      folder: The input folder.
      paths: Relative paths of its files.
      table: The CSV file.

    Raises:
      ValueError: The table cannot be read, or rows contradict each other.
    """
    source = f"--mask_table: {table}"
    rows = parse_mask_table(files.read_text(table, flag="--mask_table"), source=source)
    names = _Names(folder, table, paths, source)
    rows = [names.resolved(row) for row in rows]
    _check_rows(rows, source)
    images: dict[str, list[str]] = collections.defaultdict(list)
    for row in rows:
        images[row.mask] += names.files(row.image)
    classes = {row.mask: row.class_name or None for row in rows}
    pairs = [
        MaskPair(mask, tuple(dict.fromkeys(of)), classes[mask])
        for mask, of in images.items()
        if of
    ]
    others = [path for path in paths if path != names.own]
    left = [*_in_vain(rows, names), *_alone(rows, images, others)]
    return listing_of(
        others,
        pairs,
        left,
        patients=_by_image(rows, names, "patient_id"),
        splits=_by_image(rows, names, "split"),
    )


class _Names:
    """What paths of a table mean among the files of the input folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        table: pathlib.Path,
        paths: Sequence[str],
        source: str,
    ) -> None:
        self.source = source
        self.known = frozenset(paths)
        self._in_folder: dict[str, list[str]] = collections.defaultdict(list)
        for path in paths:
            for parent in pathlib.PurePosixPath(path).parents:
                self._in_folder[str(parent)].append(path)
        self._root = _absolute(folder)
        self.own = posixpath.relpath(_absolute(table), self._root)
        self._beside = posixpath.dirname(self.own)

    def resolved(self, row: MaskRow) -> MaskRow:
        """The row with relative paths as the input folder's files have them."""
        image = self._resolved(row.image, row.line)
        mask = self._resolved(row.mask, row.line)
        return dataclasses.replace(row, image=image, mask=mask)

    def _resolved(self, text: str, line: int) -> str:
        if text not in self.known:
            text = text.replace("\\", "/")  # written on Windows
        if text.startswith("/") or "://" in text:
            return posixpath.relpath(text, self._root)
        meant = {
            posixpath.relpath(posixpath.join(self._root, base, text), self._root)
            for base in ("", self._beside)
        }
        found = sorted(path for path in meant if path in self.known)
        found = found or sorted(path for path in meant if path in self._in_folder)
        if len(found) > 1:
            raise ValueError(
                f"{self.source}, line {line}: {text!r} may be {' or '.join(found)}"
            )
        return found[0] if found else posixpath.normpath(text)

    def files(self, path: str) -> list[str]:
        """The file, or those in the folder that are no masks by their format."""
        if path in self.known:
            return [path]
        inside = self._in_folder.get(path, ())
        return [one for one in inside if not is_mask_format(one) and one != self.own]


def _absolute(path: pathlib.Path) -> str:
    return path.resolve().as_posix() if isinstance(path, pathlib.Path) else str(path)


def _check_rows(rows: Sequence[MaskRow], source: str) -> None:
    first: dict[tuple[str, str], MaskRow] = {}
    of_mask: dict[str, MaskRow] = {}
    masks = {row.mask for row in rows}
    for row in rows:
        place = f"{source}, line {row.line}"
        other = first.setdefault((row.image, row.mask), row)
        if other is not row:
            raise ValueError(f"{place}: it repeats line {other.line}")
        if row.image in masks:
            raise ValueError(f"{place}: {row.image} is a mask in another row")
        other = of_mask.setdefault(row.mask, row)
        if other.class_name != row.class_name:
            raise ValueError(
                f"{place}: the class of the mask is {row.class_name!r} here and "
                f"{other.class_name!r} on line {other.line}"
            )


def _in_vain(rows: Iterable[MaskRow], names: _Names) -> Iterator[LeftFile]:
    """Files that rows name and that are not there."""
    for row in rows:
        if row.mask not in names.known:
            line = f"line {row.line}"
            yield LeftFile(row.mask, MASK, "mask_missing", line, row.image)
        if not names.files(row.image):
            line = f"line {row.line}"
            yield LeftFile(row.image, IMAGE, "image_missing", line, row.mask)


def _alone(
    rows: Iterable[MaskRow], images: dict[str, list[str]], paths: Iterable[str]
) -> Iterator[LeftFile]:
    """Masks without an image, and pages that a whole folder is to share."""
    folders = {
        row.mask
        for row in rows
        if len(images[row.mask]) > 1
        and row.image not in images[row.mask]
        and not is_volume(row.mask)
    }
    for path in paths:
        if path in folders:
            yield LeftFile(path, MASK, "two_images_for_mask")
        elif is_mask_format(path) or path in images:
            if not images.get(path):
                yield LeftFile(path, MASK, "mask_without_image")


def _by_image(rows: Iterable[MaskRow], names: _Names, column: str) -> dict[str, str]:
    """What a column says of each image."""
    found: dict[str, tuple[str, int]] = {}
    for row in rows:
        value = getattr(row, column)
        for image in names.files(row.image) if value else ():
            known, line = found.setdefault(image, (value, row.line))
            if known != value:
                raise ValueError(
                    f"{names.source}, line {row.line}: {column} of {image} is "
                    f"{value!r} here and {known!r} on line {line}"
                )
    return {image: value for image, (value, _) in found.items()}
