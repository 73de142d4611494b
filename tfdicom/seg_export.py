"""Masks back into DICOM segmentations that refer to the source images.

PS3.3 A.51 and C.8.20; highdicom writes them. The objects bear the patient's
name and identifiers, as their images do: they are for viewers, not for a data set.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import files, seg_objects, source_images
from tfdicom.seg_objects import BINARY, Segments
from tfdicom.source_images import SourceFrame


@dataclasses.dataclass(frozen=True)
class SegExport:
    """What was written.

    Attributes:
      files: The segmentations.
      images: Frames that they refer to and that had a mask.
      notes: What was blanked, regrouped or left out, without identifiers.
    """

    files: tuple[pathlib.Path, ...]
    images: int
    notes: tuple[str, ...]


def write_seg(
    output_dir: str | pathlib.Path,
    masks: Any,
    info: Any = None,
    *,
    source_dir: str | pathlib.Path,
    classes: Sequence[str],
    id_key_file: str | None = None,
    annotated: Any = None,
    codes: Mapping[str, tuple[str, str, str]] | None = None,
    segmentation_type: str = BINARY,
    algorithm: str | None = None,
    raters: Sequence[str] = (),
    per_image: bool = False,
    overwrite: bool = False,
) -> SegExport:
    """Writes masks, ground truth or predictions, as DICOM segmentations.

    Images go into one object where they share series, rater, orientation, spacing,
    size, Temporal Position Identifier and annotated classes, and no two of them lie in
    one place (those of several phases do). Objects of a rater have the pseudonym as
    Content Creator's Name. Frames of Reference need not agree; where they do not, the
    object has a new one of its own. A frame of a file that is not enhanced, and an
    image without a place, have objects of their own.

    Args:
      output_dir: Folder for the objects; made if it does not exist.
      masks: On the grid of the source (see `to_source_grid`): 0 and 1, bool or integer
        ``[frames, rows, columns, classes]``, or a sequence of ``[rows, columns,
        classes]``; or label maps, integer ``[rows, columns]`` each, where 0 is
        background and i the i-th class; or a mapping from keys to such arrays.
      info: The dict that ``input_fn`` gives with ``with_info=True``, or keys of
        examples in the order of the masks; None for a mapping.
      source_dir: Folder that was converted.
      classes: Names of the classes, in the order of the masks' planes.
      id_key_file: Key file that the data set was made with, or ``public``; None for
        the default one.
      annotated: Whether a class was annotated on a frame, bool ``[frames, classes]``,
        in the order of the masks; None for all. A class is described only in objects
        of frames on which it was annotated.
      codes: What a class is, as code value, coding scheme and meaning, such as
        ``('80891009', 'SCT', 'Heart')``, by class; without it, Tissue.
      segmentation_type: ``BINARY``, or ``LABELMAP`` where no classes overlap.
      algorithm: Name of the algorithm that made the masks; None for a human.
      raters: Who the keys may be of, where the data set was made with
        ``--several_annotations=raters``: pseudonyms as in ``info['rater']``, or names
        as the annotations have them. Those of an ``info`` dict are known already.
      per_image: Writes one object for each image.
      overwrite: Whether files of an earlier call may be replaced.

    Returns:
      The files, and what had to be changed.

    Raises:
      ValueError: Masks, keys or options do not fit each other, or a key is of no
        source image.
      FileExistsError: A file exists and ``overwrite`` is False.
    """
    segments = Segments(tuple(classes), codes or {}, segmentation_type, algorithm)
    planes = _by_key(masks, info, classes)
    described = _annotated(annotated, planes, classes)
    raters = [*raters, *_raters(info)]
    pseudonyms = source_images.pseudonyms_that_exist(id_key_file)
    notes: collections.Counter[str] = collections.Counter()
    # All are built before the first is written: what fails leaves no half behind.
    built: dict[pathlib.Path, Any] = {}
    with seg_objects.lenient():
        found = source_images.find_frames(source_dir, planes, pseudonyms, raters=raters)
        for key, frame in found.items():
            _check_size(key, planes[key], frame)
        for group in _groups(found, described, per_image, notes):
            dataset, changes = seg_objects.build(
                [found[key] for key in group],
                np.stack([planes[key] for key in group]),
                segments,
                described[group[0]],
            )
            notes.update(changes)
            name = pseudonyms.of("segmentation", *sorted(group))[:16]
            path = files.path_of(output_dir) / f"seg-{name}.dcm"
            built[path] = dataset
        _write(built, overwrite)
    count = sum(1 for key in planes if any(described[key]))
    counted = (f"{note} ({number})" for note, number in sorted(notes.items()))
    return SegExport(tuple(built), count, tuple(counted))


def _by_key(masks: Any, info: Any, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Masks bool ``[rows, columns, classes]`` by key."""
    if isinstance(masks, Mapping):
        if info is not None:
            raise ValueError("info: leave it out where masks are given by key")
        keys, values = [_text(key) for key in masks], list(masks.values())
    else:
        if info is None:
            raise ValueError(
                "info: give the dict of with_info=True or the keys of the masks, or "
                "masks as a mapping from keys"
            )
        found = info["key"] if isinstance(info, Mapping) else info
        keys = [_text(key) for key in np.asarray(found).ravel()]
        values = list(masks if isinstance(masks, (list, tuple)) else np.asarray(masks))
    if len(keys) != len(values) or not keys:
        raise ValueError(
            f"masks: {len(values)} for {len(keys)} keys; one each is wanted"
        )
    if len(set(keys)) < len(keys):
        raise ValueError("info: a key occurs twice; give each example one mask")
    return {
        key: _mask(key, np.asarray(value), classes)
        for key, value in zip(keys, values, strict=True)
    }


