import dataclasses
import hashlib
import json
import re
import shutil
import sys

import numpy as np
import pytest

from tests import real_data, source_folders
from tfdicom import example_schema, folder_checks, sealed_json, tfrecord_file, verify
from tfdicom.convert_options import DEFAULT_SPLIT
from tfdicom.dataset_index import INDEX
from tfdicom.file_checksums import CHECKSUMS
from tfdicom.manifest import LEDGER, MANIFEST, load_manifest
from tfdicom.tfrecord_file import TFRecordWriter

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow

SHARD = "train-00000-of-00001.tfrecord"
OTHER = "test-00000-of-00001.tfrecord"
FRAME = 16  # bytes that a record takes beside its data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    source = source_folders.write_folder(folder / "in", annotated=3)
    # Two patients to train on, together in one shard, and one to test.
    source_folders.convert(
        source.root, folder / "out", split="train:0.67,test:0.33", num_shards=1
    )
    return folder / "out"


@pytest.fixture
def dataset(made, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(made, tmp_path / "data")


def codes(folder, **options):
    return {
        one.code for one in verify.verify(folder, num_workers=1, **options).problems
    }


def records(path):
    return list(tfrecord_file.read_records(path))


def write(folder, shard, datas):
    """Writes a shard anew, and makes index and manifest agree with its bytes."""
    path = folder / shard
    with path.open("wb") as file:
        writer = TFRecordWriter(file)
        places = [(writer.write(data), len(data)) for data in datas]
    lines = (folder / INDEX).read_text().splitlines(keepends=True)
    mine = [line for line in lines if f"\t{shard}\t" in line]
    for line, (offset, length) in zip(mine, places, strict=False):
        key, _, _, _, *patterns = line.split("\t")
        new = "\t".join([key, shard, str(offset), str(length), *patterns])
        lines[lines.index(line)] = new
    (folder / INDEX).write_text("".join(lines))
    edit_manifest(
        folder,
        lambda fields: shard_of(fields, shard).update(
            size=path.stat().st_size,
            data_size=sum(map(len, datas)),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        ),
    )


def shard_of(fields, name):
    (found,) = (
        shard
        for split in fields["splits"].values()
        for shard in split["shards"]
        if shard["file"] == name
    )
    return found


def edit_manifest(folder, change):
    fields = json.loads((folder / MANIFEST).read_text())
    change(fields)
    (folder / MANIFEST).write_text(json.dumps(fields, indent=1) + "\n")


def edit_record(folder, number=0, shard=SHARD, **fields):
    """Changes fields of a record; everything around it agrees with its new bytes."""
    datas = records(folder / shard)
    example = example_schema.decode(datas[number])
    if callable(next(iter(fields.values()))):
        fields = {name: f(getattr(example, name)) for name, f in fields.items()}
    datas[number] = example_schema.encode(dataclasses.replace(example, **fields))
    write(folder, shard, datas)


def edit_lines(folder, name, change):
    lines = (folder / name).read_text().splitlines(keepends=True)
    (folder / name).write_text("".join(change(lines)))


def test_what_was_made_is_whole(made):
    result = verify.verify(made, num_workers=2)
    assert result.problems == () and result.notes == ()
    assert result.is_whole and result.bad_shards == ()
    assert result.rows[1] == ("train", "1", "2", "6", "6/6", "2/2")
    assert str(result).endswith("is whole: every check passed.")


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "num_shards": 2},
        {"covered_fraction": True, "folds": 3, "split": DEFAULT_SPLIT},
        {"include_unannotated": "all"},
    ],
)
def test_other_data_sets_are_whole(source, tmp_path, options):
    source_folders.convert(source.root, tmp_path / "out", **options)
    assert verify.verify(tmp_path / "out", num_workers=1).problems == ()


def test_sunnybrook_is_whole(sunnybrook_dataset):
    result = verify.verify(sunnybrook_dataset)
    assert (result.problems, result.notes) == ((), ())


@real_data.needs_shared("seg/highdicom")
@pytest.mark.parametrize("policy", ["newest", "raters"])
def test_objects_of_several_raters_are_whole(tmp_path, policy):
    source_folders.convert(
        real_data.SHARED / "seg" / "highdicom",
        tmp_path / "out",
        classes="first=/first segment/",
        several_annotations=policy,
        split="train",
        max_error_rate=1.0,
    )
    assert verify.verify(tmp_path / "out", num_workers=1).problems == ()


