import dataclasses
import sys
import warnings

import highdicom
import numpy as np
import pydicom
import pytest

from tests import real_data
from tests.source_folders import write_image
from tfdicom import deidentify, dicom
from tfdicom.reasons import InputSkipped
from tfdicom.seg_export import write_seg
from tfdicom.sources import seg
from tfdicom.sources.annotation_objects import DrawingRules

CT = real_data.SHARED / "seg" / "dcmqi" / "ct-3slice"
MULTI_FRAME = real_data.SHARED / "seg" / "dcmqi" / "23x38x3" / "multiframe"
FLAT = real_data.SHARED / "seg" / "highdicom" / "source_77654033" / "CR1"
RULES = DrawingRules("center")
PUBLIC = deidentify.load_pseudonyms(deidentify.PUBLIC)[0]


def headers_below(folder):
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            found += dicom.read_headers(path) if path.is_file() else ()
        except InputSkipped:
            continue
    return found


def key_of(header, pseudonyms=PUBLIC, rater=""):
    number = str(header.frame_number)
    return pseudonyms.of("example", header.instance, number, rater)


def random_masks(headers, classes=2, seed=0):
    random = np.random.default_rng(seed)
    return {
        key_of(one): random.random((one.rows, one.columns, classes)) < 0.3
        for one in headers
    }


def export(output, masks, source, *, names=("a", "b"), **options):
    options = {"id_key_file": "public", **options}
    return write_seg(output, masks, source_dir=source, classes=names, **options)


def converted(export, headers):
    """Masks by key and label, of all objects that were written."""
    masks = {}
    for path in export.files:
        described = seg.read_object(path, path.name)
        labels = {item.number: item.names[0] for item in described.items}
        found = seg.match(path, described, headers, list(labels))
        assert found.left == ()
        assert found.findings == {}
        for one in found.matches:
            image = headers[one.frame]
            drawing = seg.draw(path, one.item, one.parts, image, RULES)
            assert (key_of(image), labels[one.item]) not in masks
            masks[key_of(image), labels[one.item]] = drawing.plane
    return masks


def check_same(export, headers, masks, names=("a", "b")):
    found = converted(export, headers)
    assert found.keys() == {(key, name) for key in masks for name in names}
    for key, mask in masks.items():
        for place, name in enumerate(names):
            np.testing.assert_array_equal(found[key, name], mask[..., place])


@real_data.needs_sunnybrook
def test_sunnybrook_comes_back_bit_for_bit(tmp_path):
    # Impossible dates, a Frame of Reference for each image, 20 phases in each place.
    folder = sorted((real_data.SUNNYBROOK / "dicoms").iterdir())[0]
    headers = headers_below(folder)
    chosen = headers[::9]
    masks = random_masks(chosen)
    done = export(tmp_path, masks, folder)
    check_same(done, headers, masks)
    assert done.images == len(chosen)
    notes = " ".join(done.notes)
    assert "(0008,0020) 'Study Date' was invalid, now empty" in notes
    assert "different Frames of Reference" in notes
    assert "a series was split" in notes
    assert chosen[0].patient_id not in notes
    for path in done.files:
        written = pydicom.dcmread(path)
        assert written.StudyDate == written.PatientBirthDate == ""
        assert written.PatientID == chosen[0].patient_id
        positions = [
            tuple(one.PlanePositionSequence[0].ImagePositionPatient)
            for one in written.PerFrameFunctionalGroupsSequence
        ]
        assert len(set(positions)) * 2 == len(positions)  # both classes, no phases


@real_data.needs_shared("seg")
@pytest.mark.parametrize("split", [False, True])
def test_overlapping_classes_on_ct(tmp_path, split):
    headers = headers_below(CT)
    masks = random_masks(headers, 3)
    names = ("liver", "tumour", "vessel")
    done = export(tmp_path, masks, CT, names=names, per_image=split)
    assert len(done.files) == (3 if split else 1)
    assert done.notes == ()
    check_same(done, headers, masks, names)
    written = pydicom.dcmread(done.files[0])
    source = pydicom.dcmread(sorted(CT.iterdir())[0])
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[keyword].value == source[keyword].value
    assert written.SeriesInstanceUID != source.SeriesInstanceUID


@real_data.needs_shared("seg")
def test_highdicom_reads_the_same(tmp_path):
    headers = headers_below(CT)
    masks = random_masks(headers)
    (path,) = export(tmp_path, masks, CT).files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = highdicom.seg.segread(path)
    found = read.get_pixels_by_source_instance([one.instance for one in headers])
    expected = np.stack([masks[key_of(one)] for one in headers])
    np.testing.assert_array_equal(found.astype(bool), expected)


