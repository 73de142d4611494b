import csv
import stat
import sys

import pytest

from tfdicom import manifest
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader
from tfdicom.ledger import Ledger
from tfdicom.manifest import CONVERTED, LedgerEntry
from tfdicom.plan import PatientPlan, Plan, ShardPlan
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.series import FramePlan, SeriesPlan
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import PatientResult, ShardResult
from tfdicom.sources.candidates import OBJECT, TEXT, Annotation, LeftFile, Loss

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")


NOTHING = Plan((), ("train",), {}, {}, (), ())


def plan_of(*images):
    """A plan of one patient, with these images."""
    header = FrameHeader(
        patient_id="Ann",
        study="1.2",
        series="1.3",
        instance="1.4",
        modality="MR",
        rows=4,
        columns=5,
        bytes_per_pixel=2,
        plane=None,
        temporal_order=(0.0, 0.0, 0.0),
        burned_in=False,
    )
    frames = [
        FramePlan(
            path=name,
            name=name,
            header=header,
            key="k" * 32,
            instance="instance",
            rater=None,
            example=True,
            annotations=(Annotation(TEXT, f"{name}.txt", "inner"),),
            absent=(),
            slice_index=None,
            slice_count=None,
            phase_index=0,
            phase_count=1,
        )
        for name in images
    ]
    series = SeriesPlan("who", "study", "series", 0, None, tuple(frames))
    patient = PatientPlan("who", "Ann", (series,), 1)
    shard = ShardPlan("train", "train-00000-of-00001.tfrecord", (patient,))
    return Plan((shard,), ("train",), {"who": "train"}, {}, (), ())


@pytest.fixture
def ledger():
    return Ledger(PSEUDONYMS)


def whole(path, findings=(), kind=None, key="k" * 32):
    """Path and entry of what was converted."""
    kind = kind or {"dcm": "image", "txt": "contour"}[path.rpartition(".")[2]]
    candidate = PSEUDONYMS.of("candidate", path)
    return path, LedgerEntry(
        candidate, kind, CONVERTED, None, key, "train", findings, "who"
    )


def enter(ledger, *converted):
    """Enters a shard of one patient."""
    entries = tuple(entry for _, entry in converted)
    patient = PatientResult("who", "plan", {}, (), (), ShardContent(), entries)
    names = {entry.candidate: path for path, entry in converted}
    ledger.add_shard(ShardResult("train", None, (patient,)), names)


def test_converted_files_are_entered_by_their_kind(ledger, tmp_path):
    finding = ("contour_leaves_image",)
    enter(ledger, whole("a.dcm"), whole("a.txt", finding))
    assert ledger.counts() == {
        "image": {"converted": 1},
        "contour": {"converted": 1},
        "reasons": {},
        "findings": {"contour_leaves_image": 1},
    }
    ledger.write(tmp_path / "ledger.jsonl")
    lines = {line["kind"]: line for line in manifest.read_ledger(tmp_path)}
    assert lines["contour"] == {
        "candidate": PSEUDONYMS.of("candidate", "a.txt"),
        "kind": "contour",
        "status": "converted",
        "key": "k" * 32,
        "split": "train",
        "patient": "who",
        "findings": ["contour_leaves_image"],
    }


def test_each_file_has_one_entry_the_latest(ledger):
    ledger.leave([LeftFile("b.dcm", "image", "no_annotation")])
    assert ledger.counts()["image"] == {"left_out": 1}
    ledger.leave([LeftFile("b.dcm", "image", "pixels_unreadable", "cut")])
    assert ledger.counts()["image"] == {"skipped": 1}
    assert ledger.counts()["reasons"] == {"pixels_unreadable": 1}


def test_lines_are_in_the_order_of_the_pseudonyms_with_words(ledger, tmp_path):
    files = [LeftFile(f"{n}.dcm", "image", "not_dicom", "Ann's") for n in range(20)]
    ledger.leave(files)
    ledger.write(tmp_path / "ledger.jsonl")
    lines = list(manifest.read_ledger(tmp_path))
    assert [line["candidate"] for line in lines] == sorted(
        PSEUDONYMS.of("candidate", one.path) for one in files
    )
    assert {line["sentence"] for line in lines} == {REASONS["not_dicom"].sentence}
    assert {line["hint"] for line in lines} == {REASONS["not_dicom"].hint}
    text = (tmp_path / "ledger.jsonl").read_text()
    assert "Ann" not in text and "dcm'" not in text and "7.dcm" not in text


