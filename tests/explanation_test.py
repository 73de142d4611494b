import dataclasses
import re
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import deidentify, explanation


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


def test_dropped_contours_of_the_patient_are_named(tmp_path):
    source = source_folders.write_folder(tmp_path / "in")
    patient, other = source.patients[:2]
    for owner in (patient, other):
        source.contour(owner, 1, "o").write_text("1 1\n2 2\n")
    key = tmp_path / "id.key"
    source_folders.convert(source.root, tmp_path / "out", id_key_file=str(key))
    pixels = source_folders.draw_pixels(source.patients[-1], 1)
    whole = source_folders.example_of(tmp_path / "out", pixels)
    text = explanation.explain(
        tmp_path / "out", _example(source, tmp_path / "out").key, str(key)
    )
    (line,) = (one for one in text.splitlines() if one.startswith("dropped"))
    name = source.contour(patient, 1, "o").relative_to(source.root).as_posix()
    assert line.startswith(f"dropped   of this patient, contour {name} (")
    assert "contour_too_short. A contour of fewer than three points" in line
    text = explanation.explain(tmp_path / "out", whole.key, str(key))
    assert "dropped" not in text


def test_without_the_key_pseudonyms_are_shown(made, monkeypatch, tmp_path):
    source, output, _ = made
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    example = _example(source, output)
    text = explanation.explain(output, example.key)
    assert example.patient in text and "names     none" in text
    assert source.patients[0] not in text and ".dcm" not in text
    deidentify.load_pseudonyms(None)  # a key of one's own, and another
    assert explanation.explain(output, example.key) == text


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
    assert explanation.contour_areas(example)["a"] == pytest.approx(area)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
