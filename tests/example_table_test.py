import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import example_schema, example_table, tfrecord_file
from tfdicom.dataset_index import INDEX
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading

EMPTY = np.zeros((2, 12, 16), bool)
ONLY_OUTER = np.stack([np.zeros((12, 16), bool), np.ones((12, 16), bool)])
SPLITS = {
    "train": {
        "a": [*synthetic.frames(3), synthetic.Frame(masks=EMPTY)],
        "b": [*synthetic.frames(2, annotated="10"), synthetic.Frame(masks=ONLY_OUTER)],
        "c": [*synthetic.frames(2, annotated="01"), synthetic.Frame(annotated="00")],
    },
    "test": {"d": synthetic.frames(3)},
}
FIRST_TRAIN = "train-00000-of-00002.tfrecord"


def _plan(folders, split="train", *, input_context=None, **fields):
    return plan_reading(
        [load_manifest(folder) for folder in folders],
        split,
        InputOptions(normalize="none", **fields),
        names=list(map(str, folders)),
        input_context=input_context,
    )


def _table(*folders, split="train", **fields):
    plan = _plan(folders, split, **fields)
    return example_table.read_table(list(map(str, folders)), plan)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return folder, synthetic.write_dataset(folder, SPLITS)


@pytest.fixture
def own(tmp_path):
    """A data set to break; train has two shards, of seven and three records."""
    return tmp_path, synthetic.write_dataset(tmp_path, SPLITS)["train"]


def _keys(table) -> list[str]:
    return [key.decode() for key in table.keys]


def _assert_leads_to(table, examples) -> None:
    """Each row, to the record of its example."""
    assert len(table) == len(examples)
    assert _keys(table) == [one.key for one in examples]
    for place, example in enumerate(examples):
        with open(table.paths[table.shard[place]], "rb") as file:
            record = tfrecord_file.record_at(file, int(table.offset[place]), "")
            assert record == example_schema.encode(example)
            assert _number(file, int(table.offset[place])) == table.number[place]


def _number(file, end: int) -> int:
    """How many records come before an offset."""
    count = offset = 0
    while offset < end:
        offset += len(tfrecord_file.record_at(file, offset, "")) + 16
        count += 1
    return count


@pytest.mark.parametrize("split", ["train", "test", "test+train"])
def test_knows_where_every_example_lies(dataset, split):
    folder, written = dataset
    table = _table(folder, split=split, unannotated="ignore")
    examples = [one for name in split.split("+") for one in written[name]]
    _assert_leads_to(table, examples)
    assert not table.data_set.any() and table.damaged == ()
    for name in ("shard", "number", "offset", "data_set"):
        assert getattr(table, name).dtype == np.int64


@pytest.mark.parametrize(
    ("classes", "left_out"), [(None, 5), ("inner", 3), ("outer", 3), ("outer;inner", 5)]
)
def test_drop_leaves_out_what_is_not_annotated(dataset, classes, left_out):
    folder, written = dataset
    asked = (classes or "inner;outer").split(";")
    places = [synthetic.CLASSES.index(name) for name in asked]
    kept = [
        one for one in written["train"] if all(one.annotated[p] == 1 for p in places)
    ]
    assert len(kept) == 10 - left_out
    _assert_leads_to(_table(folder, classes=classes), kept)
    plan = _plan([folder], classes=classes)
    assert (plan.examples, plan.left_out) == (len(kept), left_out)


@pytest.mark.parametrize("classes", [None, "inner", "outer"])
@pytest.mark.parametrize("unannotated", ["drop", "weight"])
def test_present_is_of_the_classes_that_are_read(dataset, classes, unannotated):
    folder, written = dataset
    table = _table(folder, classes=classes, unannotated=unannotated)
    by_key = {one.key: one for one in written["train"]}
    places = [synthetic.CLASSES.index(n) for n in (classes or "inner;outer").split(";")]
    expected = [by_key[key].masks[places].any() for key in _keys(table)]
    np.testing.assert_array_equal(table.present, expected)
    assert 0 < table.present.sum() < len(table)
    # Not annotated is not absent.
    known = [all(by_key[key].annotated[p] for p in places) for key in _keys(table)]
    np.testing.assert_array_equal(table.absent, np.array(known) & ~table.present)
    assert unannotated == "weight" or (table.absent | table.present).all()


