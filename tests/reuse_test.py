import dataclasses
import shutil
import sys

import pytest

from tests import source_folders
from tests.source_folders import PATIENTS
from tfdicom import files, shard_results, splits
from tfdicom.classes import parse_classes
from tfdicom.conversion_state import InputsChanged
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules
from tfdicom.plan import make_plan
from tfdicom.reuse import find_work
from tfdicom.shard_results import CONVERSION
from tfdicom.shards import ShardJob, ShardTask, write_shard
from tfdicom.source_contents import SourceContents
from tfdicom.sources.annotation_objects import DrawingRules

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
DRAWING = DrawingRules(edge_rule="center", shift=(-1.0, -1.0))
RULES = AnnotationRules(parse_classes("inner;outer"), DRAWING, DRAWING, "center1")


class Conversion:
    """A source folder, and what is planned and there of it."""

    def __init__(self, source, folder, num_shards=3):
        self.source, self.folder, self.num_shards = source, folder, num_shards
        self.rules = RULES
        files.make_folder(folder / CONVERSION)

    @property
    def job(self):
        return ShardJob(self.source.root, self.folder, self.rules, "none", PSEUDONYMS)

    def plan(self, change=lambda frames: frames, split="train"):
        frames = change(source_folders.annotated_frames(self.source.root))
        return make_plan(
            frames,
            [one.header.patient_id for one in frames],
            classes=self.rules.classes,
            rule=splits.parse_split(split),
            salt="salt",
            pseudonyms=PSEUDONYMS,
            num_shards=self.num_shards,
            shard_bytes=1 << 30,
        )

    def write(self):
        for shard in self.plan().shards:
            write_shard(self.job, ShardTask(shard))

    def work(self, folders=None, plan=None, **options):
        paths = files.walk(self.source.root)
        return find_work(
            plan or self.plan(),
            self.job,
            [self.folder] if folders is None else folders,
            SourceContents(self.source.root, None),
            {PSEUDONYMS.of("candidate", path): path for path in paths},
            **options,
        )


@pytest.fixture
def made(source, tmp_path):
    """Three shards, of a patient each, that are written."""
    made = Conversion(source, tmp_path / "out")
    made.write()
    return made


@pytest.fixture
def together(source, tmp_path):
    """One shard of three patients that is written."""
    made = Conversion(source, tmp_path / "out", num_shards=1)
    made.write()
    return made


def names(work):
    return [task.shard.file for task in work.tasks]


def shard_files(made):
    return [shard.file for shard in made.plan().shards]


def drop_first(frames):
    """Without the first patient."""
    first = frames[0].header.patient_id
    return [one for one in frames if one.header.patient_id != first]


def label(grade, of_first=None):
    """With a label on every image, and another on the first."""

    def change(frames):
        grades = [of_first or grade, *[grade] * (len(frames) - 1)]
        return [
            dataclasses.replace(one, labels=(("grade", text),))
            for one, text in zip(frames, grades, strict=True)
        ]

    return change


def annotate_another(source):
    """Draws on an image of the first patient that has no contour yet."""
    patient = source.patients[0]
    vertices = source.inner(patient, 3)
    source_folders.write_contour(source.contour(patient, 3), vertices)


def test_nothing_is_there(made):
    work = made.work(folders=[])
    assert names(work) == shard_files(made) and len(work.tasks) == 3
    for task in work.tasks:
        assert (task.earlier, task.kept, task.without) == (None, set(), set())
    assert (work.whole, work.kept_patients) == ({}, 0)


def test_all_is_there(made):
    work = made.work()
    assert work.tasks == ()
    assert work.whole == dict.fromkeys(shard_files(made), made.folder)
    assert work.kept_patients == 3


@pytest.mark.parametrize("gone", ["shard", "result"])
def test_half_of_it_is_not_there(made, gone):
    name = shard_files(made)[1]
    path = made.folder / name
    path = path if gone == "shard" else shard_results.path_of(made.folder, name)
    path.unlink()
    work = made.work()
    assert names(work) == [name] and work.tasks[0].kept == set()
    assert work.kept_patients == 2 and name not in work.whole


