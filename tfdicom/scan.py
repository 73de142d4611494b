"""Reads the headers of a listing's images, in parallel, and takes out the unusable."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from tfdicom import dicom, processes
from tfdicom.dicom import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources.candidates import (
    CONTOUR,
    IMAGE,
    ImageFile,
    LeftFile,
    SourceListing,
)

_FILES_PER_TASK = 64


@dataclasses.dataclass(frozen=True)
class ScannedImage:
    """An image with its contours and its header."""

    file: ImageFile
    header: FrameHeader


def scan_headers(
    folder: pathlib.Path,
    listing: SourceListing,
    *,
    workers: int,
    progress: Callable[[int], None],
) -> tuple[list[ScannedImage], list[LeftFile]]:
    """Reads every header.

    Returns:
      The images that can be used, in the listing's order, and the files that cannot,
      contours of such images among them.
    """
    images = listing.images
    tasks = [
        images[at : at + _FILES_PER_TASK]
        for at in range(0, len(images), _FILES_PER_TASK)
    ]
    read = functools.partial(_read_headers, folder)
    results = processes.map_in_processes(
        read, tasks, workers=workers, progress=progress
    )
    scanned: list[ScannedImage] = []
    left: list[LeftFile] = []
    for image, result in zip(
        images, (r for part in results for r in part), strict=True
    ):
        if isinstance(result, FrameHeader):
            scanned.append(ScannedImage(image, result))
        else:
            left += left_image(image, *result)
    return _without_duplicates(scanned, left), left


def _read_headers(
    folder: pathlib.Path, images: Sequence[ImageFile]
) -> list[FrameHeader | tuple[str, str]]:
    results: list[FrameHeader | tuple[str, str]] = []
    for image in images:
        try:
            header = dicom.read_header(folder / image.path)
            results.append(("burned_in", "") if header.burned_in else header)
        except InputSkipped as skipped:
            results.append((skipped.code, skipped.detail))
        processes.count_done()
    return results


def left_image(image: ImageFile, reason: str, detail: str) -> Iterator[LeftFile]:
    """An image that is not used, and the contours that go with it."""
    yield LeftFile(image.path, IMAGE, reason, detail)
    for contour in image.contours:
        where = f"{image.path}: {detail}" if detail else image.path
        yield LeftFile(contour.path, CONTOUR, "image_unusable", where)


def _without_duplicates(
    scanned: Iterable[ScannedImage], left: list[LeftFile]
) -> list[ScannedImage]:
    """Takes out all files that share a SOP Instance UID: which is right, none says."""
    scanned = list(scanned)
    count = collections.Counter(one.header.instance for one in scanned)
    for one in scanned:
        if count[one.header.instance] > 1:
            left += left_image(one.file, "duplicate_instance", "")
    return [one for one in scanned if count[one.header.instance] == 1]
