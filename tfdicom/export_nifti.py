"""Volumes as NIfTI files: images with their values, masks on the same grid."""

from __future__ import annotations

import collections
import gzip
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfdicom import export_volumes, files
from tfdicom.example_schema import FrameExample
from tfdicom.export_options import ExportOptions
from tfdicom.export_png import label_map
from tfdicom.export_volumes import Stack

NO_PLACE = "images do not say where they lie, and were left out"
PARTS = "volumes are a part of their series: slices are missing, or their steps differ"
PARTLY = (
    "masks cover a part of their volume: elsewhere the class was not annotated, which "
    "is not the same as absent"
)
UNKNOWN_STEP = (
    "volumes are single slices of which no slice spacing is known: 1 mm was written"
)
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def write(
    folder: pathlib.Path,
    examples: Sequence[FrameExample],
    words: Sequence[str],
    options: ExportOptions,
    notes: collections.Counter[str],
) -> Iterator[tuple[FrameExample, dict[str, Any]]]:
    """Writes the volumes of one patient.

    Args:
      folder: Where to.
      examples: The patient's.
      words: Their classes, as parts of file names.
      options: What is written.
      notes: What should be known of them is counted here.

    Yields:
      Each example, and what the table of examples says of it.

    Raises:
      ValueError: Values or masks do not fit into a NIfTI file.
    """
    placed = [one for one in examples if export_volumes.plane_of(one) is not None]
    notes[NO_PLACE] += len(examples) - len(placed)
    taken: set[str] = set()
    for stack in export_volumes.stacks(placed):
        name = _unique(stack.name, taken)
        notes[PARTS] += stack.is_part
        single = len(stack.phases[0]) == 1
        notes[UNKNOWN_STEP] += single and stack.first.slice_spacing is None
        rows = _rows(stack)
        image = f"{name}_image.nii.gz"
        _save(folder / image, *_image(stack), stack)
        for row in rows.values():
            row["image"] = image
        for column, file, labels, part, is_whole in _masks(stack, name, words, options):
            notes[PARTLY] += not is_whole
            _save(folder / file, labels, None, part)
            for frame in (frame for phase in part.phases for frame in phase):
                rows[frame.key][column] = file
        for phase in stack.phases:
            yield from ((frame, rows[frame.key]) for frame in phase)


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    taken.add(unique)
    return unique


def _rows(stack: Stack) -> dict[str, dict[str, Any]]:
    return {
        frame.key: {"k": k, "t": t if len(stack.phases) > 1 else ""}
        for t, phase in enumerate(stack.phases)
        for k, frame in enumerate(phase)
    }


def _image(stack: Stack) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Voxels ``[columns, rows, slices]``, or with phases last; slope and intercept."""
    frames = [frame for phase in stack.phases for frame in phase]
    rescales = {(one.rescale_slope, one.rescale_intercept) for one in frames}
    first = stack.first
    if first.shape[2] == 3 and first.dtype == "uint8":
        return _voxels(stack, lambda one: one.image.view(_RGB)[..., 0]), None
    if first.shape[2] != 1:
        raise ValueError(
            f"example {first.key}: {first.shape[2]} samples of {first.dtype} are no "
            "voxels of NIfTI; one, or three of uint8, are"
        )
    if len(rescales) == 1 and first.rescale_slope:
        return _voxels(stack, lambda one: one.image[..., 0]), rescales.pop()
    # As in PET, where each slice has a slope of its own.
    return _voxels(stack, _modality_values), None


def _modality_values(one: FrameExample) -> np.ndarray:
    values = one.image[..., 0].astype(np.float64)
    return (values * one.rescale_slope + one.rescale_intercept).astype(np.float32)


def _voxels(stack: Stack, plane_of: Any) -> np.ndarray:
    phases = [
        np.stack([plane_of(frame).T for frame in phase], axis=-1)
        for phase in stack.phases
    ]
    return phases[0] if len(phases) == 1 else np.stack(phases, axis=-1)


def _masks(
    stack: Stack, name: str, words: Sequence[str], options: ExportOptions
) -> Iterator[tuple[str, str, np.ndarray, Stack, bool]]:
    """Column, file, voxels and frames of each mask, and whether it is whole."""
    if options.mask_form == "label_map":
        parts = export_volumes.alike_parts(stack, lambda one: tuple(one.annotated))
        for annotated, part, is_whole in parts:
            if any(annotated):
                file = f"{_part_name(name, stack, part)}_labels.nii.gz"
                yield "mask", file, _voxels(part, label_map), part, is_whole
        return
    for place, (class_name, word) in enumerate(
        zip(stack.first.classes, words, strict=True)
    ):

        def annotated_at(one: FrameExample, place: int = place) -> int:
            return one.annotated[place]

        def mask_of(one: FrameExample, place: int = place) -> np.ndarray:
            return one.masks[place].astype(np.uint8)

        for value, part, is_whole in export_volumes.alike_parts(stack, annotated_at):
            if value:
                file = f"{_part_name(name, stack, part)}_mask_{word}.nii.gz"
                yield f"mask {class_name}", file, _voxels(part, mask_of), part, is_whole


def _part_name(name: str, stack: Stack, part: Stack) -> str:
    if part is stack:
        return name
    slices = export_volumes.span("s", [one.slice_index for one in part.phases[0]])
    phase = part.phase_name if part.phase_name != stack.phase_name else ""
    where = "_".join(filter(None, (slices, phase))) or part.first.key[:8]
    return f"{name}_of_{where}"


def _save(
    path: pathlib.Path,
    voxels: np.ndarray,
    rescale: tuple[float, float] | None,
    stack: Stack,
) -> None:
    import nibabel  # an extra, and 0.2 s

    affine = export_volumes.affine(stack.phases[0])
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm", "msec")
    if rescale:
        image.header.set_slope_inter(*rescale)
    # A tilted gantry shears, which a qform cannot say; the sform is always right.
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner" if _is_rigid(affine) else "unknown")
    if len(stack.phases) > 1:
        times = [phase[0].trigger_time for phase in stack.phases]
        known = [time for time in times if time is not None]
        step = float(np.median(np.diff(known))) if len(known) == len(times) else 1.0
        image.header.set_zooms((*image.header.get_zooms()[:3], max(step, 0.0)))
    with files.written_whole(path) as file:
        file.write(gzip.compress(image.to_bytes(), 6, mtime=0))


def _is_rigid(affine: np.ndarray) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() < 1e-4)
