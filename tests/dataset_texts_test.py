import json
import sys

import pytest

from tests import source_folders
from tfdicom import dataset_texts, manifest


@pytest.fixture
def dataset(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out")
    return tmp_path / "out"


def _pieces(folder):
    found = manifest.load_manifest(folder)
    return list(dataset_texts.pieces(folder, found))


def test_every_file_and_record_is_there(dataset):
    pieces = _pieces(dataset)
    names = {
        path.relative_to(dataset).as_posix()
        for path in dataset.rglob("*")
        if path.is_file()
    }
    assert {one.file for one in pieces} == names
    records = {(one.file, one.record) for one in pieces if one.record is not None}
    assert len(records) == 6
    for one in source_folders.examples(dataset):
        for data in (one.key, one.patient, one.study, one.series, one.instance):
            assert data.encode() in {piece.data for piece in pieces}
        assert one.pixels in {piece.data for piece in pieces if not piece.is_text}


def test_words_of_its_own_are_left_out(dataset):
    pieces = {one.data for one in _pieces(dataset) if one.is_text}
    for word in (b"frame", b"int16", b"MR", b"converted", b"candidate", b"patients"):
        assert word not in pieces or word == b"int16"


def test_classes_are_what_the_user_typed(dataset):
    chosen = {one.data for one in _pieces(dataset) if one.chosen}
    assert {b"inner", b"outer"} <= chosen


@pytest.mark.parametrize("name", ["more.json", "log.txt", "x.bin"])
def test_other_files_are_whole(dataset, name):
    (dataset / name).write_bytes(b"\xff{not json")
    (piece,) = (
        one
        for one in _pieces(dataset)
        if one.file == name and one.key != dataset_texts.FILE_NAME
    )
    assert piece.data == b"\xff{not json"


def test_long_numbers_in_letters_are_no_text(dataset):
    (dataset / "more.json").write_text(json.dumps({"counts": "QUFB" * 40}))
    (piece,) = (one for one in _pieces(dataset) if one.data == b"QUFB" * 40)
    assert not piece.is_text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
