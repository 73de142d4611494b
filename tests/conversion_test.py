import csv
import hashlib
import itertools
import json
import pathlib
import re
import shutil
import stat
import sys

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw

from tests import real_data, source_folders
from tests.source_folders import convert, example_of, examples
from tfdicom import (
    conversion,
    dataset_index,
    dataset_reading,
    manifest,
    output_folder,
    rasterize,
    shard_results,
    tfrecord_file,
)
from tfdicom.deidentify import load_pseudonyms

needs_sunnybrook = real_data.needs_sunnybrook


def read_files(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def finished(folder):
    """What readers take for a data set; not what is still aside."""
    return {
        name: content
        for name, content in read_files(folder).items()
        if not name.startswith(output_folder.ASIDE)
    }


def statuses(lines):
    """Numbers of ledger lines by kind, status and reason."""
    found = {}
    for line in lines:
        key = line["kind"], line["status"], line.get("reason")
        found[key] = found.get(key, 0) + 1
    return found


def reasons(result):
    return result.ledger.counts()["reasons"]


# The shared Sunnybrook data, converted once.


@pytest.fixture(scope="module")
def sunnybrook_sources():
    """Path, image and contour vertices by code, read here and not by the package."""
    root = real_data.SUNNYBROOK
    with open(root / "link.csv", encoding="utf-8") as file:
        links = {row["original_id"]: row["patient_id"] for row in csv.DictReader(file)}
    found = {}
    for path in sorted((root / "contourfiles").glob("*/*-contours/*.txt")):
        number, code = re.match(r"IM-0001-(\d+)-(\w)contour", path.name).groups()
        patient = links[path.parent.parent.name]
        image = root / "dicoms" / patient / f"{int(number)}.dcm"
        found.setdefault(image, {})[code] = np.loadtxt(path)
    return [(path, pydicom.dcmread(path), vertices) for path, vertices in found.items()]


@pytest.fixture(scope="module")
def sunnybrook_examples(sunnybrook_dataset):
    """Examples by their pixels, which no two share."""
    found = examples(sunnybrook_dataset)
    by_pixels = {one.pixels: one for one in found}
    assert len(by_pixels) == len(found)
    return by_pixels


def drawn_fraction(vertices, shape, scale=16):
    """Covered fractions by Pillow, drawn large and reduced, in the contour's box."""
    low = np.floor(vertices.min(axis=0)).astype(int) - 1
    columns, rows = np.ceil(vertices.max(axis=0)).astype(int) + 2 - low
    image = Image.new("1", (columns * scale, rows * scale))
    corners = (vertices - low + 0.5) * scale - 0.5
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], fill=1)
    fine = np.asarray(image, dtype=float)
    fraction = np.zeros(shape)
    box = slice(low[1], low[1] + rows), slice(low[0], low[0] + columns)
    fraction[box] = fine.reshape(rows, scale, columns, scale).mean(axis=(1, 3))
    return fraction


@needs_sunnybrook
def test_sunnybrook_ledger_reconciles(sunnybrook_dataset):
    lines = list(manifest.read_ledger(sunnybrook_dataset))
    expected = {
        ("image", "converted", None): 56,
        ("image", "left_out", "no_annotation"): 644,
        ("contour", "converted", None): 84,
        ("other", "left_out", "stray_file"): 1,
    }
    assert statuses(lines) == expected
    assert len({line["candidate"] for line in lines}) == len(lines) == 785
    dataset = manifest.load_manifest(sunnybrook_dataset)
    assert dataset.ledger == {
        "image": {"converted": 56, "left_out": 644},
        "contour": {"converted": 84},
        "other": {"left_out": 1},
        "reasons": {"no_annotation": 644, "stray_file": 1},
        "findings": {},
    }
    assert sum(split.examples for split in dataset.splits.values()) == 56
    keys = {line["key"] for line in lines if line["kind"] == "image" and "key" in line}
    assert keys == {one.key for one in examples(sunnybrook_dataset)}
    by_key = {}
    for line in lines:
        if line["kind"] == "contour":
            by_key.setdefault(line["key"], []).append(line["split"])
    assert sorted(map(len, by_key.values())) == [1] * 28 + [2] * 28


@needs_sunnybrook
def test_sunnybrook_images_and_masks(sunnybrook_examples, sunnybrook_sources):
    assert len(sunnybrook_sources) == 56
    for path, image, vertices in sunnybrook_sources:
        one = sunnybrook_examples[image.pixel_array.tobytes()]
        np.testing.assert_array_equal(one.image[..., 0], image.pixel_array)
        assert one.annotated == ("i" in vertices, "o" in vertices), path
        for mask, code in zip(one.masks, "io", strict=True):
            if code not in vertices:
                assert not mask.any()
                continue
            fraction = drawn_fraction(vertices[code] - 1, image.pixel_array.shape)
            differs = mask != (fraction >= 0.5)
            # Of pixels that are half covered, Pillow's grid misses half of a column.
            assert np.abs(fraction[differs] - 0.5).max(initial=0) <= 1 / 32, path
            assert differs.sum() < 0.01 * mask.sum(), path
    annotated = [one.annotated for one in sunnybrook_examples.values()]
    assert np.sum(annotated, axis=0).tolist() == [56, 28]


@needs_sunnybrook
def test_sunnybrook_header_values(sunnybrook_examples, sunnybrook_sources):
    for _, image, _ in sunnybrook_sources:
        one = sunnybrook_examples[image.pixel_array.tobytes()]
        assert one.pixel_spacing == pytest.approx(image.PixelSpacing)
        assert one.position == pytest.approx(image.ImagePositionPatient)
        assert one.orientation == pytest.approx(image.ImageOrientationPatient)
        assert one.trigger_time == pytest.approx(float(image.TriggerTime))
        assert (one.modality, one.manufacturer) == ("MR", "GE MEDICAL SYSTEMS")
        assert one.field_strength == 1.5
        assert one.window == (image.WindowCenter, image.WindowWidth)
        assert (one.edge_rule, one.contour_origin) == ("half_covered", "center1")
        assert one.key_hash == int.from_bytes(
            bytes.fromhex(one.key[:16]), "big", signed=True
        )


