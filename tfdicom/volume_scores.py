"""``Evaluation``: collects masks slice by slice, stacks them to volumes, scores these.

No TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfdicom import volume_measures
from tfdicom.evaluation_result import (
    BOTH_EMPTY,
    NOT_ANNOTATED,
    PREDICTION_EMPTY,
    TRUTH_EMPTY,
    EvaluationResult,
    VolumeScore,
)
from tfdicom.input_options import UNKNOWN
from tfdicom.volume_measures import SliceGrid


class _Volume(NamedTuple):
    """What the slices of a volume have in common."""

    patient: str
    series: str
    acquisition_group: int
    phase_index: int
    rater: str


@dataclasses.dataclass(frozen=True)
class _Slice:
    """One frame, packed: all masks of a data set stay in memory.

    Attributes:
      index: Place among the slices of the series; -1 if unknown.
      position: Along the normal, mm; NaN if unknown.
      distance: Usual distance of slices, mm; NaN if unknown.
      spacing: Between rows, between columns, mm; NaN if unknown.
      shape: Rows, columns.
      annotated: Of each class.
      data: Bits of predictions, then of truths, class by class; zlib.
    """

    index: int
    position: float
    distance: float
    spacing: tuple[float, float]
    shape: tuple[int, int]
    annotated: tuple[bool, ...]
    data: bytes

    def masks(self) -> np.ndarray:
        """Predictions and truths, bool ``[2, classes, rows, columns]``."""
        shape = (2, len(self.annotated), *self.shape)
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        return np.unpackbits(bits, count=math.prod(shape)).reshape(shape).view(bool)


class Evaluation:
    """Collects masks slice by slice, in any order, and scores the volumes.

    Slices of one patient, series, orientation, phase and rater are a volume.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        """Begins with nothing.

        Args:
          classes: Names of the last axis of the masks.

        Raises:
          ModuleNotFoundError: scipy is not installed; says how to.
          ValueError: There is no class, or one twice.
        """
        names = () if isinstance(classes, str) else tuple(classes)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"classes={classes!r}: a list of names is wanted")
        volume_measures.load_scipy()
        self._classes = names
        self._volumes: dict[_Volume, dict[tuple[int, str], _Slice]] = {}

    def update(
        self, prediction: Sequence[Any], truth: Sequence[Any], info: Mapping[str, Any]
    ) -> None:
        """Adds a batch.

        Args:
          prediction: For each example a mask on the source's grid, as `to_source_grid`
            gives them: bool or integer 0 and 1, ``[rows, columns, classes]``.
          truth: The same; 255 where the truth is not known. A class that is 255
            everywhere was not annotated; other pixels of 255 do not count.
          info: The dict that ``input_fn`` gives with ``with_info=True``.

        Raises:
          ValueError: The masks are no such masks, or a slice came before.
        """
        columns = {name: np.asarray(value) for name, value in info.items()}
        for n, (one, other) in enumerate(zip(prediction, truth, strict=True)):
            row = {name: value[n] for name, value in columns.items()}
            self._add(np.asarray(one), np.asarray(other), row)

    def _add(
        self, prediction: np.ndarray, truth: np.ndarray, info: Mapping[str, Any]
    ) -> None:
        rows, columns = (int(length) for length in info["source_size"])
        wanted = (rows, columns, len(self._classes))
        _check_mask("prediction", prediction, wanted, (0, 1))
        _check_mask("truth", truth, wanted, (0, 1, UNKNOWN))
        key, index = info["key"].decode(), int(info["slice_index"])
        volume = self._volumes.setdefault(_volume_of(info), {})
        place = (index, key if index < 0 else "")
        if place in volume:
            raise ValueError(
                f"example {key}: its slice came before; each counts once, so read with "
                "num_epochs=1, and make a new Evaluation for other predictions"
            )
        volume[place] = _Slice(
            index=index,
            position=_along_normal(info["position"], info["orientation"]),
            distance=float(info["slice_spacing"]),
            spacing=(float(info["spacing"][0]), float(info["spacing"][1])),
            shape=(rows, columns),
            annotated=tuple((truth != UNKNOWN).any(axis=(0, 1)).tolist()),
            data=_packed(prediction, truth),
        )

    def result(self) -> EvaluationResult:
        """The scores of what was added so far."""
        rows: list[VolumeScore] = []
        for volume in sorted(self._volumes):
            slices = [one for _, one in sorted(self._volumes[volume].items())]
            rows += _scores(volume, slices, self._classes)
        return EvaluationResult(self._classes, tuple(rows))


