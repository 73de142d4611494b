import dataclasses
import multiprocessing
import os
import shutil
import signal
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import dicom_file, processes, scan
from tfdicom.file_scan import A_MASK, AN_IMAGE, ANYTHING, FileToScan, ScanRules
from tfdicom.reasons import InputSkipped
from tfdicom.runners import LocalRunner
from tfdicom.scan import scan_files
from tfdicom.sources.annotation_objects import AnnotatedItem, AnnotationObject
from tfdicom.sources.candidates import MASKS
from tfdicom.sources.readers import READERS


def scan_folder(folder, workers=1):
    """Every image of a folder."""
    paths = [path.relative_to(folder.root) for path in folder.root.rglob("*.dcm")]
    return scan_some(folder.root, sorted(map(str, paths)), workers=workers)


def scan_some(root, paths, kind=AN_IMAGE, workers=1, **arguments):
    counts = []
    files = [FileToScan(path, kind) for path in paths]
    found = scan_files(
        root, files, runner=LocalRunner(workers), progress=counts.append, **arguments
    )
    assert not counts or counts[-1] == len(paths)
    return found


def reasons(found):
    return {one.path: one.reason for one in found.left}


@pytest.mark.parametrize("workers", [1, 2])
def test_headers_come_in_the_order_of_the_files(tmp_path, workers):
    # More than one task's worth of files.
    folder = source_folders.write_folder(tmp_path / "in", annotated=1, plain=40)
    found = scan_folder(folder, workers)
    assert len(found.frames) == 3 * 41 and not found.left and not found.objects
    paths = [one.path for one in found.frames]
    assert paths == sorted(paths)
    for one in found.frames:
        number = int(one.path.rpartition("/")[2].removesuffix(".dcm"))
        expected = source_folders.uid(one.header.patient_id, number)
        assert one.header.instance == expected
        assert one.name == one.path


@pytest.mark.parametrize("kind", [AN_IMAGE, ANYTHING])
@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"Rows": None}, "no_pixel_data"),
        ({"SOPInstanceUID": None}, "no_instance"),
        ({"PixelSpacing": [1]}, "header_invalid"),
    ],
)
def test_unusable_image_is_left(source, elements, code, kind):
    patient = source.patients[0]
    source_folders.edit(source.image(patient, 1), **elements)
    paths = [f"dicoms/{patient}/{number}.dcm" for number in (1, 2, 3)]
    found = scan_some(source.root, paths, kind)
    assert [(one.path, one.kind, one.reason) for one in found.left] == [
        (paths[0], "image", code)
    ]
    assert [one.path for one in found.frames] == paths[1:]


def test_burned_in_annotation_no_is_fine(source):
    path = source.image(source.patients[0], 1)
    source_folders.edit(path, BurnedInAnnotation="NO")
    assert not scan_folder(source).left


def test_of_two_files_with_one_instance_uid_neither_is_used(source):
    patient = source.patients[0]
    shutil.copy(source.image(patient, 1), source.image(patient, 99))
    source_folders.edit(source.image(patient, 99), TriggerTime=5)
    found = scan_folder(source)
    assert reasons(found) == {
        f"dicoms/{patient}/1.dcm": "duplicate_instance",
        f"dicoms/{patient}/99.dcm": "duplicate_instance",
    }
    assert {one.kind for one in found.left} == {"image"}
    assert len(found.frames) == 8
    assert {one.path for one in found.shared} == set(reasons(found))


def test_of_identical_copies_one_is_used(source):
    patient = source.patients[0]
    shutil.copy(source.image(patient, 1), source.image(patient, 99))
    found = scan_folder(source)
    copy = f"dicoms/{patient}/99.dcm"
    assert reasons(found) == {copy: "identical_copy"}
    assert len(found.frames) == 9
    assert {one.path for one in found.shared} == {copy, f"dicoms/{patient}/1.dcm"}


def write_cine(path, frames):
    """One file of several frames."""
    source_folders.write_image(path, "P", 1)
    pixels = np.arange(frames * 40 * 48, dtype=np.int16).tobytes()
    source_folders.edit(path, NumberOfFrames=frames, PixelData=pixels)


@pytest.mark.parametrize("copies", [1, 2])
def test_file_of_several_frames(tmp_path, copies):
    paths = ["a.dcm", "b.dcm"][:copies]
    for path in paths:
        write_cine(tmp_path / path, 3)
    if copies == 2:
        source_folders.edit(tmp_path / "b.dcm", TriggerTime=5)
    found = scan_some(tmp_path, paths)
    if copies == 1:
        assert [one.name for one in found.frames] == ["a.dcm#1", "a.dcm#2", "a.dcm#3"]
        assert not found.left
    else:
        # One line for each file, not for each frame.
        assert not found.frames
        lines = [(one.path, one.reason) for one in found.left]
        assert lines == [(path, "duplicate_instance") for path in paths]


REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.mark.parametrize(
    ("name", "content", "kind", "left"),
    [
        ("notes.txt", b"hello", ANYTHING, ("other", "stray_file")),
        ("IM1", b"hello", ANYTHING, ("other", "stray_file")),
        ("a.dcm", b"hello", ANYTHING, ("image", "not_dicom")),
        ("A.DCM", b"hello", ANYTHING, ("image", "not_dicom")),
        ("a.ima", b"hello", ANYTHING, ("image", "not_dicom")),
        ("notes.txt", b"hello", AN_IMAGE, ("image", "not_dicom")),
        ("a.dcm", REPORT, ANYTHING, ("other", "stray_file")),
        ("a.dcm", REPORT, AN_IMAGE, ("image", "not_an_image")),
        ("none.dcm", None, AN_IMAGE, ("image", "file_unreadable")),
    ],
)
def test_what_is_no_image(tmp_path, name, content, kind, left):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content:
        source_folders.write_image(
            tmp_path / name, "P", 1, SOPClassUID=content, Rows=None, Columns=None
        )
    found = scan_some(tmp_path, [name], kind)
    (one,) = found.left
    assert (one.path, one.kind, one.reason) == (name, *left)
    assert not found.frames


@pytest.mark.parametrize("name", ["IM1", "a.dcm", "deep/IM.1"])
def test_images_among_anything(tmp_path, name):
    source_folders.write_image(tmp_path / name, "P", 1)
    found = scan_some(tmp_path, [name], ANYTHING)
    assert [one.path for one in found.frames] == [name] and not found.left


def write_sets(folder, *names, **elements):
    """RT Structure Sets of one ROI."""
    image = folder.image(folder.patients[0], 1)
    for name in names:
        source_folders.write_structure_set(
            folder.root / name, [image], {"Heart": source_folders.disc(20, 20, 5)}
        )
        source_folders.edit(folder.root / name, **elements)


@pytest.mark.parametrize("kind", [AN_IMAGE, ANYTHING])
def test_annotation_objects_are_told_by_their_class(source, kind):
    write_sets(source, "rt 1", "rt 2")
    image = f"dicoms/{source.patients[0]}/1.dcm"
    found = scan_some(source.root, ["rt 2", image, "rt 1"], kind)
    assert [one.path for one in found.objects] == ["rt 2", "rt 1"]
    assert [one.path for one in found.frames] == [image] and not found.left
    (heart,) = found.objects[0].items
    assert (found.objects[0].kind, heart.names) == ("rtstruct", ("Heart", "#1"))


def test_object_that_cannot_be_used_is_left(source):
    write_sets(source, "rt", StructureSetROISequence=[], ROIContourSequence=[])
    found = scan_some(source.root, ["rt"], ANYTHING)
    (one,) = found.left
    assert (one.path, one.kind) == ("rt", "object")
    assert one.reason == "rtstruct_without_rois" and not found.objects


@pytest.mark.parametrize("blank", [False, True])
def test_of_two_objects_with_one_instance_uid_neither_is_used(source, blank):
    names = ["rt 1", "rt 2"]
    instance = None if blank else "1.2.3"
    write_sets(source, *names, SOPInstanceUID=instance)
    write_sets(source, "rt 3")
    found = scan_some(source.root, [*names, "rt 3"], ANYTHING)
    if blank:  # nothing says that they are one
        assert len(found.objects) == 3 and not found.left
        return
    assert [one.path for one in found.objects] == ["rt 3"]
    assert reasons(found) == dict.fromkeys(names, "duplicate_instance")
    assert {one.kind for one in found.left} == {"object"}