def test_several_data_sets_have_their_own_classes(dataset, tmp_path):
    folder, written = dataset
    classes = ("rv", "cavity", "outer")
    masks = np.zeros((3, 12, 16), bool)
    frames = [
        synthetic.Frame(
            annotated="111", masks=masks | (np.arange(3) == k)[:, None, None]
        )
        for k in range(3)
    ]
    other = synthetic.write_dataset(
        tmp_path, {"train": {"e": frames}}, classes=classes, first_number=100
    )["train"]
    table = _table(
        folder,
        tmp_path,
        unannotated="ignore",
        classes="outer;inner",
        class_map="inner=cavity",
    )
    _assert_leads_to(table, [*written["train"], *other])
    assert table.data_set.tolist() == [0] * 10 + [1] * 3
    # Of the second, the first example shows rv alone, which is not read.
    expected = [one.masks.any() for one in written["train"]] + [False, True, True]
    np.testing.assert_array_equal(table.present, expected)
    # What one lacks is not annotated there.
    table = _table(folder, tmp_path, unannotated="weight", classes="rv")
    assert table.present.tolist() == [False] * 10 + [True, False, False]


def test_files_of_several_data_sets_may_have_one_name(dataset, tmp_path):
    folder, written = dataset
    other = synthetic.write_dataset(tmp_path, SPLITS, first_number=50)
    table = _table(tmp_path, folder, unannotated="ignore")
    _assert_leads_to(table, [*other["train"], *written["train"]])


def test_pipelines_share_the_examples(dataset):
    folder, written = dataset
    tables = [
        _table(
            folder,
            unannotated="ignore",
            input_context=SimpleNamespace(
                num_input_pipelines=2,
                input_pipeline_id=number,
                get_per_replica_batch_size=int,
            ),
        )
        for number in (0, 1)
    ]
    assert [len(table.paths) for table in tables] == [1, 1]
    keys = [key for table in tables for key in _keys(table)]
    assert keys == [one.key for one in written["train"]]


def test_no_shard_is_opened(own):
    folder, written = own
    for path in folder.glob("*.tfrecord"):
        path.write_bytes(bytes(path.stat().st_size))
    assert _keys(_table(folder, unannotated="ignore")) == [one.key for one in written]


def test_a_missing_shard_or_index_is_named(own):
    folder, _ = own
    index = (folder / INDEX).read_text()
    (folder / INDEX).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{INDEX} is missing; copy it here"):
        _table(folder)
    (folder / INDEX).write_text(index)
    (folder / FIRST_TRAIN).unlink()
    for on_corrupt in ("fail", "skip"):
        with pytest.raises(FileNotFoundError, match=f"{FIRST_TRAIN} is missing though"):
            _table(folder, on_corrupt=on_corrupt)
    assert len(_table(folder, split="test")) == 3  # which has all its shards


def test_another_size_than_the_manifests_is_refused(own):
    folder, _ = own
    size = (folder / FIRST_TRAIN).stat().st_size
    with (folder / FIRST_TRAIN).open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        ValueError,
        match=rf"{FIRST_TRAIN} has {size + 4} bytes, dataset.json says {size}; copy .*"
        "on_corrupt='skip'",
    ):
        _table(folder)


def _edit(line, **fields):
    names = ("key", "shard", "offset", "length", "annotated", "present")
    row = dict(zip(names, line.split("\t"), strict=True)) | fields
    return "\t".join(row[name] for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "examples of test-0.*: 2 and 3; copy both again"),
        (lambda lines: [*lines, lines[-1]], "examples of test-.*: 4 and 3"),
        (
            lambda lines: [*lines[:-1], _edit(lines[-1], length="7")],
            r"bytes in the records of test-.*: \d+ and \d+",
        ),
        (
            lambda lines: [*lines[:-1], _edit(lines[-1], annotated="01")],
            r"classes annotated of test-.*: \{'11': 2, '01': 1\} and \{'11': 3\}",
        ),
        # Cut short by two bytes.
        (
            lambda lines: [*lines[:-1], lines[-1][:-1]],
            r"numbers of classes of test-.*: \{1, 2\} and \{2\}",
        ),
    ],
    ids=["fewer", "more", "length", "annotated", "cut"],
)
def test_an_index_of_another_data_set_is_refused(own, change, message):
    folder, _ = own
    lines = (folder / INDEX).read_text().splitlines()
    (folder / INDEX).write_text("\n".join(change(lines)) + "\n")
    words = f"{INDEX} and dataset.json differ in the {message}"
    with pytest.raises(ValueError, match=words):
        _table(folder, split="test")
    assert len(_table(folder)) == 5  # which it describes


# --- Damage -------------------------------------------------------------------------


def _skipping(folder, **fields):
    """Table and plan with damaged records left out."""
    plan = _plan([folder], on_corrupt="skip", **{"unannotated": "ignore", **fields})
    table = example_table.read_table([str(folder)], plan)
    return table, example_table.without_damaged(plan, table)


def test_where_nothing_is_damaged_nothing_changes(own):
    folder, written = own
    table, plan = _skipping(folder)
    assert _keys(table) == [one.key for one in written]
    assert (plan.examples, plan.warnings, table.damaged) == (10, (), ())


