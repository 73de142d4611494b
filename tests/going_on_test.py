"""Whole conversions that are stopped, resumed and extended, byte by byte."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from tests import real_data, source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert, examples
from tfdicom import (
    contour_origin,
    conversion,
    conversion_state,
    dataset_index,
    files,
    folder_lock,
    header_cache,
    manifest,
    output_folder,
    sealed_json,
    shard_results,
    source_contents,
    survey,
)
from tfdicom.classes import parse_classes
from tfdicom.conversion_state import STATE
from tfdicom.ledger import Ledger
from tfdicom.output_folder import ASIDE
from tfdicom.shard_results import CONVERSION

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow

PATIENTS = tuple(f"SCD00{number:02d}01" for number in range(5))
NEW = "SCD0009901"


@pytest.fixture
def source(tmp_path):
    """Five patients, of whom each gets a shard where nothing else is asked."""
    return source_folders.write_folder(tmp_path / "in", patients=PATIENTS)


def stamps(folder):
    """What tells whether a file was touched."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def add_patient(source, patient=NEW, annotated=2):
    """Adds a patient without touching a file that is there, but for the links."""
    grown = source_folders.SourceFolder(source.root, (*source.patients, patient))
    for number in range(1, annotated + 1):
        source_folders.write_image(grown.image(patient, number), patient, number)
        vertices = grown.inner(patient, number)
        source_folders.write_contour(grown.contour(patient, number), vertices)
    with (source.root / "link.csv").open("a") as file:
        file.write(f"{patient},{grown.original(patient)}\n")
    return grown


class Stopped(Exception):
    """As a kill, but for what Python does on its way out."""


def stop_after(monkeypatch, shards):
    """Lets the next conversion be stopped when so many shards are there."""

    def add_details(ledger, details):
        original(ledger, details)
        done.append(details)
        if len(done) == shards:
            raise Stopped

    def write_state(folder, state):
        write(folder, state)
        raise Stopped

    done: list = []
    original, write = Ledger.add_details, conversion_state.write_state
    if shards:
        monkeypatch.setattr(Ledger, "add_details", add_details)
    else:
        monkeypatch.setattr(conversion_state, "write_state", write_state)


def stopped(source, output, monkeypatch, shards=1, **options):
    """Runs a conversion that is stopped when so many shards are there."""
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_after(patch, shards)
        convert(source.root, output, **options)


