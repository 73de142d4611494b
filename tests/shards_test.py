import dataclasses
import hashlib
import pathlib
import sys
import tracemalloc

import numpy as np
import pytest

from tests import source_folders
from tests.folder_contents import files_of
from tfdicom import (
    example_schema,
    files,
    processes,
    rasterize,
    shard_results,
    shards,
    splits,
    tfrecord_file,
    value_counts,
)
from tfdicom.classes import parse_classes
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules
from tfdicom.input_stamps import InputStamps
from tfdicom.plan import make_plan
from tfdicom.shard_content import ShardContent
from tfdicom.shards import ShardJob, ShardTask, write_shard
from tfdicom.source_contents import content_of
from tfdicom.sources.annotation_objects import Drawing, DrawingRules, LeftItem
from tfdicom.sources.candidates import RTSTRUCT, Annotation
from tfdicom.sources.readers import READERS

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
TEXT_RULES = DrawingRules(edge_rule="half_covered", tolerance=0.02, shift=(-1.0, -1.0))
RULES = AnnotationRules(
    classes=parse_classes("inner;outer"),
    text=TEXT_RULES,
    objects=DrawingRules(edge_rule="center"),
    origin="center1",
)


def candidate(path):
    return PSEUDONYMS.of("candidate", str(path))


def relative(source, path):
    return path.relative_to(source.root).as_posix()


def plan_shards(source, num_shards=1, frames=None, stamps=None):
    frames = frames or source_folders.annotated_frames(source.root)
    return make_plan(
        frames,
        [one.header.patient_id for one in frames],
        classes=RULES.classes,
        rule=splits.parse_split("train"),
        salt="salt",
        pseudonyms=PSEUDONYMS,
        num_shards=num_shards,
        shard_bytes=1 << 30,
        stamps=stamps,
    ).shards


def job_of(source, output, compression="none", rules=RULES):
    files.make_folder(output / shard_results.CONVERSION)
    return ShardJob(source.root, output, rules, compression, PSEUDONYMS)


def written(source, output, *, num_shards=1, compression="none", frames=None):
    """What came of each shard."""
    job = job_of(source, output, compression)
    found = []
    for shard in plan_shards(source, num_shards, frames):
        write_shard(job, ShardTask(shard))
        found.append(shard_results.read(output, shard.file))
    return found


def records(output, result, compression="none"):
    path = output / result.info.file
    data = tfrecord_file.read_records(path, compression=compression)
    return [example_schema.decode(one) for one in data]


def entries(result):
    """Of the index."""
    return [entry for one in result.patients for entry in one.entries]


def ledger(result):
    return {entry.candidate: entry for one in result.patients for entry in one.ledger}


@pytest.mark.parametrize("compression", tfrecord_file.COMPRESSIONS)
def test_info_tells_what_the_file_holds(source, tmp_path, compression):
    output = tmp_path / "out"
    (result,) = written(source, output, compression=compression)
    name = "train-00000-of-00001.tfrecord"
    assert set(files_of(output)) == {name, f"{shard_results.CONVERSION}/{name}.json"}
    data = (output / name).read_bytes()
    examples = records(output, result, compression)
    assert (result.split, result.info.file) == ("train", name)
    assert result.info.examples == len(examples) == 6
    assert result.info.size == len(data)
    assert result.info.sha256 == hashlib.sha256(data).hexdigest()
    assert result.info.annotated == {"11": 3, "10": 3}
    sizes = [len(example_schema.encode(one)) for one in examples]
    assert result.info.data_size == sum(sizes)
    assert [entry.length for entry in entries(result)] == sizes
    if compression == "none":
        assert len(data) == sum(sizes) + 16 * len(sizes)
    else:
        assert len(data) < sum(sizes)


def test_index_leads_to_each_record(source, tmp_path):
    output = tmp_path / "out"
    (result,) = written(source, output)
    examples = records(output, result)
    for entry, example in zip(entries(result), examples, strict=True):
        data = tfrecord_file.read_record_at(output / entry.shard, entry.offset)
        assert example_schema.decode(data) == example
        assert entry.key == example.key and entry.length == len(data)


