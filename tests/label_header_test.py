import sys

import pytest

from tfdicom import label_header
from tfdicom.label_kinds import LabelInfo


@pytest.mark.parametrize(
    ("header", "places"),
    [
        (["patient_id", "age"], {"patient": 0}),
        (["age", "PatientID", "StudyInstanceUID"], {"patient": 1, "study": 2}),
        (["instance", "series", "age"], {"instance": 0, "series": 1}),
        (["SOPInstanceUID", "SeriesInstanceUID"], {"instance": 0, "series": 1}),
    ],
)
def test_finds_the_columns_that_name_frames(header, places):
    assert label_header.join_places(header, "t.csv") == places


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["age", "sex"], "t.csv: no column says .* patient_id, .* got 'age', 'sex'$"),
        (["patient_id;age"], r"got 'patient_id;age' \(cells are separated by commas"),
        (
            ["patient_id", "PatientID", "age"],
            "'patient_id' and 'PatientID' both name the patient",
        ),
    ],
)
def test_frames_must_be_named_once(header, message):
    with pytest.raises(ValueError, match=message):
        label_header.join_places(header, "t.csv")


def test_a_column_may_say_its_kind():
    names = ["age", "score:number", "grade : class", "stage:low|high", "t: ms"]
    assert label_header.declared_labels(names, "t.csv") == [
        LabelInfo("age", ""),
        LabelInfo("score", "number"),
        LabelInfo("grade", "class"),
        LabelInfo("stage", "class", ("low", "high")),
        LabelInfo("t: ms", ""),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no column besides those that name frames"),
        ([""], "a column has no name"),
        ([":class"], "a column has no name"),
        (["age", "age:number"], "two columns are named age"),
        (["stage:a|a"], "t.csv: column 'stage:a|a': 'name:word|word' is wanted"),
        (["a;b"], "'a;b': a label's name holds no ; and no comma"),
    ],
)
def test_labels_have_names_of_their_own(names, message):
    with pytest.raises(ValueError, match=message):
        label_header.declared_labels(names, "t.csv")


@pytest.mark.parametrize(
    "name",
    ["patient", "Patient ID", "subject_id", "study_uid", "SeriesUID", "image_id"],
)
def test_what_seems_to_name_frames_is_no_label(name):
    with pytest.raises(ValueError, match=f"column '{name}' seems to name frames"):
        label_header.declared_labels([name], "t.csv")


@pytest.mark.parametrize(
    "name",
    ["Name", "PatientName", "last name", "birth_date", "PatientBirthDate", "D.O.B."]
    + ["e-mail", "MRN", "AccessionNumber", "address", "PatientTelephoneNumbers"],
)
def test_what_seems_to_name_a_person_is_refused(name):
    with pytest.raises(ValueError, match=f"column '{name}' seems to identify a person"):
        label_header.declared_labels([name], "t.csv")


@pytest.mark.parametrize(
    "name", ["age", "studies", "names", "birth_weight", "seriesly"]
)
def test_other_names_are_labels(name):
    assert label_header.declared_labels([name], "t.csv") == [LabelInfo(name, "")]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
