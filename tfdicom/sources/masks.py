"""Mask images as annotation objects: files whose pixel values are structures.

The items of a mask are its values: ``#2`` is the value 2, and where a mapping or a
class is given the item has that name too. Item 0 is every value but zero. A value that
a mask could hold and does not is absent on its frame, which is a negative.

Parts are pages of the file from 1, or slices of a volume from 1.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import volume_matching
from tfdicom.sources.annotation_objects import (
    AnnotatedItem,
    AnnotationObject,
    Drawing,
    DrawingRules,
    LeftItem,
    Match,
    Matches,
)
from tfdicom.sources.candidates import MASKS
from tfdicom.sources.mask_files import MaskPixels
from tfdicom.sources.nifti import Volume
from tfdicom.sources.opened_masks import opened

ANY = 0  # the item that stands for every value but zero
DEFAULT_NAME = "mask"

_MOST_VALUES = 255  # more are grey values rather than labels
_SHOWN_VALUES = 10


def read_object(
    path: pathlib.Path,
    name: str,
    *,
    values: Mapping[int, str] | None = None,
    class_name: str | None = None,
) -> AnnotationObject:
    """Reads a mask, of which the pixels are the header.

    Args:
      path: The file.
      name: Its path relative to the input folder.
      values: Names of values, as of `parse_values`; None takes them as they come.
      class_name: What all values but zero are together; then ``values`` say nothing.

    Raises:
      InputSkipped: It cannot be read, or its values are no labels.
    """
    found = opened(path).numbers()
    if values is None and class_name is None and len(found) > _MOST_VALUES:
        raise InputSkipped("mask_too_many_values", f"{len(found)} values")
    items = [AnnotatedItem(ANY, (class_name,))] if class_name is not None else []
    left: tuple[LeftItem, ...] = ()
    if class_name is None and values is not None:
        items += [
            AnnotatedItem(one, (values[one], f"#{one}")) for one in sorted(values)
        ]
        left = _unmapped(found, values)
    elif class_name is None:
        items += [AnnotatedItem(one, (f"#{one}",)) for one in found]
    return AnnotationObject(name, MASKS, instance=name, items=tuple(items), left=left)


def _unmapped(found: Sequence[int], values: Mapping[int, str]) -> tuple[LeftItem, ...]:
    others = [one for one in found if one not in values]
    if not others:
        return ()
    shown = ", ".join(map(str, others[:_SHOWN_VALUES]))
    more = f" and {len(others) - _SHOWN_VALUES} more" * (len(others) > _SHOWN_VALUES)
    return (LeftItem(others[0], None, "mask_value_not_mapped", shown + more),)


def with_images(
    described: AnnotationObject, headers: Sequence[FrameHeader]
) -> AnnotationObject:
    """The mask of images that a table or its file name pairs it with.

    Args:
      described: As read.
      headers: Headers of all frames of these images.

    Raises:
      InputSkipped: The images are of several studies or patients.
    """
    owners = {(one.patient_id, one.study) for one in headers}
    if len(owners) != 1:
        raise InputSkipped("mask_of_several_studies", f"{len(owners)} studies")
    patient, study = owners.pop()
    frames_of_reference = {one.frame_of_reference for one in headers}
    return dataclasses.replace(
        described,
        patient_id=patient,
        study=study,
        referenced_series=tuple(dict.fromkeys(one.series for one in headers)),
        referenced_instances=tuple(dict.fromkeys(one.instance for one in headers)),
        frame_of_reference=(
            frames_of_reference.pop() if len(frames_of_reference) == 1 else ""
        ),
    )


def name_values(objects: Sequence[AnnotationObject]) -> list[AnnotationObject]:
    """Gives masks that nothing maps one set of items, over a whole data set.

    A value of any of them is an item of each, so that where it is missing it is
    absent. If none has two values, the one that each has is named ``mask`` too.

    Args:
      objects: All objects; those of another kind, and masks with names, stay.
    """
    nameless = [one for one in objects if _is_nameless(one)]
    numbers = sorted({item.number for one in nameless for item in one.items})
    items = [AnnotatedItem(number, (f"#{number}",)) for number in numbers]
    if len(numbers) == 1:
        items = [AnnotatedItem(numbers[0], (DEFAULT_NAME, f"#{numbers[0]}"))]
    elif all(len(one.items) < 2 for one in nameless):  # 1 in some, 255 in others
        items.insert(0, AnnotatedItem(ANY, (DEFAULT_NAME,)))
    return [
        dataclasses.replace(one, items=tuple(items)) if _is_nameless(one) else one
        for one in objects
    ]


def _is_nameless(described: AnnotationObject) -> bool:
    return described.kind == MASKS and all(
        item.names == (f"#{item.number}",) for item in described.items
    )


def match(
    path: pathlib.Path,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    items: Collection[int],
) -> Matches:
    """Finds the frames that a mask annotates.

    Pages are the frames of the paired image in order; a volume lies where it says.

    Args:
      path: The file.
      described: Its object.
      frames: All frames that it may mean.
      items: Values that classes use.

    Raises:
      InputSkipped: The file cannot be read.
    """
    mask = opened(path)
    if isinstance(mask, Volume):
        return volume_matching.match_volume(mask, described, frames, items)
    named = set(described.referenced_instances)
    matches: list[Match] = []
    left: list[LeftItem] = []
    for place, frame in enumerate(frames):
        if frame.instance in named:
            problem = _problem(mask, frame)
            if not problem:
                matches += _page_matches(mask, place, frame.frame_number, items)
            elif problem not in left:
                left.append(problem)
    return Matches(tuple(matches), tuple(left))


def _problem(mask: MaskPixels, frame: FrameHeader) -> LeftItem | None:
    """Why pages do not fit an image; None if they do."""
    size = (frame.rows, frame.columns)
    if mask.size != size:
        detail = f"{mask.size[0]} x {mask.size[1]}, the image {size[0]} x {size[1]}"
        return LeftItem(None, None, "mask_size_differs", detail)
    if mask.pages != frame.frame_count:
        detail = f"{mask.pages} pages, the image has {frame.frame_count} frames"
        return LeftItem(None, None, "mask_pages_differ", detail)
    return None


def _page_matches(
    mask: MaskPixels, place: int, page: int, items: Collection[int]
) -> list[Match]:
    return [
        Match(place, item, (page,) if _plane(mask, page, item).any() else ())
        for item in sorted(items)
    ]


def _plane(mask: MaskPixels, page: int, item: int) -> np.ndarray:
    if mask.values.ndim == 4 and item > mask.values.shape[3]:
        return np.zeros(mask.size, bool)
    return mask.plane(page - 1, item)


def draw(
    path: pathlib.Path,
    item: int,
    parts: Sequence[int],
    frame_header: FrameHeader,
    rules: DrawingRules,
) -> Drawing:
    """Draws a value on a frame.

    Args:
      path: The file.
      item: The value; 0 for all but zero.
      parts: The page, of the `Match`; empty draws nothing.
      frame_header: The frame.
      rules: Only ``covered_fraction`` is of use: a pixel is covered or not.

    Raises:
      InputSkipped: The file cannot be read.
    """
    if parts:
        mask = opened(path)
        if isinstance(mask, Volume):
            plane = volume_matching.draw_volume(mask, item, frame_header)
        else:
            plane = _plane(mask, parts[0], item)
    else:
        plane = np.zeros((frame_header.rows, frame_header.columns), bool)
    fraction = plane.astype(np.float64) if rules.covered_fraction else None
    return Drawing(plane, fraction)
