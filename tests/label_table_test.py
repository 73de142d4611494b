import sys

import pytest

from tfdicom.label_kinds import LabelInfo
from tfdicom.label_table import FrameIdentity, match_frames, read_label_table

HERE = {"patient": "A", "study": "1.2", "series": "1.2.3", "instance": "1.2.3.4"}


def _read(folder, *lines, encoding="utf-8"):
    path = folder / "labels.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    return read_label_table(path)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("patient_id", "A"),
        ("PatientID", "A"),
        ("study", "1.2"),
        ("SeriesInstanceUID", "1.2.3"),
        ("instance", "1.2.3.4"),
        ("SOPInstanceUID,PatientID", "1.2.3.4,A"),
        ("patient_id,study,series,instance", "A,1.2,1.2.3,1.2.3.4"),
    ],
)
def test_a_row_is_found_by_what_it_names(tmp_path, header, key):
    table = _read(tmp_path, f"{header},age", f"{key},41")
    assert table.for_frame(**HERE) == (("age",), ("41",))
    for name in table.joins:
        assert table.for_frame(**{**HERE, name: "B"}) == (("age",), ("",))
    others = {name: "B" for name in HERE if name not in table.joins}
    assert table.for_frame(**{**HERE, **others}) == (("age",), ("41",))


def test_spaces_at_the_ends_of_a_dicom_value_mean_nothing(tmp_path):
    table = _read(tmp_path, "patient_id,study,age", " A ,1.2, 41")
    padded = {**HERE, "patient": "A ", "study": "1.2\0"}
    assert table.for_frame(**padded) == (("age",), ("41",))


@pytest.mark.parametrize(
    ("header", "cells", "wanted"),
    [
        ("x", "1 -2.5 .5 1e3 +7. NaN", ("number", ())),
        ("x", "0 1", ("number", ())),
        ("x:class", "1 0 2", ("class", ("0", "1", "2"))),
        ("x", "b a b", ("class", ("a", "b"))),
        ("x:b|a|c", "a b N/A", ("class", ("b", "a", "c"))),
        ("x:class", "10 9 3a", ("class", ("10", "3a", "9"))),
        ("x", "a b c d e f g h i", ("class", tuple("abcdefghi"))),
        ("x:class", "a b c d e f g h i j", ("class", tuple("abcdefghij"))),
        ("x", "a b c d e f g h i j a", ("class", tuple("abcdefghij"))),
    ],
)
def test_a_column_is_what_all_of_it_says(tmp_path, header, cells, wanted):
    rows = [f"{n},{cell}" for n, cell in enumerate(cells.split())]
    table = _read(tmp_path, f"patient_id,{header}", *rows)
    assert table.columns == (LabelInfo("x", *wanted),)


@pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", " nan ", "NULL"])
def test_a_missing_value_is_empty(tmp_path, cell):
    table = _read(tmp_path, "patient_id,age,sex", f"A,{cell},f", f"B,3,{cell}")
    assert table.for_frame(**HERE) == (("age", "sex"), ("", "f"))
    assert table.for_frame(**{**HERE, "patient": "B"})[1] == ("3", "")


def test_values_stay_as_they_are(tmp_path):
    table = _read(
        tmp_path,
        "\ufeffpatient_id,a,b",
        '"A, B",1.50,"ö ""x"""',
        "",
        ",,",
        encoding="utf-8",
    )
    assert table.for_frame(**{**HERE, "patient": "A, B"})[1] == ("1.50", 'ö "x"')


def test_rows_of_one_key_are_put_together(tmp_path):
    table = _read(tmp_path, "patient_id,a,b", "A,1,", "A,,x", "A,1,x")
    assert table.rows == {("A",): ("1", "x")}
    message = r"line 4 and line 2: these rows are .* differ in 'b': 'y' and 'x'"
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, "patient_id,a,b", "A,1,x", "B,1,y", "A,1,y")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "labels.csv is empty"),
        (["", ""], "labels.csv is empty"),
        (["patient_id,age"], "has a header and no row"),
        (["patient_id,age", "A"], "line 2: 1 cells, where the header has 2"),
        (["patient_id,age", "A,1,2"], "line 2: 3 cells, where the header has 2"),
        (["patient_id,age", "A,1", ",2"], "line 3: patient_id is empty"),
        (["patient_id,age", "A,", "B,NA"], "column 'age' has no value; leave it out"),
        (["patient_id,age", "A,4", "B,old"], "line 3: age is 'old', which is no numb"),
        (["patient_id,age", "A,inf", "B,4"], "line 2: age is 'inf', .*'age:class'"),
        (["patient_id,age", "A,1_0", "B,4"], "line 2: age is '1_0'"),
        (["patient_id,age", "A,4", "B,1e39"], "line 3: age is '1e39'; a finite numb"),
        (["patient_id,age:number", "A,x"], "line 2: age is 'x'; a finite number"),
        (["patient_id,s:a|b", "A,a", "B,c"], "line 3: s is 'c'; .* one of a, b"),
        (["patient_id,s", "A,a|b"], "a word of column 's' holds a |"),
        (["patient_id,name", "A,x"], "column 'name' seems to identify a person"),
        (
            ["patient_id,remark", *(f"{n},text{n}" for n in range(10))],
            "every value of column 'remark' is another one.* 'remark:class'",
        ),
        (["patient_id,age", 'A,"4'], "line 2: unexpected end of data"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path, lines, message):
    with pytest.raises(ValueError, match=f"^--labels: .*{message}"):
        _read(tmp_path, *lines)


def test_a_quoted_line_break_does_not_move_the_lines(tmp_path):
    with pytest.raises(ValueError, match="line 4: 1 cells"):
        _read(tmp_path, "patient_id,a", '"A\nB",1', "C")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="--labels: .*none.csv cannot be read"):
        read_label_table(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="should be UTF-8 text"):
        _read(tmp_path, "patient_id,ö", "A,1", encoding="latin-1")


def _frames(*patients):
    return [FrameIdentity(one, "s", "r", f"i{n}") for n, one in enumerate(patients)]


def test_counts_what_matches(tmp_path):
    table = _read(tmp_path, "patient_id,age", "A,1", "B,2", "C,3")
    found = match_frames(table, iter(_frames("A", "A", "B", "D")))
    assert (found.rows, found.unused_rows) == (3, 1)
    assert (found.frames, found.unlabelled_frames) == (4, 1)
    assert str(found) == (
        "2 of 3 rows of the label table name a frame, 1 name none; "
        "1 of 4 frames have no row"
    )
    assert match_frames(table, []).frames == 0


def test_a_table_of_something_else_is_refused(tmp_path):
    lines = (f"{patient},1,{n}" for n, patient in enumerate("ABCD"))
    table = _read(tmp_path, "patient_id,study,age", *lines)
    message = (
        "no row names any of the 2 frames by patient, study. The table has "
        "'A / 1', 'B / 1', 'C / 1', ...; the frames are of 'A / s', 'E / s'$"
    )
    with pytest.raises(ValueError, match=message):
        match_frames(table, _frames("A", "E"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