def check_what_readers_see(output):
    """The data set is whole, or there is none; returns its manifest, if any."""
    try:
        found = manifest.load_manifest(output)
    except FileNotFoundError:
        return None
    shards = [one for split in found.splits.values() for one in split.shards]
    for one in shards:
        data = (output / one.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one.sha256, one.file
    index = list(dataset_index.read_index(output))
    assert len(index) == sum(one.examples for one in shards)
    assert {one.shard for one in index} <= {one.file for one in shards}
    keys = {one["key"] for one in manifest.read_ledger(output) if "key" in one}
    assert keys == {one.key for one in index}
    assert set(shard_results_of(output)) == {one.file for one in shards}
    return found


def shard_results_of(output):
    paths = (output / CONVERSION).glob("*.tfrecord.json")
    return [path.name.removesuffix(".json") for path in paths]


# Stopped, and resumed.


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_after_any_shard_it_ends_with_the_same_bytes(
    source, tmp_path, monkeypatch, workers, compression
):
    options = {"num_workers": workers, "compression": compression}
    convert(source.root, tmp_path / "at once", compression=compression)
    wanted = files_of(tmp_path / "at once")
    assert len(shard_results_of(tmp_path / "at once")) == 5
    for shards in range(5):
        output = tmp_path / f"stopped after {shards}"
        stopped(source, output, monkeypatch, shards, **options)
        assert [path.name for path in output.glob("*")] == ([ASIDE] if shards else [])
        result = convert(source.root, output, **options)
        assert result.reused + len(result.written) == 5
        assert result.reused == shards if workers == 1 else result.reused >= shards
        assert result.kept_patients == result.reused
        assert files_of(output) == wanted


def test_stopped_again_and_again(source, tmp_path, monkeypatch):
    output = tmp_path / "out"
    for _ in PATIENTS:
        stopped(source, output, monkeypatch, shards=1)
        assert check_what_readers_see(output) is None
    result = convert(source.root, output)
    assert (result.reused, len(result.written)) == (5, 0)
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


@pytest.mark.parametrize("patients_per_shard", [1, 5])
@pytest.mark.parametrize("named", ["train", "test"])
def test_stopped_between_a_shard_and_its_result(
    source, tmp_path, monkeypatch, patients_per_shard, named
):
    options = {"num_shards": 5 // patients_per_shard}

    def stop(folder, result):
        if result.split == named:
            raise OSError("stopped")
        write(folder, result)

    write = shard_results.write
    output = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(OSError, match="stopped"):
        patch.setattr(shard_results, "write", stop)
        convert(source.root, output, **options)
    assert check_what_readers_see(output) is None
    convert(source.root, output, **options)
    convert(source.root, tmp_path / "at once", **options)
    assert files_of(output) == files_of(tmp_path / "at once")


@pytest.mark.parametrize(
    "place", ["find_work", "_finish", "write_dataset_files", "_take_place_if_new"]
)
def test_stopped_at_a_place_that_writes_no_shard(source, tmp_path, monkeypatch, place):
    def stop(*arguments, **keywords):
        raise Stopped

    output = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(conversion, place, stop)
        convert(source.root, output)
    assert check_what_readers_see(output) is None
    result = convert(source.root, output)
    # What was whole already takes its place first.
    assert result.reused == (0 if place == "find_work" else 5)
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


@pytest.mark.parametrize("name", ["train-00000-of-00003.tfrecord", "dataset.json"])
def test_stopped_while_a_file_is_written(source, tmp_path, monkeypatch, name):
    output = tmp_path / "out"
    stopped(source, output, monkeypatch, shards=2)
    for folder in (output / ASIDE, output / ASIDE / CONVERSION):
        (folder / f"{name}{files.PARTIAL}").write_bytes(b"a part")
    convert(source.root, output)
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


_PROGRAM = """
import sys
import tests.source_folders as folders
source, output, first = sys.argv[1:]
if first:
    from tfdicom import conversion
    original = conversion.run_shards
    def run(*arguments):
        for notes in original(*arguments):
            yield notes
            sys.exit("stopped")
    conversion.run_shards = run
result = folders.convert(source, output)
print(result.reused, len(result.written))
"""


def test_another_process_goes_on(source, tmp_path):
    """Nothing hangs on how a process hashes, or on where its objects lie."""

    def run(seed, output, first):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(source.root), str(output), first],
            env=environment,
            capture_output=True,
            text=True,
        )

    output = tmp_path / "out"
    assert run("1", output, "first").returncode == 1
    done = run("2", output, "")
    assert done.stdout.split() == ["1", "4"], done.stderr
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


# The same again.


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("replaced", [False, True])
def test_the_same_command_again_touches_nothing(source, tmp_path, workers, replaced):
    output = tmp_path / "out"
    convert(source.root, output)
    if replaced:
        convert(source.root, output, overwrite=True)
    before, touched = files_of(output), stamps(output)
    result = convert(source.root, output, num_workers=workers)
    assert (result.reused, len(result.written), result.kept_patients) == (5, 0, 5)
    assert stamps(output) == touched
    assert files_of(output) == before
    assert set(output.iterdir()) == {output / name.split("/")[0] for name in before}


def test_replaced_data_set_has_the_same_bytes(source, tmp_path, monkeypatch):
    output = tmp_path / "out"
    convert(source.root, output, split="train")
    convert(source.root, output, overwrite=True)
    convert(source.root, tmp_path / "at once")
    wanted = files_of(tmp_path / "at once")
    assert files_of(output) == wanted
    stopped(source, output, monkeypatch, overwrite=True)
    assert files_of(output).items() >= wanted.items()
    result = convert(source.root, output, overwrite=True)
    assert (result.reused, len(result.written)) == (1, 4)
    assert files_of(output) == wanted