def _check_mask(
    name: str, mask: np.ndarray, shape: tuple[int, ...], values: tuple[int, ...]
) -> None:
    if mask.shape != shape:
        raise ValueError(
            f"{name}: the mask's shape is {mask.shape} and the source's {shape} (rows, "
            "columns, classes); to_source_grid brings it there"
        )
    if mask.dtype.kind not in "biu" or not np.isin(mask, values).all():
        raise ValueError(
            f"{name}: bool or integers {', '.join(map(str, values))} are wanted; got "
            f"{mask.dtype} from {mask.min()} to {mask.max()}"
        )


def _packed(prediction: np.ndarray, truth: np.ndarray) -> bytes:
    both = np.stack([(prediction == 1) & (truth != UNKNOWN), truth == 1])
    return zlib.compress(np.packbits(np.moveaxis(both, -1, 1)).tobytes(), 1)


def _volume_of(info: Mapping[str, Any]) -> _Volume:
    return _Volume(
        patient=info["patient"].decode(),
        series=info["series"].decode(),
        acquisition_group=int(info["acquisition_group"]),
        phase_index=int(info["phase_index"]),
        rater=info["rater"].decode(),
    )


def _along_normal(position: np.ndarray, orientation: np.ndarray) -> float:
    """Place along the normal (PS3.3 C.7.6.2.1.1), mm; NaN if unknown."""
    row, column = np.asarray(orientation, np.float64).reshape(2, 3)
    return float(np.cross(row, column) @ np.asarray(position, np.float64))


def _scores(
    volume: _Volume, slices: Sequence[_Slice], classes: Sequence[str]
) -> Iterator[VolumeScore]:
    """The scores of a volume, class by class."""
    sizes = sorted({one.shape for one in slices})
    if len(sizes) > 1:
        raise ValueError(
            f"series {volume.series}: its slices have {sizes} rows and columns, which "
            "are not of one volume"
        )
    masks = [one.masks() for one in slices]
    missing = volume_measures.missing_between(
        np.array([one.index for one in slices]),
        np.array([one.position for one in slices]),
    )
    for place, name in enumerate(classes):
        chosen = [n for n, one in enumerate(slices) if one.annotated[place]]
        pair = np.zeros((2, len(chosen), *slices[0].shape), bool)
        for at, n in enumerate(chosen):
            pair[:, at] = masks[n][:, place]
        counted = [slices[n] for n in chosen]
        gaps = int(missing[chosen[0] : chosen[-1]].sum()) if chosen else 0
        grid = _grid(counted, _beside(slices, chosen, missing))
        row = _score(volume, name, pair, grid)
        left = len(slices) - len(chosen)
        yield dataclasses.replace(row, not_annotated=left, gaps=gaps)


def _score(
    volume: _Volume,
    name: str,
    pair: np.ndarray,
    grid: SliceGrid,
) -> VolumeScore:
    """From prediction and truth, bool ``[2, slices, rows, columns]``.

    Nothing is left out and nothing is missing, as far as it can know.
    """
    prediction, truth = pair
    volumes = [
        volume_measures.volume_ml(mask, grid) if len(mask) else math.nan
        for mask in pair
    ]
    return VolumeScore(
        **volume._asdict(),
        class_name=name,
        dice=volume_measures.dice(prediction, truth),
        hd95_mm=volume_measures.hausdorff(prediction, truth, grid),
        volume_ml=volumes[0],
        truth_volume_ml=volumes[1],
        slices=len(truth),
        not_annotated=0,
        gaps=0,
        status=_status(prediction, truth),
    )


def _status(prediction: np.ndarray, truth: np.ndarray) -> str:
    if not len(truth):
        return NOT_ANNOTATED
    found, there = prediction.any(), truth.any()
    if found and there:
        return ""
    if found:
        return TRUTH_EMPTY
    return PREDICTION_EMPTY if there else BOTH_EMPTY


def _beside(
    slices: Sequence[_Slice], chosen: Sequence[int], missing: np.ndarray
) -> np.ndarray:
    """Whether each chosen slice and the next are neighbours: bool ``[chosen - 1]``."""
    steps = np.diff([slices[n].index for n in chosen])
    return (steps == 1) & (missing[np.array(chosen[:-1], np.int64)] == 0)


def _grid(slices: Sequence[_Slice], beside: np.ndarray) -> SliceGrid:
    """Where the slices are, and how much of the normal each stands for.

    Half of the way to each neighbour; where the next slice is not there, half of the
    usual distance.
    """
    positions = np.array([one.position for one in slices])
    usual = np.array([one.distance for one in slices])
    ways = np.abs(np.diff(positions))
    before, after = usual.copy(), usual.copy()
    before[1:] = np.where(beside, ways, usual[1:])
    after[:-1] = np.where(beside, ways, usual[:-1])
    spacing = slices[0].spacing if slices else (math.nan, math.nan)
    return SliceGrid(spacing, positions, (before + after) / 2)
