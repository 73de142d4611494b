import dataclasses
import re
import shutil
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import deidentify, example_history, explanation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A source, its data set and the key, which was made for it."""
    folder = tmp_path_factory.mktemp("explain")
    source = source_folders.write_folder(folder / "in")
    key = folder / "keys" / "id.key"
    source_folders.convert(source.root, folder / "out", id_key_file=str(key))
    return source, folder / "out", key


def _example(source, output):
    """The first image of the first patient: it has both contours."""
    pixels = source_folders.draw_pixels(source.patients[0], 1)
    return source_folders.example_of(output, pixels)


def test_with_the_key_files_are_named(made):
    source, output, key = made
    example = _example(source, output)
    text = explanation.explain(output, example.key[:12], str(key))
    patient = source.patients[0]
    assert f"patient   {patient} ({example.patient})" in text
    for path in (
        source.image(patient, 1),
        source.contour(patient, 1),
        source.contour(patient, 1, "o"),
    ):
        assert path.relative_to(source.root).as_posix() in text
    assert "names     none" not in text


def test_it_says_rules_and_areas(made):
    source, output, key = made
    example = _example(source, output)
    text = explanation.explain(output, example.key, str(key))
    assert "edge rule half_covered" in text
    assert "contour origin center1 (shift -1, -1)" in text
    exact = 36 / 2 * np.sin(2 * np.pi / 36) * 5.2**2
    area = example.pixel_count[0] * 1.5 * 1.25
    figures = f"{example.pixel_count[0]} pixels ({area:.4g} mm2)"
    assert f"class     inner: {figures}, contours" in text
    assert re.search(
        r"outline   inner: 36 vertices, CLOSED_PLANAR, encloses 8[34]\.\d pixels, \d+ "
        "pixel centres on its path",
        text,
    )
    assert f"enclose {exact:.1f}"[:-2] in text


def test_dropped_contours_of_the_image_are_named(tmp_path):
    source = source_folders.write_folder(tmp_path / "in", outer=2)
    patient, other = source.patients[:2]
    for owner, number in ((patient, 1), (patient, 2), (other, 1)):
        source.contour(owner, number, "o").write_text("1 1\n2 2\n")
    source_folders.write_contour(source.contour(patient, 9), source.inner(patient, 1))
    key = tmp_path / "id.key"
    source_folders.convert(source.root, tmp_path / "out", id_key_file=str(key))
    pixels = source_folders.draw_pixels(source.patients[-1], 1)
    whole = source_folders.example_of(tmp_path / "out", pixels)
    text = explanation.explain(
        tmp_path / "out", _example(source, tmp_path / "out").key, str(key)
    )
    here, unplaced, elsewhere = (
        one for one in text.splitlines() if one.startswith("dropped")
    )
    name = source.contour(patient, 1, "o").relative_to(source.root).as_posix()
    assert here.startswith(f"dropped   of this image, contour {name} (")
    assert "contour_too_short. A contour of fewer than three points" in here
    assert "an image that is not known, contour" in unplaced and "0009-i" in unplaced
    assert elsewhere == "dropped   1 on other images of this patient"
    text = explanation.explain(tmp_path / "out", whole.key, str(key))
    assert "\ndropped" not in text


def test_what_a_policy_left_out_of_the_image_is_named(tmp_path):
    source = source_folders.write_folder(tmp_path / "in")
    patient = source.patients[0]
    images = [source.image(patient, number) for number in (1, 2)]
    for name, date in (("old.dcm", "20100101"), ("new.dcm", "20200101")):
        outlines = {"Heart": source.inner(patient, 1)}
        source_folders.write_structure_set(
            source.root / name, images, outlines, StructureSetDate=date
        )
    options = {"classes": "heart", "split": "train:1"}
    key = tmp_path / "id.key"
    source_folders.convert(
        source.root, tmp_path / "out", id_key_file=str(key), **options
    )
    example = _example(source, tmp_path / "out")
    lines = explanation.explain(tmp_path / "out", example.key, str(key)).splitlines()
    found = sorted(one for one in lines if one.startswith(("left out", "dropped")))
    names = ["old.dcm#1.1"]
    for structure in "io":
        contour = source.contour(patient, 1, structure)
        names.append(contour.relative_to(source.root).as_posix())
    assert len(found) == 3
    for name, reason in zip(
        names, ("annotated_again_later", *["structure_not_used"] * 2), strict=True
    ):
        (line,) = (one for one in found if f"contour {name} (" in one)
        assert line.startswith("left out  of this image, ")
        assert f"): {reason}. " in line


def test_without_the_key_pseudonyms_are_shown(made, monkeypatch, tmp_path):
    source, output, _ = made
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    example = _example(source, output)
    text = explanation.explain(output, example.key)
    assert example.patient in text and "names     none" in text
    assert source.patients[0] not in text and ".dcm" not in text
    deidentify.load_pseudonyms(None)  # a key of one's own, and another
    assert explanation.explain(output, example.key) == text


def test_data_set_that_was_moved(made, tmp_path):
    source, output, key = made
    moved = tmp_path / "another"
    shutil.copytree(output, moved)
    example = _example(source, output)
    text = explanation.explain(moved, example.key, str(key))
    assert f"patient   {source.patients[0]} ({example.patient})" in text
    assert text == explanation.explain(output, example.key, str(key))
    (walk,) = key.parent.glob("crosswalk-*.csv")
    assert explanation.explain(moved, example.key, crosswalk=str(walk)) == text
    # Neither an empty one nor one of other files is asked for names.
    other = tmp_path / "walk.csv"
    deidentify.write_crosswalk(other, [("0" * 32, "1" * 32, "X", "y.dcm")])
    text = explanation.explain(moved, example.key, crosswalk=str(other))
    assert (
        "from walk.csv, which does not know 3 of 3 files; is it another data set's?"
        in text
    )
    other.write_text("a,b\n")
    with pytest.raises(ValueError, match=r"walk\.csv is none: its header should be"):
        explanation.explain(moved, example.key, crosswalk=str(other))
    with pytest.raises(ValueError, match="No such file"):
        explanation.explain(moved, example.key, crosswalk=str(tmp_path / "no.csv"))


def test_class_that_was_not_annotated(made):
    source, output, key = made
    pixels = source_folders.draw_pixels(source.patients[0], 2)
    example = source_folders.example_of(output, pixels)
    text = explanation.explain(output, example.key, str(key))
    assert "class     outer: not annotated" in text


def test_compressed_shards(made, tmp_path):
    source, output, _ = made
    source_folders.convert(source.root, tmp_path / "out", compression="zlib")
    example = _example(source, tmp_path / "out")
    text = explanation.explain(tmp_path / "out", example.key, "public")
    assert f"example   {example.key}" in text


def test_what_is_refused(made, tmp_path):
    source, output, _ = made
    with pytest.raises(ValueError, match="no example of .* has a key like that"):
        explanation.explain(output, "zz")
    with pytest.raises(ValueError, match="6 examples have such a key"):
        explanation.explain(output, "")
    key = _example(source, output).key
    with pytest.raises(ValueError, match="was made with another key"):
        explanation.explain(output, key, "public")
    with pytest.raises(ValueError, match="does not exist"):
        explanation.explain(output, key, str(tmp_path / "no.key"))


SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])


@pytest.mark.parametrize(("rule", "area"), [("nested", 100 - 16 + 1), ("union", 100)])
def test_holes_and_islands(made, rule, area):
    source, output, _ = made
    outlines = [SQUARE, 3 + SQUARE * 0.4, 4 + SQUARE * 0.1]
    example = dataclasses.replace(
        _example(source, output),
        contour_points=tuple(np.concatenate(outlines).ravel()),
        contour_lengths=(4, 4, 4),
        contour_structures=("a", "a", "a"),
        hole_rule=rule,
    )
    assert example_history.contour_areas(example)["a"] == pytest.approx(area)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
