"""What an input folder holds, before annotations and images are brought together."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from tfdicom import files, header_cache, matching, redaction
from tfdicom.convert_options import ConvertOptions
from tfdicom.file_scan import A_MASK, AN_IMAGE, FileToScan, ScanRules
from tfdicom.input_scope import InputScope
from tfdicom.input_stamps import InputStamps
from tfdicom.ledger import Ledger
from tfdicom.progress import Progress
from tfdicom.reasons import InputSkipped
from tfdicom.runner_choice import runner_of
from tfdicom.scan import Scan, scan_files
from tfdicom.sources import contours, masks
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import (
    MASK,
    MASKS,
    OBJECT,
    OTHER,
    RTSTRUCT,
    SEG,
    TEXT,
    LeftFile,
    Loss,
    PathListing,
)
from tfdicom.sources.mask_listing import MaskListing
from tfdicom.sources.mask_pairs import find_pairs

#: Kinds of annotations, in words.
KIND_NAMES = {
    TEXT: "contour files",
    RTSTRUCT: "RT structure sets",
    SEG: "segmentations",
    MASKS: "mask images",
}


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Files of an input folder, and what names and headers tell of them.

    Attributes:
      paths: Every file in the folder.
      stamps: What the files were before any was read.
      listing: What the paths told of contour text files.
      pairs: What table or paths told of mask images.
      scan: What the headers tell.
    """

    paths: tuple[str, ...]
    stamps: InputStamps
    listing: PathListing
    pairs: MaskListing
    scan: Scan


def find(
    folder: pathlib.Path, options: ConvertOptions, scope: InputScope | None = None
) -> Candidates:
    """Lists a folder and reads the headers.

    Args:
      folder: The input folder.
      options: What is asked for.
      scope: Which of the files count; None for all.

    Raises:
      ValueError: Paths do not tell what the options say that they do.
    """
    paths = files.walk(folder)
    paths = scope.files(paths) if scope else paths
    stamps = InputStamps(folder, paths)
    redaction.note_files(folder, paths)
    listing = _listing(folder, paths, options)
    pairs = _mask_listing(folder, listing, options)
    scan = _scan(folder, listing, pairs, options, stamps)
    return Candidates(tuple(paths), stamps, listing, pairs, scan)


def objects_of(
    found: Candidates, options: ConvertOptions, ledger: Ledger
) -> list[AnnotationObject]:
    """The objects that are asked for; mask images with the images they belong to.

    Args:
      found: What there is.
      options: What is asked for.
      ledger: Gets the objects that are not among them.
    """
    return _with_images(_objects(found.scan, options, ledger), found, ledger)


def _objects(
    scan: Scan, options: ConvertOptions, ledger: Ledger
) -> list[AnnotationObject]:
    """The objects that are asked for; a cache may know others."""
    ledger.leave(
        LeftFile(one.path, OBJECT, "object_not_asked_for")
        for one in scan.objects
        if not _wanted(one.kind, options)
    )
    return [one for one in scan.objects if _wanted(one.kind, options)]


def _wanted(kind: str, options: ConvertOptions) -> bool:
    return options.annotations in ("auto", kind)


def _listing(
    folder: pathlib.Path, paths: Sequence[str], options: ConvertOptions
) -> PathListing:
    """What the paths tell; without a layout of contour files, nothing."""
    if not _wanted(TEXT, options):
        return PathListing({}, others=tuple(paths))
    found = contours.find(
        folder,
        paths,
        layouts=options.layouts,
        structures=contours.parse_structures(options.structures),
    )
    if found:
        return found
    if options.annotations == TEXT or options.layout != "auto":
        raise ValueError(contours.no_layout(folder, options.layouts, paths))
    return PathListing({}, others=tuple(paths))


def _mask_listing(
    folder: pathlib.Path, listing: PathListing, options: ConvertOptions
) -> MaskListing:
    """Mask images and what they belong to; nothing where they are not asked for."""
    if not _wanted(MASKS, options):
        return MaskListing((), listing.others, ())
    # Images that contour files name may have masks too.
    paths = sorted((*listing.images, *listing.others))
    return find_pairs(folder, paths, options.pairing_rules)


def _scan(
    folder: pathlib.Path,
    listing: PathListing,
    pairs: MaskListing,
    options: ConvertOptions,
    stamps: InputStamps,
) -> Scan:
    """Headers of the images that names found, and of whatever else may be DICOM."""
    unpaired = set(pairs.images)
    others = [path for path in listing.others if path in unpaired or _is_hidden(path)]
    hidden = [path for path in others if _is_hidden(path)]
    asked = [FileToScan(path, AN_IMAGE) for path in listing.images]
    if options.annotations == TEXT:
        hidden = others
    else:
        gone = set(hidden)
        asked += [FileToScan(path) for path in others if path not in gone]
    asked += [
        FileToScan(one.mask, A_MASK, one.class_name)
        for one in pairs.pairs
        if one.mask not in listing.images
    ]
    with Progress("headers", len(asked), "files") as progress:
        scan = scan_files(
            folder,
            asked,
            runner=runner_of(options),
            rules=ScanRules(
                tuple(kind for kind in KIND_NAMES if _wanted(kind, options)),
                options.named_values,
                options.allow_pixel_text_risk,
            ),
            cache=header_cache.cache_path(options.header_cache, folder),
            stamps=stamps,
            progress=progress,
        )
    left = tuple(LeftFile(path, OTHER, "stray_file") for path in hidden)
    return dataclasses.replace(scan, left=scan.left + left)


def _with_images(
    objects: Sequence[AnnotationObject], found: Candidates, ledger: Ledger
) -> list[AnnotationObject]:
    """The objects; mask images among them refer to the images they are paired with."""
    images_of = {pair.mask: pair.images for pair in found.pairs.pairs}
    headers = collections.defaultdict(list)
    for frame in found.scan.frames:
        headers[frame.path].append(frame.header)
    ledger.leave(
        dataclasses.replace(one, loss=Loss(images=images_of.get(one.path, ())))
        for one in found.scan.left
        if one.kind == MASK
    )
    usable_objects = []
    for one in objects:
        images = images_of.get(one.path, ()) if one.kind == MASKS else ()
        usable = [header for path in images for header in headers[path]]
        if images and not usable:
            reason = matching.reason_without(images[0], found.scan.left)
            loss = Loss(images=tuple(images))
            ledger.leave([LeftFile(one.path, MASK, reason, images[0], loss=loss)])
            continue
        try:
            usable_objects.append(masks.with_images(one, usable) if images else one)
        except InputSkipped as skipped:
            code, loss = skipped.code, Loss(images=tuple(images))
            ledger.leave([LeftFile(one.path, MASK, code, skipped.detail, loss=loss)])
    return masks.name_values(usable_objects)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