@real_data.needs_shared("seg")
def test_an_image_without_a_place(tmp_path):
    headers = headers_below(FLAT)
    masks = random_masks(headers)
    check_same(export(tmp_path, masks, FLAT), headers, masks)


def test_an_image_with_pixel_spacing_and_no_place(tmp_path):
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    write_image(tmp_path / "in" / "1.dcm", "P1", 1, **nowhere)
    headers = headers_below(tmp_path / "in")
    masks = random_masks(headers)
    done = export(tmp_path / "out", masks, tmp_path / "in")
    check_same(done, headers, masks)
    groups = pydicom.dcmread(done.files[0]).SharedFunctionalGroupsSequence[0]
    assert "PixelMeasuresSequence" in groups


PLACELESS = ("ImagePositionPatient", "ImageOrientationPatient")


@pytest.mark.parametrize("absent", [(), PLACELESS, (*PLACELESS, "PixelSpacing")])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("sop_class", ["481.2", "3.1", "4"])  # dose, cine, MR
def test_frames_of_a_file_that_is_not_enhanced(tmp_path, absent, kind, sop_class):
    elements = dict.fromkeys(absent)
    pixels = np.arange(3 * 40 * 48, dtype=np.int16).reshape(3 * 40, 48)
    write_image(
        tmp_path / "in" / "1.dcm",
        "P1",
        1,
        pixels=pixels,
        Rows=40,
        NumberOfFrames=3,
        SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{sop_class}",
        **elements,
    )
    headers = headers_below(tmp_path / "in")
    assert len(headers) == 3
    labels = {
        key: 2 * mask[..., 0].astype(int)
        for key, mask in random_masks(headers[1:]).items()
    }
    out = tmp_path / "out"
    done = export(out, labels, tmp_path / "in", segmentation_type=kind)
    masks = {key: np.stack([one == 1, one == 2], -1) for key, one in labels.items()}
    check_same(done, headers, masks)
    assert len(done.files) == 2
    assert any("not an enhanced one" in note for note in done.notes)


@real_data.needs_shared("seg")
@pytest.mark.parametrize("frames", [(1, 2, 3), (1, 3), (2,)])
def test_frames_of_a_multi_frame_image(tmp_path, frames):
    headers = headers_below(MULTI_FRAME)
    assert len(headers) == 3
    masks = random_masks([one for one in headers if one.frame_number in frames])
    # Frames that were not exported are not annotated.
    check_same(export(tmp_path, masks, MULTI_FRAME), headers, masks)


@pytest.fixture
def folder(tmp_path):
    """Four slices of one patient, two phases of the first, and a file that is none."""
    for number in range(1, 5):
        write_image(tmp_path / "in" / f"{number}.dcm", "P1", number)
    position = dicom.read_headers(tmp_path / "in" / "1.dcm")[0].plane.position
    write_image(
        tmp_path / "in" / "5.dcm",
        "P1",
        5,
        ImagePositionPatient=list(position),
        TriggerTime=300,
    )
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    return tmp_path / "in"


def test_phases_are_objects_of_their_own(folder, tmp_path):
    headers = headers_below(folder)
    masks = random_masks(headers)
    done = export(tmp_path / "out", masks, folder)
    counts = [
        len(
            pydicom.dcmread(path).ReferencedSeriesSequence[0].ReferencedInstanceSequence
        )
        for path in done.files
    ]
    assert sorted(counts) == [1, 4]
    check_same(done, headers, masks)


def as_info(masks):
    keys = np.array([key.encode() for key in masks], object)
    return list(masks.values()), {"key": keys, "slice_index": np.zeros(len(masks))}


@pytest.mark.parametrize(
    "given",
    [
        as_info,
        lambda masks: (np.stack(list(masks.values())), list(masks)),
        lambda masks: (np.stack(list(masks.values())).astype(np.uint8), [*masks]),
        lambda masks: ({key.encode(): mask for key, mask in masks.items()}, None),
    ],
)
def test_masks_and_keys_may_be_given_in_each_form(folder, tmp_path, given):
    headers = headers_below(folder)
    masks = random_masks(headers)
    values, info = given(masks)
    done = write_seg(
        tmp_path / "out",
        values,
        info,
        source_dir=folder,
        classes=("a", "b"),
        id_key_file="public",
    )
    check_same(done, headers, masks)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_label_maps(folder, tmp_path, kind):
    headers = headers_below(folder)
    random = np.random.default_rng(0)
    labels = {key_of(one): random.integers(0, 3, (40, 48)) for one in headers}
    done = export(tmp_path / "out", labels, folder, segmentation_type=kind)
    masks = {key: np.stack([one == 1, one == 2], -1) for key, one in labels.items()}
    check_same(done, headers, masks)
    assert {pydicom.dcmread(path).SegmentationType for path in done.files} == {kind}