def test_patients_and_their_traces(source, tmp_path):
    output = tmp_path / "out"
    (result,) = written(source, output)
    (shard,) = plan_shards(source)
    names = [one.patient for one in result.patients]
    assert names == [one.patient for one in shard.patients] == sorted(names)
    examples = iter(records(output, result))
    for one, planned in zip(result.patients, shard.patients, strict=True):
        frames = [
            frame for each in planned.series for frame in each.frames if frame.example
        ]
        assert len(one.entries) == len(one.traces) == len(frames) == 2
        for trace, frame in zip(one.traces, frames, strict=True):
            example = next(examples)
            assert example.patient == one.patient
            assert trace.candidate == candidate(frame.name)
            assert trace.study == example.study
            assert trace.series == example.series
            assert trace.instance == example.instance
    hashes = [trace.pixel_hash for one in result.patients for trace in one.traces]
    assert None not in hashes and len(set(hashes)) == 6


def test_sources_are_the_files_of_a_patient_and_what_they_held(source, tmp_path):
    job = job_of(source, tmp_path / "out")
    (shard,) = plan_shards(source)
    notes = write_shard(job, ShardTask(shard))
    result = shard_results.read(tmp_path / "out", shard.file)
    for one, planned in zip(result.patients, shard.patients, strict=True):
        name = planned.source_patient
        # The image without a contour is read too: it is of the series.
        paths = [source.image(name, number) for number in (1, 2, 3)]
        paths += [source.contour(name, number) for number in (1, 2)]
        paths.append(source.contour(name, 1, "o"))
        found = {path: content_of(path) for path in paths}
        assert one.sources == {
            candidate(relative(source, path)): file.digest(job.pseudonyms)
            for path, file in found.items()
        }
        for path, file in found.items():
            assert notes.contents.pop(relative(source, path)) == file
    assert not notes.contents and not notes.details


def test_every_file_of_an_example_is_listed(source, tmp_path):
    (result,) = written(source, tmp_path / "out")
    listed = ledger(result)
    assert len(listed) == sum(len(one.ledger) for one in result.patients) == 15
    for one in source.patients:
        paths = [source.image(one, 1), source.image(one, 2), source.contour(one, 1)]
        paths += [source.contour(one, 2), source.contour(one, 1, "o")]
        patient = PSEUDONYMS.of("patient", one)
        for path in paths:
            entry = listed.pop(candidate(relative(source, path)))
            assert entry.kind == ("image" if path.suffix == ".dcm" else "contour")
            assert (entry.status, entry.split) == ("converted", "train")
            assert entry.patient == patient
            assert entry.key in {each.key for each in entries(result)}
    assert not listed


def test_skipped_contour_is_not_listed_as_converted(source, tmp_path):
    bad = source.contour(source.patients[0], 1)
    bad.write_text("1 2\n")
    job = job_of(source, tmp_path / "out")
    (shard,) = plan_shards(source)
    notes = write_shard(job, ShardTask(shard))
    result = shard_results.read(tmp_path / "out", shard.file)
    path = relative(source, bad)
    entry = ledger(result)[candidate(path)]
    assert (entry.status, entry.kind, entry.key) == ("skipped", "contour", None)
    assert entry.patient == PSEUDONYMS.of("patient", source.patients[0])
    others = [one for one in ledger(result).values() if one.status == "converted"]
    assert len(others) == 14
    assert set(notes.details) <= {path}


def test_details_are_for_the_terminal_alone(source, tmp_path):
    bad = source.contour(source.patients[0], 1)
    bad.write_text("Ann Doe\n")
    output = tmp_path / "out"
    job, (shard,) = job_of(source, output), plan_shards(source)
    notes = write_shard(job, ShardTask(shard))
    assert "Ann" in notes.details[relative(source, bad)]
    for data in files_of(output).values():
        assert b"Ann" not in data and b"contour-manual" not in data
        assert b"SCD" not in data and b"dcm" not in data