@needs_sunnybrook
def test_sunnybrook_order(sunnybrook_dataset, sunnybrook_sources):
    dataset = manifest.load_manifest(sunnybrook_dataset)
    sources = {image.pixel_array.tobytes(): image for _, image, _ in sunnybrook_sources}
    shard_of, split_of = {}, {}
    for name, split in dataset.splits.items():
        for shard in split.shards:
            path = sunnybrook_dataset / shard.file
            records = tfrecord_file.read_records(path, compression="none")
            found = [dataset_reading.example_schema.decode(data) for data in records]
            assert len(found) == shard.examples
            runs = [key for key, _ in itertools.groupby(found, lambda one: one.series)]
            assert len(runs) == len(set(runs))
            for one in found:
                shard_of.setdefault(one.patient, set()).add(shard.file)
                split_of.setdefault(one.patient, set()).add(name)
            for _, series in itertools.groupby(found, lambda one: one.series):
                images = [(one, sources[one.pixels]) for one in series]
                _check_order_of_series(images)
    assert {len(files) for files in shard_of.values()} == {1}
    assert {len(names) for names in split_of.values()} == {1}
    assert len(shard_of) == 3
    table = {patient: names.pop() for patient, names in split_of.items()}
    assert dataset.split_table == table
    assert sorted(table.values()) == ["test", "train", "train"]


