"""``dataset.index``: where each example lies, and which classes it shows.

Tab-separated, one line for each example, in the manifest's order. From it a reader
knows every example without reading a record: it can go to any of them, leave out what
was not annotated, and balance.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from tfdicom import files, label_kinds
from tfdicom.example_schema import FrameExample

INDEX = "dataset.index"


@dataclasses.dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where the record of a key lies, what is known of it, and what its mask shows.

    Attributes:
      key: Key of the example.
      shard: Its file.
      offset: Of the record in the file, bytes before compression.
      length: Of the record, bytes.
      annotated: One character for each class, ``1`` where it was annotated; then one
        for each label, ``1`` where it has a value.
      present: One character for each class, ``1`` where it has a pixel.
    """

    key: str
    shard: str
    offset: int
    length: int
    annotated: str
    present: str

    def is_known(self, places: Sequence[int]) -> bool:
        """Whether all of these classes and labels are, by their places."""
        return all(self.annotated[place] == "1" for place in places)


_COLUMNS = tuple(field.name for field in dataclasses.fields(IndexEntry))


#: The first line of the file.
HEADER = "\t".join(_COLUMNS)


def entry_of(
    example: FrameExample, *, shard: str, offset: int, length: int
) -> IndexEntry:
    """The entry of an example that was written there."""
    return IndexEntry(
        key=example.key,
        shard=shard,
        offset=offset,
        length=length,
        annotated=label_kinds.known_pattern(example.annotated, example.label_values),
        present="".join(str(int(pixels > 0)) for pixels in example.pixel_count),
    )


def write_index(folder: pathlib.Path, entries: Iterable[IndexEntry]) -> None:
    """Writes ``dataset.index``."""
    with files.written_whole(folder / INDEX) as file:
        file.write((HEADER + "\n").encode())
        for entry in entries:
            file.write(line_of(entry).encode())


def line_of(entry: IndexEntry) -> str:
    """The line of the file that says an entry."""
    return "\t".join(str(getattr(entry, name)) for name in _COLUMNS) + "\n"


def read_index(data_dir: str | pathlib.Path) -> Iterator[IndexEntry]:
    """The entries of ``dataset.index``, in the manifest's order.

    Raises:
      FileNotFoundError: There is none.
      ValueError: It has other columns, or a line cannot be read; names the file and
        the line.
    """
    path = files.path_of(data_dir) / INDEX
    if not files.exists(path):
        raise FileNotFoundError(
            f"{path} is missing; copy it here with the data set, or convert again"
        )
    with path.open() as file:
        header = next(file, "").rstrip("\n")
        if header != HEADER:
            raise ValueError(
                f"{path} has the columns {header!r}, not {' '.join(_COLUMNS)}: another "
                "version wrote it; convert again"
            )
        for number, line in enumerate(file, 2):
            try:
                entry = parse_line(line)
            except ValueError as error:
                where = f"{path}, line {number}"
                raise ValueError(f"{where} cannot be read: {line!r}") from error
            yield entry


def parse_line(line: str) -> IndexEntry:
    """The entry that a line of the file, which is not its first, says.

    Raises:
      ValueError: It does not say one.
    """
    key, shard, offset, length, annotated, present = line.rstrip("\n").split("\t")
    return IndexEntry(key, shard, int(offset), int(length), annotated, present)