def test_shard_of_another_size_is_not_there(made):
    name = shard_files(made)[0]
    with (made.folder / name).open("ab") as file:
        file.write(b"x")
    assert names(made.work()) == [name]


def test_newest_counts(made, tmp_path):
    first, second, third = shard_files(made)
    newer = tmp_path / "newer"
    files.make_folder(newer / CONVERSION)
    for name in (first, second):
        shutil.copy(made.folder / name, newer / name)
    shutil.copy(
        shard_results.path_of(made.folder, first), shard_results.path_of(newer, first)
    )
    work = made.work(folders=[newer, made.folder])
    assert work.whole == {first: newer, second: made.folder, third: made.folder}


def test_result_of_another_split_does_not_count(made):
    plan = made.plan(split="test")
    for shard in plan.shards:
        old = shard.file.replace("test", "train")
        for path in (made.folder / old, shard_results.path_of(made.folder, old)):
            path.rename(path.with_name(path.name.replace("train", "test")))
    assert len(made.work(plan=plan).tasks) == 3


def test_patients_who_are_planned_otherwise_are_converted_again(together):
    annotate_another(together.source)
    plan = together.plan()
    work = together.work(plan=plan)
    (task,) = work.tasks
    assert task.earlier == together.folder and work.whole == {}
    first = PSEUDONYMS.of("patient", together.source.patients[0])
    everybody = {one.patient for one in plan.shards[0].patients}
    assert task.kept == everybody - {first} and work.kept_patients == 2


def test_patients_who_would_be_made_otherwise_without_a_new_file(together):
    together.rules = dataclasses.replace(RULES, text=DrawingRules(edge_rule="inside"))
    words = r"SCD0000101.*\(3\) would be made otherwise.*--overwrite"
    with pytest.raises(InputsChanged, match=words):
        together.work()


@pytest.mark.parametrize("grown", [False, True])
def test_other_labels_of_known_images_are_refused(together, grown):
    for shard in together.plan(label("3")).shards:
        write_shard(together.job, ShardTask(shard))
    if grown:
        annotate_another(together.source)
    assert len(together.work(plan=together.plan(label("3"))).tasks) == grown
    plan = together.plan(label("3", of_first="4"))
    words = r"^dicoms/\S+.dcm \(1\) have other labels.*--labels.*--overwrite"
    with pytest.raises(InputsChanged, match=words):
        together.work(plan=plan)


@pytest.mark.parametrize("grown", [False, True])
def test_contours_that_are_linked_to_another_patient_are_refused(together, grown):
    if grown:
        annotate_another(together.source)
    path = together.source.root / "link.csv"
    first, second = (together.source.original(p) for p in PATIENTS[:2])
    text = path.read_text().replace(first, "X").replace(second, first)
    path.write_text(text.replace("X", second))
    words = r"icontour-manual.txt.*\(\d\) are now another patient's.*link file"
    with pytest.raises(InputsChanged, match=words):
        together.work()


def test_images_that_are_another_patients_now_are_refused(together):
    def give_away(frames):
        header = dataclasses.replace(frames[0].header, patient_id="NEW")
        return [dataclasses.replace(frames[0], header=header), *frames[1:]]

    plan = together.plan(give_away)
    with pytest.raises(InputsChanged, match=r"1.dcm.*are now another patient's"):
        together.work(plan=plan)


def test_patients_who_come_and_go(source, tmp_path):
    few = Conversion(source, tmp_path / "few", num_shards=1)
    for shard in few.plan(drop_first).shards:
        write_shard(few.job, ShardTask(shard))
    (task,) = few.work().tasks
    assert len(task.kept) == 2 and len(task.shard.patients) == 3
    # One who is no longer planned makes the shard another one, too.
    few.write()
    work = few.work(plan=few.plan(drop_first))
    (task,) = work.tasks
    assert len(task.kept) == 2 and len(task.shard.patients) == 2


