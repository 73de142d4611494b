import csv
import hashlib
import itertools
import re
import shutil
import sys

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw

from tests import real_data, source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert, example_of, examples
from tfdicom import (
    dataset_index,
    dataset_reading,
    manifest,
    rasterize,
    tfrecord_file,
)

needs_sunnybrook = real_data.needs_sunnybrook


def statuses(lines):
    """Numbers of ledger lines by kind, status and reason."""
    found = {}
    for line in lines:
        key = line["kind"], line["status"], line.get("reason")
        found[key] = found.get(key, 0) + 1
    return found


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
    assert set(files_of(sunnybrook_dataset)) == {
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
    for name, content in files_of(sunnybrook_dataset).items():
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
    assert files_of(tmp_path / "out") == files_of(sunnybrook_dataset)


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
    assert len(files_of(tmp_path / "one")) > 6
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")


def test_bytes_do_not_depend_on_the_order_or_place_of_the_files(source, tmp_path):
    copy = tmp_path / "elsewhere" / "copy"
    for path in sorted(source.root.rglob("*.*"), reverse=True):
        target = copy / path.relative_to(source.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    convert(source.root, tmp_path / "one")
    convert(copy, tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


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
    for name, content in files_of(tmp_path / "out").items():
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
        sum(len(one) for one in files_of(tmp_path / name).values())
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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