def _check_order_of_series(images):
    orientation = np.array(images[0][1].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    places = [
        (round(float(normal @ image.ImagePositionPatient), 1), float(image.TriggerTime))
        for _, image in images
    ]
    assert places == sorted(places)
    indices = [(one.slice_index, one.phase_index) for one, _ in images]
    assert indices == sorted(indices) and len(set(indices)) == len(indices)


@needs_sunnybrook
def test_sunnybrook_slices_and_phases(sunnybrook_examples):
    counts = {
        (one.patient, one.slice_count, one.phase_count)
        for one in sunnybrook_examples.values()
    }
    assert len(counts) == 3
    # 20 phases of each of so many slices: all 700 images.
    assert sum(slices * phases for _, slices, phases in counts) == 700
    assert {phases for _, _, phases in counts} == {20}


@needs_sunnybrook
def test_sunnybrook_series_statistics(sunnybrook_examples, sunnybrook_sources):
    folders = {path.parent for path, _, _ in sunnybrook_sources}
    expected = {}
    for folder in folders:
        images = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
        expected[images[0].PatientID] = np.stack([one.pixel_array for one in images])
    figures = {
        patient: [
            *(pixels.mean(), pixels.std(), pixels.min(), pixels.max()),
            *np.percentile(pixels, [0.5, 50, 99.5], method="inverted_cdf"),
        ]
        for patient, pixels in expected.items()
    }
    for _, image, _ in sunnybrook_sources:
        one = sunnybrook_examples[image.pixel_array.tobytes()]
        stored = [one.series_statistics[at] for at in (0, 1, 2, 3, 4, 9, 14)]
        np.testing.assert_allclose(stored, figures[image.PatientID], rtol=1e-6)
        pixels = image.pixel_array
        np.testing.assert_allclose(
            one.image_statistics[:4],
            [pixels.mean(), pixels.std(), pixels.min(), pixels.max()],
            rtol=1e-6,
        )


@needs_sunnybrook
def test_sunnybrook_manifest_statistics(sunnybrook_dataset):
    dataset = manifest.load_manifest(sunnybrook_dataset)
    for name, split in dataset.splits.items():
        found = list(dataset_reading.read_examples(sunnybrook_dataset, name))
        assert len(found) == split.examples
        pixels = np.stack([one.image[..., 0] for one in found])
        masks = np.stack([one.masks for one in found])
        for which, values in (
            ("all", pixels),
            ("foreground", pixels[masks.any(axis=1)]),
        ):
            stored = split.intensities[which]
            assert stored.count == values.size
            assert stored.mean == pytest.approx(values.mean(), rel=1e-9)
            assert stored.deviation == pytest.approx(values.std(), rel=1e-9)
            np.testing.assert_array_equal(
                stored.percentiles,
                np.percentile(
                    values,
                    [0.5, 1, 2, 5, 25, 50, 75, 95, 98, 99, 99.5],
                    method="inverted_cdf",
                ),
            )
        for at, class_name in enumerate(dataset.class_names):
            figures = split.classes[class_name]
            assert figures.annotated == sum(one.annotated[at] for one in found)
            assert figures.positive == masks[:, at].any(axis=(1, 2)).sum()
            assert figures.pixels == masks[:, at].sum()
        assert split.count_annotated([1]) == split.classes["outer"].annotated


@needs_sunnybrook
def test_sunnybrook_checksums_and_index(sunnybrook_dataset):
    dataset = manifest.load_manifest(sunnybrook_dataset)
    infos = {
        shard.file: shard for split in dataset.splits.values() for shard in split.shards
    }
    for file, info in infos.items():
        content = (sunnybrook_dataset / file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == info.sha256
        assert len(content) == info.size
    entries = list(dataset_index.read_index(sunnybrook_dataset))
    assert len(entries) == 56
    for entry in entries:
        path = sunnybrook_dataset / entry.shard
        data = tfrecord_file.read_record_at(path, entry.offset)
        example = dataset_reading.example_schema.decode(data)
        assert example.key == entry.key and len(data) == entry.length
        assert entry.annotated == "".join(map(str, example.annotated))
        shown = "".join(str(int(mask.any())) for mask in example.masks)
        assert entry.present == shown
    assert set(read_files(sunnybrook_dataset)) == {
        *infos,
        "dataset.json",
        "dataset.index",
        "ledger.jsonl",
        ".conversion/files.json",
        ".conversion/state.json",
        *(f".conversion/{file}.json" for file in infos),
    }


@needs_sunnybrook
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_sunnybrook_identifiers_are_in_no_file(sunnybrook_dataset, sunnybrook_sources):
    identifiers = set()
    for _, image, _ in sunnybrook_sources:
        for element in image.iterall():
            if element.VR in ("UI", "PN", "DA", "TM", "DT", "LO", "SH"):
                identifiers.add(str(element.value))
    kept = {"GE MEDICAL SYSTEMS", "SIGNA HDx"}  # fields of the record
    searched = {one for one in identifiers - kept if len(one) >= 6}
    assert {"SCD0000101", "SCD0000301", "20120000"} < searched
    assert any(one.startswith("2.16.124") for one in searched)
    searched |= {"SC-HF-I", "icontour", str(real_data.SUNNYBROOK)}
    for name, content in read_files(sunnybrook_dataset).items():
        for one in searched:
            assert one.encode() not in content, (name, one)


@pytest.mark.slow
@needs_sunnybrook
def test_sunnybrook_bytes_do_not_depend_on_workers_or_file_order(
    sunnybrook_dataset, tmp_path
):
    copy = tmp_path / "copy"
    paths = [path for path in real_data.SUNNYBROOK.rglob("*") if path.is_file()]
    for path in sorted(paths, reverse=True):
        target = copy / path.relative_to(real_data.SUNNYBROOK)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    convert(copy, tmp_path / "out", split="train:0.67,test:0.33", num_workers=1)
    assert read_files(tmp_path / "out") == read_files(sunnybrook_dataset)


@pytest.mark.slow
@needs_sunnybrook
def test_sunnybrook_origin_is_found_in_the_images(tmp_path, capsys):
    convert(
        real_data.SUNNYBROOK, tmp_path / "out", split="train", contour_origin="auto"
    )
    options = manifest.load_manifest(tmp_path / "out").options
    assert (options["contour_origin"], options["contour_shift"]) == (
        "center1",
        [-1, -1],
    )
    messages = capsys.readouterr().err
    assert "contour_origin=auto: contour origin center1: " in messages
    assert "Warning" not in messages


def test_sample_converts_as_its_flagfile_says(tmp_path):
    flags = (real_data.REPOSITORY / "configs/sample.flags").read_text()
    assert "--split=train" in flags and "sunnybrook.flags" in flags
    result = convert(real_data.SAMPLE, tmp_path / "out", split="train")
    contours = list((real_data.SAMPLE / "contourfiles").rglob("*.txt"))
    images = {path.name[8:12] for path in contours}
    dataset = manifest.load_manifest(tmp_path / "out")
    assert dataset.splits["train"].examples == len(images) >= 18
    assert dataset.ledger["contour"] == {"converted": len(contours)}
    assert "skipped" not in str(dataset.ledger)
    assert result.crosswalk is None


# Little folders of our own.


@pytest.mark.parametrize("workers", [2, 3])
def test_bytes_do_not_depend_on_workers(tmp_path, workers):
    source = source_folders.write_folder(
        tmp_path / "in", patients=[f"P{number}A" for number in range(9)]
    )
    convert(source.root, tmp_path / "one", num_workers=1)
    convert(source.root, tmp_path / "many", num_workers=workers)
    assert len(read_files(tmp_path / "one")) > 6
    assert read_files(tmp_path / "one") == read_files(tmp_path / "many")


def test_bytes_do_not_depend_on_the_order_or_place_of_the_files(source, tmp_path):
    copy = tmp_path / "elsewhere" / "copy"
    for path in sorted(source.root.rglob("*.*"), reverse=True):
        target = copy / path.relative_to(source.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    convert(source.root, tmp_path / "one")
    convert(copy, tmp_path / "two")
    assert read_files(tmp_path / "one") == read_files(tmp_path / "two")


def test_nothing_that_identifies_is_written(source, tmp_path):
    key = tmp_path / "keys" / "id.key"
    patient = source.patients[0]
    bad = source.image(patient, 3)
    bad.write_bytes(bad.read_bytes()[:-10])
    split = f"train:{patient},test:{source.patients[1]}"
    convert(source.root, tmp_path / "out", id_key_file=str(key), split=split)
    searched = ["Doe", "SCD0000", "19450823", "20110911", "SC-HF-I", ".dcm", "icontour"]
    searched += [source_folders.uid(patient, n) for n in (1, 2, 3, "study", "series")]
    searched += [str(tmp_path), key.read_text().strip()]
    for name, content in read_files(tmp_path / "out").items():
        for one in searched:
            assert one.encode() not in content, (name, one)


def test_another_key_gives_other_pseudonyms_and_the_same_splits(source, tmp_path):
    found = []
    for name in ("a", "b", "a"):
        output = tmp_path / f"out {len(found)}"
        convert(source.root, output, id_key_file=str(tmp_path / name / "id.key"))
        by_pixels = {one.pixels: one for one in examples(output)}
        dataset = manifest.load_manifest(output)
        splits = {
            pixels: dataset.split_table[one.patient]
            for pixels, one in by_pixels.items()
        }
        found.append((splits, {one.key for one in by_pixels.values()}))
    assert found[0] == found[2]
    assert found[0][0] == found[1][0]
    assert not found[0][1] & found[1][1]


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
def test_compressed_shards_hold_the_same(source, tmp_path, compression):
    convert(source.root, tmp_path / "plain")
    convert(source.root, tmp_path / "small", compression=compression)
    assert examples(tmp_path / "small") == examples(tmp_path / "plain")
    sizes = [
        sum(len(one) for one in read_files(tmp_path / name).values())
        for name in ("plain", "small")
    ]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("rule", rasterize.EDGE_RULES)
def test_edge_rule_is_recorded(source, tmp_path, rule):
    convert(source.root, tmp_path / "out", edge_rule=rule)
    assert {one.edge_rule for one in examples(tmp_path / "out")} == {rule}
    assert manifest.load_manifest(tmp_path / "out").options["edge_rule"] == rule


@pytest.mark.parametrize(
    ("origin", "shift"),
    [
        (None, (-1, -1)),
        ("center1", (-1, -1)),
        ("center0", (0, 0)),
        ("corner0", (-0.5, -0.5)),
        ("0.25,-2", (0.25, -2)),
    ],
)
def test_contour_origin(source, tmp_path, origin, shift):
    convert(source.root, tmp_path / "out", contour_origin=origin)
    patient = source.patients[0]
    one = example_of(tmp_path / "out", source_folders.draw_pixels(patient, 1))
    assert one.contour_origin == (origin or "center1")
    assert one.contour_shift == shift
    (_, vertices), _ = one.contours
    expected = source.inner(patient, 1) + 1 + shift
    np.testing.assert_allclose(vertices, expected, atol=0.006)


def test_origin_of_too_few_contours_stays_and_is_warned_of(source, tmp_path, capsys):
    convert(source.root, tmp_path / "out", contour_origin="auto")
    assert {one.contour_shift for one in examples(tmp_path / "out")} == {(-1, -1)}
    warning = capsys.readouterr().err
    assert "Warning: contour_origin=auto: contour origin center1 kept" in warning


@pytest.mark.parametrize(
    ("classes", "annotated", "converted"),
    [
        ("inner;outer", {(1, 1), (1, 0)}, 6),
        ("outer", {(1,)}, 3),
        ("cavity=inner;myo=outer-inner", {(1, 1), (1, 0)}, 6),
        ("myo=outer-inner", {(1,)}, 3),
    ],
)
def test_classes(source, tmp_path, classes, annotated, converted):
    result = convert(source.root, tmp_path / "out", classes=classes)
    found = examples(tmp_path / "out")
    assert len(found) == converted
    assert {one.annotated for one in found} == annotated
    counts = result.ledger.counts()
    assert counts["image"]["converted"] == converted
    assert sum(counts["image"].values()) == 9
    assert sum(counts["contour"].values()) == 9
    assert "skipped" not in str(counts)


@pytest.mark.parametrize(
    ("images", "table"),
    [
        ("SCD_Images", True),
        ("challenge_training", True),
        ("challenge_training", False),
    ],
)
def test_original_release_gives_the_same_examples(source, tmp_path, images, table):
    root = tmp_path / "original"
    source_folders.write_original_release(root, source, images=images, table=table)
    convert(source.root, tmp_path / "one")
    convert(root, tmp_path / "two")
    assert examples(tmp_path / "one") == examples(tmp_path / "two")
    layout = manifest.load_manifest(tmp_path / "two").options["layout"]
    assert layout == "sunnybrook_original"


def test_original_release_without_its_table_says_so(source, tmp_path):
    root = tmp_path / "original"
    source_folders.write_original_release(
        root, source, images="SCD_Images", table=False
    )
    with pytest.raises(ValueError) as error:
        convert(root, tmp_path / "out")
    message = str(error.value)
    assert "no contour could be paired with an image" in message
    assert "9 skipped: patient_not_linked" in message
    assert "'SC-HF-I-01', link file scd_patientdata.csv" in message


def test_custom_layout(source, tmp_path):
    convert(source.root, tmp_path / "one")
    root = tmp_path / "own"
    for patient in source.patients:
        for number in (1, 2, 3):
            path = root / f"{patient}-{number:03d}.ima"
            path.parent.mkdir(exist_ok=True)
            shutil.copy(source.image(patient, number), path)
        for number, code in ((1, "i"), (1, "o"), (2, "i")):
            target = root / "c" / f"{patient}_{code}_{number}.roi"
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source.contour(patient, number, code), target)
    convert(
        root,
        tmp_path / "two",
        layout="custom",
        image_pattern="{patient}-{image}.ima",
        contour_pattern="c/{patient}_{structure}_{image}.roi",
        contour_origin="center1",
    )
    assert examples(tmp_path / "one") == examples(tmp_path / "two")


# Bad input.


def _plant(name, source, tmp_path):
    """Plants a fault into the images or contours of the first patient."""
    patient = source.patients[0]
    image, contour = source.image(patient, 2), source.contour(patient, 2)
    match name:
        case "image gone":
            image.unlink()
        case "image twice":
            other = image.with_name("002.dcm")
            shutil.copy(image, other)
            source_folders.edit(other, SOPInstanceUID=source_folders.uid("other"))
        case "same instance":
            shutil.copy(image, image.with_name("99.dcm"))
            source_folders.edit(image.with_name("99.dcm"), TriggerTime=5)
        case "image is text":
            image.write_text("hello")
        case "image truncated":
            image.write_bytes(image.read_bytes()[:-10])
        case "no pixels":
            source_folders.edit(image, PixelData=None)
        case "contour empty":
            contour.write_text("")
        case "contour malformed":
            contour.write_text("1 2\n3 4\n5 6 x\n")
        case "contour outside":
            contour.write_text("900 900\n910 900\n900 910\n")
        case "contour binary":
            contour.write_bytes(b"\xff\xfe1 2\n")
        case "unannotated truncated":
            path = source.image(patient, 3)
            path.write_bytes(path.read_bytes()[:-10])
    return image, contour


@pytest.mark.parametrize(
    ("fault", "expected", "shown"),
    [
        ("image gone", {"contour_without_image": 1}, ["image 2"]),
        ("image twice", {"two_images_for_contour": 1}, ["002.dcm", "2.dcm"]),
        (
            "same instance",
            {"duplicate_instance": 2, "image_unusable": 1},
            ["99.dcm", "2.dcm", "SOP Instance UID"],
        ),
        ("image is text", {"not_dicom": 1, "image_unusable": 1}, ["2.dcm", "dcmdump"]),
        (
            "image truncated",
            {"pixels_unreadable": 1, "image_unusable": 1},
            ["2.dcm", "truncated"],
        ),
        ("no pixels", {"no_pixel_data": 1, "image_unusable": 1}, ["2.dcm"]),
        ("contour empty", {"contour_empty": 1, "no_usable_contour": 1}, ["-0002-"]),
        (
            "contour malformed",
            {"contour_malformed": 1, "no_usable_contour": 1},
            ["-0002-", "line 3: '5 6 x'"],
        ),
        (
            "contour outside",
            {"contour_outside_image": 1, "no_usable_contour": 1},
            ["-0002-", "columns 899 to 909", "48 columns and 40 rows"],
        ),
        (
            "contour binary",
            {"contour_unreadable": 1, "no_usable_contour": 1},
            ["-0002-", "ASCII"],
        ),
        ("unannotated truncated", {"pixels_unreadable": 1}, ["3.dcm"]),
    ],
)
def test_bad_file_is_skipped_with_its_reason(source, tmp_path, fault, expected, shown):
    total = sum(1 for path in source.root.rglob("*.*") if path.suffix != ".csv")
    image, contour = _plant(fault, source, tmp_path)
    now = sum(1 for path in source.root.rglob("*.*") if path.suffix != ".csv")
    assert abs(total - now) <= 1
    result = convert(source.root, tmp_path / "out")
    found = reasons(result)
    normal = {"no_annotation", "structure_not_used"}
    skipped = {code: n for code, n in found.items() if code not in normal}
    assert skipped == expected
    lines = list(manifest.read_ledger(tmp_path / "out"))
    assert len(lines) == now
    assert sum(line["status"] == "skipped" for line in lines) == sum(expected.values())
    assert all(line["hint"] for line in lines if line["status"] == "skipped")
    summary = conversion.conversion_summary(
        result, conversion.ConvertOptions(output_dir="out")
    )
    for words in shown:
        assert words in summary
    dataset = manifest.load_manifest(tmp_path / "out")
    wanted = 6 if fault == "unannotated truncated" else 5
    assert sum(split.examples for split in dataset.splits.values()) == wanted
    with pytest.raises(ValueError, match="on_error=fail") as error:
        convert(source.root, tmp_path / "strict", on_error="fail")
    assert all(words in str(error.value) for words in shown)
    assert not finished(tmp_path / "strict")


def _remove_link(source):
    (source.root / "link.csv").unlink()


def _wrong_link_header(source):
    (source.root / "link.csv").write_text("a,b\n1,2\n")


def _latin_link(source):
    link = source.root / "link.csv"
    link.write_bytes(link.read_bytes() + b"M\xfcller,X\n")


def _remove_contours(source):
    shutil.rmtree(source.root / "contourfiles")


def _edit_all(source, **elements):
    for path in source.root.rglob("*.dcm"):
        source_folders.edit(path, **elements)


def _blank_patients(source):
    _edit_all(source, PatientID="")


def _anonymous_patients(source):
    _edit_all(source, PatientID="Anonymous")


def _constant_patients(source):
    _edit_all(source, PatientID="X1")


def _one_study(source):
    _edit_all(source, StudyInstanceUID="1.2.3")


def _same_pixels(source):
    pixels = source_folders.draw_pixels("shared")
    for patient in source.patients:
        source_folders.edit(source.image(patient, 1), pixels=pixels)


def _nothing(source):
    pass


@pytest.mark.parametrize(
    ("plant", "options", "words"),
    [
        (_remove_link, {}, r"link\.csv is missing: .* patient_id,original_id"),
        (_wrong_link_header, {}, r"link\.csv: the header should name patient_id"),
        (_latin_link, {}, r"link\.csv should be UTF-8 text: .* 0xfc"),
        (_remove_contours, {}, "0 contours match .*--layout=custom"),
        (_blank_patients, {}, r"6 annotated images .*dcm.*'Patient ID' is blank"),
        (_anonymous_patients, {}, "--patient_from=tag, study, folder:REGEX"),
        (_constant_patients, {}, "all annotated images are of one patient, 'X1'"),
        (_one_study, {}, r"1\.dcm of patient .* 'Study Instance UID'.*patient_from"),
        (_same_pixels, {}, r"1\.dcm of patient .* in split .* has the same pixels"),
        (
            _nothing,
            {"classes": "inner;atrium"},
            "'atrium'.*outline 'inner', 'outer'",
        ),
        (_nothing, {"split": "train:NOBODY"}, "named are NOBODY; found are SCD0000101"),
        (_nothing, {"patient_from": "folder:x(y)"}, "group of --patient_from is blank"),
    ],
)
def test_data_set_that_cannot_be_made(source, tmp_path, plant, options, words):
    plant(source)
    with pytest.raises(ValueError, match=re.compile(words, re.DOTALL)):
        convert(source.root, tmp_path / "out", **options)
    assert not finished(tmp_path / "out")


@pytest.mark.parametrize(
    "content", [b"", b"a\n", b"patient_id,split\nA,\n", b"patient_id,split\n\xff,a\n"]
)
def test_split_file_that_cannot_be_read(source, tmp_path, content):
    table = tmp_path / "split.csv"
    table.write_bytes(content)
    with pytest.raises(ValueError, match=r"split\.csv"):
        convert(source.root, tmp_path / "out", split=str(table))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "nowhere.csv"}, "--split: nowhere.csv cannot be read: No such"),
        ({"patient_from": "csv:who.csv"}, "--patient_from: who.csv cannot be read"),
    ],
)
def test_table_that_is_missing_is_named_with_its_flag(source, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_dir": ""}, "input_dir is missing"),
        ({"input_dir": "/nowhere/at/all"}, "/nowhere/at/all: there is no such folder"),
        ({"output_dir": ""}, "output_dir is missing"),
    ],
)
def test_folders_that_are_not_given(source, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out", **options)


def test_data_set_that_is_there_is_only_replaced_when_asked(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, split="train")
    before = read_files(output)
    with pytest.raises(ValueError, match="other values of --split;.*--overwrite"):
        convert(source.root, output)
    assert read_files(output) == before
    (output / "notes.txt").write_text("mine")
    convert(source.root, output, split="fit:0.5,check:0.5", overwrite=True)
    names = set(read_files(output))
    assert "notes.txt" in names
    assert not any(name.startswith("train") for name in names)
    assert len(examples(output)) == 6


@pytest.mark.parametrize("place", ["in/out", "in", "other/../in/out"])
def test_output_inside_the_input_is_refused(source, tmp_path, place):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="lies in the input folder"):
        convert(source.root, tmp_path / place)
    assert not (source.root / "out").exists()


