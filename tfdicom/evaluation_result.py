"""What an evaluation found: a row for each volume and class, means, CSV, a table."""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import math
import os
import statistics
from collections.abc import Iterable, Sequence

from tfdicom import files

#: What a row can say of itself; the empty text: nothing special.
NOT_ANNOTATED = "not_annotated"
BOTH_EMPTY = "both_empty"
PREDICTION_EMPTY, TRUTH_EMPTY = "prediction_empty", "truth_empty"

_HEAD = (
    *("patient", "series", "phase", "class", "Dice", "HD95 mm"),
    *("volume ml", "truth ml", "slices", "remarks"),
)
_MEANS = "mean +- standard deviation over patients (how many):"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeScore:
    """One class in one volume.

    Attributes:
      patient: Pseudonym of the patient.
      series: Pseudonym of the series.
      acquisition_group: Its part of one orientation and spacing; -1 if absent.
      phase_index: Place in time, from 0; -1 if absent.
      rater: Who drew the truth; empty if absent.
      class_name: The class.
      dice: 0 to 1; NaN where both are empty.
      hd95_mm: 95th percentile of the distances between the surfaces, mm; NaN where one
        of both is empty, or a distance is unknown.
      volume_ml: Of the prediction on the slices that count, ml; NaN where unknown.
      truth_volume_ml: Of the truth on the same slices.
      slices: Slices that count: those on which the class was annotated.
      not_annotated: Slices that were left out, as it was not.
      gaps: Slices that are missing between the first and the last that count: those
        of which there is no example, so none that is in ``not_annotated``.
      status: Empty, ``not_annotated``, ``both_empty``, ``prediction_empty`` or
        ``truth_empty``.
    """

    patient: str
    series: str
    acquisition_group: int
    phase_index: int
    rater: str
    class_name: str
    dice: float
    hd95_mm: float
    volume_ml: float
    truth_volume_ml: float
    slices: int
    not_annotated: int
    gaps: int
    status: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMean:
    """One class over all patients.

    A patient counts once: as the mean of their volumes for which there is a number.
    Deviations are those of a sample (n - 1); NaN for fewer than two patients.

    Attributes:
      dice: Mean; NaN if there is none.
      dice_deviation: Standard deviation among patients.
      dice_patients: Patients that have a Dice.
      hd95_mm: Mean, mm.
      hd95_deviation: Standard deviation, mm.
      hd95_patients: Patients that have such a distance: fewer where a prediction is
        empty, which makes the mean look better than it is.
      volume_error_ml: Mean of prediction - truth, ml.
      volume_error_deviation: Standard deviation, ml.
      volume_patients: Patients that have both volumes.
      volumes: Volumes on which the class was annotated.
      both_empty: Of these, volumes without the class, and none was predicted.
      prediction_empty: Volumes in which nothing was predicted and something is there.
      truth_empty: Volumes in which something was predicted and nothing is there.
    """

    dice: float
    dice_deviation: float
    dice_patients: int
    hd95_mm: float
    hd95_deviation: float
    hd95_patients: int
    volume_error_ml: float
    volume_error_deviation: float
    volume_patients: int
    volumes: int
    both_empty: int
    prediction_empty: int
    truth_empty: int


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """Scores in a fixed order: patient, series, group, phase, rater, class.

    ``str()`` is a table for people, `to_csv` one for programs.
    """

    classes: tuple[str, ...]
    rows: tuple[VolumeScore, ...]

    def mean(self) -> dict[str, ClassMean]:
        """Each class over all patients."""
        return {
            name: _class_mean([row for row in self.rows if row.class_name == name])
            for name in self.classes
        }

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes the rows, a column for each field; what is NaN is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [field.name for field in dataclasses.fields(VolumeScore)]
        writer.writerow(names)
        for row in self.rows:
            writer.writerow(_cell(getattr(row, name)) for name in names)
        files.write_text(files.path_of(path), text.getvalue())

    def __str__(self) -> str:
        """The rows as a table, and the mean of each class under it."""
        table = _aligned([_HEAD, *map(_words, self.rows)])
        means = (f"{name}: {_sentence(one)}" for name, one in self.mean().items())
        return "\n".join([*table, "", _MEANS, *means])


def _cell(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _class_mean(rows: Sequence[VolumeScore]) -> ClassMean:
    counts = collections.Counter(row.status for row in rows)
    dice = _over_patients((row.patient, row.dice) for row in rows)
    distance = _over_patients((row.patient, row.hd95_mm) for row in rows)
    error = _over_patients(
        (row.patient, row.volume_ml - row.truth_volume_ml) for row in rows
    )
    return ClassMean(
        dice=dice[0],
        dice_deviation=dice[1],
        dice_patients=dice[2],
        hd95_mm=distance[0],
        hd95_deviation=distance[1],
        hd95_patients=distance[2],
        volume_error_ml=error[0],
        volume_error_deviation=error[1],
        volume_patients=error[2],
        volumes=len(rows) - counts[NOT_ANNOTATED],
        both_empty=counts[BOTH_EMPTY],
        prediction_empty=counts[PREDICTION_EMPTY],
        truth_empty=counts[TRUTH_EMPTY],
    )


def _over_patients(values: Iterable[tuple[str, float]]) -> tuple[float, float, int]:
    """Mean and deviation of the patients' means, and the number of patients."""
    by_patient: dict[str, list[float]] = {}
    for patient, value in values:
        if not math.isnan(value):
            by_patient.setdefault(patient, []).append(value)
    means = [statistics.fmean(some) for some in by_patient.values()]
    mean = statistics.fmean(means) if means else math.nan
    deviation = statistics.stdev(means) if len(means) > 1 else math.nan
    return mean, deviation, len(means)


def _words(row: VolumeScore) -> tuple[str, ...]:
    remarks = [row.status.replace("_", " ")] if row.status else []
    remarks += [f"{row.gaps} missing"] if row.gaps else []
    if row.not_annotated and row.slices:
        remarks.append(f"{row.not_annotated} not annotated")
    remarks += [f"rater {row.rater[:8]}"] if row.rater else []
    phase = "-" if row.phase_index < 0 else str(row.phase_index)
    return (
        *(row.patient[:8], row.series[:8], phase, row.class_name),
        *(_number(row.dice, 3), _number(row.hd95_mm, 2)),
        *(_number(row.volume_ml, 2), _number(row.truth_volume_ml, 2)),
        *(str(row.slices), ", ".join(remarks)),
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _sentence(one: ClassMean) -> str:
    parts = [
        f"Dice {_spread(one.dice, one.dice_deviation, 3)} ({one.dice_patients})",
        f"HD95 {_spread(one.hd95_mm, one.hd95_deviation, 2)} mm ({one.hd95_patients})",
        f"volume - truth {_spread(one.volume_error_ml, one.volume_error_deviation, 2)} "
        f"ml ({one.volume_patients})",
        f"{one.volumes} volumes",
    ]
    for name in (PREDICTION_EMPTY, TRUTH_EMPTY, BOTH_EMPTY):
        if getattr(one, name):
            parts.append(f"{getattr(one, name)} {name.replace('_', ' ')}")
    return ", ".join(parts)


def _spread(mean: float, deviation: float, digits: int) -> str:
    return f"{_number(mean, digits)} +- {_number(deviation, digits)}"
