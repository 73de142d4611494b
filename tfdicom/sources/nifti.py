"""NIfTI volumes, and the slices of them that lie on the frames of images.

A voxel is (i, j, k), (0, 0, 0) the centre of the first. NIfTI's own coordinates are
RAS (NIfTI-1, section 'orientation'); here they are turned into DICOM's, which are LPS.
"""

from __future__ import annotations

import dataclasses
import gzip
import pathlib
import zlib
from collections.abc import Sequence
from typing import IO, Any, Literal

import numpy as np

from tfdicom import files
from tfdicom.reasons import InputSkipped
from tfdicom.sources import mask_files
from tfdicom.spatial import ImagePlane

# Of a voxel: exports round directions to four to six digits, which at the far end of a
# frame of 512 pixels is some hundredths. The nearest voxel is the same up to a half.
_ON_GRID = 0.05
# A pixel midway between two voxels takes the first, whatever rounding noise says.
_TIE = 1e-3
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_MILLIMETRES = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}


@dataclasses.dataclass(frozen=True)
class Volume:
    """A label volume, of which only the box around its labels is kept.

    Attributes:
      labels: Unsigned ``[i, j, k]``: the box.
      start: Voxel at which the box begins.
      shape: Voxels of the whole volume along each axis.
      to_voxel: ``[4, 4]``, from LPS millimetres to voxels.
      findings: Codes of what is odd.
    """

    labels: np.ndarray
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    to_voxel: np.ndarray
    findings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.labels.nbytes

    def numbers(self) -> list[int]:
        """Values other than zero that occur."""
        return [int(value) for value in np.unique(self.labels) if value]


def read_volume(path: pathlib.Path) -> Volume:
    """Reads a label volume.

    Raises:
      InputSkipped: nibabel is missing, the file cannot be read, is too large, holds
        something else than labels, or does not say where it lies.
    """
    try:
        import nibabel  # costs 0.2 s, and is an extra
    except ModuleNotFoundError as error:
        raise InputSkipped("nifti_not_installed") from error
    try:
        with files.opened(path) as file:
            return _volume(nibabel, file)
    except (InputSkipped, MemoryError):
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputSkipped("mask_unreadable", str(error)) from error
    except OSError as error:
        code = "file_unreadable" if error.errno else "mask_unreadable"
        raise InputSkipped(code, error.strerror or str(error)) from error
    except Exception as error:  # a damaged file can raise anything
        message = f"{type(error).__name__}: {error}"
        raise InputSkipped("mask_unreadable", message) from error


def _volume(nibabel: Any, file: IO[bytes]) -> Volume:
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if packed else file
    header_size = stream.read(4)
    stream.seek(0)
    is_second = 540 in [int.from_bytes(header_size, order) for order in _BYTE_ORDERS]
    kind = nibabel.Nifti2Image if is_second else nibabel.Nifti1Image
    image = kind.from_file_map({"image": nibabel.FileHolder(fileobj=stream)})
    shape = _three_axes(image.shape)
    is_scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    itemsize = 8 if is_scaled else image.get_data_dtype().itemsize
    mask_files.check_size(image.shape, itemsize)
    affine, findings = _affine(image.header)
    labels = mask_files.to_labels(np.asanyarray(image.dataobj)).reshape(shape)
    box, start = _box(labels)
    return Volume(box, start, shape, np.linalg.inv(affine), findings)


def _three_axes(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) < 2 or any(length != 1 for length in shape[3:]):
        detail = f"shape {tuple(shape)}; three axes are read"
        raise InputSkipped("mask_unsupported", detail)
    i, j, k = (*shape, 1)[:3]
    return i, j, k


def _affine(header: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """From voxels to LPS millimetres: the sform, or else the qform.

    A file with neither has only spacings (NIfTI-1, 'method 1'): its place is unknown.
    """
    forms = [header.get_sform(coded=True), header.get_qform(coded=True)]
    known = [affine for affine, code in forms if code > 0 and affine is not None]
    if not known:
        raise InputSkipped("mask_geometry_missing", "sform_code and qform_code are 0")
    affine = known[0]
    # Written so that a NaN fails.
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-12):
        raise InputSkipped("mask_geometry_missing", "the affine has no inverse")
    differ = len(known) == 2 and not _agree(*known, shape=header.get_data_shape())
    scale = _MILLIMETRES[header.get_xyzt_units()[0]]
    to_millimetres = np.diag([scale, scale, scale, 1.0])
    findings = ("mask_two_places",) if differ else ()
    return _RAS_TO_LPS @ to_millimetres @ affine, findings


def _agree(one: np.ndarray, other: np.ndarray, *, shape: Sequence[int]) -> bool:
    """Whether both put every voxel in one place."""
    lengths = np.array([*shape, 1, 1][:3])
    ends = np.indices((2, 2, 2)).reshape(3, -1) * (lengths[:, None] - 1)
    away = np.linalg.inv(one) @ other @ np.vstack([ends, np.ones(8)])
    return bool(np.abs(away[:3] - ends).max() < _ON_GRID)