def contours(skipped):
    for number in range(skipped):
        yield LeftFile(f"{number}.txt", "contour", "contour_empty")


def of_ann(ledger, names):
    """Says that files are of the patient of a plan with very many images; the plan."""
    ledger.know_owners(dict.fromkeys(names, ("who", "Ann")))
    return plan_of(*(f"{number}.dcm" for number in range(1000)))


@pytest.mark.parametrize(
    ("skipped", "options", "words"),
    [
        (0, {"on_error": "fail"}, None),
        (1, {"on_error": "fail"}, "1 candidates cannot be used, and on_error=fail"),
        (10, {"max_error_rate": 0.0}, None),
        (11, {"max_error_rate": 0.0}, "11 of 100 annotations .*max_error_rate=0 a"),
        (20, {"max_error_rate": 0.2}, None),
        (21, {"max_error_rate": 0.2}, "21 of 100 annotations"),
        (100, {"max_error_rate": 1.0}, None),
    ],
)
def test_how_much_may_go_wrong(ledger, skipped, options, words):
    ledger.leave(contours(skipped))
    left_out = (f"{number}.txt" for number in range(500, 900))
    ledger.leave(LeftFile(one, "contour", "structure_not_used") for one in left_out)
    names = [f"{number}.txt" for number in range(100)]
    enter(ledger, *map(whole, names[skipped:]))
    plan = of_ann(ledger, names)
    if words is None:
        ledger.check(ConvertOptions(**options), plan)
        return
    with pytest.raises(ValueError, match=words) as error:
        ledger.check(ConvertOptions(**options), plan)
    assert "0.txt" in str(error.value)


@pytest.mark.parametrize("reason", ["contour_too_short", "contour_outside_image"])
@pytest.mark.parametrize(("name", "fatal"), [("rt.dcm#1.{}", False), ("{}.txt", True)])
def test_crumbs_of_a_structure_set_are_listed_and_never_fatal(
    ledger, name, fatal, reason
):
    ledger.leave(LeftFile(name.format(n), "contour", reason) for n in range(11))
    assert ledger.counts()["contour"] == {"skipped": 11}
    if fatal:
        with pytest.raises(ValueError, match="11 of 11 annotations"):
            ledger.check(ConvertOptions(), NOTHING)
    else:
        ledger.check(ConvertOptions(), NOTHING)


@pytest.mark.parametrize("kind", ["image", "other"])
def test_rate_is_that_of_annotations(ledger, kind):
    ledger.leave(LeftFile(f"{n}.dcm", kind, "not_dicom") for n in range(50))
    ledger.leave(contours(1))
    plan = of_ann(ledger, ["0.txt"])
    ledger.check(ConvertOptions(max_error_rate=0.02), plan)
    with pytest.raises(ValueError, match="51 candidates cannot be used"):
        ledger.check(ConvertOptions(on_error="fail"), plan)


def test_objects_count_as_what_is_lost_with_them(ledger):
    losses = (None, Loss(), Loss(("a",), ("1.2", "1.3"), 7))
    for number, loss in enumerate(losses):
        ledger.leave([LeftFile(f"{number}.dcm", OBJECT, "not_dicom", loss=loss)])
    # Its contours stand for it.
    ledger.leave([LeftFile("x.dcm", OBJECT, "object_without_mask")])
    ledger.leave(LeftFile(f"x.dcm#1.{n}", "contour", "contour_empty") for n in range(2))
    # Nobody knows what it was; of the other the header says that it is an image.
    ledger.leave([LeftFile("y.dcm", "image", "file_unreadable", loss=Loss())])
    ledger.leave([LeftFile("z.dcm", "image", "header_invalid")])
    ledger.leave([LeftFile("w.dcm", OBJECT, "object_not_used", loss=Loss(count=50))])
    losses = ledger.losses
    assert (losses.failed, losses.annotations) == (12, 12)
    assert losses.structures == [("a",)]
    with pytest.raises(ValueError, match="12 of 12 annotations"):
        ledger.check(ConvertOptions(), NOTHING)