def test_content_adds_up(source, tmp_path):
    output = tmp_path / "out"
    results = written(source, output, num_shards=3)
    assert len(results) == 3
    whole = ShardContent()
    for result in results:
        for one in result.patients:
            whole.merge(one.content)
    examples = [one for result in results for one in records(output, result)]
    assert dict(whole.frames) == {((40, 48, 1), "int16", "MR", None): 6}
    assert dict(whole.annotated) == {"11": 3, "10": 3}
    assert whole.classes["inner"] == {
        "annotated": 6,
        "positive": 6,
        "pixels": sum(one.masks[0].sum() for one in examples),
    }
    assert whole.classes["outer"]["annotated"] == 3
    assert whole.spacings == pytest.approx([1.25, 1.5])
    pixels = np.stack([one.image[..., 0] for one in examples])
    inside = np.stack([one.masks.any(axis=0) for one in examples])
    for name, values in (("all", pixels), ("foreground", pixels[inside])):
        found = whole.intensities[name].statistics()
        assert found.count == values.size
        assert found.mean == pytest.approx(values.mean())
        assert found.deviation == pytest.approx(values.std())
        assert (found.minimum, found.maximum) == (values.min(), values.max())


def test_a_shard_is_never_beside_the_result_of_an_older_one(
    source, tmp_path, monkeypatch
):
    output, (shard,) = tmp_path / "out", plan_shards(source)
    job = job_of(source, output)
    write_shard(job, ShardTask(shard))

    def killed(*arguments):
        raise KeyboardInterrupt

    for place in ((shard_results, "write"), (pathlib.Path, "replace")):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(*place, killed)
            write_shard(job, ShardTask(shard))
        assert list(files_of(output)) == [shard.file]
        write_shard(job, ShardTask(shard))
        assert shard_results.read(output, shard.file).split == shard.split


@pytest.mark.parametrize("kind", ["image", "contour"])
def test_file_that_vanishes_after_the_plan_ends_it(source, tmp_path, kind):
    # Where a folder is no longer mounted everything would be skipped otherwise.
    patient = source.patients[2]
    (shard,) = plan_shards(source)
    path = source.image(patient, 2) if kind == "image" else source.contour(patient, 2)
    path.unlink()
    job = job_of(source, tmp_path / "out")
    with pytest.raises(ValueError, match=f"{path.name} is gone.*still mounted"):
        write_shard(job, ShardTask(shard))
    assert not files_of(tmp_path / "out")


def test_file_that_changes_while_it_is_read_ends_it(source, tmp_path, monkeypatch):
    path = source.image(source.patients[0], 2)
    frames = source_folders.annotated_frames(source.root)
    stamps = InputStamps(source.root, files.walk(source.root))
    (shard,) = plan_shards(source, frames=frames, stamps=stamps)

    def content_then(opened):  # as its last act before the pixels are read
        found = content_of(opened)
        if opened == path:
            source_folders.edit(path, ImageComments="x" * 200)
        return found

    job = job_of(source, tmp_path / "out")
    write_shard(job, ShardTask(shard))
    (tmp_path / "out" / shard.file).unlink()
    monkeypatch.setattr(shards, "content_of", content_then)
    with pytest.raises(ValueError, match=f"{path.name}: changed while converting"):
        write_shard(job, ShardTask(shard))
    assert shard.file not in files_of(tmp_path / "out")


def test_large_frames_are_hardly_copied(source, tmp_path, monkeypatch):
    for module in (rasterize, value_counts):
        monkeypatch.setattr(module, "_BLOCK", 1 << 14)
    patient, size = source.patients[0], 700
    for number in (1, 2):
        pixels = np.random.default_rng(number).integers(0, 4096, (size, size))
        path = source.image(patient, number)
        source_folders.write_image(path, patient, number, pixels=pixels.astype("u2"))
        vertices = source_folders.disc(size / 2, size / 2, size / 3)
        source_folders.write_contour(source.contour(patient, number), vertices)
    frames = source_folders.annotated_frames(source.root)
    job = job_of(source, tmp_path / "out")
    (shard,) = plan_shards(
        source, frames=[one for one in frames if patient in one.path]
    )
    write_shard(job, ShardTask(shard))  # what is kept for ever is there
    tracemalloc.start()
    try:
        write_shard(job, ShardTask(shard))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Both frames, and bool planes: 1 for each structure, 2 for what is done with them.
    assert peak < 2 * (2 * size**2) + 4 * size**2 + 1_000_000


