import csv
import json
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image

from tests import real_data, source_folders, synthetic
from tfdicom import dataset_reading
from tfdicom.export import export

IBSI = real_data.SHARED / "rtstruct" / "ibsi_sts" / "dicom"


def table(out):
    with (out / "examples.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def records(folder):
    return {one.key: one for one in dataset_reading.read_examples(folder)}


@pytest.fixture
def converted(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "d")
    return tmp_path / "d"


@pytest.mark.parametrize("workers", [1, 2])
def test_png_stored_values_and_masks_are_those_of_the_records(
    converted, tmp_path, workers
):
    out = tmp_path / "out"
    result = export(converted, out, image_values="stored", num_workers=workers)
    wanted, rows = records(converted), table(out)
    assert [row["key"] for row in rows] == list(wanted)
    assert (result.examples, result.images, result.masks) == (6, 6, 9)
    for row in rows:
        one = wanted[row["key"]]
        picture = np.asarray(Image.open(out / row["image"]), int)
        np.testing.assert_array_equal(
            picture - int(row["stored_offset"]), one.image[..., 0]
        )
        assert row["patient"] == one.patient
        for name, annotated, mask in zip(
            one.classes, one.annotated, one.masks, strict=True
        ):
            file = row[f"mask {name}"]
            assert bool(file) == bool(annotated)
            if annotated:
                found = np.asarray(Image.open(out / file))
                np.testing.assert_array_equal(found, mask * np.uint8(255))


def test_only_the_splits_that_are_named(converted, tmp_path):
    result = export(converted, tmp_path / "out", "test")
    rows = table(tmp_path / "out")
    assert {row["split"] for row in rows} == {"test"}
    assert result.examples == len(rows) < 6
    assert {one.name for one in (tmp_path / "out").iterdir()} == {
        "test",
        "examples.csv",
    }


@pytest.mark.parametrize("format", ["png", "nifti"])
def test_label_maps(tmp_path, format):
    masks = np.zeros((2, 12, 16), bool)
    masks[0, :5], masks[1, 7:] = True, True
    splits = {"train": {"p": [synthetic.Frame(masks=masks)]}}
    synthetic.write_dataset(tmp_path / "d", splits)
    place(tmp_path / "d")
    export(tmp_path / "d", tmp_path / "out", format=format, mask_form="label_map")
    (row,) = table(tmp_path / "out")
    if format == "png":
        found = np.asarray(Image.open(tmp_path / "out" / row["mask"]))
    else:
        found = nibabel.load(tmp_path / "out" / row["mask"]).get_fdata()[..., 0].T
    np.testing.assert_array_equal(found, masks[0] + 2 * masks[1])
    told = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert told == {"background": 0, "inner": 1, "outer": 2}


def place(folder):
    """Gives the examples of a synthetic data set of one shard a place."""
    import dataclasses

    from tfdicom import example_schema, tfrecord_file

    for path in folder.glob("*.tfrecord"):
        examples = [one for _, one in dataset_reading.shard_examples(path, "none")]
        with path.open("wb") as file:
            writer = tfrecord_file.TFRecordWriter(file)
            for number, one in enumerate(examples):
                one = dataclasses.replace(
                    one,
                    position=(0.0, 0.0, 5.0 * number),
                    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                )
                writer.write(example_schema.encode(one))
            writer.finish()


def test_overlapping_classes_are_no_label_map(converted, tmp_path):
    with pytest.raises(ValueError, match="overlap.*--mask_form=planes"):
        export(converted, tmp_path / "out", mask_form="label_map", num_workers=1)


def test_what_has_no_place_is_no_volume(tmp_path):
    synthetic.write_dataset(tmp_path / "d", {"train": {"p": synthetic.frames(2)}})
    with pytest.raises(
        ValueError, match="nothing could be written; 2 images do not say"
    ):
        export(tmp_path / "d", tmp_path / "out", format="nifti", num_workers=1)


def test_a_folder_that_holds_something_is_left_alone(converted, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        export(converted, tmp_path / "out")


def test_what_does_not_go_together():
    with pytest.raises(ValueError, match="only with format='png'"):
        export("x", "y", format="nifti", image_values="stored")


def test_equal_data_sets_give_equal_files(converted, tmp_path):
    for name in ("a", "b"):
        export(converted, tmp_path / name, format="nifti", num_workers=1)
    names = [one.relative_to(tmp_path / "a") for one in (tmp_path / "a").rglob("*.*")]
    assert len(names) > 3
    for name in names:
        one, other = ((tmp_path / folder / name).read_bytes() for folder in "ab")
        assert one == other


@real_data.needs_shared("rtstruct/ibsi_sts")
@pytest.mark.parametrize("unannotated", ["no", "all"])
def test_volumes_convert_back_to_the_same_masks(tmp_path, unannotated):
    """Structure set -> records -> NIfTI -> records, on CT and MR of patients."""
    options = {"classes": "gtv=.*", "split": "train:0.5,test:0.5"}
    options["include_unannotated"] = unannotated
    source_folders.convert(IBSI, tmp_path / "d", annotations="rtstruct", **options)
    export(tmp_path / "d", tmp_path / "nifti", format="nifti", num_workers=1)
    before = records(tmp_path / "d")
    rows = table(tmp_path / "nifti")
    assert len(rows) == len(before)
    for row in rows:
        one = before[row["key"]]
        image = nibabel.load(tmp_path / "nifti" / row["image"])
        plane = image.dataobj[..., int(row["k"])].T
        values = one.image[..., 0] * one.rescale_slope + one.rescale_intercept
        np.testing.assert_allclose(plane, values)
        np.testing.assert_array_equal(
            np.asarray(image.dataobj.get_unscaled())[..., int(row["k"])].T,
            one.image[..., 0],
        )
    again = tmp_path / "again"
    lines = ["image,mask,class"]
    for folder in IBSI.glob("*/*/image"):
        patient = folder.parent.parent.name
        shutil.copytree(folder, again / patient)
    masks = sorted({row["mask gtv"] for row in rows} - {""})
    assert len(masks) == 2
    for number, mask in enumerate(masks):
        shutil.copy(tmp_path / "nifti" / mask, again / f"{number}.nii.gz")
        (patient,) = (
            p for p in ("STS_025", "STS_042") if lies_on(again / p, mask, rows, before)
        )
        lines.append(f"{patient},{number}.nii.gz,gtv")
    (again / "masks.csv").write_text("\n".join(lines) + "\n")
    source_folders.convert(
        again,
        tmp_path / "e",
        annotations="masks",
        mask_table=str(again / "masks.csv"),
        **options,
    )
    after = records(tmp_path / "e")
    compared = 0
    for key, one in before.items():
        if one.annotated[0]:
            np.testing.assert_array_equal(after[key].masks, one.masks)
            assert after[key].pixels == one.pixels
            compared += bool(one.pixel_count[0])
        elif key in after:
            assert not after[key].annotated[0]
    assert compared > 30


def lies_on(folder, mask, rows, examples):
    """Whether the images of a folder are those under a mask, by their modality."""
    import pydicom

    (modality,) = {
        examples[row["key"]].modality for row in rows if row["mask gtv"] == mask
    }
    image = next(folder.iterdir())
    return pydicom.dcmread(image, stop_before_pixels=True).Modality == modality


def test_command(converted, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tfdicom.inspect_main", "export"]
    command += [f"--data_dir={converted}"]

    def run(*more):
        return subprocess.run(
            [*command, *more],
            cwd=real_data.REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = run(f"--out={out}", "--format=nifti")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{out}: 6 examples in 3 image files" in done.stdout
    assert run().returncode == 2
    assert "is not empty" in run(f"--out={out}").stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