def test_a_flipped_bit_anywhere_is_found(dataset):
    """One bit in each byte of a header, a checksum, and here and there in the data."""
    whole = (dataset / SHARD).read_bytes()
    first = len(records(dataset / SHARD)[0]) + FRAME
    places = [*range(12), *range(12, first, 611), *range(first - 4, first + 12)]
    for place in [*places, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (dataset / SHARD).write_bytes(damaged)
        result = verify.verify(dataset, num_workers=1)
        found = {(one.code, one.record) for one in result.problems}
        number = 0 if place < first else 1 if place < first + 12 else 5
        assert ("shard_checksum", None) in found, place
        assert ("record_damaged", number) in found, place
        assert result.bad_shards == (SHARD,)
        # Only this record is lost: the others are read and are where they belong.
        others = {code for code, _ in found} - {"shard_checksum", "record_damaged"}
        assert others == set(), place


def test_a_damaged_record_is_named(dataset):
    data = bytearray((dataset / SHARD).read_bytes())
    data[40] ^= 1
    (dataset / SHARD).write_bytes(data)
    key = (dataset / INDEX).read_text().splitlines()[1].split("\t")[0]
    result = verify.verify(dataset, num_workers=1)
    line = f"{SHARD}, record 0, key {key}: record_damaged: damaged or cut short in its"
    assert line in str(result)
    assert f"Bad shards (1 of 2): {SHARD}" in str(result)
    assert {one.code for one in result.problems} == {"shard_checksum", "record_damaged"}


@pytest.mark.parametrize("kept", [0, 5, 200, -3])
def test_a_shard_cut_short(dataset, kept):
    data = (dataset / SHARD).read_bytes()
    (dataset / SHARD).write_bytes(data[:kept])
    assert {"shard_size", "shard_checksum"} <= codes(dataset)


def test_damage_in_a_compressed_shard(source, tmp_path):
    folder = tmp_path / "out"
    source_folders.convert(source.root, folder, compression="gzip", num_shards=1)
    shard = folder / load_manifest(folder).splits["train"].shards[0].file
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    assert {"shard_checksum", "record_damaged"} <= codes(folder)


def swap_records(folder):
    datas = records(folder / SHARD)
    write(folder, SHARD, [datas[1], datas[0], *datas[2:]])


def part_patient(folder):
    """The second patient's last example comes first."""
    datas = records(folder / SHARD)
    moved = [*datas[:2], datas[-1], *datas[2:-1]]
    write(folder, SHARD, moved)


def move_patient(folder):
    """The split table says otherwise."""

    def change(fields):
        patient = fields["splits"]["train"]["patients"][0]
        fields["split_table"][patient] = "test"

    edit_manifest(folder, change)


def rename_patient(folder):
    """An example of the train split is given the name of the test patient."""
    other = example_schema.decode(records(folder / OTHER)[0])
    edit_record(folder, 5, patient=other.patient)


def copy_example(folder, **fields):
    """The first example of the test split takes the place of one of train."""
    other = example_schema.decode(records(folder / OTHER)[0])
    wanted = {name: getattr(other, name) for name in fields}
    edit_record(folder, 0, **wanted)


def foreground_elsewhere(folder):
    edit_record(folder, foreground_points=lambda points: (0, 0, *points[2:]))


def change_pixel(folder):
    def change(pixels):
        return b"\xff\x7f" + pixels[2:]

    edit_record(folder, pixels=change)


def change_mask(folder):
    edit_record(folder, planes=lambda planes: b"\x01" + planes[1:])


def other_version(folder):
    datas = records(folder / SHARD)
    known = example_schema.SCHEMA_VERSION
    data = datas[0].replace(
        b"schema/version\x12\x05\x1a\x03\n\x01" + bytes([known]),
        b"schema/version\x12\x05\x1a\x03\n\x01" + bytes([known + 1]),
    )
    assert data != datas[0]
    write(folder, SHARD, [data, *datas[1:]])


def no_example(folder):
    write(folder, SHARD, [b"nothing", *records(folder / SHARD)[1:]])


def drop_record(folder):
    write(folder, SHARD, records(folder / SHARD)[1:])


def twice(folder):
    datas = records(folder / SHARD)
    write(folder, SHARD, [datas[0], datas[0], *datas[2:]])


def set_total(name, value):
    def change(fields):
        fields["splits"]["train"][name] = value

    return lambda folder: edit_manifest(folder, change)


def set_class(name, value):
    def change(fields):
        fields["splits"]["train"]["classes"]["inner"][name] = value

    return lambda folder: edit_manifest(folder, change)


def set_shard(name, value):
    return lambda folder: edit_manifest(
        folder, lambda fields: shard_of(fields, SHARD).update({name: value})
    )


def set_statistic(name, value):
    def change(fields):
        fields["splits"]["train"]["intensities"]["all"][name] = value

    return lambda folder: edit_manifest(folder, change)


def rename_class(folder):
    def change(fields):
        fields["classes"][0]["name"] = "outside"

    edit_manifest(folder, change)


def set_expression(folder):
    def change(fields):
        fields["classes"][0]["expression"] = "outer"

    edit_manifest(folder, change)


def index_lines(change):
    return lambda folder: edit_lines(folder, INDEX, change)


def ledger_lines(change):
    return lambda folder: edit_lines(folder, LEDGER, change)


def index_field(place, value):
    def change(lines):
        fields = lines[2].rstrip("\n").split("\t")
        fields[place] = value
        return [*lines[:2], "\t".join(fields) + "\n", *lines[3:]]

    return index_lines(change)


def add_file(name):
    def add(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("something")

    return add


def remove(name):
    return lambda folder: (folder / name).unlink()


def result_text(old, new):
    def change(folder):
        path = folder / ".conversion" / f"{SHARD}.json"
        text = path.read_text()
        assert re.search(old, text)
        path.write_text(re.sub(old, new, text, count=1))

    return change


def edit_text(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def edit_result(folder, **fields):
    path = folder / ".conversion" / f"{SHARD}.json"
    sealed_json.write(path, {**sealed_json.read(path), **fields}, indent=None)


def without_entry(lines):
    converted = next(line for line in lines if '"converted"' in line)
    key = json.loads(converted)["key"]
    return [line for line in lines if key not in line]


def other_key(lines):
    at = next(n for n, line in enumerate(lines) if '"converted"' in line)
    fields = {**json.loads(lines[at]), "key": "0" * 32}
    return [*lines[:at], json.dumps(fields, sort_keys=True) + "\n", *lines[at + 1 :]]


DAMAGES = {
    "records swapped": (swap_records, {"order", "index_key"}),
    "patient parted": (part_patient, {"patient_apart"}),
    "split table": (move_patient, {"patient_split"}),
    "patient in two splits": (
        rename_patient,
        {"leak_patient", "patient_in_two_shards", "patient_split", "patient_unknown"},
    ),
    "study in two splits": (lambda d: copy_example(d, study=0), {"leak_study"}),
    "series in two splits": (lambda d: copy_example(d, series=0), {"leak_series"}),
    "instance in two splits": (
        lambda d: copy_example(d, instance=0),
        {"leak_instance"},
    ),
    "pixels in two splits": (
        lambda d: copy_example(d, pixels=0, image_statistics=0, series_statistics=0),
        {"leak_pixels"},
    ),
    "pixel": (change_pixel, {"record_statistics", "split_intensities"}),
    "mask": (change_mask, {"record_masks"}),
    "pixel count": (lambda d: edit_record(d, pixel_count=(1, 1)), {"record_masks"}),
    "box": (lambda d: edit_record(d, bounding_box=(0,) * 8), {"record_masks"}),
    "points": (foreground_elsewhere, {"record_masks"}),
    "annotated": (
        lambda d: edit_record(d, annotated=(0, 1)),
        {"record_masks", "index_annotated", "shard_annotated", "split_classes"},
    ),
    "shape": (lambda d: edit_record(d, shape=(48, 41, 1)), {"record_pixels"}),
    "dtype": (lambda d: edit_record(d, dtype="complex64"), {"record_pixels"}),
    "planes": (lambda d: edit_record(d, planes=b"123"), {"record_masks"}),
    "no masks": (lambda d: edit_record(d, planes=None), {"record_masks"}),
    "ignore": (lambda d: edit_record(d, ignore=b"123"), {"record_masks"}),
    "key": (lambda d: edit_record(d, key="f" * 32), {"record_key", "index_key"}),
    "key's form": (lambda d: edit_record(d, key="key"), {"record_key"}),
    "key's hash": (lambda d: edit_record(d, key_hash=5), {"record_key"}),
    "kind": (lambda d: edit_record(d, kind="volume"), {"record_kind"}),
    "slice": (lambda d: edit_record(d, slice_index=99), {"record_place"}),
    "spacing": (
        lambda d: edit_record(d, pixel_spacing=(1.0, -1.0)),
        {"record_geometry", "split_spacing"},
    ),
    "contour": (lambda d: edit_record(d, contour_lengths=(3, 3)), {"record_contours"}),
    "labels": (
        lambda d: edit_record(d, label_names=("a",), label_values=("1",)),
        {"record_labels"},
    ),
    "modality": (lambda d: edit_record(d, modality="CT"), {"split_frames"}),
    "version": (other_version, {"record_undecodable"}),
    "no example": (no_example, {"record_undecodable"}),
    "record gone": (drop_record, {"shard_examples", "index_offset", "index_key"}),
    "record twice": (twice, {"key_twice", "index_key", "ledger_entry"}),
    "shard gone": (remove(SHARD), {"shard_missing"}),
    "count of a shard": (set_shard("examples", 7), {"shard_examples"}),
    "size of a shard": (set_shard("size", 7), {"shard_size"}),
    "size of records": (set_shard("data_size", 7), {"shard_size"}),
    "checksum": (set_shard("sha256", "0" * 64), {"shard_checksum"}),
    "patterns": (set_shard("annotated", {"11": 6}), {"shard_annotated"}),
    "name of a shard": (set_shard("file", "x.tfrecord"), {"manifest_shards"}),
    "examples": (set_total("examples", 7), {"split_examples", "manifest_shards"}),
    "patients": (set_total("patients", []), {"patient_unknown"}),
    "frames": (set_total("frames", []), {"split_frames"}),
    "positive": (set_class("positive", 5), {"split_classes"}),
    "pixels": (set_class("pixels", 5), {"split_classes"}),
    "mean": (set_statistic("mean", 5.0), {"split_intensities"}),
    "class": (rename_class, {"record_classes"}),
    "expression": (set_expression, {"record_classes"}),
    "index gone": (remove(INDEX), {"index_missing", "index_record"}),
    "index's title": (index_lines(lambda ls: ["key\n", *ls[1:]]), {"index_line"}),
    "index line gone": (index_lines(lambda ls: ls[:-1]), {"index_record"}),
    "index line twice": (index_lines(lambda ls: [*ls, ls[-1]]), {"index_order"}),
    "index line apart": (
        index_lines(lambda ls: [ls[0], *ls[2:], ls[1]]),
        {"index_order", "index_record"},
    ),
    "index lines swapped": (
        index_lines(lambda ls: [ls[0], ls[2], ls[1], *ls[3:]]),
        {"index_order"},
    ),
    "index line damaged": (index_field(2, "x"), {"index_line", "index_record"}),
    "index offset": (index_field(2, "7"), {"index_offset", "index_record"}),
    "index length": (index_field(3, "7"), {"index_length"}),
    "index key": (index_field(0, "0" * 32), {"index_key"}),
    "index annotated": (index_field(4, "00"), {"index_annotated"}),
    "index present": (index_field(5, "00"), {"index_present"}),
    "index shard": (index_field(1, "x.tfrecord"), {"index_shard", "index_record"}),
    "ledger gone": (remove(LEDGER), {"ledger_missing"}),
    "ledger line": (ledger_lines(lambda ls: [*ls[:-1], "{\n"]), {"ledger_line"}),
    "ledger entry gone": (
        ledger_lines(without_entry),
        {"ledger_keys", "ledger_counts"},
    ),
    "ledger entry twice": (
        ledger_lines(lambda ls: [*ls, ls[-1]]),
        {"ledger_entry", "ledger_counts"},
    ),
    "ledger key": (ledger_lines(other_key), {"ledger_entry"}),
    "stray shard": (add_file("train-00001-of-00002.tfrecord"), {"file_foreign"}),
    "notes": (add_file("notes.txt"), {"file_foreign"}),
    "half a file": (add_file(f"{SHARD}.partial"), {"file_foreign"}),
    "left aside": (add_file(".partial-data-set/x"), {"file_foreign"}),
    "manifest's form": (
        lambda d: edit_manifest(d, lambda fields: fields.pop("labels")),
        {"manifest_form"},
    ),
    "result gone": (remove(f".conversion/{SHARD}.json"), {"result_damaged"}),
    "result cut": (result_text(r"\{", ""), {"result_damaged"}),
    "result's entries": (
        result_text('"entries":\\[\\["...', '"entries":[["000'),
        {"result_damaged"},
    ),
    "result of another shard": (
        lambda d: edit_result(d, split="test"),
        {"result_differs"},
    ),
    "result's content": (
        result_text('"annotated":([0-9])', r'"annotated":1\1'),
        {"result_damaged"},
    ),
    "state's digit": (
        lambda d: edit_text(d, ".conversion/state.json", '"train": 1', '"train": 2'),
        {"state_damaged"},
    ),
    "state gone": (remove(".conversion/state.json"), {"state_damaged"}),
}


@pytest.mark.parametrize("name", [LEDGER, MANIFEST, INDEX, CHECKSUMS])
def test_any_bit_that_flipped_is_found(made, tmp_path, name):
    """Also where what is left is well formed and agrees with all else."""
    dataset = shutil.copytree(made, tmp_path / "data")
    whole = (dataset / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 50)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        (dataset / name).write_bytes(flipped)
        (found,) = folder_checks.check_checksums(dataset)
        assert (found.code, found.file) == ("file_checksum", name)
    (dataset / name).write_bytes(whole + b"\n")
    assert "file_checksum" in codes(dataset)


def test_without_checksums_nothing_is_wrong(dataset):
    (dataset / CHECKSUMS).unlink()
    assert codes(dataset) == set()


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(dataset, name):
    damage, wanted = DAMAGES[name]
    damage(dataset)
    found = codes(dataset)
    assert wanted <= found, found


def test_every_code_is_documented():
    text = (real_data.REPOSITORY / "docs" / "verify.md").read_text()
    package = real_data.REPOSITORY / "tfdicom"
    sources = [*package.glob("*_checks.py"), package / "index_scan.py"]
    kinds = "manifest|shard|record|index|patient|split|ledger|result|state|file"
    found = {
        code
        for path in sources
        for code in re.findall(rf'"((?:{kinds})_[a-z_]+)"', path.read_text())
    }
    found |= {code for _, codes in DAMAGES.values() for code in codes}
    found -= {"split_table"}  # a field
    assert {code for code in found if f"`{code}`" not in text} == set()
    assert len(found) > 40


def test_a_leak_names_the_pair(dataset):
    rename_patient(dataset)
    first, second = (
        example_schema.decode(records(dataset / shard)[number]).key
        for shard, number in ((SHARD, 5), (OTHER, 0))
    )
    (leak,) = (
        one.text
        for one in verify.verify(dataset, num_workers=1).problems
        if one.code == "leak_patient"
    )
    assert f"{second} of patient" in leak and f"{first} of patient" in leak
    assert "in split 'train'" in leak and "in split 'test'" in leak


def test_the_same_pixels_of_two_patients_of_a_split_are_told(source, tmp_path):
    first, second = (source.image(patient, 1) for patient in source.patients[:2])
    source_folders.edit(
        second, pixels=source_folders.draw_pixels(source.patients[0], 1)
    )
    source_folders.convert(source.root, tmp_path / "out", split="train")
    result = verify.verify(tmp_path / "out", num_workers=1)
    assert result.is_whole
    (note,) = result.notes
    assert "has the same pixels as" in note and "one patient under two names" in note


def smooth(seed):
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: source_folders.ROWS, : source_folders.COLUMNS] / 40
    waves = random.normal(size=(40, 3))
    image = sum(np.cos(9 * (a * rows + b * columns) + 9 * c) for a, b, c in waves)
    return np.rint(400 + 40 * image).astype(np.int16)


def test_the_same_image_with_another_window_is_told(source, tmp_path):
    for number, patient in enumerate(source.patients):
        for image in (1, 2, 3):
            pixels = smooth(10 * number + image)
            source_folders.edit(source.image(patient, image), pixels=pixels)
    copy = np.clip(smooth(1) / 4 - 20, 0, 255).astype(np.uint8)
    last = source.image(source.patients[2], 2)
    source_folders.edit(last, pixels=copy)
    source_folders.convert(source.root, tmp_path / "out", folds=3, split=DEFAULT_SPLIT)
    result = verify.verify(tmp_path / "out", num_workers=1)
    assert result.is_whole
    (note,) = result.notes
    assert re.search("'fold.*'fold.*look the same, likeness (1.000|0.99)", note)


def test_many_problems_of_a_kind_are_counted(dataset):
    edit_lines(dataset, LEDGER, lambda lines: [*lines, *["{\n"] * 30])
    result = verify.verify(dataset, num_workers=1)
    damaged = [one for one in result.problems if one.code == "ledger_line"]
    assert len(damaged) == 21
    assert damaged[-1].text == "and 10 more such problems"


def test_without_a_manifest(dataset):
    (dataset / MANIFEST).unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no dataset\.json"):
        verify.verify(dataset)
    (dataset / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match=r"dataset\.json cannot be read"):
        verify.verify(dataset)


def test_without_what_later_conversions_need(dataset):
    shutil.rmtree(dataset / ".conversion")
    result = verify.verify(dataset, num_workers=1)
    assert result.is_whole
    (note,) = result.notes
    assert "cannot be extended or repaired" in note


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