def test_output_beside_the_input_is_fine_however_it_is_written(source, tmp_path):
    convert(source.root, source.root / ".." / "out")
    assert (tmp_path / "out" / "dataset.json").exists()


def test_output_that_cannot_be_written_is_found_first(source, tmp_path, monkeypatch):
    # Below a file: also root cannot write there.
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(conversion, "prepare", None)
    with pytest.raises(ValueError, match="cannot be written to"):
        convert(source.root, tmp_path / "file" / "out")


def _all_images_are_text(source):
    for path in source.root.rglob("*.dcm"):
        path.write_text("hello")


def _annotated_images_are_text(source):
    for path in source.root.rglob("[12].dcm"):
        path.write_text("hello")


def _blank_studies_of_all(source):
    for path in source.root.rglob("*.dcm"):
        source_folders.edit(path, StudyInstanceUID="", SeriesInstanceUID="")


@pytest.mark.parametrize(
    ("plant", "options", "words"),
    [
        (_all_images_are_text, {}, "none of the 9 files found is a usable image"),
        (_annotated_images_are_text, {}, "none of the 6 images with contours can be"),
    ],
)
def test_total_failure_names_files_reasons_and_remedies(
    source, tmp_path, plant, options, words
):
    plant(source)
    with pytest.raises(ValueError, match=words) as error:
        convert(source.root, tmp_path / "out", **options)
    for part in ("skipped: not_dicom", "dicoms/SCD0000101/1.dcm", "dcmdump"):
        assert part in str(error.value)


