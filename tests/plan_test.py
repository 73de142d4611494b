import dataclasses
import random
import sys

import pytest

from tests import source_folders
from tfdicom import splits
from tfdicom.deidentify import Pseudonyms
from tfdicom.plan import make_plan
from tfdicom.reasons import REASONS
from tfdicom.scan import scan_headers
from tfdicom.sources import contours

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
STRUCTURES = {"i": "inner", "o": "outer"}
PATIENTS = tuple(f"SCD00{number:02d}01" for number in range(10))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = source_folders.write_folder(
        tmp_path_factory.mktemp("plan") / "in", patients=PATIENTS
    )
    listing = contours.find(folder.root, structures=STRUCTURES)
    images, _ = scan_headers(
        folder.root, listing, workers=1, progress=lambda done: None
    )
    return images


def plan_of(scanned, split="train:0.6,test:0.4", **changes):
    arguments = {
        "structures": ("inner", "outer"),
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
    ("split", "words"),
    [
        ("train:0.6,test:0.4", ["10 patients are few", "--folds=5"]),
        ("train", []),
    ],
)
def test_warnings(scanned, split, words):
    warnings = plan_of(scanned, split).warnings
    assert len(warnings) == bool(words)
    assert all(word in warnings[0] for word in words)


def test_split_that_nobody_is_left_for_is_warned_of(scanned):
    few = [one for one in scanned if one.header.patient_id in PATIENTS[:2]]
    plan = plan_of(few, "train:0.6,validation:0.2,test:0.2")
    assert plan.split_names == ("train", "validation", "test")
    assert {shard.split for shard in plan.shards} < set(plan.split_names)
    assert any("gets no patient" in warning for warning in plan.warnings)


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
    assert sum(bool(frame.contours) for frame in frames) == 20
    assert sum(p.examples for shard in plan.shards for p in shard.patients) == 20
    assert len(reasons(plan)["no_annotation"]) == 10


def test_structure_that_no_class_uses_is_left_out(scanned):
    plan = plan_of(scanned, structures=("outer",))
    found = reasons(plan)
    assert len(found["structure_not_used"]) == 20
    assert len(found["no_annotation"]) == 20
    kept = [c for _, _, frame in plan.frames for c in frame.contours]
    assert {contour.structure for contour in kept} == {"outer"} and len(kept) == 10


def test_nothing_annotated_is_refused(scanned):
    bare = [
        dataclasses.replace(one, file=dataclasses.replace(one.file, contours=()))
        for one in scanned
    ]
    with pytest.raises(ValueError, match="no image has a contour of a structure"):
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
                one.header, study=f"1.{at % 2}", series=f"1.{at % 3}"
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


def test_another_salt_is_another_draw(scanned):
    draws = {tuple(sorted(members(plan_of(scanned, salt=s), "test"))) for s in "abcdef"}
    assert len(draws) > 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
