import dataclasses
import shlex
import sys

import pytest

from tfdicom import structures
from tfdicom.classes import parse_classes, structures_of
from tfdicom.sources.annotation_objects import AnnotatedItem, AnnotationObject
from tfdicom.sources.candidates import TEXT, Annotation
from tfdicom.structures import StructureNames, structure_names

OBJECT = AnnotationObject(
    path="rt.dcm",
    kind="rtstruct",
    items=(
        AnnotatedItem(1, ("LUNG_L", "#1", "Lung", "SCT:39607008")),
        AnnotatedItem(2, ("Lung_R", "#2", "Lung", "SCT:39607008")),
        AnnotatedItem(7, ("GTV-1", "#7")),
    ),
)
CONTOURS = tuple(
    Annotation(TEXT, f"{number}.txt", name)
    for number, name in enumerate(("inner", "inner", "outer", "p1"))
)


def terms(text):
    return structures_of(parse_classes(text))


@pytest.mark.parametrize(
    ("classes", "used"),
    [
        ("lung_l", {1: ("lung_l",)}),
        ("lung=lung_(l|r)", {1: ("/lung_(l|r)/",), 2: ("/lung_(l|r)/",)}),
        ("lung=/SCT:39607008/", {1: ("/SCT:39607008/",), 2: ("/SCT:39607008/",)}),
        ("lung", {1: ("lung",), 2: ("lung",)}),
        ("tumour=#7", {7: ("/#7/",)}),
        ("tumour=/GTV-1/", {7: ("/GTV-1/",)}),
        ("heart", {}),
        ("lung_l;lung", {1: ("lung_l", "lung"), 2: ("lung",)}),
        ("both=lung_l-lung_r", {1: ("lung_l",), 2: ("lung_r",)}),
    ],
)
def test_items_of_an_object(classes, used):
    assert structures.items_used(OBJECT, terms(classes)) == used
    unused = structures.items_unused(OBJECT, terms(classes))
    assert {one.number for one in unused} == {1, 2, 7} - set(used)


def test_names_are_counted_and_bound_to_terms():
    other = dataclasses.replace(OBJECT, items=OBJECT.items[1:])
    wanted = terms("inner;any=lung.*;left=LUNG_L")
    names = structure_names(CONTOURS, [OBJECT, other], wanted)
    assert names.found == {
        "GTV-1": 2,
        "LUNG_L": 1,
        "Lung_R": 2,
        "inner": 2,
        "outer": 1,
        "p1": 1,
    }
    assert names.terms["LUNG_L"] == ("/lung.*/", "LUNG_L")
    assert names.unused == ("GTV-1", "outer", "p1")
    assert names.doubly_used == ("LUNG_L",)
    assert list(names.lines()) == [
        "  'LUNG_L' (1) -> /lung.*/, LUNG_L",
        "  'Lung_R' (2) -> /lung.*/",
        "  'inner' (2) -> inner",
        "  matched by two terms: 'LUNG_L'",
        "  matched by none: 'GTV-1', 'outer', 'p1'",
    ]


def test_one_name_with_different_numbers_is_one_structure():
    moved = AnnotatedItem(4, ("GTV-1", "#4"))
    other = dataclasses.replace(OBJECT, items=(moved,))
    names = structure_names((), [OBJECT, other], terms("a=#7;b=#4"))
    assert names.found["GTV-1"] == 2
    assert set(names.terms["GTV-1"]) == {"/#7/", "/#4/"}


def test_many_names_are_cut_short():
    found = {f"n{number:03d}": 1 for number in range(120)}
    matched = {name: ("x",) if name < "n060" else () for name in found}
    lines = list(StructureNames(found, matched).lines())
    assert len(lines) == 50 + 2
    assert lines[50] == "  and 10 more names that classes use"
    assert lines[51].endswith("'n109' and 10 more")


@pytest.mark.parametrize("classes", ["inner;outer", "x=inner-outer", "any=.*"])
def test_terms_that_match_are_allowed(classes):
    parsed = parse_classes(classes)
    names = structure_names(CONTOURS, (), structures_of(parsed))
    structures.check_terms(parsed, names)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("inner;otter", "wants the structure 'otter'"),
        ("myo=outer-iner", "classes='myo=outer-iner' wants the structure 'iner'"),
        ("x=lung_(l|r|m)", "wants the structure '/lung_"),
    ],
)
def test_term_that_matches_nothing_is_refused(classes, words):
    parsed = parse_classes(classes)
    names = structure_names(CONTOURS, (), structures_of(parsed))
    with pytest.raises(ValueError, match=words) as error:
        structures.check_terms(parsed, names)
    assert str(error.value).endswith("outline 'inner', 'outer', 'p1'")


def test_term_is_refused_where_there_is_nothing():
    with pytest.raises(ValueError, match="objects outline nothing"):
        structures.check_terms(parse_classes("a"), structure_names((), (), ("a",)))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("heart", "heart"),
        ("Heart", "heart"),
        ("LUNG_L", "lung_l"),
        ("GTV-1", "gtv_1=/GTV-1/"),
        ("left ventricle", "left_ventricle=/left ventricle/"),
        ("1", "class1_1=/1/"),
        ("GTV (new) [50.4]", r"gtv_new_50_4=/GTV \(new\) \[50\.4\]/"),
        ("a/b", r"a_b=/a\/b/"),
        ("Höhle", "h_hle=/Höhle/"),
        ("骨", "class1=/骨/"),
        ("+*?", r"class1=/\+\*\?/"),
        ("a\\b^c$d{2}|e", r"a_b_c_d_2_e=/a\\b\^c\$d\{2\}\|e/"),
        ("a;b,c", "a_b_c=/a;b,c/"),
        ("_x_", "x=/_x_/"),
    ],
)
def test_suggestion_takes_what_was_found(name, part):
    names = StructureNames({name: 1}, {name: ()})
    flag = structures.suggestion(names)
    assert flag == f"--classes='{part}'"
    (one,) = parse_classes(part)
    assert structures.terms_of([name], one.structures) == one.structures
    assert not structures.terms_of([f"x{name}"], one.structures)


@pytest.mark.parametrize(
    "found",
    [
        ["GTV-1", "GTV 1"],
        ["GTV-1", "gtv_1"],
        ["a b", "a-b", "a_b"],
        ["骨", "class1"],
        ["x", "X "],
    ],
)
def test_suggestion_for_several_names_can_be_read(found):
    names = StructureNames(dict.fromkeys(found, 1), dict.fromkeys(found, ()))
    text = structures.suggestion(names).removeprefix("--classes='").removesuffix("'")
    wanted = structures_of(parse_classes(text))
    for name in found:
        assert structures.terms_of([name], wanted)


def test_suggestion_survives_the_shell():
    names = StructureNames({"patient's heart": 1}, {"patient's heart": ()})
    (word,) = shlex.split(structures.suggestion(names))
    (one,) = parse_classes(word.removeprefix("--classes="))
    assert structures.terms_of(["patient's heart"], one.structures)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
