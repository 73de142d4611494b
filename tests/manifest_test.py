import dataclasses
import itertools
import json
import sys
from collections import Counter

import pytest

from tfdicom import files, label_kinds, manifest
from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics
from tfdicom.label_kinds import LabelInfo


def _shard(number: int, **changes) -> manifest.ShardInfo:
    fields = {
        "file": f"train-{number:05d}-of-00002.tfrecord",
        "examples": 6,
        "size": 1000 + number,
        "data_size": 4000,
        "sha256": "ab" * 32,
        "annotated": {"11": 3, "10": 2, "00": 1},
    }
    return manifest.ShardInfo(**{**fields, **changes})


def _split(*shards: manifest.ShardInfo, **changes) -> manifest.SplitInfo:
    statistics = IntensityStatistics(
        count=77,
        mean=1 / 3,
        deviation=2e-9,
        minimum=-1024.0,
        maximum=3071.5,
        percentiles=tuple(p * 10 for p in PERCENTILES),
    )
    fields = {
        "examples": 6 * len(shards),
        "patients": ("0f" * 16, "01" * 16),
        "shards": shards,
        "frames": (
            manifest.FrameKind((256, 256, 1), "int16", "MR", None, 7),
            manifest.FrameKind((512, 512, 1), "uint16", "CT", "HU", 5),
        ),
        "classes": {"myo": manifest.ClassFrequency(6, 5, 1234567890123)},
        "intensities": {"all": statistics, "foreground": None},
        "pixel_spacing": (0.7, 1.3, 0.7, 1.25),
    }
    return manifest.SplitInfo(**{**fields, **changes})


MANIFEST = manifest.Manifest(
    classes=(
        manifest.ClassInfo("myo", "outer-inner"),
        manifest.ClassInfo("cavity", "inner"),
    ),
    splits={
        "train": _split(_shard(0), _shard(1, annotated={"01": 4, "11": 2})),
        "fold-1": _split(pixel_spacing=None, intensities={}, patients=(), frames=()),
        "test": _split(_shard(0, annotated={})),
    },
    split_table={"0f" * 16: "train", "01" * 16: "train"},
    salt="größe",
    buckets={"train": {"3": 0, "17": 1}, "test": {}},
    ledger={"skipped": {"contour_empty": 2}, "converted": {"": 12}},
    options={"edge_rule": "auto", "folds": None, "share": 0.1, "flag": True},
    compression="zlib",
    versions={"tfdicom": "0.1.0"},
)


@pytest.fixture
def data_dir(tmp_path):
    files.write_text(tmp_path / manifest.MANIFEST, MANIFEST.to_json())
    return tmp_path


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_manifest_comes_back(data_dir, kind):
    loaded = manifest.load_manifest(kind(data_dir))
    assert loaded == MANIFEST
    assert loaded.class_names == ("myo", "cavity")
    hash(loaded.classes), hash(loaded.splits["train"].frames)  # no list is inside
    assert loaded.to_json() == MANIFEST.to_json()


def test_labels_come_back(tmp_path):
    labels = (LabelInfo("sex", "class", ("f", "m")), LabelInfo("age", "number"))
    counts = {"sex": Counter(f=2), "age": Counter({"4.5": 1, "6": 2})}
    split = _split(labels=label_kinds.label_frequencies(labels, counts))
    given = dataclasses.replace(MANIFEST, labels=labels, splits={"train": split})
    files.write_text(tmp_path / manifest.MANIFEST, given.to_json())
    loaded = manifest.load_manifest(tmp_path)
    assert loaded == given
    hash((loaded.labels, *loaded.splits["train"].labels.values()))
    # A data set that was written before there were labels.
    fields = json.loads(MANIFEST.to_json())
    del fields["labels"], fields["splits"]["train"]["labels"]
    files.write_text(tmp_path / manifest.MANIFEST, json.dumps(fields))
    assert manifest.load_manifest(tmp_path) == MANIFEST


def test_labels_count_as_classes_do():
    shard = _shard(0, annotated={"1101": 3, "1011": 4, "1111": 5})
    assert manifest.count_annotated(shard, [0, 3]) == 12
    assert manifest.count_annotated(shard, [1, 2]) == 5


def test_a_remote_manifest_comes_back():
    folder = files.path_of("memory://manifest_test")
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / manifest.MANIFEST, MANIFEST.to_json())
    assert manifest.load_manifest("memory://manifest_test") == MANIFEST
    assert manifest.load_manifest(folder) == MANIFEST


def test_splits_keep_their_order(tmp_path):
    for order in (1, -1):
        splits = dict(list(MANIFEST.splits.items())[::order])
        given = dataclasses.replace(MANIFEST, splits=splits)
        files.write_text(tmp_path / manifest.MANIFEST, given.to_json())
        loaded = manifest.load_manifest(tmp_path)
        assert list(loaded.splits) == ["train", "fold-1", "test"][::order]


def test_json_says_what_it_is():
    fields = json.loads(MANIFEST.to_json())
    assert (fields["format"], fields["schema_version"]) == ("tfdicom", 1)
    assert MANIFEST.to_json().isascii()


def test_a_folder_without_a_manifest_is_no_data_set(tmp_path):
    message = f"{tmp_path} holds no data set: there is no dataset.json.*tfdicom_convert"
    with pytest.raises(FileNotFoundError, match=message):
        manifest.load_manifest(tmp_path)