def _offsets(folder, file=FIRST_TRAIN):
    rows = (line.split("\t") for line in (folder / INDEX).read_text().splitlines())
    return [int(row[2]) for row in rows if row[1] == file]


@pytest.mark.parametrize("number", [0, 3, 6])
@pytest.mark.parametrize(
    ("place", "part"), [(3, "header"), (8, "header"), (12, "data"), (200, "data")]
)
def test_a_flipped_bit_costs_its_record(own, number, place, part):
    folder, written = own
    path = folder / FIRST_TRAIN
    data = bytearray(path.read_bytes())
    data[_offsets(folder)[number] + place] ^= 0x10
    path.write_bytes(data)
    table, plan = _skipping(folder)
    assert _keys(table) == [one.key for k, one in enumerate(written) if k != number]
    assert plan.examples == 9
    (words,) = table.damaged
    assert words == f"{path}, record {number}: damaged or cut short in its {part}"
    assert plan.warnings == (f"1 damaged records left out: {words}",)


@pytest.mark.parametrize(
    ("record", "place", "kept"),
    [(0, 0, 0), (0, 5, 0), (2, 0, 2), (2, 11, 2), (4, 300, 4), (6, -1, 6)],
)
def test_a_shard_cut_short_costs_the_rest(own, record, place, kept):
    folder, written = own
    path = folder / FIRST_TRAIN
    ends = [*_offsets(folder), path.stat().st_size]
    size = ends[record] + place if place >= 0 else ends[record + 1] + place
    path.write_bytes(path.read_bytes()[:size])
    table, plan = _skipping(folder)
    expected = [*written[:kept], *written[7:]]
    assert _keys(table) == [one.key for one in expected]
    assert len(table.damaged) == 7 - kept
    assert plan.examples == len(expected)
    _assert_leads_to(table, expected)


def test_damage_to_what_is_left_out_anyway_is_listed_too(own):
    folder, written = own
    path = folder / FIRST_TRAIN
    data = bytearray(path.read_bytes())
    data[_offsets(folder)[6] + 50] ^= 1  # annotated for no class
    path.write_bytes(data)
    table, plan = _skipping(folder, unannotated="drop")
    assert _keys(table) == [o.key for o in written if o.annotated == (1, 1)]
    assert len(table.damaged) == len(plan.warnings) == 1


def test_ten_are_named(tmp_path):
    splits = {"train": {"a": synthetic.frames(15), "b": synthetic.frames(1)}}
    synthetic.write_dataset(tmp_path, splits)
    (tmp_path / FIRST_TRAIN).write_bytes(b"")
    table, plan = _skipping(tmp_path)
    assert len(table) == 1 and len(table.damaged) == 15
    (words,) = plan.warnings
    assert words.startswith("15 damaged records left out: ")
    assert words.endswith("record 9: damaged or cut short in its header; and 5 more")


def test_where_nothing_can_be_read_it_says_why(own):
    folder, _ = own
    for path in folder.glob("train*"):
        path.write_bytes(path.read_bytes()[3:])
    with pytest.raises(
        ValueError, match=rf"^no record can be read: .*{FIRST_TRAIN}, record 0: damaged"
    ):
        _skipping(folder)


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
@pytest.mark.parametrize("where", [0.0, 0.01, 0.3, 0.6, 0.99, 1.0])
def test_of_a_damaged_stream_stays_what_tensorflow_reads(
    tmp_path, compression, damage, where
):
    # Larger than what TensorFlow inflates at a time.
    frames = synthetic.frames(8, shape=(200, 300, 1), dtype="uint8")
    splits = {"train": {"a": frames, "b": frames[:2]}}
    written = synthetic.write_dataset(tmp_path, splits, compression=compression)
    written = written["train"]
    path = tmp_path / FIRST_TRAIN
    data = bytearray(path.read_bytes())
    place = int((len(data) - 2) * where)
    data[place] ^= 0x10
    path.write_bytes(data[:place] if damage == "cut" else data)
    records = tf.data.TFRecordDataset(str(path), compression.upper())
    readable = len(list(records.ignore_errors().as_numpy_iterator()))
    table, plan = _skipping(tmp_path)
    expected = [*written[:readable], *written[8:]]
    assert _keys(table) == [one.key for one in expected]
    assert len(table.damaged) == 8 - readable
    assert plan.examples == len(expected)
    # All records may be there where only the stream's own checksum is cut off.
    assert (readable == 8) == (damage == "cut" and where == 1)
    if readable == 8:
        return
    first, *others = table.damaged
    assert f"{path}, record {readable}: damaged or cut short" in first
    assert all(one == "lost after that damage" for one in others)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