def _raters(info: Any) -> list[str]:
    """Pseudonyms of the raters that a dict of ``with_info=True`` names."""
    if not isinstance(info, Mapping) or "rater" not in info:
        return []
    return sorted({_text(one) for one in np.asarray(info["rater"]).ravel()})


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _mask(key: str, mask: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    count = len(classes)
    highest = 1 if mask.ndim == 3 else count
    fits = mask.ndim == 2 or (mask.ndim == 3 and mask.shape[2] == count)
    if mask.dtype.kind not in "bui" or not fits:
        raise ValueError(
            f"mask of {key}: {mask.dtype} of shape {mask.shape}; bool or integer "
            f"[rows, columns, {count}], or integer labels [rows, columns] are wanted "
            "(compare probabilities with a threshold first)"
        )
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high > highest:
        raise ValueError(
            f"mask of {key}: its values go from {low} to {high}; 0 to {highest} are "
            f"allowed for {count} classes"
        )
    if mask.ndim == 2:
        return mask[..., np.newaxis] == np.arange(1, count + 1)
    return mask.astype(bool)


def _annotated(
    annotated: Any, keys: Mapping[str, np.ndarray], classes: Sequence[str]
) -> dict[str, tuple[bool, ...]]:
    """Which classes were annotated on each frame, by key."""
    shape = (len(keys), len(classes))
    table = np.ones(shape, bool) if annotated is None else np.asarray(annotated, bool)
    if table.shape != shape:
        raise ValueError(
            f"annotated: its shape is {table.shape}; [frames, classes], here {shape}, "
            "is wanted"
        )
    for (key, mask), row in zip(keys.items(), table, strict=True):
        if mask[..., ~row].any():
            raise ValueError(
                f"mask of {key}: it has pixels of a class that is not annotated there"
            )
    return {key: tuple(map(bool, row)) for key, row in zip(keys, table, strict=True)}


def _check_size(key: str, mask: np.ndarray, frame: SourceFrame) -> None:
    if mask.shape[:2] != frame.shape:
        raise ValueError(
            f"mask of {key}: {mask.shape[0]}x{mask.shape[1]} pixels, its source image "
            f"has {frame.shape[0]}x{frame.shape[1]}; bring it there with to_source_grid"
        )


def _groups(
    found: Mapping[str, SourceFrame],
    described: Mapping[str, tuple[bool, ...]],
    per_image: bool,
    notes: collections.Counter[str],
) -> Iterator[list[str]]:
    """Keys of the frames of each object, in an order that depends on no folder."""
    by_series = collections.defaultdict(list)
    for key in sorted(found, key=lambda key: (found[key].time, key)):
        if any(described[key]):
            by_series[seg_objects.series_key(found[key])].append(key)
        else:
            notes["no class is annotated on the image, it was left out"] += 1
    for keys in by_series.values():
        parts: dict[Any, list[str]] = collections.defaultdict(list)
        for key, place in zip(
            keys, seg_objects.places([found[key] for key in keys]), strict=True
        ):
            alone = key if per_image else ""
            parts[*place, described[key], alone].append(key)
        if len(parts) > 1 and not per_image:
            notes[
                "a series was split: its images differ in orientation, spacing, "
                "size, phase or annotated classes"
            ] += 1
        yield from parts.values()


def _write(built: Mapping[pathlib.Path, Any], overwrite: bool) -> None:
    for path in built:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; give overwrite=True to replace it")
    for path, dataset in built.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.written_whole(path) as file:
            dataset.save_as(file, enforce_file_format=True)