def test_header_cache_is_not_needed(source, tmp_path, monkeypatch):
    output = tmp_path / "out"
    stopped(source, output, monkeypatch, shards=2, header_cache="none")
    result = convert(source.root, output, header_cache="none")
    assert (result.reused, len(result.written)) == (2, 3)
    before, touched = files_of(output), stamps(output)
    convert(source.root, output, header_cache="none")
    assert (files_of(output), stamps(output)) == (before, touched)


# More input.


def check_as_fresh(source, output, fresh, **options):
    """It holds what a conversion to the same splits at once gives, in other shards."""
    found = check_what_readers_see(output)
    convert(source.root, fresh, splits_from=str(output), **options)
    wanted = manifest.load_manifest(fresh)
    assert by_key(output) == by_key(fresh)
    assert list(manifest.read_ledger(output)) == list(manifest.read_ledger(fresh))
    assert found.ledger == wanted.ledger
    assert found.split_table == wanted.split_table
    for name, split in found.splits.items():
        other = wanted.splits[name]
        assert sorted(split.patients) == sorted(other.patients)
        for field in ("examples", "classes", "pixel_spacing", "labels", "frames"):
            assert getattr(split, field) == getattr(other, field), field
        for pixels, figures in split.intensities.items():
            assert figures.to_floats() == pytest.approx(
                other.intensities[pixels].to_floats()
            )


def home_of(result, patient):
    """The shard of a patient."""
    (home,) = (
        shard.file
        for shard in result.plan.shards
        if any(one.source_patient == patient for one in shard.patients)
    )
    return home


def by_key(output):
    found = {one.key: one for one in examples(output)}
    assert len(found) == len(examples(output))
    return found


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("num_shards", [0, 1])
def test_new_patients_touch_only_the_shards_that_they_go_to(
    source, tmp_path, num_shards, compression
):
    options = {"num_shards": num_shards, "compression": compression}
    output = tmp_path / "out"
    convert(source.root, output, **options)
    before, touched = manifest.load_manifest(output), stamps(output)
    records = by_key(output)
    grown = add_patient(source)
    result = convert(grown.root, output, **options)
    home = home_of(result, NEW)
    assert (len(result.written), result.kept_patients) == (1, 5)
    after = manifest.load_manifest(output)
    assert before.split_table.items() < after.split_table.items()
    changed = {name for name, one in stamps(output).items() if one != touched[name]}
    assert {name for name in changed if ".tfrecord" in name} == {
        home,
        f"{CONVERSION}/{home}.json",
    }
    assert records.items() < by_key(output).items()
    check_as_fresh(grown, output, tmp_path / "fresh", **options)


def test_patients_come_one_after_the_other(source, tmp_path):
    output, names = tmp_path / "out", [f"SCD01{number:02d}01" for number in range(6)]
    convert(source.root, output, num_shards=2)
    where = {}
    for name in names:
        source = add_patient(source, name, annotated=1)
        result = convert(source.root, output, num_shards=2)
        assert (len(result.written), len(result.plan.shards)) == (1, 4)
        for shard in result.plan.shards:
            for one in shard.patients:
                assert where.setdefault(one.patient, shard.file) == shard.file
        sizes = {
            name: len(one.patients) for name, one in result.manifest.splits.items()
        }
        assert max(sizes.values()) - min(sizes.values()) <= 1
    assert len(where) == 11
    check_as_fresh(source, output, tmp_path / "fresh", num_shards=2)


def test_extension_that_is_stopped_goes_on(source, tmp_path, monkeypatch):
    output = tmp_path / "out"
    convert(source.root, output, num_shards=1)
    before = files_of(output)
    grown = add_patient(add_patient(source, "SCD0008801"), NEW)
    stopped(grown, output, monkeypatch, shards=1, num_shards=1)
    seen = files_of(output)
    assert {name: seen[name] for name in before} == before
    # Somebody else comes meanwhile.
    grown = add_patient(grown, "SCD0007701")
    convert(grown.root, output, num_shards=1)
    old = json.loads(before["dataset.json"])["split_table"]
    assert check_what_readers_see(output).split_table.items() > old.items()
    check_as_fresh(grown, output, tmp_path / "fresh", num_shards=1)