def test_masks_are_read_by_what_their_path_says(tmp_path, monkeypatch):
    mask = AnnotationObject("", MASKS, items=(AnnotatedItem(1, ("1",)),))

    def read_object(path, name, *, values, class_name):
        assert (values, class_name) == ({1: "heart"}, None)
        if name == "bad.png":
            raise InputSkipped("mask_unreadable", "cut")
        return dataclasses.replace(mask, path=name)

    monkeypatch.setattr(READERS[MASKS], "read_object", read_object)
    found = scan_some(
        tmp_path,
        ["a.png", "bad.png"],
        A_MASK,
        rules=ScanRules(mask_values=((1, "heart"),)),
    )
    assert [one.path for one in found.objects] == ["a.png"]
    (one,) = found.left
    assert (one.kind, one.reason, one.detail) == ("mask", "mask_unreadable", "cut")


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose headers are read."""
    names = []
    open_header = dicom_file.open_header

    def recorded(path, *arguments):
        names.append(path.name)
        return open_header(path, *arguments)

    monkeypatch.setattr(dicom_file, "open_header", recorded)
    return names


@pytest.fixture
def deadly(monkeypatch, tmp_path):
    """Lets workers die at files, by name: always, or the first time only."""
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(processes, "_context", lambda: context)
    open_header = dicom_file.open_header

    def deadly(*always, once=()):
        def open_or_die(path, *arguments):
            mark = tmp_path / f"died at {path.name}"
            if path.name in always or (path.name in once and not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return open_header(path, *arguments)

        monkeypatch.setattr(dicom_file, "open_header", open_or_die)

    return deadly


@pytest.mark.parametrize("workers", [2, 3])
def test_a_file_that_kills_its_workers_is_left(tmp_path, deadly, workers, capfd):
    folder = source_folders.write_folder(tmp_path / "in", annotated=1, plain=29)
    patient = folder.patients[0]
    paths = [f"dicoms/{one}/{n}.dcm" for one in folder.patients for n in range(1, 31)]
    for number in (3, 4, 9):
        folder.image(patient, number).rename(folder.image(patient, f"{number}00"))
        paths[number - 1] = f"dicoms/{patient}/{number}00.dcm"
    deadly("300.dcm", "400.dcm", once=["900.dcm"])
    cache = tmp_path / "headers"
    found = scan_some(folder.root, paths, workers=workers, cache=cache)
    assert reasons(found) == {paths[2]: "worker_died", paths[3]: "worker_died"}
    assert all("SIGKILL" in one.detail for one in found.left)
    rest = [path for path in paths if path not in reasons(found)]
    assert [one.path for one in found.frames] == rest
    warnings = capfd.readouterr().err.splitlines()
    assert [line.partition(", at ")[2].partition(")")[0] for line in warnings] == [
        *[paths[2]] * 2,
        *[paths[3]] * 2,
        paths[8],
    ]
    deadly()
    again = scan_some(folder.root, paths, workers=workers, cache=cache)
    assert not again.left and len(again.frames) == len(paths)


def test_one_file_alone_is_read_in_a_worker(source, deadly):
    deadly("1.dcm")
    path = f"dicoms/{source.patients[0]}/1.dcm"
    found = scan_some(source.root, [path], A_MASK, workers=2)
    assert [(one.kind, one.reason) for one in found.left] == [("mask", "worker_died")]


def test_workers_that_die_before_any_file_end_the_scan(source, deadly, monkeypatch):
    deadly()
    monkeypatch.setattr(scan, "_read_all", lambda *_: os._exit(9))
    with pytest.raises(RuntimeError, match="exit status 9.*before its first file"):
        scan_some(source.root, [f"dicoms/{source.patients[0]}/1.dcm"], workers=2)


def test_headers_that_were_read_before_are_not_read_again(source, tmp_path, opened):
    cache = tmp_path / "cache" / "headers"
    write_sets(source, "rt")
    write_cine(source.root / "cine.dcm", 3)
    (source.root / "notes").write_text("hello")
    (source.root / "bad.dcm").write_text("hello")
    images = [f"dicoms/{source.patients[0]}/{number}.dcm" for number in (1, 2, 3)]
    paths = ["rt", "bad.dcm", *images, "notes", "cine.dcm"]

    def again():
        opened.clear()
        found = scan_some(source.root, paths, ANYTHING, cache=cache)
        assert found == scan_some(source.root, paths, ANYTHING)
        return found, opened[: -len(paths)]

    first, read = again()
    assert len(read) == len(paths) and len(first.frames) == 6
    second, read = again()
    # What is wrong may have been mended outside of the file.
    assert read == ["bad.dcm"] and second == first
    source_folders.edit(source.root / images[1], PatientID="Somebody Else")
    changed, read = again()
    assert set(read) == {"bad.dcm", "2.dcm"} and len(read) == 2
    assert "Somebody Else" in {one.header.patient_id for one in changed.frames}
    (source.root / images[2]).unlink()
    gone, _ = again()
    assert reasons(gone)[images[2]] == "file_unreadable"
    paths.remove(images[0])
    assert again()[1] == ["bad.dcm", "3.dcm"]
    cache.write_bytes(b"damaged")
    _, read = again()
    assert len(read) == len(paths)


def test_what_a_file_is_asked_for_belongs_to_its_stamp(source, tmp_path, opened):
    cache = tmp_path / "headers"
    source_folders.write_image(source.root / "report", "P", 1, SOPClassUID=REPORT)
    source_folders.edit(source.root / "report", Rows=None, Columns=None)
    for kind, reason in [
        (ANYTHING, "stray_file"),
        (AN_IMAGE, "not_an_image"),
        (ANYTHING, "stray_file"),
    ]:
        (one,) = scan_some(source.root, ["report"], kind, cache=cache).left
        assert one.reason == reason


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
