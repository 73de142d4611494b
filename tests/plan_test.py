import dataclasses
import random
import sys

import pytest

from tests import source_folders
from tfdicom import splits
from tfdicom.classes import parse_classes
from tfdicom.deidentify import Pseudonyms
from tfdicom.plan import make_plan
from tfdicom.reasons import REASONS
from tfdicom.sharding import FrozenShards
from tfdicom.sources.candidates import RTSTRUCT, Annotation

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
PATIENTS = tuple(f"SCD00{number:02d}01" for number in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of each patient three images, two with an inner contour, one with an outer."""
    root = tmp_path_factory.mktemp("plan") / "in"
    return source_folders.write_folder(root, patients=PATIENTS)


@pytest.fixture(scope="module")
def scanned(folder):
    return source_folders.annotated_frames(folder.root)


def plan_of(scanned, split="train:0.6,test:0.4", **changes):
    arguments = {
        "classes": parse_classes("inner;outer"),
        "rule": splits.parse_split(split),
        "salt": "salt",
        "pseudonyms": PSEUDONYMS,
        "num_shards": 0,
        "shard_bytes": 1_000_000,
        **changes,
    }
    patients = [one.header.patient_id for one in scanned]
    return make_plan(scanned, patients, **arguments)


def members(plan, split):
    return [
        patient.source_patient
        for shard in plan.shards
        if shard.split == split
        for patient in shard.patients
    ]


def reasons(plan):
    found = {}
    for one in plan.left:
        found.setdefault(one.reason, []).append(one.path)
    return found


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("train:0.6,test:0.4", {"train": 6, "test": 4}),
        ("train:0.7,validation:0.15,test:0.15", None),
        ("train", {"train": 10}),
        ("a:0.98,b:0.01,c:0.01", {"a": 8, "b": 1, "c": 1}),
    ],
)
def test_fractions_are_met_exactly(scanned, split, counts):
    plan = plan_of(scanned, split)
    found = {name: len(members(plan, name)) for name in plan.split_names}
    assert sum(found.values()) == 10 and min(found.values()) > 0
    if counts:
        assert found == counts
    assert sorted(plan.split_table) == sorted(
        PSEUDONYMS.of("patient", patient) for patient in PATIENTS
    )


def test_patients_by_name(scanned):
    one, two, three = PATIENTS[:3]
    plan = plan_of(scanned, f"train:{one}+{two},test:{three}")
    assert sorted(members(plan, "train")) == [one, two]
    assert members(plan, "test") == [three]
    assert len(plan.split_table) == 3
    # A patient whom the split leaves out is left out by a policy; nothing is wrong.
    found = reasons(plan)
    assert len(found["patient_not_in_split"]) == 7 * (3 + 3)
    assert all(not REASONS[reason].fault for reason in found)


def test_patient_who_is_named_but_not_there_is_warned_of(scanned):
    plan = plan_of(scanned, f"train:{PATIENTS[0]}+NOBODY,test:{PATIENTS[1]}")
    (warning,) = plan.warnings
    assert "NOBODY" in warning and PATIENTS[0] not in warning


@pytest.mark.parametrize(
    ("patients", "split", "words"),
    [
        (10, "train:0.6,test:0.4", ["10 patients are few", "--folds=5 uses"]),
        (4, "train:0.6,test:0.4", ["4 patients are few", "--folds=4 uses"]),
        (2, "train:0.6,test:0.4", []),
        (10, "train", []),
    ],
)
def test_warnings(scanned, patients, split, words):
    few = [one for one in scanned if one.header.patient_id in PATIENTS[:patients]]
    warnings = plan_of(few, split).warnings
    assert len(warnings) == bool(words)
    assert all(word in warnings[0] for word in words)


def test_more_shards_than_patients_are_warned_of(scanned):
    split = f"train:{'+'.join(PATIENTS[:5])},test:{PATIENTS[5]}"
    assert plan_of(scanned, split, num_shards=1).warnings == ()
    (warning,) = plan_of(scanned, split, num_shards=5).warnings
    assert "split 'test' has 1 patients for num_shards=5" in warning


def _without(scanned, patient, structure):
    """The images, of one patient without the contours of a structure."""
    for one in scanned:
        kept = tuple(c for c in one.annotations if c.structure != structure)
        if one.header.patient_id == patient:
            one = dataclasses.replace(one, annotations=kept)
        yield one


@pytest.mark.parametrize("at", range(4))
def test_splits_are_drawn_over_patients_who_become_examples(scanned, at):
    patients = PATIENTS[:4]
    four = [one for one in scanned if one.header.patient_id in patients]
    incomplete = list(_without(four, patients[at], "outer"))
    plan = plan_of(
        incomplete, "a:0.33,b:0.33,c:0.33", classes=parse_classes("myo=outer-inner")
    )
    found = [members(plan, name) for name in plan.split_names]
    assert sorted(sum(found, [])) == sorted(set(patients) - {patients[at]})
    assert [len(one) for one in found] == [1, 1, 1]
    paths = [one.path for one in plan.left]
    assert len(paths) == len(set(paths))
    left = [one for one in plan.left if one.reason == "class_incomplete"]
    assert not REASONS["class_incomplete"].fault
    # Image 1 and 2 of that patient, and image 2 of the others, each with its contour.
    assert len(left) == 2 * 2 + 2 * 3
    own = [one.path for one in left if patients[at] in one.path]
    assert own == [f"dicoms/{patients[at]}/{number}.dcm" for number in (1, 2)]


def test_study_in_two_splits_is_refused_with_files_and_remedy(scanned):
    one_study = [
        dataclasses.replace(one, header=dataclasses.replace(one.header, study="1.2"))
        for one in scanned
    ]
    with pytest.raises(
        ValueError, match=r"dicoms/\S+/1.dcm of .* and dicoms/"
    ) as error:
        plan_of(one_study)
    assert "(0020,000D) 'Study Instance UID'" in str(error.value)
    assert "--patient_from=" in str(error.value)
    assert len(plan_of(one_study, "train").split_table) == 10


def test_blank_study_is_no_study_that_is_shared(scanned):
    blank = [
        dataclasses.replace(
            one, header=dataclasses.replace(one.header, study="", series="")
        )
        for one in scanned
    ]
    plan = plan_of(blank)
    series = [
        one for shard in plan.shards for who in shard.patients for one in who.series
    ]
    assert len({one.study for one in series}) == len(series) == 10
    assert len({one.series for one in series}) == 10


def test_split_that_nobody_is_left_for_is_warned_of(scanned):
    few = [one for one in scanned if one.header.patient_id in PATIENTS[:2]]
    plan = plan_of(few, "train:0.6,validation:0.2,test:0.2")
    assert plan.split_names == ("train", "validation", "test")
    assert {shard.split for shard in plan.shards} < set(plan.split_names)
    assert any("gets no patient" in warning for warning in plan.warnings)


@pytest.mark.parametrize("num_shards", [0, 2])
def test_who_has_a_shard_keeps_it(scanned, num_shards):
    few = [one for one in scanned if one.header.patient_id in PATIENTS[:6]]
    before = plan_of(few, num_shards=num_shards)
    counts = {name: 0 for name in before.split_names}
    for shard in before.shards:
        counts[shard.split] += 1
    frozen = {
        name: FrozenShards(
            counts[name], {int(bucket): shard for bucket, shard in table.items()}
        )
        for name, table in before.buckets.items()
    }
    after = plan_of(
        scanned,
        num_shards=num_shards,
        frozen=before.split_table,
        frozen_shards=frozen,
    )
    assert len(after.split_table) == 10
    assert before.split_table.items() < after.split_table.items()
    assert [one.file for one in after.shards] == [one.file for one in before.shards]
    homes = [
        {one.patient: shard.file for shard in plan.shards for one in shard.patients}
        for plan in (before, after)
    ]
    assert homes[0].items() < homes[1].items()
    for name, table in before.buckets.items():
        assert table.items() <= after.buckets[name].items()
    for shard in after.shards:  # so that those who are kept are met in order
        names = [one.patient for one in shard.patients]
        assert names == sorted(names)


def test_split_that_had_nobody_gets_shards_when_somebody_comes(scanned):
    split = f"a:{PATIENTS[0]}+{PATIENTS[1]},b:{PATIENTS[2]}"
    frozen = {"a": FrozenShards(1, {}), "b": FrozenShards(0, {})}
    plan = plan_of(scanned, split, num_shards=2, frozen_shards=frozen)
    files = [shard.file for shard in plan.shards]
    assert files == ["a-00000-of-00001.tfrecord", "b-00000-of-00001.tfrecord"]


def test_names_of_shards_and_patients_in_them(scanned):
    plan = plan_of(scanned, num_shards=3)
    files = [shard.file for shard in plan.shards]
    assert files == [
        f"{split}-{index:05d}-of-00003.tfrecord"
        for split in ("train", "test")
        for index in range(3)
    ]
    everyone = [p.patient for shard in plan.shards for p in shard.patients]
    assert len(everyone) == len(set(everyone)) == 10
    for shard in plan.shards:
        pseudonyms = [patient.patient for patient in shard.patients]
        assert pseudonyms == sorted(pseudonyms)


@pytest.mark.parametrize(
    ("num_shards", "shard_bytes", "shards"),
    [(0, 1 << 30, 8), (0, 1, 10), (1, 1, 1), (4, 1, 4), (99, 1, 10)],
)
def test_number_of_shards(scanned, num_shards, shard_bytes, shards):
    plan = plan_of(scanned, "train", num_shards=num_shards, shard_bytes=shard_bytes)
    assert len(plan.shards) == shards


def test_frames_are_those_of_series_with_examples(scanned):
    plan = plan_of(scanned)
    frames = [frame for _, _, frame in plan.frames]
    assert len(frames) == 30
    assert sum(bool(frame.annotations) for frame in frames) == 20
    assert sum(frame.example for frame in frames) == 20
    assert sum(p.examples for shard in plan.shards for p in shard.patients) == 20
    assert len(reasons(plan)["no_annotation"]) == 10


def test_structure_that_no_class_uses_is_left_out(folder):
    frames = source_folders.annotated_frames(folder.root, ["outer"])
    plan = plan_of(frames, classes=parse_classes("outer"))
    assert {name: len(left) for name, left in reasons(plan).items()} == {
        "no_annotation": 20
    }
    kept = [c for _, _, frame in plan.frames for c in frame.annotations]
    assert {contour.structure for contour in kept} == {"outer"} and len(kept) == 10


def test_nothing_annotated_is_refused(scanned):
    bare = [dataclasses.replace(one, annotations=()) for one in scanned]
    with pytest.raises(
        ValueError,
        match="no image .* all the structures of a class; .* inner=inner; outer=outer",
    ):
        plan_of(bare)


def test_order_of_the_files_does_not_matter(scanned):
    expected = plan_of(scanned)
    shuffled = random.Random(0).sample(scanned, len(scanned))
    plan = plan_of(shuffled)
    assert plan.shards == expected.shards
    assert plan.buckets == expected.buckets
    assert set(plan.left) == set(expected.left)
    assert dict(plan.split_table) == dict(expected.split_table)
    assert list(plan.split_table) == list(expected.split_table)


def test_series_of_a_patient_have_an_order_of_their_own(scanned):
    several = [
        dataclasses.replace(
            one,
            header=dataclasses.replace(
                one.header,
                study=f"{one.header.study}.{at % 2}",
                series=f"1.{at % 3}",
            ),
        )
        for at, one in enumerate(scanned)
    ]
    expected = plan_of(several)
    assert all(
        len(patient.series) > 1
        for shard in expected.shards
        for patient in shard.patients
    )
    for seed in range(5):
        shuffled = random.Random(seed).sample(several, len(several))
        assert plan_of(shuffled).shards == expected.shards


def numbers(plan):
    """Numbers of examples by that of the image."""
    names = [frame.name for _, _, frame in plan.frames if frame.example]
    found = [name.rpartition("/")[2].removesuffix(".dcm") for name in names]
    return {number: found.count(number) for number in sorted(set(found))}


@pytest.mark.parametrize(
    ("include", "classes", "examples", "left"),
    [
        ("no", "outer", {"1": 10}, 20),
        ("neighbours", "outer", {"1": 10, "2": 10}, 10),
        ("neighbours", "inner", {"1": 10, "2": 10, "3": 10}, 0),
        ("all", "outer", {"1": 10, "2": 10, "3": 10}, 0),
    ],
)
def test_images_without_annotation_are_included(
    folder, include, classes, examples, left
):
    frames = source_folders.annotated_frames(folder.root, [classes])
    plan = plan_of(frames, classes=parse_classes(classes), include=include)
    assert numbers(plan) == examples
    assert len(reasons(plan).get("no_annotation", ())) == left
    counted = sum(one.examples for shard in plan.shards for one in shard.patients)
    assert counted == sum(examples.values())


@pytest.mark.parametrize(
    ("include", "patients"), [("no", 9), ("neighbours", 9), ("all", 10)]
)
def test_patient_without_annotation(scanned, include, patients):
    bare = list(_without(_without(scanned, PATIENTS[3], "inner"), PATIENTS[3], "outer"))
    plan = plan_of(bare, include=include)
    assert len(plan.split_table) == patients
    others = [p for p in reasons(plan).get("no_annotation", ()) if PATIENTS[3] in p]
    assert len(others) == (0 if include == "all" else 3)


def test_without_classes_every_image_is_an_example(scanned):
    bare = [dataclasses.replace(one, annotations=()) for one in scanned]
    plan = plan_of(bare, classes=(), include="all")
    assert numbers(plan) == {"1": 10, "2": 10, "3": 10}
    assert not plan.left


def test_absent_structures_make_a_class_whole(scanned):
    absent = [dataclasses.replace(one, absent=("outer",)) for one in scanned]
    plan = plan_of(absent, classes=parse_classes("myo=outer-inner"))
    assert numbers(plan) == {"1": 10, "2": 10}
    # On the third, whose inner contour nobody looked for, the class is not whole.
    assert len(reasons(plan)["class_incomplete"]) == 10


def roi(structure, *parts):
    return Annotation(RTSTRUCT, "rt.dcm", structure, 3, parts)


@pytest.mark.parametrize("split", ["train", f"train:{PATIENTS[1]}"])
def test_parts_of_objects_are_left_by_name(scanned, split):
    first, *others = scanned
    drawn = dataclasses.replace(first, annotations=(roi("outer", 4, 17),))
    plan = plan_of([drawn, *others], split, classes=parse_classes("inner"))
    left = [one for one in plan.left if one.reason == "class_incomplete"]
    assert [(one.path, one.kind) for one in left] == [
        (first.path, "image"),
        ("rt.dcm#3.4", "contour"),
        ("rt.dcm#3.17", "contour"),
    ]
    # The frame itself has one line, whatever else is true of it.
    assert [one.path for one in plan.left].count(first.path) == 1


def test_parts_of_objects_of_a_patient_in_no_split(scanned):
    first, *others = scanned
    drawn = dataclasses.replace(first, annotations=(roi("inner", 4),))
    plan = plan_of([drawn, *others], f"train:{PATIENTS[1]},test:{PATIENTS[2]}")
    assert "rt.dcm#3.4" in reasons(plan)["patient_not_in_split"]


def test_raters_are_examples_of_one_frame(scanned):
    twice = [
        dataclasses.replace(one, rater=rater) if one.annotations else one
        for one in scanned
        for rater in ("Ann", "Bob")[: 2 if one.annotations else 1]
    ]
    plan = plan_of(twice)
    assert numbers(plan) == {"1": 20, "2": 20}
    found = reasons(plan)
    assert list(found) == ["no_annotation"] and len(found["no_annotation"]) == 10


def test_rater_whose_classes_are_all_incomplete_makes_no_example(scanned):
    whole = [one for one in scanned if one.header.patient_id == PATIENTS[0]][:1]
    first = dataclasses.replace(whole[0], rater="Ann")
    other = dataclasses.replace(whole[0], rater="Bob", annotations=(roi("outer", 1),))
    plan = plan_of([first, other], "train", classes=parse_classes("inner"))
    assert numbers(plan) == {"1": 1}
    assert [one.path for one in plan.left] == ["rt.dcm#3.1"]


def test_frames_of_one_file_are_left_by_their_names(scanned):
    first, second, third, *others = scanned

    def frame(one, number):
        header = dataclasses.replace(
            one.header,
            instance=first.header.instance,
            frame_number=number,
            frame_count=3,
        )
        return dataclasses.replace(one, path="cine.dcm", header=header)

    cine = [frame(one, n) for n, one in enumerate((first, second, third), 1)]
    plan = plan_of([*cine, *others])
    names = [frame.name for _, _, frame in plan.frames if frame.path == "cine.dcm"]
    assert names == ["cine.dcm#1", "cine.dcm#2", "cine.dcm#3"]
    left = [path for path in reasons(plan)["no_annotation"] if "cine" in path]
    assert left == ["cine.dcm#3"]


def test_another_salt_is_another_draw(scanned):
    draws = {tuple(sorted(members(plan_of(scanned, salt=s), "test"))) for s in "abcdef"}
    assert len(draws) > 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
