import shutil
import sys

import pytest

from tests import source_folders
from tfdicom import dicom_file
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.ledger import Ledger
from tfdicom.survey import survey


class Told(Ledger):
    """A ledger that remembers what it was told, by path."""

    def __init__(self):
        super().__init__(Pseudonyms(b"a key for tests, of enough bytes"))
        self.told = {}

    def leave(self, left):
        left = list(left)
        self.told.update((one.path, (one.kind, one.reason)) for one in left)
        super().leave(left)


def look(root, **options):
    """What is found, and what is left of it."""
    ledger = Told()
    given = ConvertOptions(
        input_dir=str(root), num_workers=1, header_cache="none", **options
    )
    return survey(root, given, ledger), ledger.told


def classes(found):
    return [(one.name, one.expression) for one in found.classes]


def drawn(found):
    """Structure and file by the frame's name, of frames on which something is."""
    return {
        one.name: [(each.structure, each.path) for each in one.annotations]
        for one in found.frames
        if one.annotations
    }


def write_set(source, name="rt.dcm", patient=0, rois=("Heart", "GTV-1"), **elements):
    """An RT Structure Set on the first two images of a patient."""
    patient = source.patients[patient]
    images = [source.image(patient, number) for number in (1, 2)]
    shapes = [source.inner(patient, 1), source.outer(patient, 1)]
    outlines = dict(zip(rois, shapes, strict=False))
    path = source.root / name
    source_folders.write_structure_set(path, images, outlines, **elements)


@pytest.fixture
def dicom_only(source):
    """A tree of images without any name that tells something."""
    shutil.rmtree(source.root / "contourfiles")
    (source.root / "link.csv").unlink()
    return source


@pytest.mark.parametrize("annotations", ["auto", "contours"])
def test_contour_files_have_default_classes(source, annotations, capsys):
    found, left = look(source.root, annotations=annotations)
    assert classes(found) == [("inner", "inner"), ("outer", "outer")]
    assert found.kinds == ("contours",) and found.objects == ()
    assert found.listing.layout == "sunnybrook"
    assert found.paired == (6, 9)
    assert len(found.frames) == 9 and not left
    assert len(drawn(found)) == 6
    said = capsys.readouterr().err
    assert "Found 9 frames (9 MR) of 3 series and 3 patients; 9 contour files." in said


def test_classes_of_contour_files(source):
    found, left = look(source.root, classes="myo=outer-inner")
    assert classes(found) == [("myo", "outer-inner")] and not left
    found, left = look(source.root, classes="outer")
    assert len(drawn(found)) == 3
    assert list(left.values()) == [("contour", "structure_not_used")] * 6
    # What was paired, whatever the classes make of it.
    assert found.paired == (6, 9)


def test_class_of_a_structure_that_is_nowhere_is_refused(source):
    with pytest.raises(ValueError, match="wants the structure 'lv'") as error:
        look(source.root, classes="lv")
    assert "outline 'inner', 'outer'" in str(error.value)


def test_objects_without_classes_suggest_them(dicom_only):
    write_set(dicom_only)
    write_set(dicom_only, "more.dcm", patient=1, rois=("Heart",))
    with pytest.raises(ValueError) as error:
        look(dicom_only.root)
    assert str(error.value).splitlines() == [
        "classes: say which structures to convert. Found are",
        "  'GTV-1' (1)",
        "  'Heart' (2)",
        "For all of them: --classes='gtv_1=/GTV-1/;heart'",
    ]
    found, left = look(dicom_only.root, classes="gtv_1=/GTV-1/;heart")
    assert not left and found.kinds == ("rtstruct",)


@pytest.mark.parametrize("annotations", ["auto", "rtstruct"])
def test_structure_sets_among_images(dicom_only, annotations, capsys):
    write_set(dicom_only)
    found, left = look(dicom_only.root, annotations=annotations, classes="heart")
    patient = dicom_only.patients[0]
    assert drawn(found) == {
        f"dicoms/{patient}/{number}.dcm": [("heart", "rt.dcm")] for number in (1, 2)
    }
    assert (found.objects, found.kinds) == (("rt.dcm",), ("rtstruct",))
    assert found.paired == (2, 2)
    assert left == {"rt.dcm#2": ("contour", "structure_not_used")}
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("of 3 series and 3 patients; 1 RT structure sets.")
    assert lines[2:4] == ["  'Heart' (1) -> heart", "  matched by none: 'GTV-1'"]


