import operator
import sys

import pytest

from tests import source_folders
from tfdicom import dicom, patients, split_choice
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.sources.candidates import TEXT, Annotation
from tfdicom.splits import parse_split

CONTOURS = (Annotation(TEXT, "c.txt", "inner"),)


@pytest.fixture
def image(tmp_path):
    """A frame of a patient under a path."""

    def annotated(path, patient="P1", study="1.2.3", *, contours=CONTOURS, absent=()):
        file = tmp_path / "image.dcm"
        source_folders.write_image(file, patient, 1, StudyInstanceUID=study)
        return AnnotatedFrame(path, dicom.read_header(file), contours, absent)

    return annotated


@pytest.mark.parametrize(
    ("patient_from", "expected"),
    [
        ("tag", ["A", "B", "A"]),
        ("study", ["1.2.3", "1.2.4", "1.2.5"]),
        (r"folder:site\d/([^/]+)", ["p1", "p1", "p2"]),
        (r"folder:site\d", ["site1", "site2", "site2"]),
    ],
)
def test_patient_from(image, patient_from, expected):
    images = [
        image("site1/p1/1.dcm", "A", "1.2.3"),
        image("site2/p1/1.dcm", "B", "1.2.4"),
        image("site2/p2/1.dcm", "A", "1.2.5"),
    ]
    found = patients.identify(images, patient_from, several_splits=True)
    assert found == expected


def test_table_names_folders_and_files_the_longest_path_wins(image, tmp_path):
    table = tmp_path / "who.csv"
    rows = ("path,patient_id,note", "a,One,x", "a/b/,Two,x", "a/b/2.dcm,Three,x")
    table.write_text("\ufeff" + "\n".join(rows))
    paths = ["a/1.dcm", "a/b/1.dcm", "a/b/2.dcm", "a/bc/1.dcm"]
    images = [image(path) for path in paths]
    found = patients.identify(images, f"csv:{table}", several_splits=True)
    assert found == ["One", "Two", "Three", "One"]


@pytest.mark.parametrize("rows", ["", "file,patient_id\na,b\n", "path\na\n"])
def test_table_needs_its_columns(image, tmp_path, rows):
    table = tmp_path / "who.csv"
    table.write_text(rows)
    with pytest.raises(ValueError, match=r"who.csv: the columns path and patient_id"):
        patients.identify([image("a")], f"csv:{table}", several_splits=True)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("path,patient_id\na,A\nb\n", "line 3: a path and a patient_id .* got 'b'"),
        ("patient_id,path\nA\n", "line 2: a path and a patient_id .* got 'A'"),
        ("path,patient_id\na,A\na/,B\n", "line 3: 'a' is of 'B' here and of 'A'"),
        (None, "cannot be read: No such file"),
    ],
)
def test_table_that_cannot_be_used_is_named_with_its_flag(image, tmp_path, rows, words):
    table = tmp_path / "who.csv"
    if rows is not None:
        table.write_text(rows)
    with pytest.raises(ValueError, match=f"--patient_from: .*who.csv.* ?{words}"):
        patients.identify([image("a")], f"csv:{table}", several_splits=True)


def test_image_that_the_table_does_not_name_has_no_patient(image, tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("path,patient_id\na,One\n")
    with pytest.raises(ValueError, match="b/1.dcm .* the file of --patient_from"):
        patients.identify([image("b/1.dcm")], f"csv:{table}", several_splits=True)


@pytest.mark.parametrize("name", ["", "  ", "Anonymous", "ANONYMIZED", "unknown", "0"])
def test_nobodys_image_is_refused(image, name):
    images = [image("a/1.dcm", "A"), image("a/2.dcm", name)]
    with pytest.raises(
        ValueError,
        match=r"1 annotated images .* a/2.dcm .*'Patient ID'.*--patient_from",
    ):
        patients.identify(images, "tag", several_splits=True)
    unannotated = [
        images[0],
        image("b/1.dcm", "B"),
        image("a/2.dcm", name, contours=()),
    ]
    assert len(patients.identify(unannotated, "tag", several_splits=True)) == 3


def test_one_identifier_for_everything_is_refused(image):
    images = [image("a/1.dcm"), image("b/1.dcm"), image("c/1.dcm", "B", contours=())]
    with pytest.raises(ValueError, match=r"one patient, 'P1'.*--split=train"):
        patients.identify(images, "tag", several_splits=True)
    assert patients.identify(images, "tag", several_splits=False) == ["P1", "P1", "B"]


def test_an_image_on_which_everything_is_absent_is_annotated(image):
    one = image("a/1.dcm", "A")
    nobodys = image("b/1.dcm", "", contours=(), absent=("inner",))
    with pytest.raises(ValueError, match="1 annotated images .* b/1.dcm"):
        patients.identify([one, nobodys], "tag", several_splits=True)
    other = image("b/1.dcm", "B", contours=(), absent=("inner",))
    assert patients.identify([one, other], "tag", several_splits=True) == ["A", "B"]


def test_where_every_image_becomes_an_example_every_patient_counts(image):
    def identify(images, **arguments):
        return patients.identify(images, "tag", several_splits=True, **arguments)

    bare = [image(f"{name}/1.dcm", name, contours=()) for name in "AB"]
    assert identify(bare, every=True) == ["A", "B"]
    # Of two patients one is enough to be annotated, if all are examples.
    images = [image("a/1.dcm", "A"), image("b/1.dcm", "B", contours=())]
    assert identify(images, every=True) == ["A", "B"]
    with pytest.raises(ValueError, match="of one patient, 'A'"):
        identify(images)
    with pytest.raises(ValueError, match="of one patient, 'A'"):
        identify([image(f"{n}.dcm", "A", contours=()) for n in "12"], every=True)
    nobodys = [*images, image("c/1.dcm", "Anonymous", contours=())]
    with pytest.raises(ValueError, match=r"1 .*images .* c/1.dcm .*'Patient ID'"):
        identify(nobodys, every=True)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["a/1.dcm", "b/1.dcm"],
            "b/1.dcm of patient 'b' is the same SOP Instance as a/1",
        ),
        (["a/1.dcm", "a/2.dcm"], ""),
        (["a/1.dcm", "unknown/1.dcm"], ""),  # whose that is nobody knows
        ([f"{number}/1.dcm" for number in range(10, 30)], "and 9 more such pairs"),
    ],
)
def test_one_image_of_two_patients_is_refused(image, names, words):
    frames = [image(name) for name in names]

    def owner(one):
        return one.path.partition("/")[0]

    if not words:
        patients.refuse_shared_instances(frames, owner, operator.ne)
        return
    with pytest.raises(ValueError, match=f"{words}(.|\n)*--patient_from"):
        patients.refuse_shared_instances(frames, owner, operator.ne)


@pytest.mark.parametrize(
    ("split", "refused"),
    [
        ("train", ""),
        ("train:0.5,test:0.5", "b/1.dcm .* as a/1.dcm"),
        ("train:a+b,test:z", ""),
        ("train:a,test:z", ""),  # b and c are left out
        ("train:a,test:c", "c/1.dcm .* as a/1.dcm"),
        ("train:b,test:c", "c/1.dcm .* as b/1.dcm"),
    ],
)
def test_one_image_of_two_patients_who_cannot_part(image, split, refused):
    frames = [image(name) for name in ("a/1.dcm", "b/1.dcm", "c/1.dcm")]
    may_part = split_choice.SplitChoice(parse_split(split)).may_part

    def check():
        patients.refuse_shared_instances(frames, lambda one: one.path[0], may_part)

    if not refused:
        check()
        return
    with pytest.raises(ValueError, match=refused):
        check()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