def test_images_that_no_class_can_use_name_what_is_wrong(source, tmp_path):
    for patient in source.patients:
        path = source.image(patient, 1)  # the one with both structures
        path.write_text("hello")
    words = "all the structures of a class.*myo=outer-inner.*not_dicom.*1.dcm"
    with pytest.raises(ValueError, match=re.compile(words, re.DOTALL)):
        convert(source.root, tmp_path / "out", classes="myo=outer-inner")


def test_blank_study_and_series_are_not_shared(source, tmp_path):
    _blank_studies_of_all(source)
    convert(source.root, tmp_path / "out")
    found = examples(tmp_path / "out")
    assert len({one.study for one in found}) == 3
    assert len({one.series for one in found}) == 3


def test_patient_without_a_whole_class_takes_no_place_in_a_split(source, tmp_path):
    for patient in source.patients[1:2]:
        source.contour(patient, 1, "o").unlink()
    result = convert(source.root, tmp_path / "out", classes="myo=outer-inner")
    assert {n: s.examples for n, s in result.manifest.splits.items()} == {
        "train": 1,
        "test": 1,
    }
    assert "skipped" not in str(result.ledger.counts())
    # Per whole patient its second image with a contour; of the other, two of each.
    assert reasons(result)["class_incomplete"] == 2 * 2 + 2 * 2


