"""Masks with their images: what pairing finds, by a table or by names."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from tfdicom.sources.candidates import MASK, LeftFile

#: Endings of the formats that are read, and of volumes.
PIXEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
VOLUME_SUFFIXES = (".nii", ".nii.gz")

#: Formats that some keep masks in, and why they are not read.
REFUSED_FORMATS = {
    ".jpg": "mask_lossy",
    ".jpeg": "mask_lossy",
    ".webp": "mask_lossy",
    ".bmp": "mask_unsupported",
    ".gif": "mask_unsupported",
    ".npz": "mask_unsupported",
}
#: Endings of masks that are not DICOM, without the volumes.
PIXEL_FORMATS = (*PIXEL_SUFFIXES, *REFUSED_FORMATS)


@dataclasses.dataclass(frozen=True)
class MaskPair:
    """A mask and the images that it goes with.

    Attributes:
      mask: Relative path.
      images: Relative paths; empty for a volume that is placed by its geometry.
      class_name: What its values are together; None where nothing says.
    """

    mask: str
    images: tuple[str, ...]
    class_name: str | None = None


@dataclasses.dataclass(frozen=True)
class MaskListing:
    """What pairing found.

    Attributes:
      pairs: Masks with their images, by path.
      images: All other files: images may be among them.
      left: Masks that are of no use, and files that a table names in vain, each with
        a reason.
      patients: Patient by image, where a table says.
      splits: Split by image, where a table says.
    """

    pairs: tuple[MaskPair, ...]
    images: tuple[str, ...]
    left: tuple[LeftFile, ...]
    patients: Mapping[str, str] = dataclasses.field(default_factory=dict)
    splits: Mapping[str, str] = dataclasses.field(default_factory=dict)


def is_mask_format(path: str) -> bool:
    """Whether a file can be nothing but a mask, as all images are DICOM."""
    return path.lower().endswith((*PIXEL_FORMATS, *VOLUME_SUFFIXES))


def is_volume(path: str) -> bool:
    """Whether a file is a NIfTI volume by its name."""
    return path.lower().endswith(VOLUME_SUFFIXES)


def parse_values(text: str) -> dict[int, str]:
    """Reads ``--mask_values``: ``1=inner,2=outer``, the pixel value first.

    Raises:
      ValueError: The text cannot be read, or gives a value two names.
    """
    wanted = "wanted is as '1=inner,2=outer', with values from 1"
    names: dict[int, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        value, _, name = (piece.strip() for piece in part.partition("="))
        if not (value.isascii() and value.isdigit() and int(value)) or not name:
            raise ValueError(f"mask_values={text!r}: {part!r} is no pair; {wanted}")
        if name.startswith("#"):
            raise ValueError(f"mask_values={text!r}: a name should not begin with '#'")
        if names.setdefault(int(value), name) != name:
            raise ValueError(f"mask_values={text!r}: {value} has two names")
    if not names:
        raise ValueError(f"mask_values={text!r}: {wanted}")
    return names


def listing_of(
    paths: Sequence[str],
    pairs: Iterable[MaskPair],
    left: Iterable[LeftFile],
    *,
    patients: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
) -> MaskListing:
    """Every file once: in a pair, among those left, or an image.

    Args:
      paths: All files.
      pairs: Masks that have images; those of refused formats are left too.
      left: Files that are already known to be of no use.
      patients: Patient by image.
      splits: Split by image.
    """
    left = list(left)
    gone = {one.path for one in left}
    useful = []
    for pair in pairs:
        reason = REFUSED_FORMATS.get(pathlib.PurePosixPath(pair.mask).suffix.lower())
        if pair.mask not in gone and reason:
            left.append(LeftFile(pair.mask, MASK, reason))
        elif pair.mask not in gone:
            useful.append(pair)
    gone = {pair.mask for pair in useful} | {one.path for one in left}
    return MaskListing(
        pairs=tuple(sorted(useful, key=lambda pair: pair.mask)),
        images=tuple(sorted(path for path in paths if path not in gone)),
        left=tuple(sorted(left, key=lambda one: (one.path, one.detail))),
        patients=patients or {},
        splits=splits or {},
    )