def test_contour_files_and_objects_together(source):
    write_set(source, rois=("Heart",), patient=2)
    with pytest.raises(ValueError, match="classes: say which .* Found are\n") as error:
        look(source.root)
    assert "--classes='heart;inner;outer'" in str(error.value)
    found, left = look(source.root, classes="inner;heart")
    assert found.kinds == ("contours", "rtstruct")
    patient = source.patients[2]
    names = [structure for structure, _ in drawn(found)[f"dicoms/{patient}/1.dcm"]]
    assert sorted(names) == ["heart", "inner"]
    assert set(left.values()) == {("contour", "structure_not_used")}


@pytest.mark.parametrize("annotations", ["rtstruct", "seg", "masks"])
def test_contour_files_that_are_not_asked_for(source, annotations):
    if annotations != "rtstruct":
        with pytest.raises(ValueError, match=f"--annotations={annotations}"):
            look(source.root, annotations=annotations, classes="heart")
        return
    write_set(source)
    found, left = look(source.root, annotations=annotations, classes="heart")
    assert found.kinds == ("rtstruct",) and len(found.frames) == 9
    strays = [path for path, why in left.items() if why == ("other", "stray_file")]
    assert len(strays) == 9 + 1 and "link.csv" in strays


def test_objects_that_are_not_asked_for(dicom_only, source):
    write_set(dicom_only)
    for annotations in ("seg", "masks"):
        with pytest.raises(ValueError, match="no annotation was found"):
            look(dicom_only.root, annotations=annotations, classes="heart")
    found, left = look(dicom_only.root, annotations="none")
    assert left == {"rt.dcm": ("object", "object_not_asked_for")}
    assert found.objects == () and found.kinds == ()


def test_object_that_is_not_asked_for_may_be_broken(dicom_only):
    write_set(dicom_only, StructureSetROISequence=[], ROIContourSequence=[])
    found, left = look(dicom_only.root, annotations="none")
    assert left == {"rt.dcm": ("object", "object_not_asked_for")}


def test_without_masks(source):
    write_set(source)
    found, left = look(source.root, annotations="none")
    assert len(found.frames) == 9 and not drawn(found)
    assert found.classes == () and found.paired == (0, 0)
    assert left.pop("rt.dcm") == ("object", "object_not_asked_for")
    assert set(left.values()) == {("other", "stray_file")} and len(left) == 10


def strays(source):
    """Files that are nothing, hidden ones among them: kind and reason by path."""
    root = source.root
    image = source.image(source.patients[0], 1)
    copies = [".Trash/1.dcm", "dicoms/.hidden.dcm", "dicoms/._1.dcm", ".cache/a/IM1"]
    for name in copies:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, root / name)
    (root / "README.md").write_text("hello")
    (root / "dicoms" / "DICOMDIR").write_bytes(b"\0" * 200)
    return dict.fromkeys(
        (*copies, "README.md", "dicoms/DICOMDIR"), ("other", "stray_file")
    )


@pytest.mark.parametrize("annotations", ["auto", "contours", "none"])
def test_hidden_and_stray_files(source, annotations):
    expected = strays(source)
    found, left = look(source.root, annotations=annotations)
    assert expected.items() <= left.items()
    # A copy that is hidden is no second file of one instance.
    assert len(found.frames) == 9


@pytest.mark.parametrize("name", ["extra.dcm", "IM7"])
def test_images_that_no_pattern_names(source, name):
    shutil.copy(source.image(source.patients[0], 1), source.root / name)
    source_folders.edit(source.root / name, SOPInstanceUID="1.2.3")
    found, left = look(source.root)
    assert name in {one.path for one in found.frames} and not left
    found, left = look(source.root, annotations="contours")
    assert name not in {one.path for one in found.frames}
    assert left == {name: ("other", "stray_file")}