def test_contour_with_a_byte_order_mark(source, tmp_path):
    convert(source.root, tmp_path / "one")
    for path in source.root.rglob("*contour-manual.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    convert(source.root, tmp_path / "two")
    assert examples(tmp_path / "one") == examples(tmp_path / "two")


def test_slope_that_is_no_number_skips_the_image(source, tmp_path):
    path = source.image(source.patients[0], 1)
    source_folders.edit(path, RescaleSlope="12345")
    path.write_bytes(path.read_bytes().replace(b"12345 ", b"nan   "))
    result = convert(source.root, tmp_path / "out")
    assert reasons(result)["header_invalid"] == 1
    lines = "\n".join(result.ledger.problem_lines())
    assert "1.dcm: (0028,1053) 'Rescale Slope': finite numbers are wanted" in lines


def test_pairs_are_counted_before_classes_choose(source, tmp_path):
    for options in ({"dry_run": True}, {}):
        options |= {"classes": "myo=outer-inner"}
        result = convert(source.root, tmp_path / "out", **options)
        summary = conversion.conversion_summary(result, conversion.ConvertOptions())
        assert "Paired: 6 images with 9 annotations." in summary


def test_failure_on_the_way_leaves_nothing_to_see(source, tmp_path, monkeypatch):
    output = tmp_path / "out"
    written = []

    def fail_at_the_second(folder, result):
        written.append(result)
        if len(written) > 1:
            raise OSError("no space left")
        return original(folder, result)

    original = shard_results.write
    monkeypatch.setattr(shard_results, "write", fail_at_the_second)
    with pytest.raises(OSError, match="no space left"):
        convert(source.root, output)
    assert len(written) == 2
    assert not finished(output)
    monkeypatch.undo()
    result = convert(source.root, output)
    assert (result.reused, len(result.written)) == (1, 2)
    assert len(examples(output)) == 6
    convert(source.root, tmp_path / "at once")
    assert read_files(output) == read_files(tmp_path / "at once")


def test_remains_of_a_killed_conversion_are_cleared(source, tmp_path):
    output = tmp_path / "out"
    aside = output / output_folder.ASIDE
    aside.mkdir(parents=True)
    (aside / "train-00000-of-00009.tfrecord").write_bytes(b"old")
    (aside / "train-00001-of-00009.tfrecord.partial").write_bytes(b"half")
    convert(source.root, output)
    names = {path.name for path in output.iterdir()}
    assert not any("00009" in name or "partial" in name for name in names)


def _spoil_everything(source):
    for path in source.root.rglob("*contour-manual.txt"):
        path.write_text("")


def _spoil_the_third(source):
    third = source.contour(source.patients[2], 1).parent.parent
    for path in third.rglob("*.txt"):
        path.write_text("")


@pytest.mark.parametrize(
    ("plant", "options"),
    [
        (_spoil_everything, {}),
        (_spoil_the_third, {"split": "train:SCD0000101,test:SCD0000301"}),
        (_spoil_the_third, {"on_error": "fail"}),
        (_spoil_the_third, {"max_error_rate": 0.0, "on_error": "fail"}),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_failing_run_leaves_the_old_data_set_as_it_was(
    source, tmp_path, plant, options, workers
):
    output = tmp_path / "out"
    convert(source.root, output)
    before = read_files(output)
    plant(source)
    with pytest.raises(ValueError, match="contour_empty"):
        convert(source.root, output, overwrite=True, num_workers=workers, **options)
    assert finished(output) == before


@pytest.mark.parametrize("place", ["run_shards", "write_dataset_files"])
def test_interrupted_run_leaves_the_old_data_set_as_it_was(
    source, tmp_path, monkeypatch, place
):
    output = tmp_path / "out"
    convert(source.root, output)
    before = read_files(output)

    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(source.root, output, overwrite=True)
    assert finished(output) == before


def test_records_of_another_origin_are_not_removed_unasked(source, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "train-00000-of-00001.tfrecord").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="TFRecord files of another origin"):
        convert(source.root, output, split="train")
    assert read_files(output) == {"train-00000-of-00001.tfrecord": b"precious"}
    convert(source.root, output, split="train", overwrite=True)
    assert len(examples(output)) == 6


def test_input_that_cannot_be_used_costs_no_data_set_that_is_there(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output)
    before = read_files(output)
    with pytest.raises(ValueError, match="wants the structure 'atrium'"):
        convert(source.root, output, overwrite=True, classes="atrium")
    assert read_files(output) == before


def test_dry_run_writes_nothing(source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = sorted(tmp_path.rglob("*"))
    for key in ("public", None, str(tmp_path / "keys" / "id.key")):
        result = convert(
            source.root, tmp_path / "out", dry_run=True, id_key_file=key, num_workers=2
        )
        assert result.manifest is None
        options = conversion.ConvertOptions(dry_run=True)
        summary = conversion.conversion_summary(result, options)
        assert "Nothing was written" in summary
        assert re.search(r"^train-00000-of-0000\d\.tfrecord: \d pat", summary, re.M)
        for patient in source.patients:
            assert patient in summary
    assert sorted(tmp_path.rglob("*")) == before


# Identity.


def test_key_and_crosswalk_lie_in_the_users_configuration(
    source, tmp_path, monkeypatch, capsys
):
    config = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    result = convert(source.root, tmp_path / "out", id_key_file=None)
    key = config / "tfdicom" / "id.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32
    assert str(key) in capsys.readouterr().err
    assert result.crosswalk.parent == key.parent
    assert stat.S_IMODE(result.crosswalk.stat().st_mode) == 0o600
    again = convert(source.root, tmp_path / "again", id_key_file=None)
    assert "Made the key" not in capsys.readouterr().err
    assert again.crosswalk != result.crosswalk
    _check_crosswalk(result.crosswalk, source, tmp_path / "out")


def _check_crosswalk(path, source, output):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    lines = {line["candidate"]: line for line in manifest.read_ledger(output)}
    assert {row["candidate"] for row in rows} == set(lines)
    paths = {row["source_path"] for row in rows}
    assert paths == {
        path.relative_to(source.root).as_posix()
        for path in source.root.rglob("*.*")
        if path.name != "link.csv"
    }
    by_key = {one.key: one for one in examples(output)}
    for row in rows:
        line = lines[row["candidate"]]
        assert line["kind"] == ("image" if ".dcm" in row["source_path"] else "contour")
        if "key" in line:
            assert by_key[line["key"]].patient == row["patient"]
            place = source.patients.index(row["source_patient"]) + 1
            assert row["source_patient"] in row["source_path"] or (
                f"SC-HF-I-{place}/" in row["source_path"]
            )


def test_public_key_leaves_no_crosswalk(source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert convert(source.root, tmp_path / "out").crosswalk is None
    (record,) = (tmp_path / "config").rglob("*.*")  # the flags, for a repair
    assert record.name.startswith("conversion-")
    pseudonyms, _ = load_pseudonyms("public")
    patients = {one.patient for one in examples(tmp_path / "out")}
    assert patients == {pseudonyms.of("patient", one) for one in source.patients}


@pytest.mark.parametrize("place", ["out/id.key", "out/deep/id.key", "x/../out/id.key"])
def test_key_inside_the_data_set_is_refused_and_not_made(source, tmp_path, place):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="the key must not lie in the data set"):
        convert(source.root, tmp_path / "out", id_key_file=str(tmp_path / place))
    assert not (tmp_path / "out").exists()


# Patients and splits.


@pytest.mark.parametrize(
    ("patient_from", "table"),
    [
        ("study", None),
        (r"folder:dicoms/([^/]+)/", None),
        (
            "csv:{table}",
            "path,patient_id\n"
            + "".join(
                f"dicoms/{patient},person {patient}\n"
                for patient in source_folders.PATIENTS
            ),
        ),
    ],
)
def test_patient_from_elsewhere(source, tmp_path, patient_from, table):
    _anonymous_patients(source)
    file = tmp_path / "who.csv"
    if table:
        file.write_text(table)
    patient_from = patient_from.format(table=file)
    convert(source.root, tmp_path / "out", patient_from=patient_from)
    found = examples(tmp_path / "out")
    assert len({one.patient for one in found}) == 3
    kind = manifest.load_manifest(tmp_path / "out").options["patient_from"]
    assert kind == patient_from.partition(":")[0]


def split_of(output, source):
    """Split by source patient, found by the pixels of their first image."""
    table = manifest.load_manifest(output).split_table
    found = {}
    by_pixels = {one.pixels: one for one in examples(output)}
    for patient in source.patients:
        pixels = source_folders.draw_pixels(patient, 1).tobytes()
        if pixels in by_pixels:
            found[patient] = table[by_pixels[pixels].patient]
    return found


def test_split_by_names(source, tmp_path):
    one, two, three = source.patients
    result = convert(
        source.root, tmp_path / "out", split=f"fit:{two}+{three},test:{one}"
    )
    expected = {one: "test", two: "fit", three: "fit"}
    assert split_of(tmp_path / "out", source) == expected
    assert list(result.manifest.splits) == ["fit", "test"]
    assert result.manifest.options["split"] == "by name"


def test_split_by_table(source, tmp_path):
    one, two, three = source.patients
    table = tmp_path / "table.csv"
    table.write_text(f"patient_id,split\n{three},a\n{one},b\nother,a\n")
    result = convert(source.root, tmp_path / "out", split=str(table))
    assert split_of(tmp_path / "out", source) == {one: "b", three: "a"}
    assert result.manifest.options["split"] == "by name"
    assert reasons(result)["patient_not_in_split"] == 3 + 3
    assert "skipped" not in str(result.ledger.counts())


def test_many_patients_outside_the_split_are_no_failure(tmp_path):
    source = source_folders.write_folder(
        tmp_path / "in", patients=[f"P{n}A" for n in range(12)], annotated=2
    )
    convert(source.root, tmp_path / "out", split="train:P0A+P1A,test:P2A")
    assert len(examples(tmp_path / "out")) == 6


def test_folds(source, tmp_path):
    split = conversion.ConvertOptions().split
    result = convert(source.root, tmp_path / "out", folds=3, split=split)
    assert list(result.manifest.splits) == ["fold0", "fold1", "fold2"]
    assert set(split_of(tmp_path / "out", source).values()) == {
        "fold0",
        "fold1",
        "fold2",
    }


def test_split_that_stays_empty_is_warned_of(source, tmp_path, capsys):
    split = "train:0.4,validation:0.2,test:0.2,extra:0.2"
    result = convert(source.root, tmp_path / "out", split=split)
    assert capsys.readouterr().err.count("gets no patient") == 1
    empty = [name for name, one in result.manifest.splits.items() if not one.examples]
    assert len(empty) == 1
    assert len(result.manifest.splits) == 4


def test_split_whose_images_all_fail_is_refused(source, tmp_path):
    one, two, three = source.patients
    for number in (1, 2):
        source.contour(two, number).write_text("")
    source.contour(two, 1, "o").write_text("")
    words = (
        "split 'test': none of its images could be.*3 skipped: contour_empty.*-0001-"
    )
    with pytest.raises(ValueError, match=re.compile(words, re.DOTALL)):
        convert(
            source.root,
            tmp_path / "out",
            max_error_rate=1.0,
            split=f"train:{one},test:{two}",
        )


def test_constant_frames_may_be_in_two_splits(source, tmp_path):
    for patient in source.patients:
        blank = np.zeros((40, 48), np.int16)
        source_folders.edit(source.image(patient, 1), pixels=blank)
    convert(source.root, tmp_path / "out")
    assert len(examples(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("bad", "rate", "fails"),
    [(11, 0.5, False), (11, 0.3, True), (10, 0.0, False)],
)
def test_max_error_rate(tmp_path, bad, rate, fails):
    source = source_folders.write_folder(
        tmp_path / "in", patients=["P1A", "P2A"], annotated=15
    )
    for number in range(2, bad + 2):  # of no patient more than half
        patient = source.patients[number % 2]
        source.contour(patient, number).write_text("x")
    output = tmp_path / "out"
    if not fails:
        convert(source.root, output, max_error_rate=rate)
        assert len(examples(output)) == 30 - bad
        return
    with pytest.raises(ValueError, match="11 of 32 annotations .* max_error_rate=0.3"):
        convert(source.root, output, max_error_rate=rate)
    assert not finished(output)
    # Who tolerates more goes on with what is there.
    result = convert(source.root, output, max_error_rate=0.5)
    assert (result.written, result.reused) == ((), 2)
    assert len(examples(output)) == 30 - bad


def test_patient_who_loses_over_half_of_their_images(tmp_path):
    source = source_folders.write_folder(tmp_path / "in", annotated=4, outer=0)
    patient = source.patients[1]
    for number in (1, 2):
        source.contour(patient, number).write_text("x")
    convert(source.root, tmp_path / "half", classes="inner")
    assert len(examples(tmp_path / "half")) == 10
    source.contour(patient, 3).write_text("x")
    words = f"patient {patient!r} loses 3 of 4 annotated images; max_error_rate=1"
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out", classes="inner")
    assert not finished(tmp_path / "out")
    convert(source.root, tmp_path / "out", classes="inner", max_error_rate=1.0)
    assert len(examples(tmp_path / "out")) == 9


def test_class_that_vanishes(tmp_path):
    source = source_folders.write_folder(tmp_path / "in", annotated=4, outer=1)
    for patient in source.patients:
        source.contour(patient, 1, "o").write_text("x")
    with pytest.raises(ValueError, match="class 'outer': it was to be .* 3 images"):
        convert(source.root, tmp_path / "out", max_error_rate=1.0)


def test_manifest_is_plain_and_complete(source, tmp_path):
    result = convert(source.root, tmp_path / "out", num_shards=1, covered_fraction=True)
    fields = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert fields["options"]["covered_fraction"] is True
    assert fields["splits"]["train"]["pixel_spacing"] == [1.25, 1.5]
    assert manifest.load_manifest(tmp_path / "out") == result.manifest
    assert [len(one["shards"]) for one in fields["splits"].values()] == [1, 1]


def test_public_function_takes_keywords(source, tmp_path):
    import tfdicom

    result = tfdicom.convert(
        input_dir=str(source.root),
        output_dir=pathlib.Path(tmp_path / "out").as_posix(),
        split="train",
        id_key_file="public",
        num_workers=1,
    )
    assert result.manifest.splits["train"].examples == 6
    assert result.seconds > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