def test_empty_masks_are_negatives(folder, tmp_path, caplog):
    headers = headers_below(folder)
    masks = {key: mask & False for key, mask in random_masks(headers).items()}
    check_same(export(tmp_path / "out", masks, folder), headers, masks)
    assert not caplog.records  # highdicom has something to say about it


def test_a_class_is_described_only_where_it_was_annotated(folder, tmp_path):
    headers = headers_below(folder)
    masks = random_masks(headers)
    annotated = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [0, 0]], bool)
    for mask, row in zip(masks.values(), annotated, strict=True):
        mask &= row
    done = export(tmp_path / "out", masks, folder, annotated=annotated)
    found = converted(done, headers)
    expected = {
        (key, name)
        for key, row in zip(masks, annotated, strict=True)
        for name, one in zip("ab", row, strict=True)
        if one
    }
    assert found.keys() == expected
    assert done.images == 4
    assert "no class is annotated on the image, it was left out (1)" in done.notes


def test_codes_and_algorithm(folder, tmp_path):
    done = export(
        tmp_path / "out",
        random_masks(headers_below(folder)[:1]),
        folder,
        codes={"b": ("80891009", "SCT", "Heart")},
        algorithm="net",
    )
    names = [item.names for item in seg.read_object(done.files[0], "").items]
    assert "SCT:85756007" in names[0]
    assert "SCT:80891009" in names[1]
    segments = pydicom.dcmread(done.files[0]).SegmentSequence
    assert [one.SegmentAlgorithmType for one in segments] == ["AUTOMATIC"] * 2
    assert segments[0].SegmentAlgorithmName == "net"


def test_a_key_file_and_raters(folder, tmp_path):
    file = tmp_path / "key"
    pseudonyms = deidentify.load_pseudonyms(str(file))[0]
    header = headers_below(folder)[0]
    key = key_of(header, pseudonyms, pseudonyms.of("rater", "Doe"))
    masks = {key: np.ones((40, 48, 2), bool)}
    options = {"id_key_file": str(file)}
    with pytest.raises(ValueError, match="1 of 1 keys"):
        export(tmp_path / "out", masks, folder, **options)
    done = export(tmp_path / "out", masks, folder, raters=("Roe", "Doe"), **options)
    assert all(one.all() for one in converted(done, [header]).values())


def test_an_object_is_of_one_rater(folder, tmp_path):
    headers = headers_below(folder)[:3]
    raters = [PUBLIC.of("rater", name) for name in ("Doe", "Roe")]
    planes, info = [], {"key": [], "rater": []}
    for place, rater in enumerate(raters):
        for header in headers:
            planes.append(np.full((40, 48, 2), [place, 1 - place], bool))
            info["key"].append(key_of(header, rater=rater).encode())
            info["rater"].append(rater.encode())
    by_key = dict(zip(info["key"], planes, strict=True))
    done = export(tmp_path / "a", planes, folder, info=info)
    named = export(tmp_path / "b", by_key, folder, raters=("Roe", "Doe"))
    for files in (done.files, named.files):
        found = {pydicom.dcmread(path).ContentCreatorName: path for path in files}
        assert sorted(map(str, found)) == sorted(raters)
        for creator, path in found.items():
            assert seg.read_object(path, "").rater == creator
            masks = {
                key_of(header): planes[3 * raters.index(str(creator))]
                for header in headers
            }
            check_same(dataclasses.replace(done, files=(path,)), headers, masks)


def test_what_fails_leaves_no_half(folder, tmp_path):
    headers = headers_below(folder)
    write_image(tmp_path / "b" / "1.dcm", "P1", 1)
    write_image(tmp_path / "b" / "2.dcm", "P2", 2, SeriesInstanceUID=None)
    masks = random_masks(headers_below(tmp_path / "b"))
    with pytest.raises(ValueError, match="0020,000E"):
        export(tmp_path / "out", masks, tmp_path / "b", per_image=True)
    masks = random_masks(headers)
    masks[key_of(headers[-1])][...] = True
    with pytest.raises(ValueError, match="choose BINARY"):
        export(
            tmp_path / "out",
            {
                key: mask if mask.all() else mask & [True, False]
                for key, mask in masks.items()
            },
            folder,
            per_image=True,
            segmentation_type="LABELMAP",
        )
    assert not (tmp_path / "out").exists()