def _box(labels: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The part around what is not zero, as a copy, and where it begins."""
    ranges = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(labels.any(axis=others))
        ranges.append((used[0], used[-1] + 1) if len(used) else (0, 0))
    part = labels[tuple(slice(first, end) for first, end in ranges)]
    i, j, k = (int(first) for first, _ in ranges)
    return part.copy(), (i, j, k)


@dataclasses.dataclass(frozen=True)
class Placement:
    """How frames lie in a volume; each array's first axis is the frames'.

    Attributes:
      steps: float64 ``[n, 3, 3]``: voxel of a frame's first pixel, then the step from
        a column to the next, then from a row to the next.
      on_grid: bool ``[n]``: every pixel is a voxel.
      covered: bool ``[n]``: the whole frame lies in the volume.
      touched: bool ``[n]``: some of the frame may lie in it.
      across: The axis of the voxels that frames are stacked along, ``[n]``.
    """

    steps: np.ndarray
    on_grid: np.ndarray
    covered: np.ndarray
    touched: np.ndarray
    across: np.ndarray


def place(
    volume: Volume, planes: Sequence[ImagePlane], sizes: Sequence[tuple[int, int]]
) -> Placement:
    """Where frames lie in a volume.

    Args:
      volume: The volume.
      planes: The plane of each frame.
      sizes: Rows and columns of each.
    """
    steps = _steps(volume, planes)
    last = np.array(sizes, float).reshape(-1, 2)[:, ::-1] - 1  # column, row
    ends = _ends(steps, last)
    whole = np.rint(steps)
    turns = np.abs(whole[:, 1:]).sum(axis=2)
    is_aligned = (turns == 1).all(axis=1) & ((whole[:, 1] * whole[:, 2]).sum(1) == 0)
    away = np.abs(_ends(steps - whole, last)).max(axis=(1, 2))
    limits = np.array(volume.shape) - 0.5
    low, high = ends.min(axis=1), ends.max(axis=1)
    normals = np.abs(np.cross(steps[:, 1], steps[:, 2]))
    return Placement(
        steps=steps,
        on_grid=is_aligned & (away <= _ON_GRID),
        covered=((low >= -0.5 - _TIE) & (high <= limits + _TIE)).all(axis=1),
        touched=((high >= -0.5) & (low <= limits)).all(axis=1),
        across=normals.argmax(axis=1),
    )


def _steps(volume: Volume, planes: Sequence[ImagePlane]) -> np.ndarray:
    positions = np.array([plane.position for plane in planes]).reshape(-1, 3)
    directions = np.array([plane.orientation for plane in planes]).reshape(-1, 2, 3)
    spacings = np.array([plane.pixel_spacing for plane in planes]).reshape(-1, 2)
    turn, move = volume.to_voxel[:3, :3], volume.to_voxel[:3, 3]
    along = directions * spacings[:, ::-1, None] @ turn.T
    return np.concatenate([(positions @ turn.T + move)[:, None], along], axis=1)


def _ends(steps: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Voxels of the four corner pixels, ``[n, 4, 3]``."""
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * last[:, None]
    return steps[:, :1] + corners @ steps[:, 1:]


def sample(
    volume: Volume, steps: np.ndarray, size: tuple[int, int], *, on_grid: bool
) -> np.ndarray:
    """The label at each pixel of a frame: the voxel that is there, or the nearest.

    Args:
      volume: The volume.
      steps: ``[3, 3]``, of a `Placement`.
      size: Rows and columns of the frame.
      on_grid: Of the `Placement`.

    Returns:
      Unsigned ``[rows, columns]``. What the volume does not cover makes no sense.
    """
    steps = np.rint(steps) if on_grid else steps
    columns, rows = np.arange(size[1])[None], np.arange(size[0])[:, None]
    found, inside = [], np.ones((1, 1), bool)
    for axis, length in enumerate(volume.labels.shape):
        first, by_column, by_row = steps[:, axis]
        # Where a step is zero, all rows or columns share one index.
        at = np.full((1, 1), first)
        at = at + by_column * columns if by_column else at
        at = at + by_row * rows if by_row else at
        index = np.ceil(at - 0.5 - _TIE).astype(np.int64)
        # The lower half of the first voxel is midway to none before it.
        index = index.clip(0, volume.shape[axis] - 1) - volume.start[axis]
        here = (index >= 0) & (index < length)
        if not here.any():  # as for most of the slices of a small organ
            return np.zeros(size, volume.labels.dtype)
        inside = inside & here
        found.append(index.clip(0, length - 1))
    return volume.labels[tuple(found)] * inside