@pytest.mark.parametrize("kind", ["contour", "segment", "mask"])
def test_every_kind_of_annotation_counts(ledger, kind):
    ledger.leave(LeftFile(f"{n}", kind, "not_dicom") for n in range(11))
    with pytest.raises(ValueError, match="11 of 11 annotations"):
        ledger.check(ConvertOptions(max_error_rate=0.5), NOTHING)


@pytest.mark.parametrize(
    ("fail_on", "words"),
    [
        ("", None),
        ("contour_empty", None),
        ("contour_leaves_image", "fail_on: 2 x contour_leaves_image"),
        ("no_annotation", "fail_on: 1 x no_annotation"),
        ("contour_malformed", "fail_on: 3 x contour_malformed"),
        (
            "no_annotation,contour_empty,contour_leaves_image",
            "fail_on: 1 x no_annotation, 2 x contour_leaves_image",
        ),
    ],
)
def test_codes_that_make_it_fail(ledger, fail_on, words):
    finding = ("contour_leaves_image", "contour_crosses_itself")
    drawn = (whole("a.txt", finding), whole("b.txt", finding[:1]))
    enter(ledger, whole("a.dcm"), *drawn)
    ledger.leave([LeftFile("c.dcm", "image", "no_annotation")])
    ledger.leave(LeftFile(f"{n}.txt", "contour", "contour_malformed") for n in range(3))
    options = ConvertOptions(fail_on=fail_on)
    plan = of_ann(ledger, [f"{number}.txt" for number in range(3)])
    if words is None:
        ledger.check(options, plan)
        return
    with pytest.raises(ValueError) as error:
        ledger.check(options, plan)
    first, *others = str(error.value).splitlines()
    assert first == words
    assert others == list(ledger.problem_lines())


def test_findings_are_shown_with_their_candidates(ledger):
    odd = ("contour_leaves_image",)
    enter(ledger, *(whole(f"{n}.txt", odd) for n in range(7)))
    assert list(ledger.problem_lines()) == [
        f"7 found: contour_leaves_image. {FINDINGS['contour_leaves_image']}",
        "    0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ...",
    ]


def test_objects_have_lines_of_their_own(ledger, tmp_path):
    ledger.leave([LeftFile("rt.dcm#2", "contour", "structure_not_used")])
    ledger.leave([LeftFile("seg.dcm", "object", "series_missing")])
    parts = [whole(f"rt.dcm#1.{n}", kind="contour") for n in (3, 4)]
    enter(ledger, whole("a.dcm"), *parts, whole("rt.dcm", kind="object", key=None))
    ledger.close(["rt.dcm", "seg.dcm", "lost.dcm"])
    assert ledger.counts() == {
        "image": {"converted": 1},
        "contour": {"converted": 2, "left_out": 1},
        "object": {"converted": 1, "skipped": 2},
        "reasons": {
            "object_without_mask": 1,
            "series_missing": 1,
            "structure_not_used": 1,
        },
        "findings": {},
    }
    ledger.write(tmp_path / "ledger.jsonl")
    by_candidate = {line["candidate"]: line for line in manifest.read_ledger(tmp_path)}
    # An object is a part of many examples: its contours name them.
    assert by_candidate[PSEUDONYMS.of("candidate", "rt.dcm")] == {
        "candidate": PSEUDONYMS.of("candidate", "rt.dcm"),
        "kind": "object",
        "status": "converted",
        "split": "train",
        "patient": "who",
    }
    part = by_candidate[PSEUDONYMS.of("candidate", "rt.dcm#1.4")]
    assert (part["key"], part["kind"]) == ("k" * 32, "contour")


@pytest.mark.parametrize(
    ("reasons", "reason", "status"),
    [
        (["annotated_again_later"] * 2, "object_left_out", "left_out"),
        (["patient_not_in_split", "structure_not_used"], "object_left_out", "left_out"),
        (["structure_not_used", "contour_off_plane"], "object_without_mask", "skipped"),
        (["contour_too_short"] * 2, "object_without_mask", "skipped"),
        ([], "object_without_mask", "skipped"),
    ],
)
def test_object_of_which_nothing_was_converted(ledger, reasons, reason, status):
    left = [LeftFile(f"rt#2.dcm#1.{n}", "contour", r) for n, r in enumerate(reasons)]
    others = [LeftFile("rt.dcm#1.1", "contour", "contour_too_short")]
    ledger.leave([*left, *others])
    ledger.close(["rt#2.dcm"])
    assert ledger.counts()["object"] == {status: 1}
    assert ledger.counts()["reasons"][reason] == 1