def test_another_schema_version_is_no_damage(data_dir):
    path = data_dir / manifest.MANIFEST
    text = path.read_text().replace('"schema_version": 1', '"schema_version": 2')
    path.write_text(text)
    message = "is of schema version 2; this tfdicom reads 1: convert again"
    with pytest.raises(ValueError, match=message):
        manifest.load_manifest(data_dir)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "JSONDecodeError"),
        (lambda text: "", "JSONDecodeError"),
        (lambda text: "[]", "TypeError"),
        (lambda text: "{}", "schema_version"),
        (lambda text: text.replace('"format"', '"form"'), "format"),
        (lambda text: text.replace('"sha256"', '"sha1"'), "sha1"),
        (lambda text: text.replace('"salt"', '"pepper"'), "pepper"),
        (lambda text: text.replace('"examples"', '"exemplars"'), "exemplars|examples"),
        (lambda text: json.dumps({**json.loads(text), "splits": []}), "items"),
        (lambda text: json.dumps({**json.loads(text), "classes": 3}), "int"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(data_dir, change, message):
    path = data_dir / manifest.MANIFEST
    path.write_text(change(path.read_text()))
    with pytest.raises(
        ValueError, match=rf"dataset\.json cannot be read: .*({message})"
    ):
        manifest.load_manifest(data_dir)


def test_a_manifest_that_is_no_text_is_refused(data_dir):
    (data_dir / manifest.MANIFEST).write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match=r"dataset\.json cannot be read: Unicode"):
        manifest.load_manifest(data_dir)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train"]),
        ("test+train", ["test", "train"]),
        (" fold-1 + test ", ["fold-1", "test"]),
    ],
)
def test_splits_are_combined(split, names):
    assert manifest.split_names(MANIFEST, split) == names


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("tain", "no split 'tain'; this data set has train, fold-1, test"),
        ("", "no split ''"),
        ("train+", "no split ''"),
        ("train,test", "no split 'train,test'"),
        ("train+test+train", r"split='train\+test\+train' names a split twice"),
    ],
)
def test_refuses_splits(split, message):
    with pytest.raises(ValueError, match=message):
        manifest.split_names(MANIFEST, split)


@pytest.mark.parametrize(
    ("names", "indices"),
    [(["myo"], [0]), (["cavity"], [1]), (("cavity", "myo"), [1, 0])],
)
def test_classes_are_found(names, indices):
    assert manifest.class_indices(MANIFEST, names) == indices


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["atrium"], "no class 'atrium'; this data set has myo, cavity"),
        (["myo", "Myo"], "no class 'Myo'"),
        ([], r"classes=\[\]: name each class once"),
        (["myo", "myo"], r"classes=\['myo', 'myo'\]: name each class once"),
    ],
)
def test_refuses_classes(names, message):
    with pytest.raises(ValueError, match=message):
        manifest.class_indices(MANIFEST, names)


@pytest.mark.parametrize("wanted", [[], [0], [1], [2], [0, 1], [2, 0], [0, 1, 2]])
def test_annotated_examples_are_counted(wanted):
    # Three classes; each pattern stands for as many examples as its place says.
    patterns = ["".join(bits) for bits in itertools.product("01", repeat=3)]
    annotated = {pattern: n for n, pattern in enumerate(patterns, 1)}
    listed = [p for pattern, count in annotated.items() for p in [pattern] * count]
    expected = sum({p[index] for index in wanted} <= {"1"} for p in listed)
    shard = _shard(0, annotated=annotated)
    assert manifest.count_annotated(shard, wanted) == expected
    split = _split(shard, shard, _shard(1, annotated={}))
    assert split.count_annotated(wanted) == 2 * expected


LEDGER = {
    "converted": (
        manifest.LedgerEntry("c1", "image", manifest.CONVERTED, key="k", split="test"),
        {"key": "k", "split": "test"},
    ),
    "with findings": (
        manifest.LedgerEntry("c2", "contour", manifest.CONVERTED, findings=("a", "b")),
        {"findings": ["a", "b"]},
    ),
    "skipped": (
        manifest.LedgerEntry("c3", "contour", manifest.SKIPPED, reason="contour_empty"),
        {"reason": "contour_empty", "sentence": "größer.", "hint": ""},
    ),
    "left out": (
        manifest.LedgerEntry("c4", "other", manifest.LEFT_OUT, reason="stray_file"),
        {"reason": "stray_file", "sentence": "größer.", "hint": ""},
    ),
}


def test_ledger_comes_back(tmp_path):
    entries = [entry for entry, _ in LEDGER.values()]
    lines = [manifest.ledger_line(e, sentence="größer.", hint="") for e in entries]
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in lines)
    files.write_text(tmp_path / manifest.LEDGER, "".join(lines))
    read = list(manifest.read_ledger(tmp_path))
    for got, (entry, rest) in zip(read, LEDGER.values(), strict=True):
        always = {
            name: getattr(entry, name) for name in ("candidate", "kind", "status")
        }
        assert got == {**always, **rest}


def test_ledger_of_one_example(tmp_path):
    keys = [("a" * 32, "c1"), ("b" * 32, "a" * 32), ("a" * 32, "c2"), (None, "c3")]
    lines = [
        json.dumps({"candidate": candidate, **({"key": key} if key else {})}) + "\n"
        for key, candidate in keys
    ]
    files.write_text(tmp_path / manifest.LEDGER, "".join(lines))
    found = manifest.ledger_of(tmp_path, "a" * 32)
    assert [line["candidate"] for line in found] == ["c1", "c2"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
