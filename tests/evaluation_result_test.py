import csv
import dataclasses
import math
import sys

import pytest

from tfdicom.evaluation_result import EvaluationResult, VolumeScore

NAN = math.nan


def _row(patient="p", class_name="inner", dice=0.5, hd95=2.0, volumes=(3.0, 2.0), **f):
    fields = {"series": "s", "acquisition_group": 0, "phase_index": -1, "rater": ""}
    fields |= {"slices": 4, "not_annotated": 0, "gaps": 0, "status": "", **f}
    return VolumeScore(
        patient=patient,
        class_name=class_name,
        dice=dice,
        hd95_mm=hd95,
        volume_ml=volumes[0],
        truth_volume_ml=volumes[1],
        **fields,
    )


ROWS = (
    _row("p", dice=0.8, hd95=1.0, volumes=(3.0, 2.0)),
    _row("p", dice=0.6, hd95=NAN, volumes=(6.0, 2.0), phase_index=4),
    _row("q", dice=0.5, hd95=5.0, volumes=(1.0, 3.5), gaps=2, not_annotated=3),
    _row("r", dice=0.0, hd95=NAN, volumes=(NAN, NAN), status="prediction_empty"),
    _row("r", dice=NAN, hd95=NAN, volumes=(0, 0), status="both_empty", rater="anna"),
    _row("q", "outer", NAN, NAN, (NAN, NAN), slices=0, status="not_annotated"),
)
RESULT = EvaluationResult(("inner", "outer"), ROWS)


def test_each_patient_counts_once():
    inner = RESULT.mean()["inner"]
    dice = [0.7, 0.5, 0.0]
    assert inner.dice == pytest.approx(sum(dice) / 3)
    assert inner.dice_deviation == pytest.approx(math.sqrt(0.13))
    assert inner.dice_patients == 3
    assert (inner.hd95_mm, inner.hd95_patients) == (3.0, 2)
    assert inner.hd95_deviation == pytest.approx(math.sqrt(8))
    error = [2.5, -2.5, 0.0]
    assert inner.volume_error_ml == pytest.approx(sum(error) / 3)
    assert inner.volume_error_deviation == pytest.approx(2.5)
    assert inner.volume_patients == 3
    assert (inner.volumes, inner.prediction_empty) == (5, 1)
    assert (inner.both_empty, inner.truth_empty) == (1, 0)


def test_of_nothing_there_is_no_mean():
    outer = RESULT.mean()["outer"]
    assert math.isnan(outer.dice) and math.isnan(outer.hd95_deviation)
    assert (outer.dice_patients, outer.volumes) == (0, 0)
    one = EvaluationResult(("inner",), ROWS[:1]).mean()["inner"]
    assert one.dice == 0.8 and math.isnan(one.dice_deviation)


def test_csv_holds_every_field(tmp_path):
    path = tmp_path / "scores.csv"
    RESULT.to_csv(path)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(ROWS)
    for line, row in zip(found, ROWS, strict=True):
        for name, value in dataclasses.asdict(row).items():
            if isinstance(value, float) and math.isnan(value):
                assert line[name] == ""
            else:
                assert type(value)(line[name]) == value
    first = path.read_bytes()
    RESULT.to_csv(str(path))
    assert path.read_bytes() == first and b"\r" not in first
    assert [one.name for one in tmp_path.iterdir()] == ["scores.csv"]


def test_a_person_can_read_it():
    lines = str(RESULT).splitlines()
    assert lines[0].split("  ")[0] == "patient"
    at = lines[0].index("Dice")
    cells = [line[at:].split()[0] for line in lines[1:7]]
    assert cells == ["0.800", "0.600", "0.500", "0.000", "-", "-"]
    assert "2 missing, 3 not annotated" in lines[3]
    assert lines[4].endswith("prediction empty")
    assert lines[5].endswith("both empty, rater anna")
    assert lines[6].endswith("  0       not annotated")
    assert lines[7] == ""
    assert lines[8].startswith("mean +- standard deviation over patients")
    assert lines[9] == (
        "inner: Dice 0.400 +- 0.361 (3), HD95 3.00 +- 2.83 mm (2), volume - truth 0.00 "
        "+- 2.50 ml (3), 5 volumes, 1 prediction empty, 1 both empty"
    )
    assert lines[10].startswith("outer: Dice - +- - (0)")


def test_nothing_is_a_result_too():
    empty = EvaluationResult(("inner",), ())
    assert empty.mean()["inner"].volumes == 0
    assert str(empty).startswith("patient  series")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
