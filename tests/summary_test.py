import shutil
import sys

import pytest

from tests import source_folders
from tfdicom import conversion, summary
from tfdicom.convert_options import ConvertOptions
from tfdicom.reasons import FINDINGS, REASONS


@pytest.fixture
def result(source, tmp_path):
    """Three patients; one contour is empty, one leaves the image."""
    first, second, _ = source.patients
    source.contour(first, 1, "o").write_text("")
    source.contour(second, 1, "o").write_text("-5 5\n20 5\n20 25\n")
    split = f"train:{first}+{second},test:{source.patients[2]}"
    return source_folders.convert(
        source.root, tmp_path / "out", split=split, num_shards=1
    )


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_split_table(result):
    found = rows(summary.describe(result.manifest))
    assert found[0] == [
        *("split", "patients", "examples", "inner", "outer", "shards", "MB")
    ]
    assert found[1] == ["train", "2", "4", "4/4", "1/1", "1", "0.0"]
    assert found[2] == ["test", "1", "2", "2/2", "1/1", "1", "0.0"]


def test_file_table_adds_up(result):
    found = rows(summary.describe(result.manifest))
    at = found.index(["files", "found", "converted", "skipped", "left", "out"])
    assert found[at + 1] == ["image", "9", "6", "0", "3"]
    assert found[at + 2] == ["contour", "9", "8", "1", "0"]


def test_reasons_and_findings_in_words(result):
    text = summary.describe(result.manifest)
    empty, none = REASONS["contour_empty"], REASONS["no_annotation"]
    assert f"1 skipped: contour_empty. {empty.sentence}" in text
    assert f"3 left out: no_annotation. {none.sentence}" in text
    finding = FINDINGS["contour_leaves_image"]
    assert f"1 converted with contour_leaves_image. {finding}" in text


def test_frames_and_masks(result):
    text = summary.describe(result.manifest)
    line = next(one for one in text.splitlines() if one.startswith("test "))
    assert line.split()[1:] == ["1", "2", "2/2", "1/1", "1", "0.0"]
    assert "2 MR 40x48x1 int16, 1.25 to 1.5 mm, values " in text
    assert "half_covered, contour origin center1 (shift -1, -1)" in text


def test_objects_have_a_hole_rule_and_no_origin(source, tmp_path):
    shutil.rmtree(source.root / "contourfiles")
    for patient in source.patients:
        images, name = [source.image(patient, 1)], f"{patient}.dcm"
        heart = {"Heart": source.inner(patient, 1)}
        source_folders.write_structure_set(source.root / name, images, heart)
    result = source_folders.convert(source.root, tmp_path / "out", classes="heart")
    text = summary.describe(result.manifest)
    assert "from rtstruct, edge rule auto, hole rule nested\n" in text
    found = rows(text)
    at = found.index(["files", "found", "converted", "skipped", "left", "out"])
    # The slices beside the one that is drawn on are examples of absence.
    assert found[at + 1] == ["image", "9", "9", "0", "0"]
    assert found[at + 2] == ["contour", "3", "3", "0", "0"]
    assert found[at + 3] == ["object", "3", "3", "0", "0"]


def test_derived_classes_are_explained(source, tmp_path):
    result = source_folders.convert(
        source.root, tmp_path / "out", classes="inner;myo=outer-inner"
    )
    assert "inner, myo = outer-inner" in summary.describe(result.manifest)


def test_end_of_a_conversion_names_files_and_what_comes_next(result, tmp_path):
    options = ConvertOptions(output_dir=str(tmp_path / "out"))
    text = conversion.conversion_summary(result, options)
    assert "contourfiles/SC-HF-I-1/o-contours/IM-0001-0001-ocontour-manual.txt" in text
    assert f"6 examples in {tmp_path}/out, " in text
    assert f"tfdicom_inspect show --data_dir={tmp_path}/out" in text
    assert "crosswalk" not in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