def test_file_that_cannot_be_read_is_listed(source, tmp_path, monkeypatch):
    path = source.contour(source.patients[0], 2)
    (shard,) = plan_shards(source)

    def refuse(opened):
        if opened == path:
            raise PermissionError(13, "Permission denied")
        return content_of(opened)

    path.chmod(0)  # root reads it nevertheless
    monkeypatch.setattr(shards, "content_of", refuse)
    write_shard(job_of(source, tmp_path / "out"), ShardTask(shard))
    result = shard_results.read(tmp_path / "out", shard.file)
    sources = {name for one in result.patients for name in one.sources}
    assert len(sources) == 17 and candidate(relative(source, path)) not in sources


@pytest.mark.parametrize("kind", ["image", "contour"])
def test_file_that_workers_died_of_is_not_opened(source, tmp_path, monkeypatch, kind):
    patient = source.patients[1]
    path = source.image(patient, 2) if kind == "image" else source.contour(patient, 2)
    name = relative(source, path)
    (shard,) = plan_shards(source)
    path.unlink()  # nobody notices
    opened = []
    monkeypatch.setattr(processes, "now_at", opened.append)
    job = job_of(source, tmp_path / "out")
    write_shard(job, ShardTask(shard, without=frozenset({name})))
    assert name not in opened and len(set(opened)) == 17
    result = shard_results.read(tmp_path / "out", shard.file)
    entry = ledger(result)[candidate(name)]
    assert (entry.status, entry.reason) == ("skipped", "worker_died")
    assert result.info.examples == 5
    (one,) = (
        one
        for one in result.patients
        if one.patient == PSEUDONYMS.of("patient", patient)
    )
    assert candidate(name) not in one.sources


def test_digest_of_what_is_planned(source, tmp_path):
    job = job_of(source, tmp_path / "out")

    def digests(job, **changes):
        frames = source_folders.annotated_frames(source.root)
        if changes:
            frames[0] = dataclasses.replace(frames[0], **changes)
        (shard,) = plan_shards(source, frames=frames)
        return {one.source_patient: job.digest(one) for one in shard.patients}

    first = digests(job)
    assert digests(job_of(source, tmp_path / "elsewhere", "gzip")) == first
    assert len(set(first.values())) == 3
    labelled = digests(job, labels=(("grade", "3"),))
    assert [name for name in first if labelled[name] != first[name]] == [
        source.patients[0]
    ]
    other = dataclasses.replace(RULES, origin="center0")
    changed = digests(job_of(source, tmp_path / "out", rules=other))
    assert not set(changed.values()) & set(first.values())
    keyed = dataclasses.replace(job, pseudonyms=Pseudonyms(b"another key, for tests"))
    assert not set(digests(keyed).values()) & set(first.values())