@pytest.mark.parametrize("annotations", ["auto", "contours"])
def test_asked_for_contour_files_no_other_file_is_read(
    source, annotations, monkeypatch
):
    opened = []
    open_header = dicom_file.open_header

    def recorded(path, *arguments):
        opened.append(path.relative_to(source.root).as_posix())
        return open_header(path, *arguments)

    monkeypatch.setattr(dicom_file, "open_header", recorded)
    write_set(source)
    (source.root / "notes.txt").write_text("hello")
    look(source.root, annotations=annotations, classes="inner")
    images = {f"dicoms/{p}/{n}.dcm" for p in source.patients for n in (1, 2, 3)}
    others = {"rt.dcm", "notes.txt"} if annotations == "auto" else set()
    assert set(opened) == images | others and len(opened) == len(set(opened))


def test_unusable_images_take_their_contours_along(source):
    patient = source.patients[0]
    source_folders.edit(source.image(patient, 1), BurnedInAnnotation="YES")
    found, left = look(source.root)
    assert len(found.frames) == 8 and found.paired == (5, 7)
    assert left.pop(f"dicoms/{patient}/1.dcm") == ("image", "burned_in")
    assert list(left.values()) == [("contour", "image_unusable")] * 2


def test_contours_without_an_image_are_left(source):
    source.image(source.patients[0], 2).unlink()
    found, left = look(source.root)
    assert list(left.values()) == [("contour", "contour_without_image")]
    assert len(found.frames) == 8


def edit_all(source, **elements):
    for path in source.root.rglob("*.dcm"):
        source_folders.edit(path, **elements)


def test_nothing_that_could_be_converted(source, dicom_only, tmp_path):
    with pytest.raises(ValueError, match="no annotation was found") as error:
        look(dicom_only.root)
    assert "sunnybrook: 0 images match" not in str(error.value)
    assert "sunnybrook: 9 images match" in str(error.value)
    assert "sunnybrook: 0 contours match" in str(error.value)
    edit_all(dicom_only, BurnedInAnnotation="YES")
    with pytest.raises(ValueError, match="none of the 9 files found is") as error:
        look(dicom_only.root)
    assert "9 skipped: burned_in" in str(error.value)
    (tmp_path / "empty").mkdir()
    for annotations in ("auto", "none"):
        with pytest.raises(ValueError, match="none of the 0 files found"):
            look(tmp_path / "empty", annotations=annotations)


def test_contours_none_of_which_can_be_used(source):
    for path in source.root.rglob("*.dcm"):
        if path.stem != "3":
            source_folders.edit(path, BurnedInAnnotation="YES")
    with pytest.raises(ValueError, match="none of the 6 images with contours") as error:
        look(source.root)
    assert "9 skipped: image_unusable" in str(error.value)
    (source.root / "link.csv").write_text("patient_id,original_id\nx,y\n")
    with pytest.raises(ValueError, match="no contour could be paired") as error:
        look(source.root)
    assert "9 skipped: patient_not_linked" in str(error.value)


@pytest.mark.parametrize(
    "options", [{"annotations": "contours"}, {"layout": "sunnybrook"}]
)
def test_layout_that_was_asked_for_has_to_be_there(dicom_only, options):
    write_set(dicom_only)
    with pytest.raises(ValueError, match="no images with contours were found") as error:
        look(dicom_only.root, **options)
    assert "sunnybrook: 9 images match dicoms/{patient}/{image}.dcm" in str(error.value)


@pytest.mark.parametrize("policy", ["newest", "raters", "error"])
def test_several_annotations(dicom_only, policy):
    write_set(dicom_only, "old.dcm", rois=("Heart",), StructureSetDate="20100101")
    write_set(dicom_only, "new.dcm", rois=("Heart",))
    options = {"classes": "heart", "several_annotations": policy}
    if policy == "error":
        with pytest.raises(ValueError, match="both annotate 'heart'"):
            look(dicom_only.root, **options)
        return
    found, left = look(dicom_only.root, **options)
    if policy == "newest":
        assert {path for one in drawn(found).values() for _, path in one} == {"new.dcm"}
        assert left == {
            f"old.dcm#1.{n}": ("contour", "annotated_again_later") for n in (1, 2)
        }
    else:
        assert len(found.frames) == 9 + 3 and not left
        assert len({one.rater for one in found.frames}) == 3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