def test_no_key_is_made(folder, tmp_path):
    missing = tmp_path / "key"
    with pytest.raises(ValueError, match="id_key_file=.*does not exist"):
        export(
            tmp_path, {"0": np.ones((1, 1, 2), bool)}, folder, id_key_file=str(missing)
        )
    assert not missing.exists()


def test_an_object_is_replaced_only_on_request(folder, tmp_path):
    masks = random_masks(headers_below(folder)[:1])
    done = export(tmp_path / "out", masks, folder)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export(tmp_path / "out", masks, folder)
    assert export(tmp_path / "out", masks, folder, overwrite=True).files == done.files


def test_what_a_header_lacks_or_has_wrong_is_empty(folder, tmp_path):
    with pydicom.config.disable_value_validation():
        odd = {"StudyDate": None, "StudyTime": "9961", "PatientSex": "?"}
        write_image(folder / "1.dcm", "P1", 1, **odd)
    headers = headers_below(folder)
    masks = random_masks(headers[:1])
    done = export(tmp_path / "out", masks, folder)
    check_same(done, headers, masks)
    written = pydicom.dcmread(done.files[0])
    for keyword in ("StudyDate", "StudyTime", "PatientSex", "AccessionNumber"):
        assert written[keyword].value in ("", None)
    assert written.FrameOfReferenceUID
    for element in ("(0008,0030)", "(0010,0040)", "Frames of Reference"):
        assert any(element in note for note in done.notes)


ONE = "0" * 32


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        ({ONE: np.ones((40, 48, 2))}, {}, "float64 of shape.*threshold"),
        ({ONE: np.ones((40, 48, 3), bool)}, {}, r"\[rows, columns, 2\]"),
        ({ONE: np.full((40, 48, 2), 255, np.uint8)}, {}, "go from 0 to 255; 0 to 1"),
        ({ONE: np.full((40, 48), 3)}, {}, "0 to 2 are allowed for 2 classes"),
        ({ONE: np.ones((40, 48, 2), bool)}, {}, "1 of 1 keys, 0{32} among them"),
        ({}, {}, "0 for 0 keys"),
        ({ONE: np.ones((4, 4, 2), bool)}, {"info": [ONE]}, "leave it out"),
        ([np.ones((4, 4, 2), bool)], {}, "info: give the dict"),
        ([np.ones((4, 4, 2), bool)], {"info": [ONE, ONE]}, "1 for 2 keys"),
        ([np.ones((4, 4, 2), bool)] * 2, {"info": [ONE, ONE]}, "a key occurs twice"),
        ({ONE: np.ones((4, 4, 2), bool)}, {"annotated": [1, 0]}, r"shape is \(2,\)"),
        (
            {ONE: np.ones((4, 4, 2), bool)},
            {"annotated": [[1, 0]]},
            "has pixels of a class that is not annotated",
        ),
        ({}, {"codes": {"c": ("1", "2", "3")}}, "no class 'c'; they are a, b"),
        ({}, {"segmentation_type": "SURFACE"}, "choose one of BINARY, LABELMAP"),
        ({}, {"classes": ("a", "a")}, "name each class once"),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, masks, options, message):
    options = {"classes": ("a", "b"), "id_key_file": "public", **options}
    with pytest.raises(ValueError, match=message):
        write_seg(tmp_path / "out", masks, source_dir=folder, **options)
    assert not (tmp_path / "out").exists()


def test_masks_of_another_size_are_refused(folder, tmp_path):
    masks = {key_of(headers_below(folder)[0]): np.ones((20, 24, 2), bool)}
    with pytest.raises(ValueError, match="20x24 pixels.*40x48; .*to_source_grid"):
        export(tmp_path / "out", masks, folder)


def test_a_label_map_holds_no_overlap(folder, tmp_path):
    masks = {key_of(headers_below(folder)[0]): np.ones((40, 48, 2), bool)}
    with pytest.raises(ValueError, match="1920 pixels are of two.*BINARY"):
        export(tmp_path / "out", masks, folder, segmentation_type="LABELMAP")


def test_an_image_of_no_series_cannot_be_referred_to(folder, tmp_path):
    write_image(folder / "1.dcm", "P1", 1, SeriesInstanceUID=None)
    masks = random_masks(headers_below(folder)[:1])
    with pytest.raises(ValueError, match="0020,000E"):
        export(tmp_path / "out", masks, folder)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
