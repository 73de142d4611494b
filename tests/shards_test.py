import dataclasses
import hashlib
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import example_schema, shards, splits, tfrecord_file
from tfdicom.classes import parse_classes
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules
from tfdicom.plan import make_plan
from tfdicom.shards import ShardContent, write_shard
from tfdicom.sources.annotation_objects import Drawing, DrawingRules, LeftItem
from tfdicom.sources.candidates import RTSTRUCT, Annotation
from tfdicom.sources.readers import READERS

TEXT_RULES = DrawingRules(edge_rule="half_covered", tolerance=0.02, shift=(-1.0, -1.0))
RULES = AnnotationRules(
    classes=parse_classes("inner;outer"),
    text=TEXT_RULES,
    objects=DrawingRules(edge_rule="center"),
    origin="center1",
)


def plan_shards(source, num_shards, frames=None):
    frames = frames or source_folders.annotated_frames(source.root)
    return make_plan(
        frames,
        [one.header.patient_id for one in frames],
        classes=RULES.classes,
        rule=splits.parse_split("train"),
        salt="salt",
        pseudonyms=Pseudonyms(b"key"),
        num_shards=num_shards,
        shard_bytes=1 << 30,
    ).shards


def written(source, output, *, num_shards=1, compression="none"):
    output.mkdir()
    return [
        write_shard(source.root, output, RULES, compression, shard)
        for shard in plan_shards(source, num_shards)
    ]


def records(output, result, compression="none"):
    path = output / result.info.file
    data = tfrecord_file.read_records(path, compression=compression)
    return [example_schema.decode(one) for one in data]


@pytest.mark.parametrize("compression", tfrecord_file.COMPRESSIONS)
def test_info_tells_what_the_file_holds(source, tmp_path, compression):
    output = tmp_path / "out"
    (result,) = written(source, output, compression=compression)
    (path,) = output.iterdir()
    content = path.read_bytes()
    examples = records(output, result, compression)
    assert result.info.file == path.name == "train-00000-of-00001.tfrecord"
    assert result.info.examples == len(examples) == 6
    assert result.info.size == len(content)
    assert result.info.sha256 == hashlib.sha256(content).hexdigest()
    assert result.info.annotated == {"11": 3, "10": 3}
    sizes = [len(example_schema.encode(one)) for one in examples]
    assert result.info.data_size == sum(sizes)
    assert [entry.length for entry in result.index] == sizes
    if compression == "none":
        assert len(content) == sum(sizes) + 16 * len(sizes)
    else:
        assert len(content) < sum(sizes)


def test_index_leads_to_each_record(source, tmp_path):
    output = tmp_path / "out"
    (result,) = written(source, output)
    for entry, example in zip(result.index, records(output, result), strict=True):
        data = tfrecord_file.read_record_at(output / entry.shard, entry.offset)
        assert example_schema.decode(data) == example
        assert entry.key == example.key and entry.length == len(data)


def test_every_file_of_an_example_is_listed(source, tmp_path):
    (result,) = written(source, tmp_path / "out")
    paths = [one.path for one in result.converted]
    assert len(paths) == len(set(paths)) == 6 + 6 + 3
    assert sum(path.endswith(".dcm") for path in paths) == 6
    for one in result.converted:
        assert one.kind == ("image" if one.path.endswith(".dcm") else "contour")
    assert {one.key for one in result.converted} == {one.key for one in result.index}
    assert not result.left
    assert len(result.pixel_hashes) == 6


def test_skipped_contour_is_not_listed_as_converted(source, tmp_path):
    bad = source.contour(source.patients[0], 1)
    bad.write_text("1 2\n")
    (result,) = written(source, tmp_path / "out")
    path = bad.relative_to(source.root).as_posix()
    assert [one.path for one in result.left] == [path]
    assert path not in {one.path for one in result.converted}
    assert len(result.converted) == 14


def test_content_adds_up(source, tmp_path):
    output = tmp_path / "out"
    results = written(source, output, num_shards=3)
    assert len(results) == 3
    whole = ShardContent()
    for result in results:
        whole.merge(result.content)
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


def test_images_that_vanish_after_the_plan_are_listed(source, tmp_path):
    gone = [source.image(source.patients[2], number) for number in (1, 2)]
    for path in gone:
        path.unlink()
    # Planned before the images went.
    other = source_folders.write_folder(tmp_path / "whole")
    (shard,) = plan_shards(other, 1)
    output = tmp_path / "out"
    output.mkdir()
    result = write_shard(source.root, output, RULES, "none", shard)
    listed = {one.path for one in result.left if one.reason == "file_unreadable"}
    assert listed == {str(path.relative_to(source.root)) for path in gone}


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
    (shard,) = plan_shards(source, 1, frames)
    output = tmp_path / "out"
    output.mkdir()
    result = write_shard(source.root, output, RULES, "none", shard)
    (image,) = (one for one in result.converted if one.path == first.path)
    lines = {
        one.path: (one.kind, one.key, one.findings)
        for one in result.converted
        if one.path.startswith("rt.dcm")
    }
    assert lines == {
        "rt.dcm#3.4": ("contour", image.key, ("contour_leaves_image",)),
        "rt.dcm": ("object", "", ()),
    }
    assert [(one.path, one.kind, one.reason) for one in result.left] == [
        ("rt.dcm#3.17", "contour", "contour_not_closed")
    ]


def test_failure_leaves_no_file(source, tmp_path, monkeypatch):
    (shard,) = plan_shards(source, 1)
    output = tmp_path / "out"
    output.mkdir()

    def full_disk(example):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.example_schema, "encode", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_shard(source.root, output, RULES, "none", shard)
    assert not list(output.iterdir())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
