import shutil
import sys
import zlib

import numpy as np
import pydicom
import pytest

from tests import source_folders
from tfdicom import manifest
from tfdicom.version import VERSION


@pytest.mark.parametrize(
    ("split", "recorded"),
    [
        ("train", "train"),
        ("train:0.5,test:0.5", "train:0.5,test:0.5"),
        ("train: 0.5, test: 5e-1", "train: 0.5, test: 5e-1"),
        ("train:SCD0000101,test:SCD0000201", "by name"),
    ],
)
def test_split_is_recorded_without_names_of_patients(source, tmp_path, split, recorded):
    source_folders.convert(source.root, tmp_path / "out", split=split)
    assert manifest.load_manifest(tmp_path / "out").options["split"] == recorded
    assert "SCD" not in (tmp_path / "out" / "dataset.json").read_text()


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ({}, {"edge_rule": "half_covered", "contour_origin": "center1"}),
        ({"edge_rule": "center"}, {"edge_rule": "center"}),
        ({"contour_origin": "0,1"}, {"contour_origin": "0,1", "contour_shift": [0, 1]}),
        ({"covered_fraction": True}, {"covered_fraction": True}),
        ({"folds": 3}, {"split": "3 folds"}),
        ({"patient_from": "folder:dicoms/([^/]+)"}, {"patient_from": "folder"}),
        ({}, {"identifiers": "public", "layout": "sunnybrook"}),
        ({}, {"annotations": "contours", "several_annotations": "newest"}),
        ({"hole_rule": "xor"}, {"hole_rule": "xor", "fractional_threshold": None}),
        ({"fractional_threshold": 0.25}, {"fractional_threshold": 0.25}),
        (
            {"include_unannotated": "neighbours", "several_annotations": "raters"},
            {"include_unannotated": "neighbours", "several_annotations": "raters"},
        ),
    ],
)
def test_options_that_shape_the_records(source, tmp_path, given, recorded):
    split = "train:0.7,validation:0.15,test:0.15"
    source_folders.convert(source.root, tmp_path / "out", **{"split": split, **given})
    options = manifest.load_manifest(tmp_path / "out").options
    assert recorded.items() <= options.items()
    for name, value in options.items():
        assert str(tmp_path) not in f"{name}{value}"


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        # Which rule auto comes to depends on the ROI.
        ({}, ("rtstruct", "auto", "")),
        ({"edge_rule": "inside"}, ("rtstruct", "inside", "")),
        ({"text": True}, ("contours+rtstruct", "auto", "center1")),
    ],
)
def test_options_of_a_data_set_with_objects(source, tmp_path, given, recorded):
    given = dict(given)
    if not given.pop("text", False):
        shutil.rmtree(source.root / "contourfiles")
    for patient in source.patients:
        images, name = [source.image(patient, 3)], f"{patient}.dcm"
        heart = {"Heart": source.inner(patient, 3)}
        source_folders.write_structure_set(source.root / name, images, heart)
    result = source_folders.convert(
        source.root, tmp_path / "out", classes="heart", **given
    )
    options = result.manifest.options
    names = ("annotations", "edge_rule", "contour_origin")
    assert tuple(options[name] for name in names) == recorded
    # On the slices beside the one that is drawn on the ROI is absent.
    assert sum(one.examples for one in result.manifest.splits.values()) == 9


def test_identifiers_by_a_key_of_ones_own(source, tmp_path):
    key = str(tmp_path / "id.key")
    source_folders.convert(source.root, tmp_path / "out", id_key_file=key)
    options = manifest.load_manifest(tmp_path / "out").options
    assert options["identifiers"] == "keyed"
    again = {"overwrite": True, "id_key_file": key}
    source_folders.convert(source.root, tmp_path / "out", **again)
    assert manifest.load_manifest(tmp_path / "out").options == options
    source_folders.convert(source.root, tmp_path / "public")
    public = manifest.load_manifest(tmp_path / "public").options
    assert public["identity_key"] != options["identity_key"]


@pytest.mark.parametrize(
    ("compression", "more"),
    [("none", {}), ("gzip", {"zlib": zlib.ZLIB_RUNTIME_VERSION})],
)
def test_versions_and_classes(source, tmp_path, compression, more):
    result = source_folders.convert(
        source.root,
        tmp_path / "out",
        classes="cavity=inner;myo=outer-inner",
        compression=compression,
    )
    assert result.manifest.versions == {
        "numpy": np.__version__,
        "pydicom": pydicom.__version__,
        "tfdicom": VERSION,
        **more,
    }
    classes = [(one.name, one.expression) for one in result.manifest.classes]
    assert classes == [("cavity", "inner"), ("myo", "outer-inner")]


def test_split_without_patients_stands_in_the_manifest(source, tmp_path):
    split = "a:0.4,b:0.3,c:0.2,d:0.1"
    result = source_folders.convert(source.root, tmp_path / "out", split=split)
    assert list(result.manifest.splits) == ["a", "b", "c", "d"]
    (empty,) = [one for one in result.manifest.splits.values() if not one.examples]
    assert (empty.patients, empty.shards, empty.frames) == ((), (), ())
    assert empty.intensities == {"all": None, "foreground": None}
    assert empty.pixel_spacing is None
    assert empty.classes["inner"] == manifest.ClassFrequency(0, 0, 0)


def test_frames_of_different_kinds_are_counted_apart(source, tmp_path):
    one, two, _ = source.patients
    source_folders.edit(
        source.image(one, 1), pixels=np.arange(64, dtype=np.uint8).reshape(8, 8) // 3
    )
    for code in "io":
        text = source_folders.contour_text(source_folders.disc(4, 4, 2.5))
        source.contour(one, 1, code).write_text(text)
    source_folders.edit(source.image(two, 1), Modality="CT", RescaleType="HU")
    result = source_folders.convert(source.root, tmp_path / "out", split="train")
    kinds = {
        (kind.shape, kind.dtype, kind.modality, kind.units): kind.examples
        for kind in result.manifest.splits["train"].frames
    }
    assert kinds == {
        ((8, 8, 1), "uint8", "MR", None): 1,
        ((40, 48, 1), "int16", "CT", "HU"): 1,
        ((40, 48, 1), "int16", "MR", None): 4,
    }


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