def test_object_that_was_converted_stays_so(ledger):
    ledger.leave([LeftFile("rt.dcm", "object", "object_without_mask")])
    enter(ledger, whole("rt.dcm", kind="object", key=None))
    ledger.close(["rt.dcm"])
    assert ledger.counts()["object"] == {"converted": 1}


def test_problems_are_shown_by_reason_the_first_few(ledger):
    ledger.leave(contours(7))
    ledger.leave([LeftFile("x.dcm", "image", "not_dicom", "no DICM prefix")])
    assert list(ledger.problem_lines()) == [
        f"7 skipped: contour_empty. {REASONS['contour_empty'].sentence}",
        *(f"    {number}.txt" for number in range(5)),
        "    and 2 more",
        f"    {REASONS['contour_empty'].hint}",
        f"1 skipped: not_dicom. {REASONS['not_dicom'].sentence}",
        "    x.dcm: no DICM prefix",
        f"    {REASONS['not_dicom'].hint}",
    ]


def test_errors_tell_what_went_wrong_before(ledger):
    ledger.leave([LeftFile("x.dcm", "image", "not_dicom", "no DICM prefix")])
    with pytest.raises(ValueError) as error, ledger.told_with_errors():
        raise ValueError("nothing is left")
    assert str(error.value) == "\n".join(["nothing is left", *ledger.problem_lines()])


def test_crosswalk_says_whose_each_file_is(ledger, tmp_path):
    enter(ledger, whole("a.dcm"), whole("a.txt"))
    ledger.leave([LeftFile("stray, one", "other", "stray_file")])
    ledger.know_owners(dict.fromkeys(["a.dcm", "a.txt"], ("who", "Ann")))
    path = tmp_path / "crosswalk.csv"
    ledger.write_crosswalk(path)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["candidate", "patient", "source_patient", "source_path"],
        [PSEUDONYMS.of("candidate", "a.dcm"), "who", "Ann", "a.dcm"],
        [PSEUDONYMS.of("candidate", "a.txt"), "who", "Ann", "a.txt"],
        [PSEUDONYMS.of("candidate", "stray, one"), "", "", "stray, one"],
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_parts_of_a_file_are_its_owners(ledger, tmp_path):
    enter(ledger, whole("rt.dcm#1.4", kind="contour"))
    ledger.leave([LeftFile("rt.dcm#2", "contour", "structure_not_used")])
    ledger.leave([LeftFile("x.dcm", "image", "no_annotation")])
    ledger.know_owners({"rt.dcm": ("who", "Ann")})
    path = tmp_path / "crosswalk.csv"
    ledger.write_crosswalk(path)
    with path.open(newline="") as file:
        owners = {row["source_path"]: row["patient"] for row in csv.DictReader(file)}
    assert owners == {"rt.dcm#1.4": "who", "rt.dcm#2": "who", "x.dcm": ""}
    ledger.write(tmp_path / "ledger.jsonl")
    lines = {one["candidate"]: one for one in manifest.read_ledger(tmp_path)}
    patients = {
        name: lines[PSEUDONYMS.of("candidate", name)].get("patient") for name in owners
    }
    assert patients == {"rt.dcm#1.4": "who", "rt.dcm#2": "who", "x.dcm": None}
    assert "Ann" not in (tmp_path / "ledger.jsonl").read_text()


@pytest.mark.parametrize(
    ("images", "lost", "rate", "fails"),
    [
        (4, 2, 0.05, False),
        (4, 3, 0.05, True),
        (4, 4, 0.99, True),
        (4, 4, 1.0, False),
        (1, 1, 0.05, True),
    ],
)
def test_patient_who_loses_over_half(ledger, images, lost, rate, fails):
    names = [f"{number}.dcm" for number in range(images)]
    enter(ledger, *map(whole, names[lost:]))
    ledger.leave(LeftFile(one, "image", "pixels_unreadable") for one in names[:lost])
    options, plan = ConvertOptions(max_error_rate=rate), plan_of(*names)
    if not fails:
        ledger.check(options, plan)
        return
    words = f"patient 'Ann' loses {lost} of {images} annotated images; max_error_rate=1"
    with pytest.raises(ValueError, match=words) as error:
        ledger.check(options, plan)
    assert "take their files out of the input" in str(error.value)
    assert "withdraw" not in str(error.value)