@pytest.mark.parametrize("kind", ["image", "plain image", "contour"])
def test_files_that_have_changed_are_named(made, kind):
    source, patient = made.source, made.source.patients[1]
    path = {
        "image": source.image(patient, 1),
        "plain image": source.image(patient, 3),
        "contour": source.contour(patient, 2),
    }[kind]
    data = bytearray(path.read_bytes())
    data[-1 if kind != "contour" else 3] ^= 1
    path.write_bytes(data)
    name = path.relative_to(source.root).as_posix()
    words = f"1 source files have changed .*: {name}. Restore.*--overwrite"
    with pytest.raises(InputsChanged, match=words):
        made.work()


def test_only_the_first_few_changed_files_are_named(made):
    for path in made.source.root.rglob("*.dcm"):
        source_folders.edit(path, TriggerTime=3)
    plan = made.plan()
    with pytest.raises(InputsChanged, match="^9 source files have .*, [.]{3}[.] Re"):
        made.work(plan=plan)


def test_changed_file_that_cannot_be_read_is_named(made, monkeypatch):
    path = made.source.image(made.source.patients[0], 1)
    paths = files.walk(made.source.root)
    names = {PSEUDONYMS.of("candidate", one): one for one in paths}
    plan = made.plan()
    path.unlink()
    with pytest.raises(InputsChanged, match="1.dcm .No such file or directory"):
        find_work(
            plan,
            made.job,
            [made.folder],
            SourceContents(made.source.root, None),
            names,
        )


@pytest.mark.parametrize("code", ["contour_unreadable", "worker_died"])
def test_files_that_could_not_be_read_are_tried_again(together, code):
    (name,) = shard_files(together)
    result = shard_results.read(together.folder, name)
    path = together.source.contour(together.source.patients[0], 1)
    candidate = PSEUDONYMS.of(
        "candidate", path.relative_to(together.source.root).as_posix()
    )
    (first,) = (one for one in result.patients if candidate in one.sources)
    others = [one for one in result.patients if one is not first]
    sources = {name: one for name, one in first.sources.items() if name != candidate}
    ledger = [
        dataclasses.replace(one, status="skipped", reason=code)
        if one.candidate == candidate
        else one
        for one in first.ledger
    ]
    unread = dataclasses.replace(first, sources=sources, ledger=tuple(ledger))
    patients = sorted([unread, *others], key=lambda one: one.patient)
    shard_results.write(
        together.folder, dataclasses.replace(result, patients=tuple(patients))
    )
    (task,) = together.work().tasks
    assert task.kept == {one.patient for one in others}


def test_changed_files_of_shards_that_are_not_there_do_not_matter(made):
    for name in shard_files(made):
        shard_results.path_of(made.folder, name).unlink()
    for path in made.source.root.rglob("*.dcm"):
        source_folders.edit(path, TriggerTime=3)
    assert len(made.work().tasks) == 3


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_thorough_work_finds_damage(made):
    first, second, _ = shard_files(made)
    _flip(made.folder / first)
    _flip(shard_results.path_of(made.folder, second))
    assert names(made.work(thorough=True)) == [first, second]


def test_damage_of_an_unfinished_conversion_is_made_again(made):
    name = shard_files(made)[1]
    _flip(shard_results.path_of(made.folder, name))
    assert names(made.work()) == [name]


@pytest.mark.parametrize("where", ["shard", "result"])
def test_damage_of_the_data_set_that_is_extended_is_named(made, tmp_path, where):
    data_set = shutil.move(made.folder, tmp_path / "data set")
    files.make_folder(made.folder)
    name = shard_files(made)[1]
    if where == "shard":
        with (data_set / name).open("ab") as file:
            file.write(b"x")
    else:
        _flip(shard_results.path_of(data_set, name))
    words = f"{name}.*tfdicom_inspect repair --data_dir={data_set}"
    with pytest.raises(ValueError, match=words):
        made.work(folders=[made.folder, data_set])
    assert names(made.work(folders=[made.folder, data_set], thorough=True)) == [name]


def test_thorough_work_looks_for_an_older_whole_one(made, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(made.folder, newer)
    name = shard_files(made)[2]
    _flip(newer / name)
    work = made.work(folders=[newer, made.folder], thorough=True)
    assert work.tasks == () and work.whole[name] == made.folder


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