# Records that are taken from the shard as it was.


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("kept", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_kept_patients_give_the_same_bytes_unread(
    source, tmp_path, monkeypatch, kept, compression
):
    first, second = tmp_path / "first", tmp_path / "second"
    written(source, first, compression=compression)
    (shard,) = plan_shards(source)
    names = frozenset(shard.patients[place].patient for place in kept)
    read = []
    monkeypatch.setattr(processes, "now_at", read.append)
    job = job_of(source, second, compression)
    notes = write_shard(job, ShardTask(shard, first, names))
    assert files_of(second) == files_of(first)
    converted = [one for one in shard.patients if one.patient not in names]
    paths = {path for one in converted for path in one.sources}
    assert set(read) == set(notes.contents) == paths


def test_a_shard_may_be_written_in_its_own_place(source, tmp_path):
    output = tmp_path / "out"
    written(source, output)
    before, (shard,) = files_of(output), plan_shards(source)
    names = frozenset(one.patient for one in shard.patients)
    write_shard(job_of(source, output), ShardTask(shard, output, names))
    assert files_of(output) == before


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_new_patient_among_kept_ones(tmp_path, compression):
    names = tuple(f"SCD00{number:02d}01" for number in range(8))
    whole = source_folders.write_folder(tmp_path / "in", patients=names)
    frames = source_folders.annotated_frames(whole.root)
    once, grown = tmp_path / "once", tmp_path / "grown"
    written(whole, once, compression=compression)
    known = [one for one in frames if one.header.patient_id not in names[2:4]]
    written(whole, tmp_path / "few", frames=known, compression=compression)
    (shard,) = plan_shards(whole)
    kept = frozenset(
        PSEUDONYMS.of("patient", name) for name in (*names[:2], *names[4:])
    )
    job = job_of(whole, grown, compression)
    write_shard(job, ShardTask(shard, tmp_path / "few", kept))
    assert files_of(grown) == files_of(once)


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_patient_who_is_taken_out(source, tmp_path, compression):
    output, without = tmp_path / "out", tmp_path / "without"
    (result,) = written(source, output, compression=compression)
    gone = result.patients[1].patient
    files.make_folder(without / shard_results.CONVERSION)
    found = shards.copy_without(output, without, result, gone, compression)
    read = shard_results.read(without, result.info.file)
    assert (found.split, found.info) == (read.split, read.info)
    assert entries(found) == entries(read)
    frames = source_folders.annotated_frames(source.root)
    others = [
        one for one in frames if PSEUDONYMS.of("patient", one.header.patient_id) != gone
    ]
    fresh = tmp_path / "fresh"
    written(source, fresh, frames=others, compression=compression)
    assert files_of(without) == files_of(fresh)
    for data in files_of(without).values():
        assert gone.encode() not in data


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _empty(path):
    path.write_bytes(b"")


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_cut, _empty, _flip])
@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_earlier_shard_that_is_damaged(source, tmp_path, damage, compression):
    first, second = tmp_path / "first", tmp_path / "second"
    (result,) = written(source, first, compression=compression)
    damage(first / result.info.file)
    (shard,) = plan_shards(source)
    names = frozenset(one.patient for one in shard.patients)
    job = job_of(source, second, compression)
    with pytest.raises(ValueError, match="00000-of-00001.tfrecord is damaged.*repair"):
        write_shard(job, ShardTask(shard, first, names))
    assert not files_of(second)


def test_objects_are_listed_with_the_parts_that_were_used(
    source, tmp_path, monkeypatch
):
    plane = np.zeros((40, 48), bool)
    plane[10:20, 10:20] = True

    def draw(path, item, parts, header, rules):
        assert path == source.root / "rt.dcm" and header.rows == 40
        left = [LeftItem(item, part, "contour_not_closed") for part in parts[1:]]
        return Drawing(plane, left=tuple(left), findings=("contour_leaves_image",))

    monkeypatch.setattr(READERS[RTSTRUCT], "draw", draw)
    frames = source_folders.annotated_frames(source.root)
    first, *others = (one for one in frames if one.annotations)
    parts = Annotation(RTSTRUCT, "rt.dcm", "inner", 3, (4, 17))
    frames = [dataclasses.replace(first, annotations=(parts,)), *others]
    (source.root / "rt.dcm").write_bytes(b"read by nobody here")
    (result,) = written(source, tmp_path / "out", frames=frames)
    listed = ledger(result)
    image = listed[candidate(first.path)]
    lines = {
        name: (one.status, one.kind, one.reason, one.key, one.findings)
        for name in ("rt.dcm", "rt.dcm#3.4", "rt.dcm#3.17")
        for one in [listed[candidate(name)]]
    }
    assert lines == {
        "rt.dcm#3.4": (
            "converted",
            "contour",
            None,
            image.key,
            ("contour_leaves_image",),
        ),
        "rt.dcm#3.17": ("left_out", "contour", "contour_not_closed", None, ()),
        "rt.dcm": ("converted", "object", None, None, ()),
    }


def test_failure_leaves_no_file(source, tmp_path, monkeypatch):
    job, (shard,) = job_of(source, tmp_path / "out"), plan_shards(source)

    def full_disk(example):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.example_schema, "encode_parts", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_shard(job, ShardTask(shard))
    assert not files_of(tmp_path / "out")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
