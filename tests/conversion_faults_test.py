import re
import shutil
import sys

import pytest

from tests import source_folders
from tests.folder_contents import files_of, finished
from tests.source_folders import convert, examples
from tfdicom import (
    conversion,
    manifest,
    output_folder,
    shard_results,
)


def reasons(result):
    return result.ledger.counts()["reasons"]


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
    before = files_of(output)
    with pytest.raises(ValueError, match="other values of --split;.*--overwrite"):
        convert(source.root, output)
    assert files_of(output) == before
    (output / "notes.txt").write_text("mine")
    convert(source.root, output, split="fit:0.5,check:0.5", overwrite=True)
    names = set(files_of(output))
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
    assert files_of(output) == files_of(tmp_path / "at once")


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
    before = files_of(output)
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
    before = files_of(output)

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
    assert files_of(output) == {"train-00000-of-00001.tfrecord": b"precious"}
    convert(source.root, output, split="train", overwrite=True)
    assert len(examples(output)) == 6


def test_input_that_cannot_be_used_costs_no_data_set_that_is_there(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output)
    before = files_of(output)
    with pytest.raises(ValueError, match="wants the structure 'atrium'"):
        convert(source.root, output, overwrite=True, classes="atrium")
    assert files_of(output) == before


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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
