"""Which mask belongs to which image: by a table, or by the names of the files.

A pattern says where a mask or an image lies: ``{stem}`` is the part of the path that
both share, ``{class}`` in a mask's path is what it outlines, ``*`` anything within a
folder's name and ``**/`` any folders. Without patterns a mask is named as its image,
with an ending such as ``_mask`` or in a parallel folder such as ``masks``.

Images are DICOM; a PNG or TIFF file is always a mask.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tfdicom import files
from tfdicom.sources import contours, mask_table
from tfdicom.sources.candidates import MASK, LeftFile
from tfdicom.sources.mask_listing import (
    PIXEL_FORMATS,
    MaskListing,
    MaskPair,
    is_mask_format,
    is_volume,
    listing_of,
)

_DICOM = (".dcm", ".dicom", ".ima")
_ENDING = re.compile(r"[_\-. ](masks?|seg|segmentation|labels?|gt)$", re.IGNORECASE)
_MASK_FOLDERS = ("mask", "masks", "label", "labels", "seg", "segmentations", "gt")
_IMAGE_FOLDERS = ("image", "images", "img", "imgs", "dicom", "dicoms")
_FORMS = {"{stem}": "{image:.+}", "{class}": "{structure:[^/]+?}"}


@dataclasses.dataclass(frozen=True)
class PairingRules:
    """How masks find their images; without any, by the usual names.

    Attributes:
      table: ``--mask_table``: a CSV file with the columns image and mask.
      image_pattern: ``--image_pattern``, with ``{stem}``.
      mask_pattern: ``--mask_pattern``, with ``{stem}`` and perhaps ``{class}``.
    """

    table: str | None = None
    image_pattern: str | None = None
    mask_pattern: str | None = None

    def __post_init__(self) -> None:
        """Refuses patterns without their parts, and rules that contradict."""
        if (self.image_pattern is None) != (self.mask_pattern is None):
            raise ValueError(
                f"image_pattern={self.image_pattern!r} and mask_pattern="
                f"{self.mask_pattern!r}: both are wanted, or none"
            )
        if self.image_pattern is None or self.mask_pattern is None:
            return
        if self.table is not None:
            raise ValueError(
                f"mask_table={self.table!r} and mask_pattern={self.mask_pattern!r}: "
                "one of the two says which mask goes with which image"
            )
        _check_pattern("image_pattern", self.image_pattern, ("{stem}",))
        _check_pattern("mask_pattern", self.mask_pattern, ("{stem}", "{class}"))


def _check_pattern(option: str, pattern: str, allowed: Collection[str]) -> None:
    found = re.findall(r"\{[^{}]*\}?", pattern)
    is_unknown = any(part not in allowed for part in found)
    if is_unknown or "{stem}" not in found or len(set(found)) < len(found):
        raise ValueError(
            f"{option}={pattern!r}: {{stem}} is wanted; allowed are "
            f"{' and '.join(allowed)}, each once"
        )


def find_pairs(
    folder: pathlib.Path, paths: Sequence[str], rules: PairingRules
) -> MaskListing:
    """Pairs the masks among files; only the table is opened.

    Args:
      folder: The input folder.
      paths: Relative paths of all files in it.
      rules: How to pair.

    Raises:
      ValueError: The table is wrong.
    """
    visible = [path for path in paths if not path.rpartition("/")[2].startswith(".")]
    if rules.table is not None:
        return mask_table.pair(folder, visible, files.path_of(rules.table))
    if rules.mask_pattern is not None and rules.image_pattern is not None:
        return _by_pattern(visible, rules.image_pattern, rules.mask_pattern)
    return _by_usual_names(visible)


def _by_pattern(
    paths: Sequence[str], image_pattern: str, mask_pattern: str
) -> MaskListing:
    masks = _matching(paths, mask_pattern)
    images = _matching((path for path in paths if path not in masks), image_pattern)
    by_stem = collections.defaultdict(list)
    for path, parts in images.items():
        by_stem[parts["image"]].append(path)
    pairs = [
        MaskPair(path, tuple(by_stem[parts["image"]]), parts.get("structure"))
        for path, parts in masks.items()
    ]
    return listing_of(paths, pairs, _unpaired(pairs))


def _matching(paths: Iterable[str], pattern: str) -> dict[str, dict[str, str]]:
    for part, form in _FORMS.items():
        pattern = pattern.replace(part, form)
    regex = contours.compile_pattern(pattern)
    matches = ((path, regex.fullmatch(path)) for path in paths)
    return {path: match.groupdict() for path, match in matches if match}


def _by_usual_names(paths: Sequence[str]) -> MaskListing:
    certain = [path for path in paths if is_mask_format(path)]
    marked = [path for path in paths if not is_mask_format(path) and _is_marked(path)]
    by_key: dict[str, list[str]] = collections.defaultdict(list)
    for path in sorted(set(paths).difference(certain, marked)):
        by_key[_key(path, _IMAGE_FOLDERS)].append(path)
    pairs = [MaskPair(path, _named_as(path, by_key)) for path in marked]
    # A DICOM file named as a mask is one if there is an image that it is named after.
    pairs = [pair for pair in pairs if pair.images]
    for path in sorted(set(marked).difference(pair.mask for pair in pairs)):
        by_key[_key(path, _IMAGE_FOLDERS)].append(path)
    volumes = [MaskPair(path, ()) for path in certain if is_volume(path)]
    pairs += [
        MaskPair(path, _named_as(path, by_key))
        for path in certain
        if not is_volume(path)
    ]
    return listing_of(paths, [*pairs, *volumes], _unpaired(pairs))


def _named_as(path: str, by_key: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The images that a mask is named as, or else as without its ending."""
    key = _key(path, (*_IMAGE_FOLDERS, *_MASK_FOLDERS))
    return tuple(by_key.get(key) or by_key.get(_ENDING.sub("", key), ()))


def _is_marked(path: str) -> bool:
    *folders, name = path.split("/")
    is_in_folder = any(folder.lower() in _MASK_FOLDERS for folder in folders)
    return is_in_folder or bool(_ENDING.search(_stem(name)))


def _key(path: str, ignored: Collection[str]) -> str:
    """The path without suffix, and without folders that only tell masks from images."""
    *folders, name = path.split("/")
    kept = [folder for folder in folders if folder.lower() not in ignored]
    return "/".join((*kept, _stem(name)))


def _stem(name: str) -> str:
    """The name without suffixes that are known; a UID has dots of its own."""
    for suffixes in (PIXEL_FORMATS, _DICOM):
        for suffix in suffixes:
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
    return name


def _unpaired(pairs: Sequence[MaskPair]) -> Iterator[LeftFile]:
    """Masks that names do not pair with one image, or not alone with it."""
    rivals: dict[tuple, list[str]] = collections.defaultdict(list)
    for pair in pairs:
        if not pair.images:
            yield LeftFile(pair.mask, MASK, "mask_without_image")
        elif len(pair.images) > 1 and not is_volume(pair.mask):
            shown = ", ".join(pair.images[:3])
            near = pair.images[0]
            yield LeftFile(pair.mask, MASK, "two_images_for_mask", shown, near)
        else:
            rivals[pair.images, pair.class_name].append(pair.mask)
    for (images, _), masks in rivals.items():
        for mask in masks:
            if len(masks) > 1:
                near = images[0]
                yield LeftFile(mask, MASK, "two_masks_for_image", f"of {near}", near)