def lost(*images, name="rt.dcm#1.{}", reason="contour_image_missing", **fields):
    for number, image in enumerate(images):
        loss = Loss(("a",), (image,))
        yield LeftFile(name.format(number), "contour", reason, loss=loss, **fields)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (lost("1.2", "1.3"), ""),
        (lost("1.2", "1.3", "1.4"), "patient 'Ann' loses 3 of 5"),
        (lost("1.2", "1.3", "1.3", "1.2"), ""),  # two structures of one image each
        (lost("0.dcm", "1.dcm"), ""),  # converted, with something else on them
        (lost("1.2", "1.3", "1.4", reason="contour_too_short"), ""),  # crumbs
        (lost("1.2", "1.3", "1.4", reason="image_left_out"), ""),
        (lost("1.2", "1.3", "1.4", name="c{}.txt", near="0.dcm"), "'Ann' loses 3 of 5"),
        (lost("1.2", name="c{}.txt"), "the patient of c0.txt loses 1 of 1"),
        (lost("1.2", name="b{}.txt"), "patient 'Bob' loses 1 of 1"),
        ([LeftFile("rt.dcm", OBJECT, "object_truncated")], ""),
        (
            [
                LeftFile(
                    "rt.dcm", OBJECT, "object_truncated", loss=Loss((), tuple("xyz"))
                )
            ],
            "patient 'Ann' loses 3 of 5",
        ),
        # Files of nobody knows what take nothing known from a patient.
        ([LeftFile("b0.txt", "image", "not_dicom", loss=Loss())], ""),
        (
            [
                LeftFile(f"{n}.txt", "image", "not_dicom", near="0.dcm", loss=Loss())
                for n in range(9)
            ],
            "",
        ),
        ([LeftFile("y.dcm", "image", "not_dicom", loss=Loss())], ""),
        (
            [
                LeftFile("b0.txt", "image", "not_dicom", loss=Loss()),
                LeftFile("m.png", "mask", "image_unusable", loss=Loss((), ("b0.txt",))),
            ],
            "the patient of m.png loses 1 of 1",
        ),
        ([LeftFile("m.png", "mask", "mask_unreadable", near="0.dcm")], ""),
    ],
)
def test_what_is_lost_before_the_plan_is_the_patients_too(ledger, left, words):
    names = ["0.dcm", "1.dcm"]
    enter(ledger, *map(whole, names))
    owners = dict.fromkeys([*names, "rt.dcm"], ("who", "Ann"))
    ledger.know_owners({**owners, "b0.txt": ("other", "Bob")})
    ledger.leave(left)
    if words:
        with pytest.raises(ValueError, match=f"{words} annotated images"):
            ledger.check(ConvertOptions(), plan_of(*names))
    else:
        ledger.check(ConvertOptions(), plan_of(*names))
    ledger.check(ConvertOptions(max_error_rate=1), plan_of(*names))


def test_what_a_policy_leaves_out_is_not_lost(ledger):
    ledger.leave([LeftFile("0.dcm", "image", "annotated_again_later")])
    ledger.check(ConvertOptions(), plan_of("0.dcm"))


def test_details_and_names_stay_here(ledger, tmp_path):
    enter(ledger, whole("a.dcm"))
    ledger.leave([LeftFile("b.dcm", "image", "pixels_unreadable")])
    ledger.add_details({"b.dcm": "Ann's, cut"})
    assert ledger.name_of(PSEUDONYMS.of("candidate", "a.dcm")) == "a.dcm"
    assert ledger.name_of("0123") == "0123"
    assert "    b.dcm: Ann's, cut" in ledger.problem_lines()
    ledger.write(tmp_path / "ledger.jsonl")
    text = (tmp_path / "ledger.jsonl").read_text()
    assert "Ann" not in text and "dcm" not in text


def test_candidates_whose_names_are_not_known_are_entered_nevertheless(ledger):
    _, entry = whole("a.dcm")
    patient = PatientResult("who", "plan", {}, (), (), ShardContent(), (entry,))
    ledger.add_shard(ShardResult("train", None, (patient,)), {})
    assert ledger.counts()["image"] == {"converted": 1}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