@pytest.mark.parametrize("num_shards", [0, 1])
def test_new_annotation_of_a_known_patient(source, tmp_path, num_shards):
    output = tmp_path / "out"
    first = convert(source.root, output, num_shards=num_shards)
    touched, patient = stamps(output), PATIENTS[2]
    vertices = source.inner(patient, 3)
    source_folders.write_contour(source.contour(patient, 3), vertices)
    result = convert(source.root, output, num_shards=num_shards)
    assert (len(result.written), result.kept_patients) == (1, 4)
    assert result.manifest.split_table == first.manifest.split_table
    assert len(examples(output)) == 11
    changed = {name for name, one in stamps(output).items() if one != touched[name]}
    assert {name for name in changed if name.endswith(".tfrecord")} == {
        home_of(result, patient)
    }
    fresh = tmp_path / "fresh"
    check_as_fresh(source, output, fresh, num_shards=num_shards)


def test_image_that_could_not_be_used_and_is_mended(source, tmp_path):
    """It was in the ledger before, and in no record: it is no changed source."""
    path = source.image(PATIENTS[1], 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    output = tmp_path / "out"
    convert(source.root, output, include_unannotated="all")
    assert len(examples(output)) == 14
    path.write_bytes(whole)
    result = convert(source.root, output, include_unannotated="all")
    assert (len(result.written), result.kept_patients) == (1, 4)
    check_as_fresh(source, output, tmp_path / "fresh", include_unannotated="all")


@pytest.mark.parametrize("reason", ["file_unreadable", "contour_unreadable"])
def test_file_that_could_not_be_read_for_a_while(source, tmp_path, monkeypatch, reason):
    """A share that hiccups costs no patient an image for good."""
    of_kind = source.image if reason == "file_unreadable" else source.contour
    path = of_kind(PATIENTS[3], 2)
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        refuse_once_planned(patch, path)
        convert(source.root, output)
    assert check_what_readers_see(output).ledger["reasons"][reason] == 1
    assert len(examples(output)) == 9
    result = convert(source.root, output)
    assert (len(result.written), result.kept_patients) == (1, 4)
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


def refuse_once_planned(monkeypatch, path):
    """Lets a file be refused when headers were read."""

    def opened(asked, **keywords):
        if asked == path:
            raise PermissionError(13, "Permission denied", str(path))
        return original(asked, **keywords)

    def write_state(folder, state):
        monkeypatch.setattr(files, "opened", opened)
        write(folder, state)

    original, write = files.opened, conversion_state.write_state
    monkeypatch.setattr(conversion_state, "write_state", write_state)


def test_origin_of_contours_stays_what_it_was(source, tmp_path, monkeypatch):
    def fit(samples, default):
        return dataclasses.replace(original(samples, default=default), **found)

    original = contour_origin.fit_origin
    monkeypatch.setattr(contour_origin, "fit_origin", fit)
    output = tmp_path / "out"
    found = {"name": "corner0", "shift": (-0.5, -0.5)}
    convert(source.root, output, contour_origin="auto")
    found = {"name": "center0", "shift": (0.0, 0.0)}
    grown = add_patient(source)
    result = convert(grown.root, output, contour_origin="auto")
    assert result.manifest.options["contour_origin"] == "corner0"
    assert {one.contour_origin for one in examples(output)} == {"corner0"}
    assert result.kept_patients == 5
    convert(grown.root, tmp_path / "fresh", contour_origin="auto")
    assert {one.contour_origin for one in examples(tmp_path / "fresh")} == {"center0"}


def test_input_that_would_make_other_classes_is_refused(source, tmp_path, monkeypatch):
    def others(*arguments):
        return (*original(*arguments), parse_classes("more=inner")[0])

    output = tmp_path / "out"
    convert(source.root, output)
    before = files_of(output)
    original = survey._classes
    monkeypatch.setattr(survey, "_classes", others)
    words = "has the classes inner=inner;outer=outer, and .* --classes"
    with pytest.raises(ValueError, match=words):
        convert(source.root, output)
    assert files_of(output) == before


def test_files_that_are_gone_are_named_where_the_crosswalk_knows_them(source, tmp_path):
    key = str(tmp_path / "key" / "id.key")
    convert(source.root, tmp_path / "out", id_key_file=key)
    source.image(PATIENTS[1], 2).unlink()
    with pytest.raises(
        ValueError, match=rf"no longer in .*: dicoms/{PATIENTS[1]}/2\.dcm"
    ):
        convert(source.root, tmp_path / "out", id_key_file=key)


def test_new_patients_whom_a_policy_leaves_out(source, tmp_path):
    split = f"train:{'+'.join(PATIENTS[:3])},test:{'+'.join(PATIENTS[3:])}"
    output = tmp_path / "out"
    convert(source.root, output, split=split)
    records, touched = by_key(output), stamps(output)
    grown = add_patient(source)
    result = convert(grown.root, output, split=split)
    assert result.written == () and by_key(output) == records
    changed = {name for name, one in stamps(output).items() if one != touched[name]}
    assert not any(name.endswith(".tfrecord") for name in changed)
    assert result.manifest.ledger["reasons"]["patient_not_in_split"] == 4


@pytest.mark.parametrize("finished", [False, True])
def test_dry_run_plans_what_would_be_done(source, tmp_path, monkeypatch, finished):
    output = tmp_path / "out"
    if finished:
        convert(source.root, output, num_shards=2)
    else:
        stopped(source, output, monkeypatch, num_shards=2)
    before = files_of(output)
    for name in ("SCD0006601", "SCD0007701", "SCD0008801"):
        source = add_patient(source, name)
    planned = convert(source.root, output, num_shards=2, dry_run=True).plan
    assert files_of(output) == before
    with pytest.raises(ValueError, match="other values of --split"):
        convert(source.root, output, num_shards=2, dry_run=True, split="train")
    anew = convert(source.root, output, num_shards=2, dry_run=True, overwrite=True)
    done = convert(source.root, output, num_shards=2).plan
    assert planned.split_table == done.split_table != anew.plan.split_table
    assert planned.shards == done.shards


@pytest.mark.slow
@real_data.needs_sunnybrook
def test_sunnybrook_gets_its_third_patient(tmp_path, monkeypatch):
    root, output = tmp_path / "in", tmp_path / "out"
    source = source_folders.SourceFolder(root, ())
    options = {"num_shards": 1, "num_workers": 2, "max_error_rate": 1.0}
    _, _, third = sorted((real_data.SUNNYBROOK / "dicoms").iterdir())
    shutil.copytree(
        real_data.SUNNYBROOK,
        root,
        ignore=lambda folder, names: {third.name}.intersection(names),
    )
    convert(root, output, **options)
    assert len(manifest.load_manifest(output).split_table) == 2
    shutil.copytree(third, root / "dicoms" / third.name)
    stopped(source, output, monkeypatch, **options)
    result = convert(root, output, **options)
    # The shard that was there when it was stopped is whole: all are kept.
    assert (result.kept_patients, result.written) == (3, ())
    assert len(examples(output)) == 56
    check_as_fresh(source, output, tmp_path / "fresh", **options)


# Input that is not what it was.


def _other_pixel(path):
    """Changes a file in place; its size stays."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _other_corner(path):
    text = path.read_text()
    digit = text.index(".") + 1
    other = str((int(text[digit]) + 1) % 10)
    path.write_text(text[:digit] + other + text[digit + 1 :])


CHANGES = {
    "image": (lambda one: one.image(PATIENTS[0], 1), _other_pixel),
    "contour": (lambda one: one.contour(PATIENTS[1], 2), _other_corner),
}


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("known", ["time differs", "no journal", "no cache"])
def test_a_file_that_has_changed_in_place_is_refused(
    source, tmp_path, monkeypatch, changed, finished, known
):
    options = {"header_cache": "none"} if known == "no cache" else {}
    output = tmp_path / "out"
    if finished:
        convert(source.root, output, **options)
    else:
        stopped(source, output, monkeypatch, shards=4, **options)
    choose, change = CHANGES[changed]
    path = choose(source)
    status, data = path.stat(), path.read_bytes()
    change(path)
    assert path.stat().st_size == status.st_size
    if known != "time differs":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if known == "no journal":
        cache = header_cache.cache_path(None, source.root)
        source_contents.journal_path(cache).unlink()
    before = files_of(output)
    words = "1 source files have changed .*--overwrite"
    with pytest.raises(ValueError, match=words) as error:
        convert(source.root, output, **options)
    assert path.relative_to(source.root).as_posix() in str(error.value)
    assert files_of(output) == before
    convert(source.root, tmp_path / "changed", **options)
    path.write_bytes(data)
    convert(source.root, output, **options)
    convert(source.root, tmp_path / "at once", **options)
    assert files_of(output) == files_of(tmp_path / "at once")
    change(path)
    convert(source.root, output, overwrite=True, **options)
    assert files_of(output) == files_of(tmp_path / "changed")


def _remove(source):
    source.image(PATIENTS[0], 1).unlink()
    return 1


def _remove_contour(source):
    source.contour(PATIENTS[0], 2).unlink()
    return 1


def _remove_patient(source):
    shutil.rmtree(source.root / "dicoms" / PATIENTS[3])
    return 3


def _rename(source):
    path = source.image(PATIENTS[0], 3)
    path.rename(path.with_name("30.dcm"))
    return 1


def _move_patient(source):
    shutil.move(source.root / "dicoms" / PATIENTS[2], source.root / "dicoms" / "moved")
    return 3


@pytest.mark.parametrize(
    "vanish", [_remove, _remove_contour, _remove_patient, _rename, _move_patient]
)
@pytest.mark.parametrize("finished", [False, True])
def test_files_that_have_vanished_are_refused(
    source, tmp_path, monkeypatch, vanish, finished
):
    output, backup = tmp_path / "out", tmp_path / "backup"
    if finished:
        convert(source.root, output)
    else:
        stopped(source, output, monkeypatch, shards=3)
    shutil.copytree(source.root, backup)
    number, before = vanish(source), files_of(output)
    words = f"{number} files that .* no longer in .*--withdraw=PATIENT.*--overwrite"
    with pytest.raises(ValueError, match=words):
        convert(source.root, output)
    assert files_of(output) == before
    shutil.rmtree(source.root)
    shutil.copytree(backup, source.root)
    convert(source.root, output)
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


def test_input_folder_may_move(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output)
    before, touched = files_of(output), stamps(output)
    source.root.rename(tmp_path / "elsewhere")
    result = convert(tmp_path / "elsewhere", output)
    assert result.kept_patients == 5
    assert (files_of(output), stamps(output)) == (before, touched)


# Another command.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"edge_rule": "center"}, "other values of --edge_rule;"),
        ({"classes": "inner"}, "other values of --classes;"),
        ({"compression": "gzip", "num_shards": 1}, "of --compression, --num_shards;"),
        ({"split": "train"}, "other values of --split;"),
        ({"id_key_file": "KEY"}, "another key of the pseudonyms .*--id_key_file"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_another_command_is_refused(
    source, tmp_path, monkeypatch, options, words, finished
):
    if "id_key_file" in options:
        options = {"id_key_file": str(tmp_path / "id.key")}
    output = tmp_path / "out"
    if finished:
        convert(source.root, output)
    else:
        stopped(source, output, monkeypatch, shards=2)
    before = files_of(output)
    with pytest.raises(ValueError, match=f"{words}.*--overwrite"):
        convert(source.root, output, **options)
    assert files_of(output) == before
    convert(source.root, output, overwrite=True, **options)
    convert(source.root, tmp_path / "at once", **options)
    assert files_of(output) == files_of(tmp_path / "at once")


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 2},
        {"max_error_rate": 0.5},
        {"on_error": "fail"},
        {"fail_on": "area_jumps"},
        {"fixed_splits": "test"},
        {"header_cache": "none"},
    ],
)
def test_options_that_shape_nothing_may_differ(source, tmp_path, monkeypatch, options):
    output = tmp_path / "out"
    stopped(source, output, monkeypatch, shards=2)
    result = convert(source.root, output, **options)
    assert (result.reused, len(result.written)) == (2, 3)
    touched = stamps(output)
    result = convert(source.root, output, **options)
    assert result.reused == 5
    shards = {name: one for name, one in touched.items() if ".tfrecord" in name}
    assert shards.items() <= stamps(output).items()


@pytest.mark.parametrize("finished", [False, True])
def test_another_version_is_refused(source, tmp_path, monkeypatch, finished):
    output = tmp_path / "out"
    if finished:
        convert(source.root, output)
    else:
        stopped(source, output, monkeypatch)
    path = (output if finished else output / ASIDE) / CONVERSION / STATE
    state = {**sealed_json.read(path), "version": "0.0.1"}
    sealed_json.write(path, state, indent=1)
    with pytest.raises(ValueError, match="was made by tfdicom 0.0.1.*--overwrite"):
        convert(source.root, output)


def test_damaged_state_is_named_and_does_not_stand_in_the_way(
    source, tmp_path, monkeypatch
):
    output = tmp_path / "out"
    stopped(source, output, monkeypatch)
    damage = output / ASIDE / CONVERSION / STATE
    damage.write_text(damage.read_text().replace("train", "tr", 1))
    convert(source.root, output)  # all of it is decided anew, and the same
    wanted = files_of(output)
    damage = output / CONVERSION / STATE
    damage.write_text(damage.read_text().replace("train", "tr", 1))
    with pytest.raises(ValueError, match="state.json.*repair.*--overwrite"):
        convert(source.root, output)
    convert(source.root, output, overwrite=True)
    assert files_of(output) == wanted


def test_data_set_without_what_later_conversions_need(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output)
    shutil.rmtree(output / CONVERSION)
    with pytest.raises(ValueError, match="cannot be extended.*--overwrite"):
        convert(source.root, output)
    assert check_readable(output)
    convert(source.root, output, overwrite=True)
    assert check_what_readers_see(output)


def check_readable(output):
    return len(examples(output)) == 10 and manifest.load_manifest(output)


# --overwrite that was stopped.


@pytest.fixture
def half_replaced(source, tmp_path, monkeypatch):
    """A data set, and another that was to replace it and has one shard."""
    output = tmp_path / "out"
    convert(source.root, output)
    before = files_of(output)
    stopped(source, output, monkeypatch, overwrite=True, classes="inner")
    return output, before


def test_replacement_goes_on(source, tmp_path, half_replaced):
    output, _ = half_replaced
    result = convert(source.root, output, overwrite=True, classes="inner")
    assert (result.reused, len(result.written)) == (1, 4)
    convert(source.root, tmp_path / "at once", classes="inner")
    assert files_of(output) == files_of(tmp_path / "at once")


@pytest.mark.parametrize("classes", ["inner", None])
def test_replacement_does_not_go_on_unasked(source, half_replaced, classes):
    output, before = half_replaced
    now = files_of(output)
    words = "an unfinished conversion was to replace; go on with --overwrite, or delete"
    with pytest.raises(ValueError, match=words):
        convert(source.root, output, classes=classes)
    assert files_of(output) == now and now.items() > before.items()
    shutil.rmtree(output / ASIDE)
    if classes is None:
        result = convert(source.root, output)
        assert result.reused == 5 and files_of(output) == before


def test_replacement_by_another_command_begins_anew(source, tmp_path, half_replaced):
    output, _ = half_replaced
    result = convert(source.root, output, overwrite=True, classes="outer")
    assert result.reused == 0
    convert(source.root, tmp_path / "at once", classes="outer")
    assert files_of(output) == files_of(tmp_path / "at once")


def test_replacement_that_is_refused_leaves_what_was_there(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output)
    before = files_of(output)
    source.contour(PATIENTS[0], 1).write_text("x")
    with pytest.raises(ValueError, match="on_error=fail"):
        convert(source.root, output, overwrite=True, on_error="fail")
    seen = files_of(output)
    assert {name: seen[name] for name in before} == before
    convert(source.root, output, overwrite=True, on_error="skip")
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


def test_who_mends_what_was_refused_need_not_overwrite(source, tmp_path):
    path = source.contour(PATIENTS[0], 1)
    text = path.read_text()
    path.write_text("x")
    output = tmp_path / "out"
    with pytest.raises(ValueError, match="on_error=fail"):
        convert(source.root, output, on_error="fail")
    path.write_text(text)
    convert(source.root, output, on_error="fail")
    convert(source.root, tmp_path / "at once")
    assert files_of(output) == files_of(tmp_path / "at once")


# Two at once.


def test_second_conversion_at_the_same_time_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "_PATIENCE_SECONDS", 0.2)
    output = tmp_path / "out"
    convert(source.root, output)
    before = files_of(output)
    with files.lock(output):
        with pytest.raises(ValueError, match="another conversion writes to .*out"):
            convert(source.root, output, overwrite=True)
        assert files_of(output) == before
    convert(source.root, output, overwrite=True)


def test_second_conversion_waits_for_one_that_ends(source, tmp_path):
    outputs = []

    def run():
        outputs.append(convert(source.root, tmp_path / "out"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.reused for one in outputs) == [0, 5]
    convert(source.root, tmp_path / "at once")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "at once")


# Stopped on the way into place.


def _extended(source, output):
    """Makes a data set, and what is to become of it."""
    convert(source.root, output, num_shards=1)
    add_patient(source)
    return {"num_shards": 1}


def _replaced(source, output):
    """By one with other, and fewer, shards."""
    convert(source.root, output)
    return {"num_shards": 1, "overwrite": True}


def _new(source, output):
    return {"num_shards": 2}


class _Countdown:
    """Makes every change of the output folder in turn the one that is not made."""

    def __init__(self, output, steps):
        self.output, self.steps = output, steps

    def patch(self, monkeypatch):
        move, unlink = files.move, pathlib.Path.unlink
        monkeypatch.setattr(files, "move", self._counted(move))
        monkeypatch.setattr(pathlib.Path, "unlink", self._counted(unlink))

    def _counted(self, function):
        def counted(path, *arguments, **keywords):
            if not (self.output / ASIDE / "dataset.json").exists():
                return function(path, *arguments, **keywords)  # not on its way yet
            self._step()
            done = function(path, *arguments, **keywords)
            check_what_readers_see(self.output)
            return done

        return counted

    def _step(self):
        if self.steps == 0:
            raise Stopped
        self.steps -= 1


@pytest.mark.parametrize("prepare", [_new, _extended, _replaced])
def test_stopped_at_any_step_into_place(source, tmp_path, monkeypatch, prepare):
    first = tmp_path / "first"
    options = prepare(source, first)
    old = check_what_readers_see(first)
    shutil.copytree(first, tmp_path / "whole") if old else None
    convert(source.root, tmp_path / "whole", **options)
    wanted = files_of(tmp_path / "whole")
    new = check_what_readers_see(tmp_path / "whole")
    seen = set()
    for steps in range(100):
        output = tmp_path / f"stopped at {steps}"
        if old:
            shutil.copytree(first, output)
        with monkeypatch.context() as patch:
            _Countdown(output, steps).patch(patch)
            try:
                convert(source.root, output, **options)
            except Stopped:
                pass
            else:
                break
        found = check_what_readers_see(output)
        assert found in (None, old, new)
        seen.add(("none", "old", "new")[[None, old, new].index(found)])
        # Without --overwrite: what is whole takes its place, whoever asks.
        again = {**options, "overwrite": False}
        if found != old or old is None:
            result = convert(source.root, output, **again)
            assert result.written == ()
        else:
            convert(source.root, output, **options)
        assert files_of(output) == wanted
    assert 5 < steps < 99
    assert "none" in seen
    assert files_of(output) == wanted


def test_what_is_whole_takes_its_place_before_anything_else(
    source, tmp_path, monkeypatch
):
    def stop(output):
        raise Stopped

    output = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(output_folder, "take_place", stop)
        with output_folder.workspace(output):
            pytest.fail("it was entered")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(conversion, "_take_place_if_new", lambda *_: stop(output))
        convert(source.root, output)
    (source.root / "link.csv").unlink()  # the next cannot be made
    with pytest.raises(ValueError):
        convert(source.root, output)
    assert check_what_readers_see(output)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
